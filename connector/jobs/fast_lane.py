"""The fast lane: the few contacts for whom minutes count, read, judged and acted on alone, beside whatever else runs.

Their records and what happened with them are read by id and through their links, not by a search that lags, and no cursor moves. What is
due is always among them; of the others that [schedule] fast names, so many as there is room for, the rest the next time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from functools import partial

import orjson
from sqlalchemy import BigInteger, Table, and_, func, literal, select, tuple_, type_coerce

from connector import conditions
from connector.adapters.port import Reads
from connector.config.settings import FastLane
from connector.engine import PassResult, judge_and_act
from connector.model import Activity, CrmName, Page
from connector.pipeline.context import PassContext
from connector.pipeline.evaluate.statement import RuleStatement
from connector.pipeline.installation import applied, prepare
from connector.pipeline.pull import histories
from connector.pipeline.pull.field_state import FieldState, Properties
from connector.pipeline.pull.streams import StreamPull
from connector.pipeline.recorded_run import recorded_run
from connector.store import runs
from connector.store.among import among
from connector.store.database import Store
from connector.store.mirror import pages
from connector.store.mirror.tally import Tally
from connector.store.tables import metadata, to_micros

record = metadata.tables["record"]

#: Contacts at a time.
MOST = 500
#: Where the last one stopped among those that are not due: (due_at in microseconds, contact).
_PLACE = "fast"


def run_fast(context: PassContext) -> PassResult:
    """One fast pass; nothing to do before the first whole one, nor while what it goes by is suspended.

    Errors of a CRM are in the result; those of the store and bugs come out.
    One that came to nothing leaves no trace among the runs.
    """
    config, now = context.config, context.now()
    with recorded_run(context, "fast", lambda run: PassResult(run=run, mode=config.mode), now=now, keep=_came_to_something) as result:
        if config.schedule.fast is not None and applied(context.store, config):
            _run(context, config.schedule.fast, result, now)
    return result


def _came_to_something(result: PassResult) -> bool:
    return bool(result.errors or result.evaluated or result.outcomes)


def _run(context: PassContext, lane: FastLane, result: PassResult, now: datetime) -> None:
    installation = prepare(context.store, context.config, context.crms, now=now, by=context.actor)
    for error in installation.silent.values():
        raise error
    if installation.suspended.halted or installation.suspended.reading(lane.when.names):
        return
    chosen = _choose(context, lane, installation.table, now)
    for name, crm in context.crms.items():
        if context.stopped():
            return
        result.pulled[name] = _read_again(context, crm, chosen, installation.fields.wanted[name], now)
    for unread in histories.errors_of(_read_histories(context, installation.fields, chosen, now)):
        raise unread
    if chosen:
        judge_and_act(context, installation, result, now, only=chosen)


# ── Choice ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _choose(context: PassContext, lane: FastLane, table: Table, now: datetime) -> list[int]:
    """The contacts for this time: those that are due, the longest due first; then the others in turn, the soonest due first."""
    env = RuleStatement(context.config, table, now).env(table, later=True)
    meant = and_(table.c.fast, conditions.compile(lane.when, env), ~table.c.gone, ~table.c.excluded)  # fast: as last judged, and indexed
    soon = func.coalesce(type_coerce(table.c.due_at, BigInteger), conditions.NEVER)
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
    """Behind whom the turn goes on, (due_at in microseconds, contact): never before the first who is not due."""
    beginning = (to_micros(now) + 1, 0)
    kept = runs.get_meta(store, _PLACE)
    if kept is None:
        return beginning
    micros, contact = orjson.loads(kept)
    return max(beginning, (micros, contact))


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _read_histories(context: PassContext, state: FieldState, contacts: Sequence[int], now: datetime) -> histories.Histories:
    """What the CRMs tell of what changed in them, when and by whom."""
    only = {name: _record_ids(context.store, name, contacts) for name in context.crms}
    return histories.read(context, state, now, only=only)


def _read_again(context: PassContext, crm: Reads, contacts: Sequence[int], wanted: Properties, now: datetime) -> dict[str, StreamPull]:
    """Their records of one CRM, and what happened with them, into the mirror."""
    return {
        object_name: _read_object(context, crm, object_name, ids, wanted.get(object_name, ()), now)
        for object_name, ids in _record_ids(context.store, crm.name, contacts).items()
    }


def _read_object(
    context: PassContext, crm: Reads, object_name: str, ids: Sequence[str], properties: Sequence[str], now: datetime
) -> StreamPull:
    result = StreamPull(whole=True)
    before = crm.calls()
    records = list(crm.read(object_name, ids, properties).values())
    activities: defaultdict[str, list[Activity]] = defaultdict(list)
    for activity in crm.activities_of(object_name, ids):
        activities[activity.object].append(activity)
    result.calls = crm.calls() - before
    with Tally() as tally:
        own = Page(crm=crm.name, object=object_name, cursor={}, seen=len(records), calls=0, records=records, last=True)
        result.add(own, tally.add(context.store.write(partial(pages.apply_records, read=records, now=now))))
        for kind, of_kind in activities.items():
            page = Page(crm=crm.name, object=kind, cursor={}, seen=len(of_kind), calls=0, activities=of_kind, last=True)
            result.add(page, tally.add(pages.commit_page(context.store, page, now=now, under=f"fast:{kind}")))
    return result


def _record_ids(store: Store, crm: CrmName, contacts: Sequence[int]) -> dict[str, list[str]]:
    """The ids of these contacts' live records in a CRM, by object."""
    ids: defaultdict[str, list[str]] = defaultdict(list)
    columns = select(record.c.crm, record.c.object, record.c.id).where(among(record.c.contact_id, contacts), ~record.c.archived)
    with store.read() as connection:
        for in_crm, object_name, record_id in connection.execute(columns.order_by(record.c.object, record.c.id)):
            if in_crm == crm:  # not asked of the database: SQLite would go through all records of the CRM
                ids[object_name].append(record_id)
    return ids
