"""What `connector check` looks at in the org: login, permissions, limits, clock, tasks, who else writes. Nothing here raises.

Fields, their types and values are looked at through `describing`, for all CRMs alike.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from connector.adapters.client import Answer, Request
from connector.adapters.salesforce.session import SalesforceSession, Settings
from connector.adapters.salesforce.streams import STREAMS
from connector.adapters.salesforce.wire import access as wire_access
from connector.adapters.salesforce.wire import login as wire_login
from connector.adapters.salesforce.wire import query as wire_query
from connector.adapters.salesforce.wire import records as wire_records
from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.salesforce.wire import tasks as wire_tasks
from connector.adapters.salesforce.wire.access import external_id
from connector.errors import DAY_SPENT, CrmError, PassStopped, Retriable
from connector.model import Finding, Permission, Uses

#: A clock further off than this is worth a word: deadlines are reckoned by ours, events stamped by Salesforce's.
_SKEW = 60.0
#: A pass in which nothing changed: a query a stream, and one for those who are asked with a window of their own.
_QUIET_CALLS = len(STREAMS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """What the checks share. call: sends a request and returns the good answer, or raises `CrmError`."""

    call: Callable[[Request], Answer]
    settings: Settings
    session: SalesforceSession
    wanted: Mapping[str, Sequence[str]]
    uses: Uses = field(default_factory=Uses)


def findings(looking: Looking, *, now: datetime) -> list[Finding]:
    """Everything, in the order in which one repairs it; where nothing can be asked any more, that and what would be needed."""
    found: list[Finding] = []
    try:
        limits = looking.call(wire.limits())
        found.extend(_org(looking, limits, now))
        _look(looking, found)
    except PassStopped as error:
        found.append(_ended(looking, error, answered=bool(found)))
    except CrmError as error:
        found.append(replace(_failed("salesforce: credentials", error), permissions=tuple(_permissions(looking, None))))
    return found


def _org(looking: Looking, limits: Answer, now: datetime) -> Iterator[Finding]:
    """What the first answer tells."""
    whose = f", as user {looking.session.user_id}" if looking.session.user_id else ""
    message = f"logged in to {looking.session.instance} by {looking.settings.auth}{whose}"
    yield Finding(topic="salesforce: credentials", ok=True, message=message)
    yield from _flow(looking)
    yield from _limits(looking, wire.value_of(limits))
    yield from _clock(limits, now)


def _look(looking: Looking, found: list[Finding]) -> None:
    """Raises `PassStopped`, with what was found up to then in `found`."""
    described = _described(looking, found)
    found.extend(_guarded("salesforce: permissions", _rights(looking, described)))
    found.extend(_hidden(described))
    found.extend(_task(looking, described.get("Task")))
    found.extend(_guarded("salesforce: LeadHistory", _history(looking)))
    found.extend(_guarded("salesforce: native sync", _native(looking)))
    found.extend(_guarded("salesforce: limits", _costs(looking)))


def _ended(looking: Looking, error: PassStopped, *, answered: bool) -> Finding:
    """Nothing of the org can be asked any more: by whom it was refused, what else is wrong with it is not known."""
    topic = "salesforce: stopped" if answered or error.code == DAY_SPENT else "salesforce: credentials"
    message = f"{error.message}; nothing else of Salesforce could be looked at"
    return Finding(topic=topic, ok=False, message=message, advice=error.advice, permissions=tuple(_permissions(looking, None)))


def _guarded(topic: str, look: Iterator[Finding]) -> list[Finding]:
    try:
        return list(look)
    except PassStopped:
        raise
    except CrmError as error:
        return [_failed(topic, error)]


def _failed(topic: str, error: CrmError) -> Finding:
    return Finding(topic=topic, ok=False, message=error.message, advice=error.advice)


def _flow(looking: Looking) -> Iterator[Finding]:
    topic = "salesforce: credentials"
    ending = wire_login.ENDING.get(looking.settings.auth)
    if ending is not None:
        yield Finding(
            topic=topic,
            ok=False,
            warning=True,
            message=ending,
            advice='Create an External Client App with the client credentials flow, and set auth = "client-credentials".',
        )
    if looking.session.unkept:
        yield Finding(
            topic=topic,
            ok=False,
            warning=True,
            message=f"the app rotates refresh tokens, and the newest is not kept ({looking.session.unkept}): the next start cannot log in",
            advice='Let crm.salesforce.refresh_token be a file that the connector may write ("file:…"), switch refresh token rotation '
            'off in the External Client App\'s policies, or set auth = "client-credentials".',
        )


def _limits(looking: Looking, limits: Any) -> Iterator[Finding]:
    topic = "salesforce: limits"
    daily = limits.get("DailyApiRequests") if isinstance(limits, dict) else None
    if not isinstance(daily, dict) or not isinstance(daily.get("Max"), int) or not isinstance(daily.get("Remaining"), int):
        yield Finding(
            topic=topic, ok=False, warning=True, message="the org does not tell its daily API calls", advice="Look them up in Setup."
        )
        return
    allowed, left, configured = daily["Max"], daily["Remaining"], looking.settings.daily_requests
    if configured > allowed:
        yield Finding(
            topic=topic,
            ok=False,
            message=f"crm.salesforce.daily_requests is {configured}, but the org allows {allowed}",
            advice=f"Set crm.salesforce.daily_requests to {allowed} or less.",
        )
    elif left < allowed * looking.settings.headroom:
        yield Finding(
            topic=topic,
            ok=False,
            warning=True,
            message=f"{left} of {allowed} API calls are left, less than the headroom kept for others: passes stop until more are free",
            advice="Find the integration that uses them up (Setup, System Overview, API Usage), or lower crm.salesforce.headroom.",
        )
    else:
        yield Finding(topic=topic, ok=True, message=f"{left} of {allowed} API calls of the last 24 hours are left")


def _clock(answer: Answer, now: datetime) -> Iterator[Finding]:
    server = wire.server_date(answer.headers)
    if server is None:
        return
    off = (now - server).total_seconds()
    if abs(off) > _SKEW:
        yield Finding(
            topic="salesforce: clock",
            ok=False,
            warning=True,
            message=f"this machine's clock is {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} Salesforce's",
            advice="Let this machine keep its time by NTP: deadlines are reckoned by it.",
        )
    else:
        yield Finding(topic="salesforce: clock", ok=True, message="this machine and Salesforce agree on the time")


# ── Permissions ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _described(looking: Looking, found: list[Finding]) -> dict[str, Any]:
    """Object → its description, None where it cannot be had. Of what can be done without, only a word."""
    described: dict[str, Any] = {}
    for name in wire_access.objects(looking.uses):
        try:
            described[name] = wire.value_of(looking.call(wire.describe(name)))
        except PassStopped:
            raise
        except CrmError as error:
            described[name] = None
            if isinstance(error, Retriable):
                found.append(_failed(f"salesforce: {name}", error))
                continue
            spare = name in wire_access.SPARE
            message = f"{name} cannot be seen ({error.code or error.status or 'no answer'})" + (
                ": nothing of it is mirrored" if spare else ""
            )
            right = wire_access.right_to_read(name)
            advice = f"Give the connector's user {right} (Setup, Permission Sets)."
            found.append(Finding(topic=f"salesforce: {name}", ok=False, warning=spare, message=message, advice=advice))
    return described


def _permissions(
    looking: Looking, described: Mapping[str, Any] | None, view_all: Mapping[str, bool | None] | None = None, transfers: bool | None = None
) -> Iterator[Permission]:
    key_field = looking.settings.task_key_field
    return wire_access.needed(looking.uses, looking.wanted, described, key_field=key_field, view_all=view_all, transfers=transfers)


def _rights(looking: Looking, described: Mapping[str, Any]) -> Iterator[Finding]:
    """All that is needed, against what the user has. Fields that cannot be read are told one by one elsewhere, with the nearest name."""
    sets = _sets(looking)
    view_all = _view_all(looking, sets)
    needed = tuple(_permissions(looking, described, view_all, _transfers(looking, sets)))
    topic = "salesforce: permissions"
    lacking = [one.name for one in needed if one.has is False and one.to_write and not one.name.startswith("Task.")]
    if lacking:
        live = looking.uses.live
        yield Finding(
            topic=topic,
            ok=False,
            warning=not live,
            message=f"the connector's user lacks {', '.join(lacking)}",
            advice=f"{'Give' if live else 'Before the mode is live, give'} them to it (Setup, Permission Sets, Object Settings).",
        )
    missing = sum(1 for one in needed if one.has is False)
    message = f"{len(needed) - missing} of {len(needed)} permissions that the file needs are there, or cannot be told"
    yield Finding(topic=topic, ok=True, message=message, permissions=needed)
    yield from _sharing(view_all)


def _hidden(described: Mapping[str, Any]) -> Iterator[Finding]:
    """What the pulls do without, since field-level security hides it."""
    for name, (_, tells) in wire_access.OPTIONAL.items():
        lacking = wire_access.hidden(described, name)
        if lacking:
            message = f"of {name} the connector's user does not see {', '.join(lacking)}: {tells}"
            advice = "Give it Read access to them (Setup, Permission Sets, Object Settings, Field Permissions)."
            yield Finding(topic=f"salesforce: {name}", ok=False, warning=True, message=message, advice=advice)


def _sharing(view_all: Mapping[str, bool | None]) -> Iterator[Finding]:
    topic = "salesforce: sharing"
    hidden = [name for name, has in view_all.items() if has is False]
    untold = [name for name, has in view_all.items() if has is None]
    advice = (
        f"Give the user {wire_access.VIEW_ALL} on them (Setup, Permission Sets, Object Settings): a hidden record looks like a deleted one."
    )
    if hidden:
        message = f"the connector's user sees only what is shared with it of {', '.join(hidden)}"
        yield Finding(topic=topic, ok=False, warning=True, message=message, advice=advice)
    if untold:
        message = f"whether the connector's user sees all of {', '.join(untold)} cannot be proved: it may not read its own permission sets"
        yield Finding(topic=topic, ok=False, warning=True, message=message, advice=f"Look yourself, or let it View Setup. {advice}")
    if not hidden and not untold:
        yield Finding(topic=topic, ok=True, message=f"the connector's user sees all of {', '.join(view_all)}")


def _sets(looking: Looking) -> list[str]:
    """The user's permission sets, its profile's among them; none where it may not read them."""
    soql = wire_access.assignments(looking.session.user_id)
    rows = [] if soql is None else _readable(looking, [soql])
    return [str(row.get("PermissionSetId")) for row in rows or ()]


def _view_all(looking: Looking, sets: Sequence[str]) -> dict[str, bool | None]:
    """Whether the user sees past sharing, by its permission sets; None where it may not read them."""
    everything = wire_query.by_values("PermissionSet", ("Id",), "Id", sets, where="PermissionsViewAllData = true")
    asked = ("SobjectType", "PermissionsViewAllRecords")
    if sets and _readable(looking, everything):
        return dict.fromkeys(wire_access.SHARED, True)
    rows = _readable(looking, wire_query.by_values("ObjectPermissions", asked, "ParentId", sets)) if sets else None
    if rows is None:
        return dict.fromkeys(wire_access.SHARED)
    seen = {row.get("SobjectType") for row in rows if row.get("PermissionsViewAllRecords") is True}
    return {name: name in seen for name in wire_access.SHARED}


def _transfers(looking: Looking, sets: Sequence[str]) -> bool | None:
    """True where a permission set lets the user hand on Leads; else None: sharing may let it, too."""
    if not sets or "OwnerId" not in looking.uses.written.get("Lead", ()):
        return None
    return bool(_readable(looking, wire_query.by_values("PermissionSet", ("Id",), "Id", sets, where=wire_access.TRANSFERS))) or None


def _readable(looking: Looking, queries: Iterable[str]) -> list[Mapping[str, Any]] | None:
    """What stands in permission sets; None where the user may not read it, which the caller says."""
    try:
        return [row for soql in queries for row in _rows(looking, soql, "reading permission sets")]
    except PassStopped:
        raise
    except CrmError:
        return None


def _rows(looking: Looking, soql: str, about: str) -> list[Mapping[str, Any]]:
    """The first page of a query: 2,000 rows, which is more than a user has permission sets."""
    page = wire.query_page(looking.call(wire.query(soql, all_rows=False, about=about)), about)
    return [row for row in page.rows if isinstance(row, dict)]


# ── Who else writes, and what passes take ────────────────────────────────────────────────────────────────────────────────────────────────


def _native(looking: Looking) -> Iterator[Finding]:
    """HubSpot's own integration, by its package; whether it runs shows in HubSpot."""
    topic, uses = "salesforce: native sync", looking.uses
    names = wire_access.hubspot_objects(looking.call(wire_access.all_objects()))
    if not names:
        message = "the package of HubSpot's own integration is not installed, or the user does not see it"
        yield Finding(topic=topic, ok=True, message=message)
    elif uses.native_sync:
        yield Finding(topic=topic, ok=True, message=f"the package of HubSpot's own integration is installed ({names[0]} …)")
    else:
        yield Finding(
            topic=topic,
            ok=False,
            warning=True,
            message=f"the package of HubSpot's own integration is installed ({names[0]} …), and the file says that it does not run",
            advice='If it does, set native_sync = "hubspot" in [crm]: else both create Leads, and each takes the other for a person.',
        )


def _costs(looking: Looking) -> Iterator[Finding]:
    """What passes and the first pull take of the file's own share."""
    uses, settings = looking.uses, looking.settings
    ours = int(settings.daily_requests * (1 - settings.headroom))
    daily = math.ceil(_QUIET_CALLS * uses.passes_a_day)
    if daily:
        too_many = daily * 2 > ours
        message = f"passes in which nothing changed take {daily:,} calls a day ({_QUIET_CALLS} each), of {ours:,} that are ours"
        advice = "Let passes come less often ([schedule] pass), or buy calls: what changes comes on top." if too_many else ""
        yield Finding(topic="salesforce: limits", ok=not too_many, warning=too_many, message=message, advice=advice)
    counts = wire_access.counted(looking.call(wire_access.record_counts(STREAMS)))
    if counts:
        calls = sum(math.ceil(count / wire.READ_BATCH) for count in counts.values()) + len(STREAMS)
        days = math.ceil(calls / max(1, ours))
        wait = f"; at {ours:,} calls a day it takes {days} days" if days > 1 else ""
        message = f"a first pull reads {sum(counts.values()):,} records in at most {calls:,} calls, fewer by Bulk API{wait}"
        yield Finding(topic="salesforce: first pull", ok=True, message=message)


# ── Tasks and histories ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _task(looking: Looking, described: Any) -> Iterator[Finding]:
    """Whether tasks can be created, each once; asked also where no rule creates any, since files change."""
    topic = "salesforce: Task"
    if not isinstance(described, dict):
        return
    if described.get("createable") is not True:
        yield Finding(
            topic=topic,
            ok=False,
            warning=not (looking.uses.tasks and looking.uses.live),
            message="the connector's user may not create tasks",
            advice="Give it the permissions Edit Tasks and Access Activities.",
        )
    else:
        yield Finding(topic=topic, ok=True, message="tasks can be created")
    name = looking.settings.task_key_field
    field = external_id(described, name)
    length = field.get("length") if field else None
    if field is None or field.get("createable") is not True or (isinstance(length, int) and length < wire_tasks.MARKER_LENGTH):
        yield Finding(
            topic=topic,
            ok=False,
            warning=True,
            message=f"Task has no usable External Id field {name}: a lost answer is looked up by the description, not made good by the CRM",
            advice=f"Create the field {name} on Activity: Text, length {wire_tasks.MARKER_LENGTH} or more, External ID and Unique ticked, "
            "editable for the connector's user.",
        )
    elif field.get("unique") is not True:
        yield Finding(
            topic=topic,
            ok=False,
            warning=True,
            message=f"Task.{name} is an External Id, but not unique: two processes at once could create a task twice",
            advice="Tick Unique on the field.",
        )
    else:
        yield Finding(topic=topic, ok=True, message=f"{name} makes each task exactly once")


_TRACK = "Track Status and Owner (Setup, Object Manager, Lead, Fields, Set History Tracking)"
_PULLS_ALONE = "known only from the pulls"


def _history(looking: Looking) -> Iterator[Finding]:
    """Whether the org keeps what the pull reads of it: when a Lead's status and owner changed."""
    topic = "salesforce: LeadHistory"
    try:
        looking.call(wire.query("SELECT Id FROM LeadHistory LIMIT 1", all_rows=False, about="reading LeadHistory"))
    except PassStopped:
        raise
    except CrmError as error:
        code = error.code or error.status or "no answer"
        message = f"the history of Leads cannot be read ({code}): when a status or owner changed is {_PULLS_ALONE}"
        yield Finding(topic=topic, ok=False, warning=True, message=message, advice=f"{_TRACK}, and give the user access to Leads.")
        return
    try:
        rows = _rows(looking, wire_access.LEADS_TRACKED, "reading which fields are tracked")
    except PassStopped:
        raise
    except CrmError:
        rows = []  # nothing is known then, and said to be
    tracked = {str(row.get("QualifiedApiName")): row.get("IsFieldHistoryTracked") is True for row in rows}
    lacking = [name for field, name in wire_records.HISTORY_PROPERTIES.items() if not (tracked.get(field) or tracked.get(name))]
    if not tracked:
        yield Finding(topic=topic, ok=True, message="the history of Leads can be read; whether it tracks Status and Owner cannot be seen")
    elif lacking:
        message = f"the history of Leads does not track {', '.join(lacking)}: when it changed is {_PULLS_ALONE}"
        yield Finding(topic=topic, ok=False, warning=True, message=message, advice=f"{_TRACK}: it tells from then on.")
    else:
        yield Finding(topic=topic, ok=True, message="the history of Leads tracks Status and Owner")
