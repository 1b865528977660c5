"""One batch of values to set: stages, owners, fields of records that exist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connector.errors import AnswerLost, CrmError, Retriable
from connector.model import Record, WriteOutcome
from connector.pipeline.write_back.batch import BatchContext, unknown
from connector.pipeline.write_back.outcomes import after_write, before_write, field_write, not_written
from connector.store.claims import Settlement
from connector.store.ledger import Entry


def set_values(context: BatchContext, batch: Sequence[Entry]) -> None:
    """Claims, reads, writes what still holds, reads again, settles.

    Between the answer to the first read and the write nothing is done but comparing, so the two are less than 2 s apart unless the CRM's
    budget makes the write wait; an edit by a person in that gap is what the second read cannot tell from none.
    """
    rows = context.claim(batch)
    if not rows:
        return
    try:
        current = _read(context, rows)
    except CrmError as error:
        context.stop_for(error, rows[0])
        context.give_back(batch)
        return
    ends = {row.id: before_write(row, current.get(row.record.id)) for row in rows}
    to_write = [row for row in rows if ends[row.id] is None]
    settlements = [end for end in ends.values() if end is not None]
    records = {row.record.id: current[row.record.id] for row in rows if ends[row.id] is not None and row.record.id in current}
    if to_write:
        written, read_again = _write(context, batch, to_write)
        settlements += written
        records |= read_again
    context.settle(settlements, list(records.values()))


def _write(context: BatchContext, batch: Sequence[Entry], rows: Sequence[Entry]) -> tuple[list[Settlement], Mapping[str, Record]]:
    """What became of the rows, and the records as they were read again."""
    crm, object_name = context.crms[rows[0].record.crm], rows[0].record.object
    try:
        outcomes = context.send(lambda writes: crm.update(object_name, writes), [field_write(row) for row in rows])
    except (Retriable, AnswerLost) as error:
        context.stop_for(error, rows[0])
        return [unknown(row, error) for row in rows], {}
    except CrmError as error:
        context.stop_for(error, rows[0])
        context.give_back_sent(batch, rows)
        return [], {}
    answered = list(zip(rows, outcomes, strict=True))
    failed = [end for row, outcome in answered if (end := not_written(row, outcome, now=context.now())) is not None]
    written = {row.id for row in rows} - {end.entry.id for end in failed}
    ends, records = _read_again(context, [(row, outcome) for row, outcome in answered if row.id in written])
    return failed + ends, records


def _read_again(context: BatchContext, written: Sequence[tuple[Entry, WriteOutcome]]) -> tuple[list[Settlement], Mapping[str, Record]]:
    if not written:
        return [], {}
    rows = [row for row, _ in written]
    try:
        records = _read(context, rows)
    except CrmError as error:
        context.stop_for(error, rows[0])
        return [unknown(row, error) for row in rows], {}
    return [after_write(row, records.get(row.record.id), outcome) for row, outcome in written], records


def _read(context: BatchContext, rows: Sequence[Entry]) -> Mapping[str, Record]:
    crm, object_name = context.crms[rows[0].record.crm], rows[0].record.object
    return crm.read(object_name, [row.record.id for row in rows], sorted({row.target for row in rows}))
