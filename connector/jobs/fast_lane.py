"""The fast lane: the few contacts for whom minutes count, read, judged and acted on alone, beside whatever else runs.

Their records and what happened with them are read by id and through their links, not by a search that lags, and no cursor moves. What is
due is always among them; of the others that [schedule] fast names, so many as there is room for, the rest the next time.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Literal

import orjson
from sqlalchemy import BigInteger, Table, and_, func, literal, select, tuple_, type_coerce

from connector import conditions
from connector.adapters.port import Reads
from connector.config.settings import FastLane
from connector.engine import PassResult, judge_and_act
from connector.errors import ConnectorError, Interrupted
from connector.model import Activity, CrmName, Page
from connector.pipeline.context import PassContext
from connector.pipeline.evaluate.statement import RuleStatement
from connector.pipeline.installation import applied, prepare
from connector.pipeline.pull import schema_drift
from connector.pipeline.pull.streams import StreamPull, problem_of
from connector.store import runs
from connector.store.database import Store
from connector.store.mirror import pages
from connector.store.tables import metadata, to_micros

record = metadata.tables["record"]

#: Contacts at a time.
MOST = 500
#: Where the last one stopped among those that are not due: (due_at in microseconds, contact).
_PLACE = "fast"
_NEVER = 2**62


def run_fast(context: PassContext) -> PassResult:
    """One fast pass; nothing to do before the first whole one, nor while what it goes by is suspended.

    Errors of a CRM are in the result; those of the store and bugs come out.
    One that came to nothing leaves no trace among the runs.
    """
    config, store, now = context.config, context.store, context.now()
    run = runs.start_run(store, "fast", config.mode, now=now, config_version=config.version)
    result = PassResult(run=run, mode=config.mode)
    try:
        if config.schedule.fast is not None and applied(store, config):
            _run(context, config.schedule.fast, result, now)
    except Interrupted:
        result.interrupted = True
    except ConnectorError as error:
        result.errors.append(error)
    finally:
        result.interrupted = result.interrupted or context.stopped()
        if result.errors or result.evaluated or result.outcomes:
            problem = problem_of(result.errors)
            state: Literal["failed", "done"] = "failed" if problem else "done"
            runs.finish_run(store, run, state, now=context.now(), summary=result.document(), problem=problem)
        else:
            runs.drop_run(store, run)
    return result


def _run(context: PassContext, lane: FastLane, result: PassResult, now: datetime) -> None:
    installation = prepare(context.store, context.config, context.crms, now=now)
    for error in installation.silent.values():
        raise error
    if installation.suspended.halted or installation.suspended.reading(lane.when.names):
        return
    chosen = _choose(context, lane, installation.table, now)
    for name, crm in context.crms.items():
        if context.stopped():
            return
        result.pulled[name] = _read_again(context, crm, chosen, now)
    if chosen:
        judge_and_act(context, installation, result, now, only=chosen)


# ── Who ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _choose(context: PassContext, lane: FastLane, table: Table, now: datetime) -> list[int]:
    """The contacts for this time: those that are due, the longest due first; then the others in turn, the soonest due first."""
    env = RuleStatement(context.config, table, now).env(table, later=True)
    meant = and_(conditions.compile(lane.when, env), ~table.c.gone, ~table.c.excluded)
    soon = func.coalesce(type_coerce(table.c.due_at, BigInteger), _NEVER)
    waiting = select(soon, table.c.id).where(meant).order_by(soon, table.c.id)
    key, place = tuple_(soon, table.c.id), tuple_(*map(literal, _place(context.store, now)))
    with context.store.read() as connection:
        due = connection.execute(waiting.where(soon <= to_micros(now)).limit(MOST)).all()
        rest = connection.execute(waiting.where(key > place).limit(MOST - len(due))).all()
        room = MOST - len(due) - len(rest)
        again = connection.execute(waiting.where(soon > to_micros(now), key <= place).limit(room)).all()
    others = [*rest, *again]
    stopped = others[-1] if others and len(due) + len(others) == MOST else None
    runs.set_meta(context.store, _PLACE, None if stopped is None else orjson.dumps(list(stopped)).decode())
    return [number for _, number in (*due, *others)]


def _place(store: Store, now: datetime) -> tuple[int, int]:
    """Behind whom the turn goes on."""
    kept = runs.get_meta(store, _PLACE)
    beginning = (to_micros(now), 2**62)
    return beginning if kept is None else max(beginning, tuple(orjson.loads(kept)))


# ── What is new of them ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _read_again(context: PassContext, crm: Reads, contacts: Sequence[int], now: datetime) -> dict[str, StreamPull]:
    """Their records of one CRM, and what happened with them, into the mirror."""
    wanted = schema_drift.wanted(context.store, context.config, crm.name)
    results: dict[str, StreamPull] = {}
    for object_name, ids in _records(context.store, crm.name, contacts).items():
        result = results[object_name] = StreamPull(whole=True)
        before = crm.calls()
        found = list(crm.read(object_name, ids, wanted.get(object_name, ())).values())
        happened: dict[str, list[Activity]] = {}
        for activity in crm.activities_of(object_name, ids):
            happened.setdefault(activity.object, []).append(activity)
        result.calls = crm.calls() - before
        result.seen = len(found)
        result.stored = context.store.write(partial(pages.apply_records, read=found, now=now))
        for kind, activities in happened.items():
            page = Page(crm=crm.name, object=kind, cursor={}, seen=len(activities), calls=0, activities=activities)
            result.add(page, pages.commit_page(context.store, page, now=now, under=f"fast:{kind}"))
    return results


def _records(store: Store, crm: CrmName, contacts: Sequence[int]) -> dict[str, list[str]]:
    """The ids of these contacts' live records in a CRM, by object."""
    found: dict[str, list[str]] = {}
    columns = select(record.c.object, record.c.id).where(record.c.crm == crm, record.c.contact_id.in_(contacts), ~record.c.archived)
    with store.read() as connection:
        for object_name, record_id in connection.execute(columns.order_by(record.c.object, record.c.id)):
            found.setdefault(object_name, []).append(record_id)
    return found
