"""The comparison: every record of the CRMs against the mirror, object by object, and what differed put right.

An object is read whole under a cursor of its own ("reconcile:<object>"), while its ids are noted. What the mirror holds and the CRM did not
show is asked after one by one: gone for good, archived, merged, or still there. The cursor keeps the counts too, so that a comparison that
was broken off goes on, and what it says adds up: seen = same + repaired + set aside, each record once, and none that is gone there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain

from connector.adapters.port import Removals
from connector.errors import ConnectorError, SafetyStop
from connector.model import Cursor, Page
from connector.pipeline.context import PassContext
from connector.pipeline.pull.field_state import FieldState, Properties
from connector.pipeline.pull.read_by_id import BATCH, ask_after, end_look, live_ids, read_again
from connector.pipeline.pull.streams import each_stream
from connector.store.mirror import cursors, known_ids, pages
from connector.store.mirror.pages import PageResult
from connector.store.mirror.removals import ALWAYS, Removed

#: A comparison that was broken off longer ago begins anew: what it had met may be gone since.
_GOES_ON = timedelta(days=2)


@dataclass(slots=True, kw_only=True)
class Compared:
    """The comparison of one object. seen = same + repaired (it differed, or was missing here) + set_aside, of records that live there.

    gone: asked after: here, and not there. left: shown as deleted there (Salesforce lists its bin), here till now. calls: of reading it.
    """

    seen: int = 0
    same: int = 0
    repaired: int = 0
    set_aside: int = 0
    calls: int = 0
    gone: list[Removed] = field(default_factory=list)
    left: int = 0
    whole: bool = False
    error: ConnectorError | None = None

    @property
    def removed(self) -> int:
        """How many live ones left the living here."""
        return self.left + sum(removed.archived + removed.merged + removed.deleted + removed.purged for removed in self.gone)

    def add(self, page: Page, stored: PageResult) -> None:
        """Another page."""
        self.seen += stored.seen - len(stored.gone_keys)
        self.repaired += len(stored.stored_keys - stored.gone_keys)
        self.set_aside += stored.set_aside
        self.left += stored.left
        self.same = self.seen - self.repaired - self.set_aside
        self.calls += page.calls

    def document(self) -> dict[str, int]:
        """As JSON prints it."""
        return {name: getattr(self, name) for name in ("seen", "same", "repaired", "removed", "set_aside", "calls")}


def compare(
    context: PassContext, state: FieldState, now: datetime, *, leave_out: Collection[tuple[str, str]] = ()
) -> dict[str, dict[str, Compared]]:
    """Compares every object of every CRM but those left out (CRM, object), all beside each other. What stopped one is in its result."""

    def compare_stream(crm: Removals, stream: str, result: Compared, stopped: Callable[[], bool]) -> None:
        if (crm.name, stream) not in leave_out:
            wanted = state.wanted[crm.name]
            ObjectComparison(context=context, crm=crm, stream=stream, wanted=wanted, result=result, now=now).run(stopped)

    return each_stream(context, Compared, compare_stream)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where a comparison stands. at: the cursor of its reading, None before the first page; whole: all pages were read."""

    at: Cursor | None
    began: datetime
    whole: bool

    def cursor(self, counts: Mapping[str, int]) -> Cursor:
        """The comparison's own cursor, as it is kept."""
        at = None if self.at is None else dict(self.at)
        return {"at": at, "began": self.began.isoformat(), "whole": self.whole, "counts": dict(counts)}


@dataclass(slots=True, kw_only=True)
class ObjectComparison:
    """One object of one CRM against the mirror; `result` is filled as it goes. wanted: the properties of this CRM, by object."""

    context: PassContext
    crm: Removals
    stream: str
    wanted: Properties
    result: Compared
    now: datetime

    @property
    def _name(self) -> str:
        return f"reconcile:{self.stream}"

    def run(self, stopped: Callable[[], bool]) -> None:
        """Reads, asks after the rest, and is over. Raises `SafetyStop` where more is missing than may be at once."""
        if not self._read(stopped):
            return
        self._check_missing()
        self._ask_after_missing(stopped)
        if not stopped():
            self._begin_anew()
            end_look(self.context, self.crm, self.stream, self.now)
            self.result.whole = True

    def _begin_anew(self) -> None:
        """Nothing is noted of a comparison; the size of the last whole read stays."""
        store, crm, now = self.context.store, self.crm.name, self.now
        known_ids.clear_seen(store, crm, self.stream)
        store.write(lambda connection: cursors.move(connection, crm, self._name, {}, seen=0, last=True, now=now))

    # ── What the CRM shows ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self, stopped: Callable[[], bool]) -> bool:
        """Reads on where an earlier comparison stopped; True once it is whole. The counts of the last page before a crash are lost."""
        store, result = self.context.store, self.result
        place = self._place()
        if place.whole:
            return True
        for page in self.crm.pull(self.stream, place.at, now=self.now):
            behind = replace(place, at=page.cursor, whole=page.last)
            kept_page, shrink = replace(page, cursor=behind.cursor(self._counts(page))), self.context.config.guard.shrink
            result.add(page, pages.commit_page(store, kept_page, now=self.now, shrink=shrink, under=self._name, mark=True))
            self.context.progress.pulled(self.crm.name, self.stream, result.seen, result.seen if page.last else page.total)
            if page.last:
                return True
            if stopped():
                return False
        return False

    def _place(self) -> _Place:
        """Where an earlier comparison stopped, its counts taken over; or the beginning of a new one."""
        kept = pages.get_cursor(self.context.store, self.crm.name, self._name)
        if kept is not None and self.now - datetime.fromisoformat(kept["began"]) <= _GOES_ON:
            for name, count in kept["counts"].items():
                setattr(self.result, name, count)
            return _Place(at=kept["at"], began=datetime.fromisoformat(kept["began"]), whole=kept["whole"])
        self._begin_anew()
        return _Place(at=None, began=self.now, whole=False)

    def _counts(self, page: Page) -> dict[str, int]:
        """The counts as they are to be kept with a page: with what it brought, as if nothing of it differed."""
        result = self.result
        brought = (page.records, page.activities, page.deals, page.deal_contacts, page.campaigns, page.campaign_members)
        seen = result.seen + page.seen - sum(thing.archived for things in brought for thing in things)
        counts = {"seen": seen, "calls": result.calls + page.calls, "repaired": result.repaired, "left": result.left}
        return counts | {"set_aside": result.set_aside, "same": seen - result.repaired - result.set_aside}

    # ── What it does not show ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _missing(self, which: Callable[..., list[str]] = known_ids.unseen) -> Iterator[list[str]]:
        after = ""
        while ids := which(self.context.store, self.crm.name, self.stream, after=after, limit=BATCH):
            after = ids[-1]
            yield ids

    def _check_missing(self) -> None:
        missing = sum(map(len, self._missing()))
        live = sum(map(len, live_ids(self.context, self.crm.name, self.stream))) if missing > ALWAYS else 0
        if missing > max(ALWAYS, live * self.context.config.guard.shrink):
            raise SafetyStop(
                f"{self.crm.name} does not show {missing:,} of the {live:,} {self.stream} that are here: more than "
                f"{self.context.config.guard.shrink:.0%}; nothing was removed",
                advice="Check the credentials' permissions first. If so many were really deleted, raise `shrink` in [guard], once.",
            )

    def _ask_after_missing(self, stopped: Callable[[], bool]) -> None:
        """What became of the records that the CRM did not show, set aside ones too; those that are there all the same are read again."""
        for ids in chain(self._missing(), self._missing(known_ids.unseen_aside)):
            if stopped():
                return
            gone, there = ask_after(self.context, self.crm, self.stream, ids, self.now)
            self.result.gone.append(gone)
            read = read_again(self.context, self.crm, self.stream, there, self.wanted, self.now)
            self.result.seen += read.seen
            self.result.repaired += read.changed
            self.result.set_aside += read.set_aside
            self.result.same = self.result.seen - self.result.repaired - self.result.set_aside
