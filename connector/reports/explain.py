"""Everything known and decided about one contact, and why: also why not, which is the more frequent question.

Reads the store alone; nothing is pulled and nothing is written. Conditions are asked part by part as of `now` (`rule_breakdown`), so that
a fading score is today's. What only a pass does (a touch counted, a clock started) is as the last pass left it: see `judged_at`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, and_, select

from connector.config.columns import column_of
from connector.config.tables import Config, FieldRule, SlaRule, Transition
from connector.model import COMPANY_OBJECTS, CRMS, bundle_name
from connector.pipeline.evaluate import cases
from connector.pipeline.evaluate.cases import ContactState
from connector.pipeline.installation import record_url
from connector.pipeline.pull.field_state import suspended_by_last_pass
from connector.pipeline.unify import sides_of
from connector.pipeline.unify.merge import aliases
from connector.reports import past
from connector.reports.find_contact import find
from connector.reports.rule_breakdown import Reason, Reasons, present, reasons
from connector.reports.timeline import timeline
from connector.store import fields, ledger, pauses
from connector.store.among import among
from connector.store.database import Store
from connector.store.mirror.deal_roles import campaigns_of, deals_of, latest_campaigns
from connector.store.tables import metadata
from connector.workflows import sla
from connector.workflows.attempts import may_fire
from connector.workflows.fields import FieldReader, Sides, columns_needed, one_sided
from connector.workflows.sla import ClockState
from connector.workflows.suspension import Suspended, named
from connector.workflows.transition import first_to_fire, leaves

_RECORD = metadata.tables["record"]
_ATTEMPT = metadata.tables["attempt"]
_CLOCK = metadata.tables["clock"]
_OWNER = metadata.tables["owner"]
_ATTEMPT_SAYS = ("number", "began_at", "ended_at", "outcome", "skipped", "late", "found")


def explain(store: Store, config: Config, who: str, *, now: datetime) -> dict[str, Any]:
    """The contact as `explain --json` prints it. Moments are aware datetimes in UTC.

    who: an e-mail, a CRM's record id, or a record's address. Raises `connector.reports.find_contact.Unknown` where nobody is meant.
    """
    table, suspended = _table(store, config)
    url, paused = record_url(store), _paused(store)
    with store.read() as connection:
        contact = find(connection, who)
        told = reasons(connection, config, table, contact, now, suspended)
        state = cases.load_one(connection, table, contact)
        seen = _Seen(config=config, state=state, told=told, now=now, suspended=suspended, paused=paused)
        people = connection.execute(select(_RECORD).where(_RECORD.c.contact_id == contact).order_by(*_BY_KEY)).all()
        others = aliases(connection, contact)
        return {
            **_head(seen),
            "records": [_record(row, url) for row in people],
            "fields": _fields(connection, seen),
            **_judgement(seen),
            "suspended": suspended.document(),
            "halted": suspended.halted,
            "transitions": _transitions(connection, seen),
            "slas": _slas(connection, seen),
            "sla_waits": _sla_waits(seen),
            **_past(connection, [contact, *others]),
            "deals": [asdict(deal) for deal in deals_of(connection, [contact]).get(contact, ())],
            "campaigns": [asdict(campaign) for campaign in campaigns_of(connection, contact)],
            "merged": others,
            "history": timeline(connection, config, [contact, *others], [(row.crm, row.object, row.id) for row in people], now),
        }


_BY_KEY = (_RECORD.c.crm, _RECORD.c.object, _RECORD.c.role, _RECORD.c.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What is known of the contact. suspended: what says nothing now; paused: (scope, name) of the kill switch."""

    config: Config
    state: ContactState
    told: Reasons
    now: datetime
    suspended: Suspended
    paused: frozenset[tuple[str, str]]

    @property
    def contact(self) -> Mapping[str, Any]:
        """The contact's row."""
        return self.state.contact.values

    @property
    def excluded(self) -> bool:
        """Whether [scope] leaves the contact alone now."""
        return bool(self.told.row["excluded_now"])


def _table(store: Store, config: Config) -> tuple[Table, Suspended]:
    """The contact table with the file's columns, as far as the database has them; and what is suspended."""
    stored = fields.stored_fields(store)
    return fields.contact_table([column for column in columns_needed(config) if column in stored]), suspended_by_last_pass(store, config)


def _paused(store: Store) -> frozenset[tuple[str, str]]:
    return frozenset((row.scope, row.name) for row in pauses.list_pauses(store))


# ── The contact ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _head(seen: _Seen) -> dict[str, Any]:
    contact = seen.contact
    return {
        "contact": seen.state.contact.id,
        "stage": contact["stage"],
        "stage_since": contact["stage_since"],
        "stage_differs": bool(contact["stage_differs"]),
        "attempt": contact["attempt"],
        "owner": contact["owner"],
        "owner_queue": contact["owner_queue"],
        "assigned_at": contact["assigned_at"],
        "ambiguous": contact["ambiguous"],
        "gone": bool(contact["gone"]),
        "judged_at": contact["judged_at"],
        "mode": seen.config.mode,
    }


def _record(row: Any, url: Callable[[str, str, str], str]) -> dict[str, Any]:
    return {
        "crm": row.crm,
        "object": row.object,
        "id": row.id,
        "url": url(row.crm, row.object, row.id),
        "role": row.role,
        "archived": bool(row.archived),
    }


def _fields(connection: Connection, seen: _Seen) -> dict[str, dict[str, Any]]:
    """Each field as rules believe it, and what each CRM says; `stage` and the owner among them."""
    mains = {crm: seen.state.main[crm] for crm in CRMS if crm in seen.state.main}
    reader = FieldReader(seen.config, columns_needed(seen.config))
    campaign = latest_campaigns(connection, [seen.state.contact.id]).get(seen.state.contact.id)
    sides = sides_of(mains, _companies(connection, mains.values()), campaign)
    told = {rule.name: _field(rule, reader, sides, seen.contact) for rule in seen.config.fields if rule.name != "owner"}
    contact = seen.contact
    told["owner"] = {"value": contact["owner"], **{crm: _person(connection, mains.get(crm)) for crm in CRMS}}
    told["stage"] = {"value": contact["stage"], **{crm: contact[f"stage_{crm}"] for crm in CRMS}}
    return told


def _field(rule: FieldRule, reader: FieldReader, sides: Sides, contact: Mapping[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {crm: present(reader.value(rule, crm, sides.raw(rule, crm)), rule.type) for crm in CRMS}
    return {"value": None if one_sided(rule) else present(contact.get(column_of(rule.name)), rule.type), **said}


def _companies(connection: Connection, mains: Iterable[Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for row in mains:
        same = and_(_RECORD.c.crm == row.crm, _RECORD.c.object.in_(COMPANY_OBJECTS), _RECORD.c.id == row.company_id)
        for properties in connection.execute(select(_RECORD.c.properties).where(same, ~_RECORD.c.archived)).scalars():
            found[row.crm, row.company_id] = properties
    return found


def _person(connection: Connection, row: Any) -> str | None:
    """Who owns a record: the e-mail, else the name (a queue)."""
    if row is None or row.owner_id is None:
        return None
    owner = connection.execute(select(_OWNER).where(_OWNER.c.crm == row.crm, _OWNER.c.id == row.owner_id)).first()
    name: str | None = None if owner is None else owner.email or owner.name
    return name


# ── What the rules say ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _judgement(seen: _Seen) -> dict[str, Any]:
    config, told = seen.config, seen.told
    criteria = () if config.qualification is None else config.qualification.criteria
    return {
        "excluded": seen.excluded,
        "scope": {name: _reason(reason) for name, reason in (("exclude", told.exclude), ("only", told.only)) if reason is not None},
        "score": _shown(told.row["score"]),
        "scores": [
            {"name": rule.name, "points": _shown(points), **_reason(reason), "suspended": seen.suspended.reading(rule.when.names)}
            for rule, points, reason in zip(config.score, told.points, told.scores, strict=True)
        ],
        "criteria_met": told.row["criteria_met"],
        "qualified": None if told.row["qualified"] is None else bool(told.row["qualified"]),
        "criteria": [
            {"name": rule.name, **_reason(reason), "suspended": seen.suspended.reading(rule.when.names)}
            for rule, reason in zip(criteria, told.criteria, strict=True)
        ],
        "rejection": None if told.rejection is None else _reason(told.rejection),
    }


def _reason(reason: Reason) -> dict[str, Any]:
    return {"met": reason.met, "parts": reason.parts}


def _shown(points: float | None) -> float | None:
    """Compared unrounded, shown to two decimals; None where nobody knows."""
    return None if points is None else round(float(points), 2)


def _transitions(connection: Connection, seen: _Seen) -> list[dict[str, Any]]:
    stage, rules = seen.contact["stage"], seen.config.transitions
    met = [reason.met for reason in seen.told.transitions]
    first = first_to_fire(rules, met, stage, lambda rule: _used(seen, rule) is not None)
    bundles = _bundles(connection, seen)
    told = []
    for number, rule in enumerate(rules):
        reason = seen.told.transitions[number]
        fires = reason.met and leaves(rule, stage)
        waits = _keeping(seen, rule)
        if fires and not waits:
            waits = _in_hand(bundles.get(rule.id)) if number == first or first is None else [f"{rules[first].name!r} comes first"]
        told.append({"name": rule.name, "fires": fires, "parts": reason.parts, "waits": "; ".join(waits) or None, "to": rule.to})
    return told


def _used(seen: _Seen, rule: Transition) -> str | None:
    evidence = {evidence_state.rule: evidence_state for evidence_state in seen.state.evidence}
    return may_fire(evidence.get(rule.id), rule, seen.state.basis, seen.now)


def _keeping(seen: _Seen, rule: Transition) -> list[str]:
    """What keeps a transition, whatever its condition says, in words."""
    stage = seen.contact["stage"]
    if not leaves(rule, stage):
        if stage == rule.to:
            return [f"the contact is in {stage} already"]
        origins = ", ".join(origin or "no stage" for origin in rule.from_ or ())
        return [f"it leaves {origins}; the contact is in {stage or 'no stage'}"]
    waits = [f"suspended: {_unknown(seen, rule)}"] if rule.id in seen.suspended.transitions else []
    return waits + _contact_keeps(seen) + [words for words in (_used(seen, rule), *_pauses(seen, rule)) if words is not None]


def _unknown(seen: _Seen, rule: Transition) -> str:
    """What a suspended transition does not know."""
    told = {named(column): _STATES[state] for column, state in seen.suspended.fields.items()}
    names = seen.suspended.reading({*rule.when.names, *rule.again_if_changed})
    return "; ".join(f"{name} {told.get(name, 'rests on such a field')}" for name in names) or "who gets the contact is not known"


_STATES: Mapping[str, str] = {"filling": "not read yet", "gone": "cannot be read in the CRM any more"}


def _contact_keeps(seen: _Seen) -> list[str]:
    """What keeps every transition of this contact."""
    contact, attempt, rejected, rule = seen.contact, seen.state.attempt, seen.state.rejection, seen.config.rejection
    found = [] if seen.suspended.halted is None else [f"nobody is judged: {seen.suspended.halted}"]
    if contact["gone"]:
        found.append("no record of the contact is left")
    if seen.excluded:
        found.append("the contact is excluded by [scope]")
    if contact["ambiguous"] is not None:
        found.append(f"nothing is written to an ambiguous contact: {contact['ambiguous']}")
    if attempt is not None and attempt.open and attempt.found:
        found.append("its attempt was found when the connector came: it waits for a change of stage or lead status by somebody else")
    if rule is not None and rule.send_back_to is not None and rejected is not None and not rejected.sent_back:
        missing = "" if rejected.accepted or rejected.reason_by is None else f", at the latest {rejected.reason_by:%Y-%m-%d %H:%M} UTC"
        found.append(f"sales rejected it: first it goes back to {rule.send_back_to}{missing}")
    return found


def _pauses(seen: _Seen, rule: Transition) -> list[str]:
    if ("all", "") in seen.paused:
        return ["everything is paused"]
    if ("rule", rule.id) in seen.paused:
        return ["the rule is paused"]
    return []


def _bundles(connection: Connection, seen: _Seen) -> dict[str, list[Mapping[str, Any]]]:
    """What the ledger has of the present spell's transitions, by rule; shadow and superseded rows say nothing."""
    cause = f"spell:{seen.contact['spell']}"
    names = {bundle_name(rule.id, seen.state.contact.id, cause): rule.id for rule in seen.config.transitions}
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in reversed(ledger.rows_of_contact(connection, seen.state.contact.id)):
        if row["state"] not in ledger.KEYLESS and row["bundle"] in names:
            found.setdefault(names[row["bundle"]], []).append(row)
    return found


def _in_hand(rows: Sequence[Mapping[str, Any]] | None) -> list[str]:
    """Where a transition that was planned already stands: the first action of its bundle that did not come to a good end."""
    if not rows:
        return []
    stuck = next((row for row in rows if row["state"] not in ("applied", "already_so")), None)
    if stuck is None:
        return ["it was carried out: the next pass sees it"]
    what = f"{stuck['kind'].replace('_', ' ')} {stuck['target']} in {stuck['crm']} is {stuck['state']}"
    if stuck["state"] == "held":
        return [f"{what} in plan {stuck['plan']}: beyond its guard rail, held for approval"]
    words = ", ".join(text for text in (stuck["message"], stuck["next_step"]) if text)
    return [f"{what}: {words}" if words else what]


# ── Attempts and clocks ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _past(connection: Connection, contacts: Sequence[int]) -> dict[str, Any]:
    """Attempts, owners, the files that these were judged by, and what people did. contacts: those that turned out to be this one, too."""
    attempts = past.with_snapshots(connection, _attempts(connection, contacts))
    written = ledger.rows_of_contact(connection, contacts[0])
    clocks = connection.scalars(select(_CLOCK.c.config_version).where(among(_CLOCK.c.contact_id, contacts)))
    looks = [snapshot["config_version"] for attempt in attempts for snapshot in attempt["snapshots"].values()]
    return {
        "attempts": attempts,
        "owners": past.owners_document(past.owner_stays(connection, contacts)),
        "files": past.files(connection, [*looks, *clocks, *(row["config_version"] for row in written)]),
        "acts": [act._asdict() for act in past.acts_about(connection, contacts, written)],
    }


def _attempts(connection: Connection, contacts: Sequence[int]) -> list[tuple[int, dict[str, Any]]]:
    """With the contact of each."""
    rows = connection.execute(
        select(_ATTEMPT).where(among(_ATTEMPT.c.contact_id, contacts)).order_by(_ATTEMPT.c.began_at, _ATTEMPT.c.number)
    )
    return [(row.contact_id, {name: getattr(row, name) for name in _ATTEMPT_SAYS}) for row in rows]


def _slas(connection: Connection, seen: _Seen) -> list[dict[str, Any]]:
    """Every clock, the present attempt's as it stands now."""
    rules = {rule.id: rule for rule in seen.config.slas}
    open_now = seen.state.attempt is not None and seen.state.attempt.open
    ticking = {(clock.attempt, clock.kind, clock.number): clock for clock in _present_clocks(seen) if open_now}
    order = (_CLOCK.c.attempt, _CLOCK.c.kind, _CLOCK.c.number)
    told = []
    for row in connection.execute(select(_CLOCK).where(_CLOCK.c.contact_id == seen.state.contact.id).order_by(*order)):
        clock, rule = ticking.get((row.attempt, row.kind, row.number)), rules.get(row.sla)
        now = row if clock is None or rule is None else sla.advance(clock, rule, seen.state.touches, seen.now)
        told.append(
            {
                "name": row.sla if rule is None else rule.name,
                **{name: getattr(now, name) for name in ("kind", "started_at", "due_at", "state", "touches", "channels", "met_at")},
                **{name: getattr(now, name) for name in ("warn_at", "ended_at", "attempt", "owner", "config_version", "before_live")},
            }
        )
    return told


def _present_clocks(seen: _Seen) -> list[ClockState]:
    """The clocks of the present attempt."""
    attempt = seen.state.attempt
    return [] if attempt is None else [clock for clock in seen.state.clocks if clock.attempt == attempt.number]


def _sla_waits(seen: _Seen) -> list[dict[str, Any]]:
    """Why a rule has no clock in the present attempt."""
    clocks = _present_clocks(seen)
    running, kinds = {clock.sla for clock in clocks}, {clock.kind: clock.sla for clock in clocks}
    names = {rule.id: rule.name for rule in seen.config.slas}
    told = []
    for rule, reason in zip(seen.config.slas, seen.told.slas, strict=True):
        if rule.id not in running:
            other = kinds.get(rule.kind)
            waits = f"{names.get(other, other)!r} is the {rule.kind} clock of this attempt" if other else _no_clock(seen, rule, reason)
            told.append({"name": rule.name, "kind": rule.kind, "parts": reason.parts, "waits": waits})
    return told


def _no_clock(seen: _Seen, rule: SlaRule, reason: Reason) -> str:
    attempt = seen.state.attempt
    if attempt is None or not attempt.open:
        return "no attempt is open"
    if attempt.found:
        return "the attempt was found when the connector came: no clock runs for it"
    if not reason.met:
        return "its condition is not met"
    if rule.starts == "assigned" and seen.contact["owner"] is None:
        return "nobody owns the contact"
    return "the next pass starts it"
