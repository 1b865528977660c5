"""`SalesforceCrm`: the port, over the wire modules and one session.

Requests go out through `calling.Caller` (budget, judgement, retries); nothing here knows a URL or an error code's text.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TypeVar

from connector.adapters.calling import Answer, Budget, Caller, Request, Unreachable
from connector.adapters.salesforce import check as org_check
from connector.adapters.salesforce import wire, wire_errors, wire_query, wire_records, wire_tasks
from connector.adapters.salesforce.pull import Pull, Stream, nothing
from connector.adapters.salesforce.session import SalesforceSession, Settings
from connector.adapters.salesforce.wire import Row
from connector.errors import AnswerLost, CrmError, ObjectStopped, Retriable
from connector.model import CrmName, Cursor, FieldWrite, Finding, Page, Record, Surroundings, TaskWrite, WriteOutcome, WriteState

T = TypeVar("T")

STREAMS = ("User", "Group", "Account", "Lead", "Contact", "Task", "Event", "LeadHistory")
#: Codes by which an org says that it knows no such External Id field, before a description settles it.
_NO_KEY_FIELD = frozenset({"INVALID_FIELD", "NOT_FOUND", "INVALID_TYPE"})
#: Codes of a row that an earlier try, or another process, may have created already.
_PERHAPS_THERE = frozenset({"DUPLICATE_VALUE", "INVALID_FIELD_FOR_INSERT_UPDATE", "DUPLICATE_EXTERNAL_ID"})


class SalesforceCrm:
    """Salesforce as the engine sees it.

    wanted: object ("Lead", "Contact", "Account") → the fields that become a record's properties. expected: field of Lead → the values that
    the configuration reads or writes, for `check`. overlap: how far an incremental pull reaches back (rows are committed late). timeout:
    seconds for each piece of an answer. zone: the business's, in which a task's day is reckoned.
    """

    name: CrmName = "salesforce"

    def __init__(
        self,
        settings: Settings,
        *,
        wanted: Mapping[str, Sequence[str]],
        expected: Mapping[str, Sequence[str]],
        budget: Budget,
        sleep: Callable[[float], None] = time.sleep,
        overlap: timedelta = timedelta(minutes=10),
        timeout: float = 30.0,
        zone: tzinfo = UTC,
    ) -> None:
        self._settings = settings
        self._wanted = {name: tuple(dict.fromkeys(fields)) for name, fields in wanted.items()}
        self._expected = expected
        self._budget = budget
        self._sleep = sleep
        self._overlap = overlap
        self._zone = zone
        self._session = SalesforceSession(settings, budget=budget, timeout=timeout)
        self._key_field = settings.task_key_field
        #: Optional fields that the org turned out not to have, by object.
        self._lacking: dict[str, set[str]] = {name: set() for name in STREAMS}

    # ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def streams(self) -> Sequence[str]:
        """Owners, accounts, people, what happened with them, and the history of Leads."""
        return STREAMS

    def want(self, wanted: Mapping[str, Sequence[str]]) -> None:
        """See the port."""
        self._wanted = {name: tuple(dict.fromkeys(names)) for name, names in wanted.items()}

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """Pages of one stream; a quiet incremental pull is one query. Deleted rows come as archived ones.

        LeadHistory, where the org does not let us read it, is one empty page; `check` tells.
        """
        caller = self._caller()
        reading = Pull(
            stream=self._stream(stream), caller=caller, cursor=cursor, now=now, overlap=self._overlap, lacking=self._lacking[stream]
        )
        try:
            yield from reading.pages()
        except ObjectStopped as error:
            if stream != "LeadHistory" or error.code != "INVALID_TYPE":
                raise
            yield nothing(stream, cursor, caller.count)

    def read(self, object_name: str, ids: Sequence[str], properties: Sequence[str]) -> Mapping[str, Record]:
        """The records as they are now, by the ids asked for; deleted and unknown ones are left out."""
        fields = dict.fromkeys((*wire_records.RECORD_FIELDS, *wire_records.OWN_FIELDS.get(object_name, ()), *properties))
        rows = self._retrieve(object_name, ids, lambda: list(fields))
        return {asked: wire_records.record(object_name, row, properties) for asked, row in rows.items()}

    def find_tasks(self, writes: Sequence[TaskWrite]) -> Mapping[str, str]:
        """Which tasks exist, by the External Id; without one by the tasks of their Leads and Contacts. Deleted ones do not."""

        def ask() -> Mapping[str, str]:
            key_field = self._usable_key_field()
            rows: list[Row] = []
            for soql in self._looking_for(writes, key_field):
                rows.extend(self._all_rows(soql, about="looking for tasks", all_rows=True))
            return wire_tasks.found(rows, writes, key_field)

        return self._learning(ask)

    def read_tasks(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, str | None]]:
        """Tasks as they are now. due_at is a day ("2026-12-02"): Salesforce keeps no hour; key is the marker (`wire_tasks.task_marker`)."""
        plain = ("Id", "IsDeleted", "Subject", "OwnerId", "ActivityDate", "WhoId")
        rows = self._retrieve("Task", ids, lambda: (*plain, self._usable_key_field() or "Description"))
        return {asked: wire_tasks.read_back(row, self._usable_key_field()) for asked, row in rows.items()}

    # ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def batch_size(self, object_name: str) -> int:  # noqa: ARG002 - the same for every object
        """200: sObject Collections."""
        return wire.WRITE_BATCH

    def update(self, object_name: str, writes: Sequence[FieldWrite]) -> list[WriteOutcome]:
        """Sets fields, each record by itself. Several writes to one record go as one row: Salesforce refuses an id that comes twice."""
        rows: dict[str, dict[str, str | None]] = {}
        for write in writes:
            rows.setdefault(wire.same(write.record.id), {"id": write.record.id}).update(write.properties)
        outcomes: dict[str, WriteOutcome] = {}
        for names in _batches(list(rows), wire.WRITE_BATCH):
            sent = self._write(wire.update(object_name, [rows[name] for name in names]), len(names))
            outcomes.update(zip(names, sent, strict=True))
        return [_with_id(outcomes[wire.same(write.record.id)], write.record.id) for write in writes]

    def create_tasks(self, writes: Sequence[TaskWrite]) -> list[WriteOutcome]:
        """Creates tasks by upsert on the External Id: however often sent, each once. Without that field a lost answer is `unknown`."""
        outcomes: list[WriteOutcome] = []
        for batch in _batches(writes, wire.WRITE_BATCH):
            outcomes.extend(self._create(batch))
        return outcomes

    def _create(self, writes: Sequence[TaskWrite]) -> list[WriteOutcome]:
        once = list({write.key: write for write in writes}.values())  # a marker that comes twice in a request is refused twice
        key_field = self._usable_key_field()
        if key_field is not None:
            try:
                sent = self._upsert(once, key_field)
            except ObjectStopped as error:
                if error.code not in _NO_KEY_FIELD or self._has_key_field():
                    raise
                self._lacking["Task"].add(self._key_field)
                return self._create(writes)
            if all(outcome.code == "INVALID_FIELD" for outcome in sent) and sent and not self._has_key_field():
                self._lacking["Task"].add(self._key_field)
                return self._create(writes)
        else:
            rows = [wire_tasks.fields(write, zone=self._zone, key_field=None) for write in once]
            sent = self._write(wire.create("Task", rows), len(rows))
        by_key = {write.key: outcome for write, outcome in zip(once, sent, strict=True)}
        return [by_key[write.key] for write in writes]

    def _upsert(self, writes: Sequence[TaskWrite], key_field: str) -> list[WriteOutcome]:
        rows = [wire_tasks.fields(write, zone=self._zone, key_field=key_field) for write in writes]
        outcomes = self._write(wire.upsert("Task", key_field, rows), len(rows))
        doubtful = [write for write, outcome in zip(writes, outcomes, strict=True) if outcome.code in _PERHAPS_THERE]
        there = self.find_tasks(doubtful) if doubtful else {}
        return [
            WriteOutcome(state=WriteState.WRITTEN, id=there[write.key]) if write.key in there else outcome
            for write, outcome in zip(writes, outcomes, strict=True)
        ]

    def _write(self, request: Request, rows: int) -> list[WriteOutcome]:
        """Sends one batch. Whether it may have been written is known from all its tries, not from the last one alone."""
        lost = False

        def send(request: Request) -> Answer:
            nonlocal lost
            try:
                answer = wire.opened(self._session.send(request))
            except Unreachable as problem:
                lost = lost or problem.sent
                raise
            lost = lost or answer.status >= 500 or (answer.status < 300 and not answer.readable)
            return answer

        try:
            answer = self._caller(send).call(request)
            result = wire.results(answer, rows, request.about)
        except CrmError as error:
            if lost or isinstance(error, AnswerLost) or error.code == "STRANGE_ANSWER":
                return [_all_alike(error, WriteState.UNKNOWN)] * rows
            if isinstance(error, Retriable):
                return [_all_alike(error, WriteState.LATER)] * rows
            raise
        return [wire_errors.outcome(row, wire.correlation_id(answer.headers)) for row in result]

    # ── The rest of the port ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def check(self, *, now: datetime) -> list[Finding]:
        """Credentials, limits, clock, fields, values, permissions; see `check`."""
        looking = org_check.Looking(
            call=self._caller().call, settings=self._settings, session=self._session, wanted=self._wanted, expected=self._expected
        )
        return org_check.findings(looking, now=now)

    def surroundings(self) -> Surroundings:
        """The status that a new Lead has by itself, the connector's own user, and where records are opened."""
        soql = wire_query.select("LeadStatus", ("ApiName", "MasterLabel"), where="IsDefault = true")
        rows = self._all_rows(soql, about="reading LeadStatus", all_rows=False)
        statuses = [status for row in rows if isinstance(status := row.get("ApiName") or row.get("MasterLabel"), str)]
        return Surroundings(
            defaults={"Status": statuses[0]} if statuses else {},
            own_users=(self._session.user_id,) if self._session.user_id else (),
            links={name: self.record_url(name, "{id}") for name in ("Lead", "Contact", "Account", "Task", "Event")},
        )

    def record_url(self, object_name: str, record_id: str) -> str:
        """The record in Lightning; My Domain leads there from the API's host."""
        return f"{self._session.instance}/lightning/r/{object_name}/{record_id}/view"

    def calls(self) -> int:
        """Requests sent so far, logins included."""
        return self._session.sent

    def close(self) -> None:
        """Gives back connections."""
        self._session.close()

    # ── Inside ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _stream(self, name: str) -> Stream:
        zone, key_field = self._zone, self._key_field
        if name == "User":
            return Stream(object=name, fields=wire_records.USER_FIELDS, read=wire_records.user, all_rows=False)
        if name == "Group":
            return Stream(object=name, fields=wire_records.GROUP_FIELDS, read=wire_records.queue, all_rows=False, where="Type = 'Queue'")
        if name == "Task":
            return Stream(
                object=name,
                fields=(*wire_records.TASK_FIELDS, key_field),
                instead={key_field: "Description"},
                optional=wire_records.TASK_OPTIONAL | {key_field},
                read=lambda row: wire_records.task(row, key=wire_tasks.marker_of(row, key_field if key_field in row else None), zone=zone),
            )
        if name == "Event":
            return Stream(
                object=name,
                fields=wire_records.EVENT_FIELDS,
                optional=wire_records.EVENT_OPTIONAL,
                read=lambda row: wire_records.event(row, zone=zone),
            )
        if name == "LeadHistory":
            asked = ", ".join(wire_query.quoted(field) for field in wire_records.HISTORY_PROPERTIES)
            return Stream(
                object=name,
                fields=wire_records.HISTORY_FIELDS,
                read=wire_records.change,
                stamp="CreatedDate",
                all_rows=False,
                where=f"Field IN ({asked})",
                all_told=False,
            )
        wanted = self._wanted.get(name, ())
        return Stream(
            object=name,
            fields=(*wire_records.RECORD_FIELDS, *wire_records.OWN_FIELDS[name]),
            others=wanted,
            read=lambda row: wire_records.record(name, row, wanted),
        )

    def _caller(self, send: Callable[[Request], Answer] | None = None) -> Caller:
        # One each time: its count is then that of one pull, whatever other threads send.
        return Caller(crm="salesforce", send=send or self._send, judge=wire_errors.judge, budget=self._budget, sleep=self._sleep)

    def _send(self, request: Request) -> Answer:
        return wire.opened(self._session.send(request))

    def _retrieve(self, object_name: str, ids: Sequence[str], fields: Callable[[], Sequence[str]]) -> dict[str, Row]:
        """Rows that exist, by the ids asked for, of whichever length they were."""
        asked = {wire.same(record_id): record_id for record_id in ids if wire.is_id(record_id)}
        rows: dict[str, Row] = {}
        for batch in _batches(list(asked.values()), wire.READ_BATCH):

            def ask(batch: Sequence[str] = batch) -> list[Row]:
                request = wire.retrieve(object_name, batch, fields())
                return wire.retrieved(self._caller().call(request), request.about)

            for row in self._learning(ask):
                name = wire.same(str(row.get("Id")))
                if name in asked and row.get("IsDeleted") is not True:
                    rows[asked[name]] = row
        return rows

    def _all_rows(self, soql: str, *, about: str, all_rows: bool) -> Iterator[Row]:
        request: Request | None = wire.query(soql, all_rows=all_rows, about=about)
        while request is not None:
            page = wire.query_page(self._caller().call(request), request.about)
            yield from (row for row in page.rows if isinstance(row, dict))
            request = wire.more(page.locator, about=request.about) if page.locator is not None else None

    def _looking_for(self, writes: Sequence[TaskWrite], key_field: str | None) -> Iterator[str]:
        alive = "IsDeleted = false"
        if key_field is not None:
            markers = [wire_tasks.task_marker(write.key) for write in writes]
            return wire_query.by_values("Task", ("Id", key_field), key_field, markers, where=alive)
        about = list(dict.fromkeys(write.record.id for write in writes))
        return wire_query.by_values("Task", ("Id", "Description"), "WhoId", about, where=alive)

    def _usable_key_field(self) -> str | None:
        return None if self._key_field in self._lacking["Task"] else self._key_field

    def _has_key_field(self) -> bool:
        described = wire.value_of(self._caller().call(wire.describe("Task")))
        return org_check.external_id(described, self._key_field) is not None

    def _learning(self, ask: Callable[[], T]) -> T:
        """Asks, and once more without the key field where the org turns out not to have it."""
        try:
            return ask()
        except wire_errors.NoSuchColumn as error:
            if error.column.lower() != self._key_field.lower() or self._key_field in self._lacking["Task"]:
                raise
            self._lacking["Task"].add(self._key_field)
            return ask()


def _batches(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _with_id(outcome: WriteOutcome, record_id: str) -> WriteOutcome:
    return outcome if outcome.id else replace(outcome, id=record_id)


def _all_alike(error: CrmError, state: WriteState) -> WriteOutcome:
    return WriteOutcome(state=state, code=error.code, message=error.message, advice=error.advice, correlation_id=error.correlation_id)
