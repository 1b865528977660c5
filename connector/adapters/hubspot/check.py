"""`connector check` for HubSpot: token, scopes, account, clock, limits, readable objects, HubSpot's own Salesforce integration.

Properties and their options are looked at through `schema`, for all CRMs alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial

from connector.adapters.check_run import CheckRun, Question, days_needed
from connector.adapters.client import Answer, Caller
from connector.adapters.hubspot.client import HubSpotClient
from connector.adapters.hubspot.wire import checks as wire_checks
from connector.adapters.hubspot.wire.errors import dicts, texts
from connector.adapters.hubspot.wire.limits import ReportedLimit, told_limits
from connector.adapters.hubspot.wire.records import decode, read_listing, read_total
from connector.adapters.hubspot.wire.requests import STREAMS
from connector.errors import CrmError, PassStopped
from connector.model import Finding, Permission, Uses

#: Seconds that this machine's clock and HubSpot's may differ.
_CLOCK_TOLERANCE = 120.0
#: HubSpot's own integration syncs every quarter of an hour: what it did longer ago than this, it does no more.
_RECENT = timedelta(days=3)
#: What a pass takes where nothing changed: a search a stream, and owners in two lists, the active and the deactivated ones.
_QUIET_CALLS = len(STREAMS) + 1


def check(client: HubSpotClient, uses: Uses, *, now: datetime) -> list[Finding]:
    """All that can be found out of one account."""
    run = CheckRun(crm="hubspot", label="HubSpot", uses=uses, now=now, needed=lambda: wire_checks.permissions(uses))
    return run.findings(_Questions(client=client, caller=client.caller(), run=run, uses=uses).all())


@dataclass(slots=True, kw_only=True)
class _Questions:
    client: HubSpotClient
    caller: Caller
    run: CheckRun
    uses: Uses
    _sizes: dict[str, int] = field(default_factory=dict, init=False)

    def all(self) -> Iterator[Question]:
        """In the order in which one repairs what is wrong."""
        readable = [Question("access", partial(self._readable, stream)) for stream in STREAMS]
        yield from (Question("access", self._account), Question("access", self._scopes), *readable)
        yield from (Question("access", ask) for ask in (self._costs, self._backward, self._native))

    def _account(self) -> Iterator[Finding]:
        answer, account = self.caller.ask(self.client.api.account(), lambda answer: (answer, decode(answer)))
        self.run.answered = True
        where = account.get("dataHostingLocation") or "unknown region"
        kind, zone = account.get("accountType") or "account", account.get("timeZone") or "no time zone told"
        how = "OAuth, renewed by the connector" if self.client.oauth else "an access token, which does not end by itself"
        yield self.run.good("credentials", f"HubSpot account {account.get('portalId')} ({kind}, {where}, {zone}), by {how}")
        if lost := self.client.unkept:
            message = f"HubSpot handed out a newer refresh token, which is lost when this process ends: {lost}"
            advice = 'Put the refresh token into a file that the connector may rewrite: refresh_token = "file:PATH".'
            yield self.run.warning("credentials", message, advice)
        yield from self._limits(told_limits(answer))
        yield from self.run.clock(
            _server_time(answer),
            tolerance=_CLOCK_TOLERANCE,
            apart=lambda ahead: f"this machine's clock and HubSpot's are {round(abs(ahead))} seconds apart",
            advice="Let the machine's clock be set by NTP.",
        )

    # ── Scopes ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _scopes(self) -> Iterator[Finding]:
        try:
            info = self.caller.ask(self.client.token_info(), decode)
        except PassStopped:
            raise
        except CrmError:  # OAuth tokens have no such information; what may be read is tried all the same
            message = "HubSpot does not tell what this token may do; that it may write cannot be proved without writing"
            advice = "Compare the scopes of the app with the list of what is needed."
            yield replace(self.run.warning("scopes", message, advice), permissions=self.run.needed())
            return
        granted = set(texts(info.get("scopes")))
        needed = tuple(replace(scope, has=scope.name in granted) for scope in self.run.needed())
        yield from _missing_scopes(self.run, needed, f"user {info.get('userId')}, app {info.get('appId')}")

    def _readable(self, stream: str) -> Iterator[Finding]:
        try:
            if stream == "owners":
                self.caller.ask(self.client.api.probe(stream), read_listing)
                yield self.run.good(stream, "owners can be read")
                return
            self._sizes[stream] = self.caller.ask(wire_checks.count(self.client.api, stream), read_total)
        except PassStopped:
            raise
        except CrmError as error:
            yield self.run.failed(stream, error)
        else:
            yield self.run.good(stream, f"{stream} can be read: {self._sizes[stream]:,}")

    # ── Limits ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _limits(self, reported: Sequence[ReportedLimit]) -> Iterator[Finding]:
        """The account's own against those of the file. The day's is of the whole account; it is not told for OAuth tokens."""
        limits = {limit.name: limit for limit in reported}
        stated = {"10 seconds": ("requests_per_10_seconds", self.uses.per_10_seconds), "day": ("daily_requests", self.uses.daily_requests)}
        for name, (key, ours) in stated.items():
            limit = limits.get(name)
            if limit is not None and ours > limit.of:
                message = f"crm.hubspot.{key} is {ours:,}, but HubSpot allows this account {limit.of:,}"
                yield self.run.limit_too_high(key, limit.of, message)
        day = limits.get("day")
        if day is None:
            message = "HubSpot does not tell this token the account's requests a day"
            yield self.run.good("limits", f"{message}: the file's {self.uses.daily_requests:,} are kept to")
            return
        message = f"{day.of - day.used:,} of {day.of:,} requests of today are left"
        if (day.of - day.used) * 10 < day.of:
            advice = "See which integrations use the account's requests; pulls stop when none are left."
            yield self.run.warning("limits", message, advice)
        else:
            yield self.run.good("limits", message)

    def _costs(self) -> Iterator[Finding]:
        """What passes and the first pull take of the file's own limits."""
        uses, share = self.uses, 1 - self.uses.headroom
        if uses.daily_requests:
            advice = "Let passes come less often ([schedule] pass): what changes comes on top."
            yield from self.run.quiet_passes(_QUIET_CALLS, int(uses.daily_requests * share), unit="requests", advice=advice)
        if self._sizes and uses.per_10_seconds:
            calls = sum(wire_checks.first_calls(name, size) for name, size in self._sizes.items())
            minutes = calls / (uses.per_10_seconds * share / 10) / 60
            message = f"a first pull reads {sum(self._sizes.values()):,} records in about {calls:,} requests: {_duration(minutes)}"
            yield self.run.good("first pull", message + days_needed(calls, uses.daily_requests * share, unit="requests"))

    def _backward(self) -> Iterator[Finding]:
        """HubSpot takes no lower lifecycle stage unless the stage is emptied first
        (https://developers.hubspot.com/docs/guides/api/crm/objects/contacts#update-contacts)."""
        if self.uses.backward:
            message = f"the stage may go backwards ({', '.join(self.uses.backward)}): it is emptied first, then set, and read again"
            yield self.run.good("stage backwards", f"{message}; workflows that start on an empty stage see it")

    # ── Who else writes ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _native(self) -> Iterator[Finding]:
        """HubSpot's own Salesforce integration, by the marks that it leaves on contacts."""
        listing = self.caller.ask(self.client.api.properties("contacts"), read_listing)
        if not any(raw.get("name") == wire_checks.LAST_SYNC for raw in dicts(listing.results)):
            yield self._no_native_sync("HubSpot's own Salesforce integration has left no mark on contacts")
            return
        synced = self.caller.ask(wire_checks.last_synced(self.client.api), wire_checks.read_synced)
        if not synced.contacts:
            yield self._no_native_sync("HubSpot's own Salesforce integration is set up, and has synced no contact")
            return
        last = "at a time that is not told" if synced.last is None else f"last at {synced.last}"
        message = f"HubSpot's own Salesforce integration has synced {synced.contacts:,} contacts, {last}"
        yield from self._native_sync(message, runs=_is_recent(synced.last, self.run.now))

    def _no_native_sync(self, message: str) -> Finding:
        if not self.uses.native_sync:
            return self.run.good("native sync", message)
        advice = 'Is it in another account? Else set native_sync = "none" in [crm]: otherwise its Leads are awaited in vain.'
        return self.run.warning("native sync", message, advice)

    def _native_sync(self, message: str, *, runs: bool) -> Iterator[Finding]:
        if not self.uses.native_sync and runs:
            advice = "Set native_sync = \"hubspot\" in [crm]: else both create Leads, and each takes the other's writes for a person's."
            yield self.run.wrong("native sync", message, advice)
            return
        yield self.run.good("native sync", message)
        written = self.uses.written.get("contacts", ())
        if runs and written:
            where = "In its field mappings (Settings, Integrations, Salesforce)"
            advice = f"{where} let it not write these: where both do, they undo each other."
            both = f"it may write what the connector writes too: {', '.join(written)}; its mapping cannot be read"
            yield self.run.warning("native sync", both, advice)


def _missing_scopes(run: CheckRun, needed: tuple[Permission, ...], whose: str) -> Iterator[Finding]:
    to_read = [scope.name for scope in needed if not scope.has and not scope.to_write]
    to_write = [scope.name for scope in needed if not scope.has and scope.to_write]
    if not to_read and not to_write:
        yield replace(run.good("scopes", f"the access token has all scopes needed ({whose})"), permissions=needed)
    if to_read:
        advice = f"Give the access token these scopes in HubSpot: {', '.join(to_read)}."
        yield replace(run.wrong("scopes", f"the access token lacks {', '.join(to_read)}", advice), permissions=needed)
    if to_write:
        live = run.uses.live
        advice = f"{'Give' if live else 'Before the mode is live, give'} it these scopes in HubSpot: {', '.join(to_write)}."
        message = f"the access token lacks {', '.join(to_write)}: it can only read"
        finding = (run.wrong if live else run.warning)("scopes", message, advice)
        yield replace(finding, permissions=() if to_read else needed)


def _server_time(answer: Answer) -> datetime | None:
    """The header Date, HubSpot's clock: the incremental pull compares its moments with ours."""
    try:
        moment = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment


def _is_recent(moment: str | None, now: datetime) -> bool:
    try:
        return moment is None or now - datetime.fromisoformat(moment) < _RECENT
    except (ValueError, TypeError):
        return True


def _duration(minutes: float) -> str:
    return "under a minute at these limits" if minutes < 1 else f"about {math.ceil(minutes):,} minutes at these limits"
