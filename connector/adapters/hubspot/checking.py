"""`connector check` for HubSpot: token, scopes, account, clock, daily limit, readable objects, configured properties and options.

Each question is asked on its own; an error is a finding, not an end, unless nothing of HubSpot can be asked any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any

from connector.adapters.calling import Answer, Caller
from connector.adapters.hubspot.wire import STREAMS, Api
from connector.adapters.hubspot.wire_errors import dicts, texts
from connector.adapters.hubspot.wire_records import decode, read_listing
from connector.errors import CrmError, PassStopped
from connector.model import Finding

# What each object needs; calls, meetings, notes and tasks go with contacts, e-mails need a scope of their own besides
# (HubSpot's OpenAPI files; https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/scopes).
_SCOPES_TO_READ = (
    "crm.objects.contacts.read", "crm.objects.companies.read", "crm.objects.owners.read", "crm.schemas.contacts.read",
    "crm.schemas.companies.read", "sales-email-read",
)  # fmt: skip
_SCOPES_TO_WRITE = ("crm.objects.contacts.write",)

#: Seconds that this machine's clock and HubSpot's may differ.
_CLOCK_TOLERANCE = 120.0


@dataclass(slots=True, kw_only=True)
class Check:
    """All questions to one account. wanted, expected: as `HubSpotCrm` takes them."""

    api: Api
    caller: Caller
    token: str
    wanted: Mapping[str, Sequence[str]]
    expected: Mapping[str, Sequence[str]]
    now: datetime

    def findings(self) -> list[Finding]:
        """Every finding; stops at the first error after which nothing of HubSpot can be asked."""
        found: list[Finding] = []
        questions = [self._account, self._scopes, *self._objects(), *self._schemas()]
        for question in questions:
            try:
                found.extend(question())
            except PassStopped as error:
                found.append(_of_error("access", error))
                break
            except CrmError as error:
                found.append(_of_error("access", error))
        return found

    def _account(self) -> Iterator[Finding]:
        answer, account = self.caller.ask(self.api.account(), lambda answer: (answer, decode(answer)))
        where = account.get("dataHostingLocation") or "unknown region"
        kind, zone = account.get("accountType") or "account", account.get("timeZone") or "no time zone told"
        yield Finding(topic="account", ok=True, message=f"HubSpot account {account.get('portalId')} ({kind}, {where}, {zone})")
        yield from _daily_limit(answer)
        yield from self._clock(answer)

    def _clock(self, answer: Answer) -> Iterator[Finding]:
        """The header Date is HubSpot's clock; the incremental pull compares its moments with ours."""
        try:
            theirs = parsedate_to_datetime(answer.headers.get("date", ""))
        except ValueError:
            return
        if theirs.tzinfo is None:
            return
        apart = abs((theirs - self.now).total_seconds())
        if apart > _CLOCK_TOLERANCE:
            message = f"this machine's clock and HubSpot's are {round(apart)} seconds apart"
            yield Finding(topic="clock", ok=False, warning=True, message=message, advice="Let the machine's clock be set by NTP.")

    def _scopes(self) -> Iterator[Finding]:
        try:
            info = self.caller.ask(self.api.token_info(self.token), decode)
        except PassStopped:
            raise
        except CrmError:
            # OAuth tokens have no such information; what may be read is tried below all the same.
            advice = f"Needed to read: {', '.join(_SCOPES_TO_READ)}; to write: {', '.join(_SCOPES_TO_WRITE)}."
            yield Finding(topic="scopes", ok=False, warning=True, message="HubSpot does not tell what this token may do", advice=advice)
            return
        granted = set(texts(info.get("scopes")))
        missing = [scope for scope in _SCOPES_TO_READ if scope not in granted]
        missing_to_write = [scope for scope in _SCOPES_TO_WRITE if scope not in granted]
        if missing:
            advice = f"Give the access token these scopes in HubSpot: {', '.join(missing)}."
            yield Finding(topic="scopes", ok=False, message=f"the access token lacks {', '.join(missing)}", advice=advice)
        if missing_to_write:
            advice = f"Before the mode is live, give it these scopes in HubSpot: {', '.join(missing_to_write)}."
            message = f"the access token lacks {', '.join(missing_to_write)}: it can only read"
            yield Finding(topic="scopes", ok=False, warning=True, message=message, advice=advice)
        if not missing and not missing_to_write:
            yield Finding(topic="scopes", ok=True, message="the access token has all scopes needed")

    def _objects(self) -> Iterator[Callable[[], Iterator[Finding]]]:
        for stream in STREAMS:
            yield partial(self._readable, stream)

    def _readable(self, stream: str) -> Iterator[Finding]:
        self.caller.ask(self.api.probe(stream), read_listing)
        yield Finding(topic=stream, ok=True, message=f"{stream} can be read")

    def _schemas(self) -> Iterator[Callable[[], Iterator[Finding]]]:
        for object_name in ("contacts", "companies"):
            if self.wanted.get(object_name) or (object_name == "contacts" and self.expected):
                yield partial(self._schema, object_name)

    def _schema(self, object_name: str) -> Iterator[Finding]:
        known = _known(self.api, self.caller, object_name)
        wanted = [name for name in self.wanted.get(object_name, ()) if name in known or not name.startswith(_OPTIONAL)]
        missing = [name for name in wanted if name not in known]
        for name in missing:
            near = get_close_matches(name, known, n=1)
            advice = f"Did you mean {near[0]}?" if near else f"Create the property on {object_name} in HubSpot, or take it out of [fields]."
            yield Finding(topic=f"{object_name}.{name}", ok=False, message=f"HubSpot has no such property on {object_name}", advice=advice)
        if wanted and not missing:
            types = ", ".join(f"{name} ({known[name].get('type') or 'no type'})" for name in wanted)
            yield Finding(topic=f"{object_name} properties", ok=True, message=f"all {len(wanted)} are there: {types}")
        if object_name == "contacts":
            for name, values in self.expected.items():
                yield from _options(name, values, known.get(name))


#: Properties that not every account has, and that nothing but a better date or link depends on: those of HubSpot's own Salesforce
#: integration, and the moments of entering a stage.
_OPTIONAL = ("salesforce", "hs_v2_date_entered_", "hubspot_owner_assigneddate")


def missing_properties(api: Api, caller: Caller, wanted: Mapping[str, Sequence[str]]) -> tuple[tuple[str, str], ...]:
    """The wanted properties that the account does not have: a read leaves them out without a word."""
    return tuple(
        (object_name, name)
        for object_name, names in wanted.items()
        if names
        for known in (_known(api, caller, object_name),)
        for name in names
        if name not in known and not name.startswith(_OPTIONAL)
    )


def _known(api: Api, caller: Caller, object_name: str) -> dict[str, Mapping[str, Any]]:
    """The definitions of an object's properties, by name."""
    listing = caller.ask(api.properties(object_name), read_listing)
    return {str(raw.get("name")): raw for raw in dicts(listing.results)}


def _options(name: str, values: Sequence[str], found: Mapping[str, Any] | None) -> Iterator[Finding]:
    """Whether the values that the configuration reads or writes are options; hidden ones can be written, but nobody sees them."""
    if found is None:
        yield Finding(
            topic=f"contacts.{name}",
            ok=False,
            message="HubSpot has no such property on contacts",
            advice="Create it in HubSpot, or take what names it out of the file.",
        )
        return
    options = {str(raw.get("value")): raw for raw in dicts(found.get("options"))}
    if not options:
        return  # a property without options takes any text
    there = ", ".join(options)
    missing = [value for value in dict.fromkeys(values) if value not in options]
    for value in missing:
        near = next((option for option in options if option.casefold() == value.casefold()), None)
        advice = f"Options are case-sensitive: write {near}." if near else f"Use one of: {there}."
        yield Finding(topic=f"contacts.{name}", ok=False, message=f"{value} is no option in HubSpot", advice=advice)
    for value in (value for value in dict.fromkeys(values) if value in options and options[value].get("hidden") is True):
        advice = "Show it in HubSpot's settings of the property, or use another."
        yield Finding(topic=f"contacts.{name}", ok=False, warning=True, message=f"the option {value} is hidden in HubSpot", advice=advice)
    if not missing:
        yield Finding(topic=f"contacts.{name}", ok=True, message=f"all {len(set(values))} options are there")


def _daily_limit(answer: Answer) -> Iterator[Finding]:
    """X-HubSpot-RateLimit-Daily and -Daily-Remaining: not sent for OAuth tokens (github.com/HubSpot/hubspot-api-python/issues/143)."""
    daily, left = (answer.headers.get(f"x-hubspot-ratelimit-daily{suffix}", "") for suffix in ("", "-remaining"))
    if not daily.isdecimal() or not left.isdecimal():
        return
    message = f"{int(left):,} of {int(daily):,} requests of today are left"
    if int(left) * 10 < int(daily):
        advice = "See which integrations use the account's requests; pulls stop when none are left."
        yield Finding(topic="daily requests", ok=False, warning=True, message=message, advice=advice)
    else:
        yield Finding(topic="daily requests", ok=True, message=message)


def _of_error(topic: str, error: CrmError) -> Finding:
    return Finding(topic=topic, ok=False, message=error.message, advice=error.advice)
