"""Batches of writes: what became of each row, from all the tries together, and rows that were locked sent once more.

Fields are set, and tasks with an External Id upserted, so that sending them again is safe; a plain create is not, and its lost answer is
`unknown`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from connector.adapters.client import Answer, Request, Unreachable
from connector.adapters.salesforce.client import SalesforceClient, batches
from connector.adapters.salesforce.read_by_id import read_rows
from connector.adapters.salesforce.wire import errors as wire_errors
from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.salesforce.wire.requests import Row
from connector.errors import AnswerLost, CrmError, Retriable
from connector.model import FieldWrite, WriteOutcome, WriteState

#: How often locked rows are sent again, and after how many seconds; Salesforce has waited 10 s for the lock before it gave up.
_LOCKED_AGAIN = (1.0, 3.0)

#: Makes the request for some of the rows.
Build = Callable[[Sequence[Row]], Request]


def update(client: SalesforceClient, object_name: str, writes: Sequence[FieldWrite]) -> list[WriteOutcome]:
    """Sets fields, each record by itself. Several writes to one record go as one row: Salesforce refuses an id that comes twice."""
    rows: dict[str, dict[str, str | None]] = {}
    for write in writes:
        rows.setdefault(wire.same(write.record.id), {"id": write.record.id}).update(write.properties)
    outcomes: dict[str, WriteOutcome] = {}
    batch = BatchSender(client=client, build=lambda some: wire.update(object_name, some), key="id")
    for names in batches(list(rows), wire.WRITE_BATCH):
        outcomes.update(zip(names, batch.send([rows[name] for name in names]), strict=True))
    return [_with_id(outcomes[wire.same(write.record.id)], write.record.id) for write in writes]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSender:
    """Sending of rows in batches, in the urgent lane. build: the request for some rows; key: the field that names a row's person."""

    client: SalesforceClient
    build: Build
    key: str

    def send(self, rows: Sequence[Row]) -> list[WriteOutcome]:
        """What became of at most 200 rows, in their order.

        Rows that somebody else had locked are sent again, twice at most, those of one account side by side: in another order they would
        lock out each other.
        """
        outcomes, row_by_row = self._send(self.build(rows), len(rows))
        for pause in _LOCKED_AGAIN if row_by_row else ():
            locked = [at for at, outcome in enumerate(outcomes) if outcome.code == wire_errors.LOCKED]
            if not locked:
                break
            try:
                again = self._again(rows, locked, pause)
            except CrmError:
                break  # the outcomes at hand stand, "later" for the locked ones; who sends next meets the error
            for at, outcome in again.items():
                outcomes[at] = outcome
        return outcomes

    def _again(self, rows: Sequence[Row], locked: Sequence[int], pause: float) -> dict[int, WriteOutcome]:
        self.client.sleep(pause)
        people = {at: str(rows[at].get(self.key)) for at in locked}
        accounts = self._accounts(list(people.values()))
        order = sorted(locked, key=lambda at: (accounts.get(wire.same(people[at]), ""), people[at]))
        sent, _ = self._send(self.build([rows[at] for at in order]), len(order))
        return dict(zip(order, sent, strict=True))

    def _accounts(self, people: Sequence[str]) -> dict[str, str]:
        """The accounts of those who are Contacts, by the first 15 characters of their ids; a Lead has none."""
        contacts = list(dict.fromkeys(person for person in people if wire.PREFIXES.get(person[:3]) == "Contact" and wire.is_id(person)))
        if not contacts:
            return {}
        found = read_rows(self.client.caller("urgent"), "Contact", contacts, ("Id", "AccountId"))
        return {wire.same(str(row.get("Id"))): str(row.get("AccountId") or "") for row in found}

    def _send(self, request: Request, rows: int) -> tuple[list[WriteOutcome], bool]:
        """The rows' outcomes, and whether Salesforce told them row by row; else all are alike.

        Whether a batch may have been written is known from all its tries, not from the last one alone.
        """
        lost = False

        def send(request: Request) -> Answer:
            nonlocal lost
            try:
                answer = self.client.send(request, lane="urgent")
            except Unreachable as problem:
                lost = lost or problem.sent
                raise
            lost = lost or answer.status >= 500 or (answer.status < 300 and not answer.readable)
            return answer

        try:
            answer = self.client.caller("urgent", send).call(request)
            result = wire.results(answer, rows, request.about)
        except CrmError as error:
            if lost or isinstance(error, AnswerLost) or error.code == wire.STRANGE_ANSWER:
                return [_all_alike(error, WriteState.UNKNOWN)] * rows, False
            if isinstance(error, Retriable):
                return [_all_alike(error, WriteState.LATER)] * rows, False
            raise
        return [wire_errors.outcome(row, wire.correlation_id(answer.headers)) for row in result], True


def _with_id(outcome: WriteOutcome, record_id: str) -> WriteOutcome:
    return outcome if outcome.id else replace(outcome, id=record_id)


def _all_alike(error: CrmError, state: WriteState) -> WriteOutcome:
    return WriteOutcome(state=state, code=error.code, message=error.message, advice=error.advice, correlation_id=error.correlation_id)
