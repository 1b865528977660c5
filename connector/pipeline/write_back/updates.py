"""One batch of values to set: stages, owners, fields of records that exist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connector.errors import AnswerLost, CrmError, Retriable
from connector.model import Record, WriteOutcome
from connector.pipeline.write_back import outcomes as judge
from connector.pipeline.write_back.batch import BatchContext, unknown
from connector.store.claims import Settlement
from connector.store.ledger import Entry


def set_values(work: BatchContext, batch: Sequence[Entry]) -> None:
    """Claims, reads, writes what still holds, reads again, settles.

    Between the answer to the first read and the write nothing is done but comparing, so the two are less than 2 s apart unless the CRM's
    budget makes the write wait; an edit by a person in that gap is what the second read cannot tell from none.
    """
    rows = work.claim(batch)
    if not rows:
        return
    try:
        current = _read(work, rows)
    except CrmError as error:
        work.stop_for(error, rows[0])
        work.give_back(batch)
        return
    ends = {row.id: judge.before_write(row, current.get(row.record.id)) for row in rows}
    to_write = [row for row in rows if ends[row.id] is None]
    settlements = [end for end in ends.values() if end is not None]
    seen = {row.record.id: current[row.record.id] for row in rows if row not in to_write and row.record.id in current}
    if to_write:
        written, read_again = _write(work, batch, to_write)
        settlements += written
        seen |= read_again
    work.settle(settlements, list(seen.values()))


def _write(work: BatchContext, batch: Sequence[Entry], rows: Sequence[Entry]) -> tuple[list[Settlement], Mapping[str, Record]]:
    """What became of the rows, and the records as they were read again."""
    crm, object_name = work.crms[rows[0].record.crm], rows[0].record.object
    try:
        outcomes = work.send(lambda writes: crm.update(object_name, writes), [judge.field_write(row) for row in rows])
    except (Retriable, AnswerLost) as error:
        work.stop_for(error, rows[0])
        return [unknown(row, error) for row in rows], {}
    except CrmError as error:
        work.stop_for(error, rows[0])
        work.give_back_sent(batch, rows)
        return [], {}
    answered = list(zip(rows, outcomes, strict=True))
    failed = [end for row, outcome in answered if (end := judge.not_written(row, outcome, now=work.now())) is not None]
    good = {row.id for row in rows} - {end.entry.id for end in failed}
    ends, seen = _read_again(work, [(row, outcome) for row, outcome in answered if row.id in good])
    return failed + ends, seen


def _read_again(work: BatchContext, written: Sequence[tuple[Entry, WriteOutcome]]) -> tuple[list[Settlement], Mapping[str, Record]]:
    if not written:
        return [], {}
    rows = [row for row, _ in written]
    try:
        seen = _read(work, rows)
    except CrmError as error:
        work.stop_for(error, rows[0])
        return [unknown(row, error) for row in rows], {}
    return [judge.after_write(row, seen.get(row.record.id), outcome) for row, outcome in written], seen


def _read(work: BatchContext, rows: Sequence[Entry]) -> Mapping[str, Record]:
    crm, object_name = work.crms[rows[0].record.crm], rows[0].record.object
    return crm.read(object_name, [row.record.id for row in rows], sorted({row.target for row in rows}))
