"""How it stands: the last runs, how old the mirror is, what the CRMs' limits have left, and everything that waits for somebody.

Reads the store alone. Lists are cut, counts are whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, case, func, or_, select

from connector.config.tables import Config
from connector.model import CRMS, CrmName, State
from connector.pipeline.pull import schema_drift
from connector.pipeline.pull.field_state import suspended_by_last_pass
from connector.reports.paused import paused_now
from connector.store import acts, ledger, rule_texts, runs
from connector.store.budget import Limit, SharedBudget, hubspot_limits, salesforce_limits
from connector.store.database import Store
from connector.store.mirror import pages
from connector.store.refused import stopped_bundles
from connector.store.tables import Run, metadata
from connector.workflows.fields import places
from connector.workflows.sla import EVENTS
from connector.workflows.stages import StageMap, writes_for
from connector.workflows.suspension import rules_reading

_CLOCK = metadata.tables["clock"]
_CONTACT = metadata.tables["contact"]
_LEDGER = metadata.tables["ledger"]
_PLAN = metadata.tables["plan"]
_BUDGET = metadata.tables["budget"]
_RUN = metadata.tables["run"]

#: Rows that a list shows at most.
SHOWN = 50
_RUNS = 10
_ACTS = 10
_PULLING = ("run", "pull", "deletes", "reconcile")


def status(store: Store, config: Config, *, now: datetime) -> dict[str, Any]:
    """The document that `status --json` prints. Moments are aware datetimes in UTC.

    now: also the moment for which the budget is told; its windows go by the wall clock.
    """
    latest, waiting = runs.last_runs(store, _RUNS), suspended_by_last_pass(store, config)
    with store.read() as connection:
        return {
            "mode": config.mode,
            "file": _file(connection),
            "paused": paused_now(store),
            "acts": [act._asdict() for act in acts.latest(connection, _ACTS)],
            "runs": [_run(row) for row in latest],
            "lag_seconds": _lag(connection, now),
            "contacts": _count(connection, ~_CONTACT.c.gone),
            "excluded": _count(connection, ~_CONTACT.c.gone, _CONTACT.c.excluded),
            "ambiguous": _ambiguous(connection),
            "differences": _differences(connection, config),
            "budget": _budget(store, config, connection, now),
            "set_aside": _set_aside(store),
            "held": _held(connection, config),
            "parked": _parked(connection),
            "refused": _refused(connection),
            "before_live": _before_live(connection, config),
            "open": {str(state): number for state, number in sorted(ledger.counts(connection).items())},
            "suspended": waiting.document(),
            "halted": waiting.halted,
            "drift": _drifted(connection, config),
            "open_tasks": ledger.open_task_count(connection),
        }


def _file(connection: Connection) -> dict[str, Any] | None:
    """Which file is in force, since when, and who applied it; None before the first pass."""
    use = rule_texts.in_force(connection)
    return None if use is None else {name: getattr(use, name) for name in ("version", "since", "by", "way")}


def _drifted(connection: Connection, config: Config) -> list[dict[str, Any]]:
    """What is not as it was in the CRMs' set-up, with the rules that read it."""
    fields = {(crm, *place): rule.name for rule in config.fields for crm in config.crms for place in places(rule, crm)}
    rows = schema_drift.open_rows(connection)
    named = [(row, fields.get((row["crm"], row["object"], row["property"]))) for row in rows]
    return [row | {"rules": [] if name is None else list(rules_reading(config, name))} for row, name in named]


# ── Runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _run(row: Run) -> dict[str, Any]:
    names = ("command", "mode", "started_at", "finished_at", "state", "problem", "summary")
    return {"run": row.id, **{name: getattr(row, name) for name in names}}


def _lag(connection: Connection, now: datetime) -> float | None:
    """Seconds since the last pull that read everything began: what the mirror shows is at most so old. None: there was none yet."""
    whole = and_(_RUN.c.command.in_(_PULLING), _RUN.c.state == "done")
    latest: datetime | None = connection.execute(select(func.max(_RUN.c.started_at, type_=_RUN.c.started_at.type)).where(whole)).scalar()
    return None if latest is None else max(0.0, (now - latest).total_seconds())


# ── Contacts ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _count(connection: Connection, *where: Any) -> int:
    return connection.scalar(select(func.count()).select_from(_CONTACT).where(*where)) or 0


def _ambiguous(connection: Connection) -> dict[str, Any]:
    """Contacts that nothing is written to, by the reason."""
    live, number = and_(~_CONTACT.c.gone, _CONTACT.c.ambiguous.is_not(None)), func.count().label("n")
    query = select(_CONTACT.c.ambiguous, number).where(live).group_by(_CONTACT.c.ambiguous).order_by(number.desc(), _CONTACT.c.ambiguous)
    reasons: dict[str, int] = {row.ambiguous: row.n for row in connection.execute(query)}
    return {"count": sum(reasons.values()), "reasons": reasons}


def _differences(connection: Connection, config: Config) -> dict[str, Any]:
    """Stages that the CRMs told differently when they were adopted: reported, not written.

    A CRM that says nothing, or that has no value for the contact's stage, agrees.
    """
    columns, number = [_CONTACT.c.stage, *(_CONTACT.c[f"stage_{crm}"].label(crm) for crm in CRMS)], func.count().label("n")
    differs = and_(~_CONTACT.c.gone, _CONTACT.c.stage_differs, *(_CONTACT.c[f"stage_{crm}"].is_not(None) for crm in CRMS))
    query = select(*columns, number).where(differs).group_by(*columns).order_by(number.desc(), *columns)
    stages = StageMap(config)
    rows = [dict(row) for row in connection.execute(query).mappings()]
    rows = [row for row in rows if writes_for(row["stage"], {crm: row[crm] for crm in CRMS}, stages)]
    return {"count": sum(row["n"] for row in rows), "stages": rows}


# ── The CRMs' limits ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _budget(store: Store, config: Config, connection: Connection, now: datetime) -> dict[str, dict[str, dict[str, float]]]:
    """Account ("hubspot https://…") → limit → {"used", "of" (the connector's share), "seconds"}."""
    shares = _shares(config)
    usages = {}
    for account in connection.execute(select(_BUDGET.c.account).distinct().order_by(_BUDGET.c.account)).scalars():
        for crm, (limits, headroom) in shares.items():
            if account.startswith(f"{crm} "):
                budget = SharedBudget(store, account, limits, crm=crm, headroom=headroom, clock=now.timestamp, sleep=_never)
                usages[account] = budget.usage()
    return usages


def _shares(config: Config) -> Mapping[CrmName, tuple[tuple[Limit, ...], float]]:
    """Each CRM's limits, and the share of them left to others."""
    shares: dict[CrmName, tuple[tuple[Limit, ...], float]] = {}
    hubspot, salesforce = config.crm.hubspot, config.crm.salesforce
    if hubspot is not None:
        limits = hubspot_limits(
            requests_per_10_seconds=hubspot.requests_per_10_seconds,
            searches_per_second=hubspot.searches_per_second,
            daily_requests=hubspot.daily_requests,
        )
        shares["hubspot"] = (limits, hubspot.headroom)
    if salesforce is not None:
        shares["salesforce"] = (salesforce_limits(daily_requests=salesforce.daily_requests), salesforce.headroom)
    return shares


def _never(seconds: float) -> None:
    raise AssertionError(f"looking at a budget waits for nothing, but was to sleep {seconds} s")


# ── What waits for somebody ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _set_aside(store: Store) -> dict[str, Any]:
    names = ("crm", "object", "id", "reason", "next_step", "at")
    rows = [{name: getattr(row, name) for name in names} for row in pages.list_set_aside(store, limit=SHOWN)]
    return {"count": pages.count_set_aside(store), "rows": rows}


def _held(connection: Connection, config: Config) -> dict[str, Any]:
    """Plans with actions beyond a guard rail: how many of each rule and kind, and when they lapse."""
    plans: dict[int, dict[str, Any]] = {}
    groups = ledger.held_groups(connection)
    for group in groups:
        plan = plans.setdefault(group.plan, {"plan": group.plan, "count": 0, "rules": {}, "since": group.since, "lapses_at": None})
        plan["count"] += group.number
        plan["rules"][f"{group.rule}/{group.kind}"] = group.number
        plan["since"] = min(plan["since"], group.since)
        plan["lapses_at"] = plan["since"] + config.guard.hold_for.elapsed
    return {"count": sum(group.number for group in groups), "plans": list(plans.values())}


def _refused(connection: Connection) -> dict[str, Any]:
    """Bundles that a CRM refused, with what stands behind: until their cause ends, they are tried again, or dropped."""
    bundles = stopped_bundles(connection)
    names = ("kind", "rule", "crm", "object", "target", "code", "message", "next_step")
    rows = [
        {
            "plan": bundle.plan,
            "bundle": bundle.bundle,
            "contact": bundle.contact,
            **{name: bundle.first[name] for name in names},
            "id": bundle.first["record_id"],
            "at": bundle.first["settled_at"],
            "blocked": bundle.blocked,
        }
        for bundle in bundles[:SHOWN]
    ]
    return {"count": len(bundles), "rows": rows}


def _before_live(connection: Connection, config: Config) -> dict[str, Any]:
    """Warnings and breaches that came up before the first live pass and stand: nothing follows from them."""
    names = {rule.id: rule.name for rule in config.slas}
    marked = _CLOCK.c.before_live.is_not(None)
    standing = and_(marked, or_(*(and_(_CLOCK.c.state == state, _CLOCK.c.before_live == event) for state, event in EVENTS.items())))
    at = case((_CLOCK.c.before_live == "warn", _CLOCK.c.warn_at), else_=_CLOCK.c.due_at).label("at")
    columns = (_CLOCK.c.contact_id.label("contact"), _CLOCK.c.sla, _CLOCK.c.before_live.label("event"), _CLOCK.c.owner, at)
    rows = connection.execute(select(*columns).where(standing).order_by(at, _CLOCK.c.contact_id).limit(SHOWN)).mappings()
    count = connection.scalar(select(func.count()).select_from(_CLOCK).where(standing)) or 0
    return {"count": count, "rows": [dict(row) | {"sla": names.get(row["sla"], row["sla"])} for row in rows]}


def _parked(connection: Connection) -> dict[str, Any]:
    """Actions that did not go through and are tried again, with what would help."""
    parked = and_(ledger.IS_OPEN, _LEDGER.c.state == State.PARKED)
    names = ("key", "kind", "rule", "crm", "object", "target", "code", "message", "next_step", "retry_at", "tries")
    columns = [_LEDGER.c[name] for name in names]
    more = (_LEDGER.c.contact_id.label("contact"), _LEDGER.c.record_id.label("id"))
    rows = connection.execute(select(*columns, *more).where(parked).order_by(_LEDGER.c.id).limit(SHOWN)).mappings()
    return {"count": ledger.counts(connection)[State.PARKED], "rows": [dict(row) for row in rows]}
