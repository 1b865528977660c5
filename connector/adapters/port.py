"""The port: what the connector asks of a CRM. Adapters read and write plain values and never decide anything.

Four protocols, by who asks: `Reads` (the pull, backfills, the fast lane), `Removals` (the look for what is gone, the comparison), `Writes`
(write-back) and `Describes` (schema drift, `connector check`). `Crm` is their sum: the composition root makes it, everyone else names the
part that they need.

Terms: a *stream* is one object of the CRM, by the CRM's own name ("contacts", "Lead"). A *cursor* is where a stream's pull
stands; the adapter makes it, the mirror stores it with its page and hands the last one back. None: from the beginning.
All moments are aware, in UTC. Every method may raise the tree of `errors.CrmError`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from connector.adapters.client import Lane
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
    TaskReadBack,
    TaskWrite,
    Uses,
    WriteOutcome,
)


class ReadsById(Protocol):
    """Reading records by id: what readers and writers share."""

    name: CrmName

    def read(self, object_name: str, ids: Sequence[str], properties: Sequence[str], *, lane: Lane = "urgent") -> Mapping[str, Record]:
        """The records as they are now, by id (never by a lagging search); those that do not exist are left out.

        Any number of ids. lane: "backfill" where nobody waits for them.
        """
        ...


class Reads(ReadsById, Protocol):
    """Reading a CRM into the mirror."""

    def streams(self) -> Sequence[str]:
        """The objects to pull, in an order in which what is referred to comes first: owners, companies, people, activities.

        Different streams may be pulled by different threads at once.
        """
        ...

    def want(self, wanted: Mapping[str, Sequence[str]]) -> None:
        """From now on pulls bring these properties: object → names. For what turned out not to be there, or came to be."""
        ...

    def pull(self, stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """Pages from the cursor on; the last one has `last` set. Stopping in the middle loses nothing: resume with the last cursor stored.

        After a whole first read the cursor turns to incremental by itself: the next call reads what changed since, less an overlap.
        """
        ...

    def under_way(self, cursor: Cursor) -> bool:
        """Whether this cursor of `pull` stands inside a read: that ends where it would have ended when it began, not now."""
        ...

    def refill(self, object_name: str, properties: Sequence[str], cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        """All live records with these properties alone, page by page; the last page has `last`. Resumes at a cursor of its own kind.

        For a field that was named newly, and for formula fields, whose changes no modified date tells.
        """
        ...

    def activities_of(self, object_name: str, ids: Sequence[str]) -> Sequence[Activity]:
        """Every activity of these people, read through their links, not by search: the fast lane's way to see a touch at once."""
        ...

    @property
    def histories(self) -> frozenset[str]:
        """The objects whose history of fields is read by `history`; of the others the pull brings it, or nothing does."""
        ...

    def history(self, object_name: str, ids: Sequence[str], properties: Sequence[str], *, lane: Lane = "normal") -> Page:
        """What the CRM's own history tells of these properties of live records, as `changes`, with who. Any number of ids; cursor {}.

        Only for one of `histories`. Records that do not exist are left out. An entry has the same id each time; the CRM may leave out the
        oldest of very many.
        """
        ...

    def calls(self) -> int:
        """How many requests this object has sent so far."""
        ...


class Removals(Reads, Protocol):
    """Finding what is gone from a CRM, and what came back; what neither tells is read."""

    def removals(self, object_name: str, cursor: Cursor | None, *, now: datetime) -> Iterator[RemovalPage]:
        """Records of one object that the CRM itself tells as removed since the cursor (None: as far back as it remembers).

        No page at all where the CRM tells nothing of the kind: then `fates` of the ids at hand is the way. The first page raises
        `ObjectStopped` with code "TOO_LONG_AGO" where the CRM does not remember as far back as the cursor.
        """
        ...

    def tells_removals(self, object_name: str) -> bool:
        """Whether `removals`, or the pull itself, brings what is removed of this object; hard and privacy deletions may be beyond it."""
        ...

    def fates(self, object_name: str, ids: Sequence[str]) -> Mapping[str, Removal]:
        """What became of records that should be there: those that are removed, by id; live ones are left out. Any number of ids."""
        ...

    def tells_restored(self, object_name: str) -> bool:
        """Whether the pull itself brings what of this object is restored from the recycle bin; where not, `bring` does."""
        ...

    def bring(self, object_name: str, ids: Sequence[str]) -> Page:
        """These as `pull` brings them, read by id now, with the properties of `want`; those that do not live are left out.

        For what was restored, or missed; an empty page where the pull brings what is restored (`tells_restored`). Any number of ids; the
        cursor is {}.
        """
        ...

    def countable(self, object_name: str) -> bool:
        """Whether ids of this object are numbers by which the CRM counts: to be asked before `count`."""
        ...

    def count(self, object_name: str, first: int, last: int) -> int:
        """How many live records have ids from `first` to `last`, numbers both included. Only for what is `countable`.

        A record that is younger than the CRM's index may not be counted yet.
        """
        ...

    def relink(self, object_name: str, ids: Sequence[str]) -> Mapping[str, Sequence[RecordRef]]:
        """Which people these activities or deals are about now, by id; {} where the pull brings every such change by itself."""
        ...


class Writes(ReadsById, Protocol):
    """Writing into a CRM, with the reads before and after."""

    def batch_size(self, object_name: str) -> int:
        """How many records one write call takes."""
        ...

    def update(self, object_name: str, writes: Sequence[FieldWrite]) -> list[WriteOutcome]:
        """Sets properties on at most `batch_size` records of one object; one outcome a write, in order. Safe to send again."""
        ...

    def create_tasks(self, writes: Sequence[TaskWrite]) -> list[WriteOutcome]:
        """Creates at most `batch_size` tasks, each on its record; one outcome a write, in order.

        A lost answer is `unknown`; nothing is repeated that could create a second task.
        """
        ...

    def find_tasks(self, writes: Sequence[TaskWrite]) -> Mapping[str, str]:
        """Which of these tasks exist: key → task id, looked up by external id or the record's associations, not by search."""
        ...

    def read_tasks(self, ids: Sequence[str]) -> Mapping[str, TaskReadBack]:
        """Tasks as they are now, by id; missing ones are left out (read-back)."""
        ...


class Describes(Protocol):
    """What a CRM says of itself."""

    name: CrmName

    def schema(self, objects: Sequence[str]) -> Schema:
        """The fields of these objects as they are now."""
        ...

    def check(self, *, now: datetime, uses: Uses | None = None) -> list[Finding]:
        """Credentials, permissions for what the configuration uses, limits, clock, others who write: as far as the CRM answers.

        One finding holds the permissions that are needed, also where nothing answers. Raises nothing but bugs, writes nothing.
        """
        ...

    def how_many(self, object_name: str, name: str | None = None, value: str | None = None) -> int | None:
        """How many live records of this object there are, or have this value of a property; None where the CRM does not tell.

        May be some hours old, and a few more or less. One request.
        """
        ...

    def surroundings(self) -> Surroundings:
        """What the account's own set-up means for rules; asked once for an installation, and when the file changed."""
        ...

    def record_url(self, object_name: str, record_id: str) -> str:
        """Where a person opens this record."""
        ...


class Crm(Removals, Writes, Describes, Protocol):
    """All of a CRM, as the composition root makes it and gives it back."""

    def close(self) -> None:
        """Gives back connections."""
        ...
