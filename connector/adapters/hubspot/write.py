"""Batches of writes, and what became of each row of them.

One bad row may sink a whole batch: then the batch is halved until the bad ones stand alone. Updates may be repeated, creates never: where
the answer to a create is lost, its rows are unknown, and the caller looks them up.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from connector.adapters.client import Answer, Caller, Request
from connector.adapters.hubspot.client import HubSpotClient
from connector.adapters.hubspot.read_by_id import read_raw
from connector.adapters.hubspot.wire.errors import RefusedWrite
from connector.adapters.hubspot.wire.requests import Api
from connector.adapters.hubspot.wire.values import properties_of, text_of
from connector.adapters.hubspot.wire.writes import (
    BatchAnswer,
    BatchRow,
    clearing_rows,
    outcome_of_error,
    outcome_of_refusal,
    read_batch,
    restoring_rows,
    update_outcome,
    update_rows,
)
from connector.adapters.set_aside import Unreadable
from connector.errors import CrmError, ObjectStopped, PassStopped
from connector.model import FieldWrite, WriteOutcome, WriteState

# RefusedWrite whatever the value is: https://developers.hubspot.com/docs/api-reference/error-handling
_WHATEVER_THE_VALUE = frozenset({"PROPERTY_DOESNT_EXIST", "READ_ONLY_VALUE"})


@dataclass(slots=True, kw_only=True)
class BatchSender:
    """Sending of rows in batches, until each has its outcome.

    build: the request for some rows; settle: a row's outcome in a good answer; creating: whether a lost answer may have made records.
    """

    caller: Caller
    build: Callable[[Sequence[BatchRow]], Request]
    settle: Callable[[BatchRow, BatchAnswer], WriteOutcome]
    creating: bool = False
    outcomes: dict[int, WriteOutcome] = field(default_factory=dict)
    _bad: dict[tuple[str, str | None], WriteOutcome] = field(default_factory=dict)

    def send(self, rows: Sequence[BatchRow], *, may_raise: bool = True) -> Mapping[int, WriteOutcome]:
        """The outcome of each row, by its number. What stops everything is raised while nothing was settled; later it is an outcome."""
        left = [list(rows)]
        while left:
            part = self._worth_sending(left.pop(0))
            if not part:
                continue
            try:
                batch = self.caller.ask(self.build(part), _reading(part))
            except RefusedWrite as error:
                left = [*self._narrowed(part, error), *left]
            except CrmError as error:
                if may_raise and not self.outcomes and isinstance(error, PassStopped | ObjectStopped):
                    raise
                outcome = outcome_of_error(error, creating=self.creating)
                self.outcomes |= {row.number: outcome for rest in (part, *left) for row in rest}
                break
            else:
                self.outcomes |= {row.number: self.settle(row, batch) for row in part}
        return self.outcomes

    def _narrowed(self, part: list[BatchRow], error: RefusedWrite) -> list[list[BatchRow]]:
        """What to send next after the refusal of a whole batch, of which nothing was written."""
        if len(part) > 1:
            middle = len(part) // 2
            return [part[:middle], part[middle:]]
        row, outcome = part[0], outcome_of_refusal(error)
        self.outcomes[row.number] = outcome
        for name in error.properties:
            if name in row.properties:
                self._bad[name, None if error.code in _WHATEVER_THE_VALUE else row.properties[name]] = outcome
        return []

    def _worth_sending(self, part: list[BatchRow]) -> list[BatchRow]:
        """Without the rows that hold what was just refused on a row of its own: they would be refused one by one in the same way."""
        kept: list[BatchRow] = []
        for row in part:
            known = next((self._bad[key] for item in row.properties.items() for key in (item, (item[0], None)) if key in self._bad), None)
            if known is None:
                kept.append(row)
            else:
                self.outcomes[row.number] = known
        return kept


def _reading(rows: Sequence[BatchRow]) -> Callable[[Answer], BatchAnswer]:
    return lambda answer: read_batch(answer, rows)


def update(client: HubSpotClient, object_name: str, writes: Sequence[FieldWrite]) -> list[WriteOutcome]:
    """Sets properties of at most a batch of records; one outcome a write, in order.

    Two writes to one record go in requests of their own, one after the other: inputs of one batch keep no order.
    """
    outcomes: dict[int, WriteOutcome] = {}
    setting = _Update(client.api, client.caller("urgent"), object_name, writes)
    for numbers in _rounds(writes):
        try:
            outcomes |= setting.round(numbers)
        except CrmError as error:
            if not outcomes:
                raise
            outcomes |= dict.fromkeys(numbers, outcome_of_error(error, creating=False))
    return [outcomes[number] for number in range(len(writes))]


def _rounds(writes: Sequence[FieldWrite]) -> list[list[int]]:
    """Numbers of the writes, so that no round has a record twice."""
    by_record: dict[str, list[int]] = defaultdict(list)
    for number, write in enumerate(writes):
        by_record[write.record.id].append(number)
    longest = max((len(numbers) for numbers in by_record.values()), default=0)
    return [[numbers[turn] for numbers in by_record.values() if turn < len(numbers)] for turn in range(longest)]


@dataclass(slots=True)
class _Update:
    api: Api
    caller: Caller
    object_name: str
    writes: Sequence[FieldWrite]

    def round(self, numbers: Sequence[int]) -> dict[int, WriteOutcome]:
        """Empties what is to be emptied first, sets all, and puts back what was emptied in vain."""
        backward = [number for number in numbers if self.writes[number].clear_first]
        former = self._former(backward)
        outcomes = {
            number: outcome
            for number, outcome in self._send(clearing_rows(self.writes, backward)).items()
            if outcome.state is not WriteState.WRITTEN
        }
        cleared = [number for number in backward if number not in outcomes]
        ready = [number for number in numbers if number not in outcomes]
        outcomes |= self._send(update_rows(self.writes, ready), may_raise=not backward)
        in_vain = [number for number in cleared if outcomes[number].state in (WriteState.REFUSED, WriteState.LATER)]
        return outcomes | self._restored({number: former[number] for number in in_vain if former.get(number)}, outcomes)

    def _send(self, rows: Sequence[BatchRow], *, may_raise: bool = True) -> Mapping[int, WriteOutcome]:
        batch = BatchSender(
            caller=self.caller,
            build=lambda part: self.api.batch_update(self.object_name, [row.input for row in part]),
            settle=update_outcome,
        )
        return batch.send(rows, may_raise=may_raise)

    def _former(self, numbers: Sequence[int]) -> dict[int, dict[str, str]]:
        """What stands now in the properties that are about to be emptied."""
        names = sorted({name for number in numbers for name in self.writes[number].properties})
        raws = read_raw(self.api, self.caller, self.object_name, [self.writes[number].record.id for number in numbers], names)
        former: dict[int, dict[str, str]] = {}
        for number in numbers:
            try:
                properties = properties_of(raws.get(self.writes[number].record.id))
                former[number] = {name: value for name in self.writes[number].properties if (value := text_of(properties, name))}
            except Unreadable:  # gone, or not to be read: then there is nothing that could be put back
                former[number] = {}
        return former

    def _restored(self, former: Mapping[int, Mapping[str, str]], outcomes: Mapping[int, WriteOutcome]) -> dict[int, WriteOutcome]:
        """Puts the former value back, and says so; where that fails too, says that the property is empty now."""
        if not former:
            return {}
        done = self._send(restoring_rows(self.writes, former), may_raise=False)
        restored: dict[int, WriteOutcome] = {}
        for number, outcome in done.items():
            before = outcomes[number]
            if outcome.state is WriteState.WRITTEN:
                restored[number] = replace(before, message=f"{before.message}; the value before was put back")
            else:
                restored[number] = replace(
                    before,
                    code="CLEARED",
                    message=f"{before.message}; the property was emptied first and is empty now",
                    advice="Set it by hand in HubSpot, or let the next pass judge the record anew.",
                )
        return restored
