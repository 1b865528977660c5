"""`SalesforceCrm`: the port, over the wire modules and one session.

Requests go out through `calling.Caller` (budget, judgement, retries); nothing here knows a URL or an error code's text.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo

from connector.adapters.client import Budget, Lane
from connector.adapters.salesforce import activities_of_people
from connector.adapters.salesforce import check as org_check
from connector.adapters.salesforce import refill as refilling
from connector.adapters.salesforce import removals as removing
from connector.adapters.salesforce import schema as describing
from connector.adapters.salesforce.client import Asking, retrieved_by_id, rows_of, without_lacking
from connector.adapters.salesforce.create_tasks import Tasks
from connector.adapters.salesforce.pull import Pull, lane_of, nothing
from connector.adapters.salesforce.session import SalesforceSession, Settings
from connector.adapters.salesforce.streams import OPTIONAL, STREAMS, Stream, stream
from connector.adapters.salesforce.wire import bulk as wire_bulk
from connector.adapters.salesforce.wire import query as wire_query
from connector.adapters.salesforce.wire import records as wire_records
from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.salesforce.wire import tasks as wire_tasks
from connector.adapters.salesforce.wire.requests import Row
from connector.adapters.salesforce.write import Writing
from connector.errors import ObjectStopped
from connector.model import (
    Activity,
    CrmName,
    Cursor,
    FieldWrite,
    Finding,
    Page,
    Record,
    RecordRef,
    Removal,
    RemovalPage,
    Schema,
    Surroundings,
    TaskWrite,
    Uses,
    WriteOutcome,
)


class SalesforceCrm:
    """Salesforce as the engine sees it.

    wanted: object ("Lead", "Contact", "Account") → the fields that become a record's properties. overlap: how far an incremental pull
    reaches back (rows are committed late). timeout: seconds for a login, for each piece of an answer, and for all of
    an answer to a write once it began (of what is read, four times as many); patience: for each piece of an answer to a query, on the
    first of which Salesforce works. zone: the business's, in which a task's day is reckoned.
    """

    name: CrmName = "salesforce"

    def __init__(
        self,
        settings: Settings,
        *,
        wanted: Mapping[str, Sequence[str]],
        budget: Budget,
        sleep: Callable[[float], None] = time.sleep,
        overlap: timedelta = timedelta(minutes=10),
        timeout: float = 30.0,
        patience: float = wire.SLOWEST_QUERY + 30.0,
        zone: tzinfo = UTC,
    ) -> None:
        self._settings = settings
        self._wanted = {name: tuple(dict.fromkeys(fields)) for name, fields in wanted.items()}
        self._overlap = overlap
        self._zone = zone
        self._session = SalesforceSession(settings, budget=budget, timeout=timeout, patience=patience)
        self._asking = Asking(session=self._session, budget=budget, sleep=sleep)
        self._key_field = settings.task_key_field
        #: Optional fields that the org turned out not to have, by object.
        self._lacking: dict[str, set[str]] = {name: set() for name in STREAMS}
        self._tasks = Tasks(asking=self._asking, key_field=self._key_field, zone=zone, lacking=self._lacking["Task"])

    # ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def streams(self) -> Sequence[str]:
        """Owners, accounts, people, deals, campaigns, what happened with people, and the history of Leads."""
        return STREAMS

    def want(self, wanted: Mapping[str, Sequence[str]]) -> None:
        """See the port."""
        self._wanted = {name: tuple(dict.fromkeys(names)) for name, names in wanted.items()}

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """Pages of one stream; a quiet incremental pull is one query. Deleted rows come as archived ones.

        Of what can be done without (Opportunities, Campaigns, LeadHistory) and was never shown to us comes one empty page; `check` tells.
        Raises `ObjectStopped` for what was shown once and is hidden now: what is mirrored of it would grow old in silence.
        """
        caller = self._asking.caller(lane_of(cursor, now=now, overlap=self._overlap))
        caller.judge = wire_bulk.judge
        reading = Pull(
            stream=self._stream(stream), caller=caller, cursor=cursor, now=now, overlap=self._overlap, lacking=self._lacking[stream]
        )
        try:
            yield from reading.pages()
        except ObjectStopped as error:
            hidden = error.code == "INVALID_TYPE" or error.code.startswith("INSUFFICIENT_ACCESS")
            if stream not in OPTIONAL or not hidden or cursor:
                raise
            yield nothing(stream, cursor, caller.count)

    def under_way(self, cursor: Cursor) -> bool:
        """See the port."""
        return "until" in cursor

    def read(self, object_name: str, ids: Sequence[str], properties: Sequence[str], *, lane: Lane = "urgent") -> Mapping[str, Record]:
        """The records as they are now, by the ids asked for; deleted and unknown ones are left out."""
        lacking = self._lacking.setdefault(object_name, set())

        def ask() -> dict[str, Row]:
            own = (*wire_records.RECORD_FIELDS, *wire_records.OWN_FIELDS.get(object_name, ()))
            return self._by_id(object_name, ids, list(dict.fromkeys((*(name for name in own if name not in lacking), *properties))), lane)

        rows = without_lacking(ask, wire_records.RECORD_OPTIONAL, lacking)
        return {asked: wire_records.record(object_name, row, properties) for asked, row in rows.items()}

    def tells_restored(self, object_name: str) -> bool:  # noqa: ARG002 - of every object
        """True: SystemModstamp moves when a record is undeleted, so that the pull brings it."""
        return True

    def bring(self, object_name: str, ids: Sequence[str]) -> Page:  # noqa: ARG002 - nothing is read
        """An empty page; see `tells_restored`."""
        return nothing(object_name, {}, 0)

    def removals(self, object_name: str, cursor: Cursor | None, *, now: datetime) -> Iterator[RemovalPage]:
        """What was deleted, also for good, in the last 15 days: the pull sees a row only while it is in the recycle bin."""
        return removing.removals(self._asking, object_name, cursor, now=now)

    def tells_removals(self, object_name: str) -> bool:
        """True for what goes through the recycle bin; users stay, a deleted queue owns nothing, histories go with their records."""
        return object_name in wire.DELETABLE

    def fates(self, object_name: str, ids: Sequence[str]) -> Mapping[str, Removal]:
        """What became of these; a record that is hidden from the connector's user looks like one that is deleted for good."""
        return removing.fates(self._asking, object_name, ids)

    def countable(self, object_name: str) -> bool:  # noqa: ARG002 - of no object
        """False: ids are no numbers."""
        return False

    def count(self, object_name: str, first: int, last: int) -> int:  # noqa: ARG002 - nothing to count by
        """0: nobody asks, see `countable`."""
        return 0

    def refill(self, object_name: str, properties: Sequence[str], cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:  # noqa: ARG002
        """These fields of all live records, in the order of their ids. Raises `ObjectStopped` (INVALID_FIELD) for one that is not there."""
        return refilling.refill(self._asking, object_name, properties, cursor)

    def relink(self, object_name: str, ids: Sequence[str]) -> Mapping[str, Sequence[RecordRef]]:  # noqa: ARG002 - nothing is read
        """{}: the pull brings every new WhoId; see `sharing` for the others who have a part in an activity."""
        return {}

    def activities_of(self, object_name: str, ids: Sequence[str]) -> Sequence[Activity]:  # noqa: ARG002 - ids tell their objects
        """Tasks and Events of these Leads or Contacts, archived ones too, deleted ones not."""
        return activities_of_people.activities_of(self._asking, [self._stream(name) for name in ("Task", "Event")], ids, self._lacking)

    def schema(self, objects: Sequence[str]) -> Schema:
        """The fields of these objects as the connector's user sees them; "Account.Industry" is Industry of Account."""
        return describing.schema(self._asking, objects)

    def find_tasks(self, writes: Sequence[TaskWrite]) -> Mapping[str, str]:
        """Which tasks exist, by the External Id; without one by the tasks of their Leads and Contacts. Deleted ones do not."""
        return self._tasks.find(writes)

    def read_tasks(self, ids: Sequence[str]) -> Mapping[str, Mapping[str, str | None]]:
        """Tasks as they are now. due_at is a day ("2026-12-02"): Salesforce keeps no hour; key is the marker (`wire_tasks.task_marker`)."""
        plain = ("Id", "IsDeleted", "Subject", "OwnerId", "ActivityDate", "WhoId")
        tasks = self._tasks
        rows = tasks.learning(lambda: self._by_id("Task", ids, (*plain, tasks.usable_key_field() or "Description")))
        return {asked: wire_tasks.read_back(row, tasks.usable_key_field()) for asked, row in rows.items()}

    # ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def batch_size(self, object_name: str) -> int:  # noqa: ARG002 - the same for every object
        """200: sObject Collections."""
        return wire.WRITE_BATCH

    def update(self, object_name: str, writes: Sequence[FieldWrite]) -> list[WriteOutcome]:
        """Sets fields, each record by itself; rows that are locked are sent again, twice at most."""
        return Writing(asking=self._asking).update(object_name, writes)

    def create_tasks(self, writes: Sequence[TaskWrite]) -> list[WriteOutcome]:
        """Creates tasks by upsert on the External Id: however often sent, each once. Without that field a lost answer is `unknown`."""
        return self._tasks.create(writes)

    # ── The rest of the port ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def check(self, *, now: datetime, uses: Uses | None = None) -> list[Finding]:
        """Login, permissions, limits, clock, tasks, who else writes; see `check`."""
        looking = org_check.Looking(
            call=self._asking.caller().call, settings=self._settings, session=self._session, wanted=self._wanted, uses=uses or Uses()
        )
        return org_check.findings(looking, now=now)

    def how_many(self, object_name: str, name: str | None = None, value: str | None = None) -> int | None:
        """See the port. A COUNT() query."""
        where = "" if name is None else f"{name} = {wire_query.quoted(value or '')}"
        soql = wire_query.count(object_name, where=where)
        about = f"counting {object_name}"
        return wire.query_page(self._asking.caller().call(wire.query(soql, all_rows=False, about=about)), about).total

    def surroundings(self) -> Surroundings:
        """The status that a new Lead has by itself, those that only a conversion gives, the connector's user, where records are opened.

        Which statuses mean "converted" is data of the org
        (https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_leadstatus.htm).
        """
        soql = wire_query.select("LeadStatus", ("Id", "ApiName", "MasterLabel", "IsDefault", "IsConverted"))
        rows = rows_of(self._asking.caller(), soql, about="reading LeadStatus", all_rows=False)
        named = [(row, status) for row in rows if isinstance(status := row.get("ApiName") or row.get("MasterLabel"), str)]
        default = [status for row, status in named if row.get("IsDefault") is True]
        return Surroundings(
            defaults={"Status": default[0]} if default else {},
            locked={"Status": tuple(status for row, status in named if row.get("IsConverted") is True)},
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
        return stream(name, wanted=self._wanted.get(name, ()), zone=self._zone, key_field=self._key_field)

    def _by_id(self, object_name: str, ids: Sequence[str], fields: Sequence[str], lane: Lane = "urgent") -> dict[str, Row]:
        """Rows that exist, by the ids asked for, of whichever length they were."""
        asked = {wire.same(record_id): record_id for record_id in ids if wire.is_id(record_id)}
        found = retrieved_by_id(self._asking.caller(lane), object_name, list(asked.values()), fields)
        named = ((wire.same(str(row.get("Id"))), row) for row in found if row.get("IsDeleted") is not True)
        return {asked[name]: row for name, row in named if name in asked}
