"""Actions of people, other tools and the service itself in the sandbox's Salesforce: for tests and `sandbox --fault` only.

May be called from any thread while the server answers; each action is whole before the next request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from connector.sandbox.salesforce import lifecycle
from connector.sandbox.salesforce.errors import RowRefused
from connector.sandbox.salesforce.options import SalesforceOptions
from connector.sandbox.salesforce.org import Org
from connector.sandbox.salesforce.schema import long_id
from connector.sandbox.salesforce.schema_changes import SchemaChanges
from connector.sandbox.salesforce.writes import Row, Writer

T = TypeVar("T")


class SalesforceActions:
    """Actions on records, activities and the service. Raise `RowRefused` where the service would refuse a person too.

    Ids may have 15 or 18 characters. schema: what an administrator changes. user: the Id of whose name stands beside each change; default:
    the first active user who is not the connector.
    """

    def __init__(self, org: Org, *, user: str | None = None) -> None:
        self._org = org
        self._user = user
        self.schema = SchemaChanges(org)

    @property
    def options(self) -> SalesforceOptions:
        """How the org behaves now."""
        return self._org.options

    def change_options(self, **changes: Any) -> None:
        """These options are others from the next request on. Raises TypeError for a name that is none."""
        with self._org.lock:
            self._org.options = replace(self._org.options, **changes)

    def _do(self, action: Callable[[Writer], T], *, late: float | None = None) -> T:
        """One transaction. late: seconds until others see it, stamped now; None: as the option `late_commits` says."""
        with self._org.lock:
            self._org.settle()
            writer = self._org.writer(user=self._someone(), api=False)
            try:
                result = action(writer)
            except RowRefused:
                writer.roll_back()
                raise
            seconds = self._org.options.late_commits if late is None else late
            if seconds > 0:
                self._org.postpone(writer.take_back(), seconds)
            return result

    def _someone(self) -> str:
        if self._user is None:
            users, own = self._org.schema.rows["User"], self._org.world.connector_user_id
            self._user = next((row["Id"] for row in users.values() if row.get("IsActive") and row["Id"] != own), own)
        return self._user

    def act_as(self, email: str) -> None:
        """Whose edits they are from now on. Raises KeyError for an address that is no active user's."""
        with self._org.lock:
            users = self._org.schema.rows["User"].values()
            self._user = {row["Email"]: row["Id"] for row in users if row.get("IsActive")}[email]

    # ── Records ──

    def create(self, object_name: str, *, late: float | None = None, **fields: Any) -> str:
        """A new record, by a person; returns its id. late: see `late_commits`, for this action alone."""
        return self._do(lambda writer: writer.create(object_name, _as_json(fields)), late=late)

    def edit(self, object_name: str, record_id: str, *, late: float | None = None, **fields: Any) -> None:
        """Sets fields, by a person."""
        self._do(lambda writer: writer.update(object_name, record_id, _as_json(fields)), late=late)

    def delete(self, object_name: str, record_id: str, *, late: float | None = None) -> None:
        """Into the recycle bin, with what hangs on it."""
        self._do(lambda writer: writer.delete(object_name, record_id), late=late)

    def undelete(self, object_name: str, record_id: str) -> None:
        """Out of the bin, with what went there with it."""
        self._do(lambda writer: lifecycle.undelete(writer, object_name, record_id))

    def hard_delete(self, object_name: str, record_id: str) -> None:
        """Gone for good with what hangs on it, past the bin or out of it: even `queryAll` does not show it; the log of deletions does."""
        with self._org.lock:
            self._org.settle()
            self._org.commit_first(object_name, long_id(record_id))
            row = self._org.schema.rows[object_name].get(long_id(record_id))
            if row is None:
                raise RowRefused("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
            if not row.get("IsDeleted"):
                before = self.deleted_ids()
                self._do(lambda writer: writer.delete(object_name, row["Id"]), late=0)
                gone = self.deleted_ids() - before
            else:
                gone = {(object_name, row["Id"])}
            for name, row_id in gone:
                self._org.remove(name, row_id)

    def deleted_ids(self) -> set[tuple[str, str]]:
        """(object, id) of all that lies in the bin."""
        with self._org.lock:
            rows = self._org.schema.rows
            return {(name, row["Id"]) for name, table in rows.items() for row in table.values() if row.get("IsDeleted")}

    def empty_bin(self) -> int:
        """Everything in the bin is gone for good; returns how many records."""
        with self._org.lock:
            gone = self.deleted_ids()
            for name, row_id in gone:
                self._org.remove(name, row_id)
            return len(gone)

    def merge(self, object_name: str, keep: str, lose: str, *, late: float | None = None) -> None:
        """Leads, Contacts or Accounts: the loser is deleted and names the winner, which has its children."""
        self._do(lambda writer: lifecycle.merge(writer, object_name, keep, lose), late=late)

    def convert(self, lead_id: str, *, opportunity: bool = True, late: float | None = None) -> str:
        """A Lead becomes a Contact; returns the Contact's id."""
        return self._do(lambda writer: lifecycle.convert(writer, lead_id, opportunity=opportunity), late=late)

    # ── Activities ──

    def log_call(self, who: str, *, owner: str | None = None, minutes: int = 5, incoming: bool = False, late: float | None = None) -> str:
        """A call that was made just now; returns the Task's id."""
        fields = {"CallType": "Inbound" if incoming else "Outbound", "CallDurationInSeconds": minutes * 60, "TaskSubtype": "Call"}
        return self.task(who, owner=owner, subject="Call", late=late, Status="Completed", Type="Call", **fields)

    def task(self, who: str, *, owner: str | None = None, subject: str = "To do", late: float | None = None, **fields: Any) -> str:
        """A task with a Lead or Contact; returns its id."""
        day = self._org.now().date()
        given = {"WhoId": who, "OwnerId": owner or self._someone(), "Subject": subject, "ActivityDate": day, **fields}
        return self.create("Task", late=late, **given)

    def event(self, who: str, *, at: datetime | None = None, owner: str | None = None, late: float | None = None, **fields: Any) -> str:
        """A meeting of half an hour with a Lead or Contact, by default one that just ended; returns its id."""
        start = (at or self._org.now() - timedelta(minutes=30)).replace(microsecond=0)
        given: dict[str, Any] = {"WhoId": who, "OwnerId": owner or self._someone(), "Subject": "Meeting", "StartDateTime": start}
        given |= {"EndDateTime": start + timedelta(minutes=30), "ActivityDateTime": start, "ActivityDate": start.date()}
        return self.create("Event", late=late, **{**given, "DurationInMinutes": 30, **fields})

    def share(self, object_name: str, activity: str, people: Sequence[str]) -> None:
        """A Task or Event is about all of these now, the first of them by its WhoId (Shared Activities)."""
        self._do(lambda writer: lifecycle.share(writer, object_name, activity, people))

    def archive(self) -> int:
        """The service archives activities that are over for a year; returns how many."""
        return self._do(lifecycle.archive, late=0)

    # ── Stamps and formulas ──

    def stamp_alike(self, object_name: str, ids: Sequence[str], at: datetime | None = None) -> None:
        """A mass update: all of them carry the same SystemModstamp and LastModifiedDate. at: aware; default: now."""
        stamp = (at or self._org.now()).replace(microsecond=0)
        with self._org.lock:
            for record_id in ids:
                row = self._org.schema.rows[object_name][long_id(record_id)]
                row.update(SystemModstamp=stamp, LastModifiedDate=stamp)

    def recompute(self, object_name: str, record_id: str, **fields: Any) -> None:
        """Formula fields have other values now, and no stamp moves. Raises ValueError for a field that is no formula."""
        with self._org.lock:
            for name in fields:
                field = self._org.schema.field(object_name, name)
                if field is None or not field.calculated:
                    raise ValueError(f"{object_name}.{name} is no formula field")
            self._org.schema.rows[object_name][long_id(record_id)].update(fields)

    # ── What the org holds ──

    def live(self, object_name: str, *, deleted: bool = False) -> dict[str, Row]:
        """Id → row, as the service would show it now: archived activities too, deleted records only where asked for. Copies."""
        with self._org.lock:
            self._org.settle()
            table = self._org.schema.rows[object_name]
            return {row_id: dict(row) for row_id, row in table.items() if deleted or not row.get("IsDeleted")}

    def settle(self) -> None:
        """Every late commit becomes visible at once."""
        with self._org.lock:
            for late in list(self._org.late):
                self._org.late[self._org.late.index(late)] = replace(late, visible=late.begun)
            self._org.settle()

    # ── What goes wrong in the service ──

    def lock_rows(self, ids: Sequence[str], *, times: int = 1) -> None:
        """The next so many writes to each of these records, or to what points at them, meet UNABLE_TO_LOCK_ROW."""
        with self._org.lock:
            self._org.locks.update({long_id(record_id): times for record_id in ids})

    def refuse_rows(self, ids: Sequence[str], *, times: int = 1) -> None:
        """… meet a trigger of the org that refuses them (CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY)."""
        with self._org.lock:
            self._org.triggers.update({long_id(record_id): times for record_id in ids})

    def crowd(self, times: int) -> None:
        """The next so many calls are refused, since too many long ones run (ConcurrentRequests)."""
        with self._org.lock:
            self._org.crowded = times

    def spend_calls(self, *, leave: int = 0) -> None:
        """Other integrations use up the day's calls but so many (TotalRequests)."""
        with self._org.lock:
            self._org.calls.extend([self._org.now()] * (self._org.options.daily - self._org.used() - leave))

    def expire_sessions(self) -> None:
        """Every session ends."""
        self._org.expire_sessions()

    def refuse_logins(self, times: int) -> None:
        """The next so many logins are refused (invalid_grant), as after an administrator revoked the app."""
        with self._org.lock:
            self._org.closed = times

    def drop_cursors(self) -> None:
        """Every open query ends."""
        self._org.drop_cursors()

    def fail_jobs(self, times: int = 1, message: str = "InternalServerError : Retried more than fifteen times") -> None:
        """The next so many bulk jobs end as Failed."""
        with self._org.lock:
            self._org.failing_jobs.extend([message] * times)

    def forget_deletions(self, before: datetime) -> None:
        """The log of deletions was cut: what was deleted before then is not told any more (INVALID_REPLICATION_DATE)."""
        with self._org.lock:
            self._org.log_from = before

    @contextmanager
    def held(self) -> Iterator[None]:
        """No request is answered while the block lasts: several actions at one moment."""
        with self._org.lock:
            yield


def _as_json(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Values as a request has them."""
    return {name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in fields.items()}
