"""What `connector check` looks at in the org: login, limits, clock, fields, values, permissions. Each thing is one finding; none raises."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connector.adapters.calling import Answer, Request
from connector.adapters.salesforce import wire, wire_login, wire_query, wire_tasks
from connector.adapters.salesforce.session import SalesforceSession, Settings
from connector.errors import CrmError
from connector.model import Finding

#: What the connector writes, beside tasks.
_WRITTEN = {"Lead": ("Status", "OwnerId")}
#: A clock further off than this is worth a word: deadlines are reckoned by ours, events stamped by Salesforce's.
_SKEW = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """What the checks share. call: sends a request and returns the good answer, or raises `CrmError`."""

    call: Callable[[Request], Answer]
    settings: Settings
    session: SalesforceSession
    wanted: Mapping[str, Sequence[str]]
    expected: Mapping[str, Sequence[str]]


def findings(looking: Looking, *, now: datetime) -> list[Finding]:
    """Everything, in the order in which one repairs it; where the login fails, that alone."""
    try:
        limits = looking.call(wire.limits())
    except CrmError as error:
        return [_failed("salesforce: login", error)]
    found = [Finding(topic="salesforce: login", ok=True, message=f"logged in to {looking.session.instance} by {looking.settings.auth}")]
    found.extend(_flow(looking))
    found.extend(_limits(looking, wire.value_of(limits)))
    found.extend(_clock(limits, now))
    for name in ("Lead", "Contact", "Account"):
        found.extend(_guarded(f"salesforce: {name}", _object(looking, name)))
    found.extend(_guarded("salesforce: Lead.Status", _statuses(looking)))
    found.extend(_guarded("salesforce: Task", _task(looking)))
    found.extend(_history(looking))
    return found


def _guarded(topic: str, look: Iterator[Finding]) -> list[Finding]:
    try:
        return list(look)
    except CrmError as error:
        return [_failed(topic, error)]


def _failed(topic: str, error: CrmError) -> Finding:
    return Finding(topic=topic, ok=False, message=error.message, advice=error.advice)


def _flow(looking: Looking) -> Iterator[Finding]:
    topic = "salesforce: login"
    ending = wire_login.ENDING.get(looking.settings.auth)
    if ending is not None:
        yield Finding(
            topic=topic,
            ok=False,
            warning=True,
            message=ending,
            advice="Create an External Client App with the client credentials flow, and set auth = \"client-credentials\".",
        )
    if looking.session.unkept:
        yield Finding(
            topic=topic,
            ok=False,
            warning=True,
            message=f"the app rotates refresh tokens, and the newest is not kept ({looking.session.unkept}): the next start cannot log in",
            advice='Let crm.salesforce.refresh_token be a file that the connector may write ("file:…"), switch refresh token rotation '
            "off in the External Client App's policies, or set auth = \"client-credentials\".",
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


def _object(looking: Looking, name: str) -> Iterator[Finding]:
    described = wire.value_of(looking.call(wire.describe(name)))
    fields = fields_of(described)
    topic, sound = f"salesforce: {name}", True
    for wanted in looking.wanted.get(name, ()):
        field = fields.get(wanted.lower())
        if field is None:
            sound = False
            yield _missing(name, wanted, fields)
        elif field.get("calculated") is True:
            yield Finding(
                topic=topic,
                ok=False,
                warning=True,
                message=f"{name}.{wanted} is a formula: its changes leave no mark, and are seen when something else of the record changes",
                advice="Use the fields that the formula reads, or have a flow copy it into a plain field.",
            )
    for written in _WRITTEN.get(name, ()):
        if not (described.get("updateable") is True and fields.get(written.lower(), {}).get("updateable") is True):
            sound = False
            yield Finding(
                topic=topic,
                ok=False,
                message=f"the connector's user may not write {name}.{written}",
                advice=f"Give it Edit on {name} and on the field {written} (Setup, Permission Sets, Object Settings).",
            )
    if name == "Lead":
        yield from _values(looking, fields)
    if sound:
        yield Finding(topic=topic, ok=True, message=f"{name} and its {len(looking.wanted.get(name, ()))} wanted fields can be read")


def _missing(name: str, wanted: str, fields: Mapping[str, Any]) -> Finding:
    near = difflib.get_close_matches(wanted.lower(), list(fields), n=1, cutoff=0.6)
    hint = f" Did you mean {fields[near[0]].get('name')}?" if near else ""
    return Finding(
        topic=f"salesforce: {name}",
        ok=False,
        message=f"{name} has no field {wanted}, or the connector's user may not see it",
        advice=f"Correct the name, or give the user access to it (Setup, Permission Sets, Field Permissions).{hint}",
    )


def _values(looking: Looking, fields: Mapping[str, Any]) -> Iterator[Finding]:
    """Values of pick lists; Status has its own object, and takes unknown values without a word."""
    for name, values in looking.expected.items():
        field = fields.get(name.lower())
        if name == "Status" or field is None or field.get("type") not in ("picklist", "multipicklist"):
            continue
        listed = field.get("picklistValues") or []
        known = {str(value.get("value")) for value in listed if isinstance(value, dict) and value.get("active") is not False}
        yield from _unknown("Lead", name, values, known)


def _statuses(looking: Looking) -> Iterator[Finding]:
    """LeadStatus holds the values; which of them mean "converted" is data of the org
    (https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_leadstatus.htm)."""
    expected = looking.expected.get("Status", ())
    if not expected:
        return
    soql = wire_query.select("LeadStatus", ("ApiName", "MasterLabel", "IsConverted"))
    page = wire.query_page(looking.call(wire.query(soql, all_rows=False, about="reading LeadStatus")), "reading LeadStatus")
    known = {str(row.get(name)) for row in page.rows if isinstance(row, dict) for name in ("ApiName", "MasterLabel")}
    wrong = list(_unknown("Lead", "Status", expected, known))
    yield from wrong
    if not wrong:
        yield Finding(topic="salesforce: Lead.Status", ok=True, message=f"all {len(expected)} values of the configuration exist")


def _unknown(name: str, field: str, values: Sequence[str], known: set[str]) -> Iterator[Finding]:
    for value in values:
        if value not in known:
            near = difflib.get_close_matches(value, list(known), n=1, cutoff=0.6)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            yield Finding(
                topic=f"salesforce: {name}.{field}",
                ok=False,
                message=f"{name}.{field} has no value {value!r}",
                advice=f"Add it in Setup, Object Manager, or correct the configuration.{hint}",
            )


def _task(looking: Looking) -> Iterator[Finding]:
    described = wire.value_of(looking.call(wire.describe("Task")))
    topic = "salesforce: Task"
    if described.get("createable") is not True:
        yield Finding(
            topic=topic,
            ok=False,
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


def _history(looking: Looking) -> list[Finding]:
    topic = "salesforce: LeadHistory"
    try:
        looking.call(wire.query("SELECT Id FROM LeadHistory LIMIT 1", all_rows=False, about="reading LeadHistory"))
    except CrmError as error:
        return [
            Finding(
                topic=topic,
                ok=False,
                warning=True,
                message=f"the history of Leads cannot be read ({error.code or error.status or 'no answer'}): "
                "when a status or owner changed is known only from the pulls",
                advice="Track Status and Owner (Setup, Object Manager, Lead, Fields, Set History Tracking), and give the user access to "
                "Leads.",
            )
        ]
    return [Finding(topic=topic, ok=True, message="the history of Leads can be read")]


def fields_of(described: Any) -> Mapping[str, Mapping[str, Any]]:
    """The fields of a description by their folded names."""
    listed = described.get("fields") if isinstance(described, dict) else None
    return {str(field.get("name")).lower(): field for field in listed or () if isinstance(field, dict)}


def external_id(described: Any, name: str) -> Mapping[str, Any] | None:
    """The field of this name, where it is an External Id."""
    field = fields_of(described).get(name.lower())
    return field if field is not None and field.get("externalId") is True else None
