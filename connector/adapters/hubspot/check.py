"""`connector check` for HubSpot: token, scopes, account, clock, limits, readable objects, HubSpot's own Salesforce integration.

Each question is asked on its own; an error is a finding, not an end, unless nothing of HubSpot can be asked any more. Properties and their
options are looked at through `describing`, for all CRMs alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial

from connector.adapters.client import Answer, Caller, Request
from connector.adapters.hubspot.wire import checks as wire_checks
from connector.adapters.hubspot.wire.errors import dicts, texts
from connector.adapters.hubspot.wire.limits import ReportedLimit, told_limits
from connector.adapters.hubspot.wire.records import decode, read_listing, read_total
from connector.adapters.hubspot.wire.requests import STREAMS, Api
from connector.errors import DAY_SPENT, CrmError, PassStopped, Retriable
from connector.model import Finding, Permission, Uses

#: Seconds that this machine's clock and HubSpot's may differ.
_CLOCK_TOLERANCE = 120.0
#: HubSpot's own integration syncs every quarter of an hour: what it did longer ago than this, it does no more.
_RECENT = timedelta(days=3)
#: What a pass takes where nothing changed: a search a stream, and owners in two lists, the active and the deactivated ones.
_QUIET_CALLS = len(STREAMS) + 1


@dataclass(slots=True, kw_only=True)
class Check:
    """All questions to one account. token_info: the request that tells what the token may do; oauth: one that the connector renews itself.

    unkept: why a newer refresh token would be lost when this process ends, "" where none is.
    """

    api: Api
    caller: Caller
    token_info: Callable[[], Request]
    uses: Uses
    now: datetime
    oauth: bool = False
    unkept: Callable[[], str] = str
    _answered: bool = field(default=False, init=False)
    _sizes: dict[str, int] = field(default_factory=dict, init=False)

    def findings(self) -> list[Finding]:
        """Every finding; stops at the first error after which nothing of HubSpot can be asked."""
        found: list[Finding] = []
        questions: list[Callable[[], Iterator[Finding]]] = [self._account, self._scopes]
        questions += [partial(self._readable, stream) for stream in STREAMS]
        for question in (*questions, self._costs, self._backward, self._native):
            try:
                found.extend(question())
            except PassStopped as error:
                found.append(self._ended(error, told=any(finding.permissions for finding in found)))
                break
            except Retriable as error:
                if not self._answered:  # whoever does not answer now is not asked a dozen times more, each with its own patience
                    found.append(self._ended(error, told=False))
                    break
                found.append(_of_error("access", error))
            except CrmError as error:
                found.append(_of_error("access", error))
        if not any(finding.permissions for finding in found):
            found.append(self._untold())
        return found

    def _ended(self, error: CrmError, *, told: bool) -> Finding:
        """Nothing of HubSpot can be asked any more: what else is wrong is not known."""
        refused = isinstance(error, PassStopped) and not self._answered and error.code != DAY_SPENT
        topic = "hubspot: credentials" if refused else "hubspot: stopped"
        message = f"{error.message}; nothing else of HubSpot could be looked at"
        permissions = () if told else wire_checks.permissions(self.uses)
        return Finding(topic=topic, ok=False, message=message, advice=error.advice, permissions=permissions)

    def _account(self) -> Iterator[Finding]:
        answer, account = self.caller.ask(self.api.account(), lambda answer: (answer, decode(answer)))
        self._answered = True
        where = account.get("dataHostingLocation") or "unknown region"
        kind, zone = account.get("accountType") or "account", account.get("timeZone") or "no time zone told"
        how = "OAuth, renewed by the connector" if self.oauth else "an access token, which does not end by itself"
        message = f"HubSpot account {account.get('portalId')} ({kind}, {where}, {zone}), by {how}"
        yield Finding(topic="hubspot: credentials", ok=True, message=message)
        if lost := self.unkept():
            yield Finding(
                topic="hubspot: credentials",
                ok=False,
                warning=True,
                message=f"HubSpot handed out a newer refresh token, which is lost when this process ends: {lost}",
                advice='Put the refresh token into a file that the connector may rewrite: refresh_token = "file:PATH".',
            )
        yield from self._limits(told_limits(answer))
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
            yield Finding(topic="hubspot: clock", ok=False, warning=True, message=message, advice="Let the machine's clock be set by NTP.")
        else:
            yield Finding(topic="hubspot: clock", ok=True, message="this machine and HubSpot agree on the time")

    # ── Scopes ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _scopes(self) -> Iterator[Finding]:
        try:
            info = self.caller.ask(self.token_info(), decode)
        except PassStopped:
            raise
        except CrmError:
            yield self._untold()
            return
        granted = set(texts(info.get("scopes")))
        needed = tuple(replace(one, has=one.name in granted) for one in wire_checks.permissions(self.uses))
        whose = f"user {info.get('userId')}, app {info.get('appId')}"
        yield from _missing_scopes(needed, whose, live=self.uses.live)

    def _untold(self) -> Finding:
        """OAuth tokens have no such information; what may be read is tried all the same."""
        return Finding(
            topic="hubspot: scopes",
            ok=False,
            warning=True,
            message="HubSpot does not tell what this token may do; that it may write cannot be proved without writing",
            advice="Compare the scopes of the app with the list of what is needed.",
            permissions=wire_checks.permissions(self.uses),
        )

    def _readable(self, stream: str) -> Iterator[Finding]:
        topic = f"hubspot: {stream}"
        try:
            if stream == "owners":
                self.caller.ask(self.api.probe(stream), read_listing)
                yield Finding(topic=topic, ok=True, message="owners can be read")
                return
            self._sizes[stream] = self.caller.ask(wire_checks.count(self.api, stream), read_total)
        except PassStopped:
            raise
        except CrmError as error:
            yield Finding(topic=topic, ok=False, message=error.message, advice=error.advice)
        else:
            yield Finding(topic=topic, ok=True, message=f"{stream} can be read: {self._sizes[stream]:,}")

    # ── Limits ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _limits(self, told: Sequence[ReportedLimit]) -> Iterator[Finding]:
        """The account's own against those of the file. The day's is of the whole account; it is not told for OAuth tokens."""
        topic, limits = "hubspot: limits", {limit.name: limit for limit in told}
        stated = {"10 seconds": ("requests_per_10_seconds", self.uses.per_10_seconds), "day": ("daily_requests", self.uses.daily_requests)}
        for name, (key, ours) in stated.items():
            limit = limits.get(name)
            if limit is not None and ours > limit.of:
                message = f"crm.hubspot.{key} is {ours:,}, but HubSpot allows this account {limit.of:,}"
                yield Finding(topic=topic, ok=False, message=message, advice=f"Set crm.hubspot.{key} to {limit.of} or less.")
        day = limits.get("day")
        if day is None:
            message = "HubSpot does not tell this token the account's requests a day"
            yield Finding(topic=topic, ok=True, message=f"{message}: the file's {self.uses.daily_requests:,} are kept to")
            return
        message = f"{day.of - day.used:,} of {day.of:,} requests of today are left"
        if (day.of - day.used) * 10 < day.of:
            advice = "See which integrations use the account's requests; pulls stop when none are left."
            yield Finding(topic=topic, ok=False, warning=True, message=message, advice=advice)
        else:
            yield Finding(topic=topic, ok=True, message=message)

    def _costs(self) -> Iterator[Finding]:
        """What passes and the first pull take of the file's own limits."""
        uses, share = self.uses, 1 - self.uses.headroom
        daily = math.ceil(_QUIET_CALLS * uses.passes_a_day)
        if daily and uses.daily_requests:
            ours = int(uses.daily_requests * share)
            message = f"passes in which nothing changed take {daily:,} requests a day ({_QUIET_CALLS} each), of {ours:,} that are ours"
            advice = "Let passes come less often ([schedule] pass): what changes comes on top."
            too_many = daily * 2 > ours
            yield Finding(topic="hubspot: limits", ok=not too_many, warning=too_many, message=message, advice=advice if too_many else "")
        if self._sizes and uses.per_10_seconds:
            calls = sum(wire_checks.first_calls(name, size) for name, size in self._sizes.items())
            minutes = calls / (uses.per_10_seconds * share / 10) / 60
            message = f"a first pull reads {sum(self._sizes.values()):,} records in about {calls:,} requests: {_minutes(minutes)}"
            days = math.ceil(calls / max(1, uses.daily_requests * share))
            wait = f"; at {int(uses.daily_requests * share):,} requests a day it takes {days} days" if days > 1 else ""
            yield Finding(topic="hubspot: first pull", ok=True, message=message + wait)

    def _backward(self) -> Iterator[Finding]:
        """HubSpot takes no lower lifecycle stage unless the stage is emptied first
        (https://developers.hubspot.com/docs/guides/api/crm/objects/contacts#update-contacts)."""
        if self.uses.backward:
            message = f"the stage may go backwards ({', '.join(self.uses.backward)}): it is emptied first, then set, and read again"
            yield Finding(topic="hubspot: stage backwards", ok=True, message=f"{message}; workflows that start on an empty stage see it")

    # ── Who else writes ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _native(self) -> Iterator[Finding]:
        """HubSpot's own Salesforce integration, by the marks that it leaves on contacts."""
        topic = "hubspot: native sync"
        listing = self.caller.ask(self.api.properties("contacts"), read_listing)
        if not any(raw.get("name") == wire_checks.LAST_SYNC for raw in dicts(listing.results)):
            yield from _unseen(topic, self.uses, "HubSpot's own Salesforce integration has left no mark on contacts")
            return
        synced = self.caller.ask(wire_checks.last_synced(self.api), wire_checks.read_synced)
        if not synced.contacts:
            yield from _unseen(topic, self.uses, "HubSpot's own Salesforce integration is set up, and has synced no contact")
            return
        last = "at a time that is not told" if synced.last is None else f"last at {synced.last}"
        message = f"HubSpot's own Salesforce integration has synced {synced.contacts:,} contacts, {last}"
        yield from _beside(topic, self.uses, message, runs=_is_recent(synced.last, self.now))


def _is_recent(moment: str | None, now: datetime) -> bool:
    try:
        return moment is None or now - datetime.fromisoformat(moment) < _RECENT
    except (ValueError, TypeError):
        return True


def _unseen(topic: str, uses: Uses, message: str) -> Iterator[Finding]:
    advice = 'Is it in another account? Else set native_sync = "none" in [crm]: otherwise its Leads are awaited in vain.'
    yield Finding(
        topic=topic, ok=not uses.native_sync, warning=uses.native_sync, message=message, advice=advice if uses.native_sync else ""
    )


def _beside(topic: str, uses: Uses, message: str, *, runs: bool) -> Iterator[Finding]:
    if not uses.native_sync and runs:
        advice = "Set native_sync = \"hubspot\" in [crm]: else both create Leads, and each takes the other's writes for a person's."
        yield Finding(topic=topic, ok=False, message=message, advice=advice)
        return
    yield Finding(topic=topic, ok=True, message=message)
    written = uses.written.get("contacts", ())
    if runs and written:
        advice = "In its field mappings (Settings, Integrations, Salesforce) let it not write these: where both do, they undo each other."
        both = f"it may write what the connector writes too: {', '.join(written)}; its mapping cannot be read"
        yield Finding(topic=topic, ok=False, warning=True, message=both, advice=advice)


def _missing_scopes(needed: tuple[Permission, ...], whose: str, *, live: bool) -> Iterator[Finding]:
    to_read = [one.name for one in needed if not one.has and not one.to_write]
    to_write = [one.name for one in needed if not one.has and one.to_write]
    topic = "hubspot: scopes"
    if not to_read and not to_write:
        yield Finding(topic=topic, ok=True, message=f"the access token has all scopes needed ({whose})", permissions=needed)
    if to_read:
        advice = f"Give the access token these scopes in HubSpot: {', '.join(to_read)}."
        message = f"the access token lacks {', '.join(to_read)}"
        yield Finding(topic=topic, ok=False, message=message, advice=advice, permissions=needed)
    if to_write:
        advice = f"{'Give' if live else 'Before the mode is live, give'} it these scopes in HubSpot: {', '.join(to_write)}."
        message = f"the access token lacks {', '.join(to_write)}: it can only read"
        rest = () if to_read else needed
        yield Finding(topic=topic, ok=False, warning=not live, message=message, advice=advice, permissions=rest)


def _minutes(minutes: float) -> str:
    return "under a minute at these limits" if minutes < 1 else f"about {math.ceil(minutes):,} minutes at these limits"


def _of_error(topic: str, error: CrmError) -> Finding:
    return Finding(topic=f"hubspot: {topic}", ok=False, message=error.message, advice=error.advice)
