"""Removals, and what else no modified date tells: records archived, deleted, purged or merged away, or missing here, and changed links.

Object by object: what the CRM itself tells as removed; where it can count by number, stretches of ids that differ, halved until they are
small enough to be asked after; of objects that tell nothing, everything recent by id; and whom recent activities and deals are about now.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from itertools import count

from connector.adapters.port import Crm
from connector.errors import ConnectorError, ObjectStopped, SafetyStop
from connector.model import Cursor
from connector.pipeline.context import PassContext
from connector.pipeline.pull.field_state import FieldState, Properties
from connector.pipeline.pull.read_by_id import BATCH, ask_after, bring_again, end_look, read_again
from connector.pipeline.pull.reconcile import Compared, ObjectComparison
from connector.pipeline.pull.streams import each_stream
from connector.store import runs
from connector.store.mirror import activities, known_ids, pages
from connector.store.mirror.removals import ALWAYS, Removed, apply_removals

#: What tells nothing of removals is asked after as far back; whom something is about is read again as far back.
_ASKED_BACK = timedelta(days=90)
_LINKED_BACK = timedelta(days=30)
#: What was archived can be restored for 90 days; a day more for when it was noticed here.
_RESTORED_BACK = timedelta(days=91)
#: What is gone from the bin sooner was taken out of it: afterwards it may have come of age there, which is no deletion for privacy.
_SURELY_IN_BIN = timedelta(days=85)
#: How long a new record may be missing in what the CRM counts.
_COUNTED_AFTER = timedelta(minutes=15)
#: Ids of one stretch that are asked after rather than counted further, and stretches counted at most; beyond, the object is compared whole.
_SMALL = 100
_MOST_COUNTS = 1_000
#: Ids that are missing after the largest here, of which each takes some thirty counts to be found: no more are looked for.
_FEW = 5
_TOO_LONG_AGO = "TOO_LONG_AGO"


@dataclass(slots=True, kw_only=True)
class Looked:
    """The result of a look at one object, in rows that were alive here before.

    restored: archived here, and alive there; found: alive there, and not here; relinked: about other people than here. compared: the
    object had to be compared whole. error: what stopped it.
    """

    archived: int = 0
    merged: int = 0
    deleted: int = 0
    purged: int = 0
    restored: int = 0
    found: int = 0
    relinked: int = 0
    compared: bool = False
    error: ConnectorError | None = None

    def add(self, removed: Removed) -> None:
        """What another page of removals came to."""
        self.archived += removed.archived
        self.merged += removed.merged
        self.deleted += removed.deleted
        self.purged += removed.purged

    def document(self) -> dict[str, int | bool]:
        """As JSON prints it."""
        return {count.name: getattr(self, count.name) for count in fields(self) if count.name != "error"}


def look(
    context: PassContext, state: FieldState, now: datetime, *, leave_out: Collection[tuple[str, str]] = ()
) -> dict[str, dict[str, Looked]]:
    """Looks at every object of every CRM but those left out (CRM, object). What stopped one is in its result."""

    total, done = sum(len(crm.streams()) for crm in context.crms.values()), count(1)

    def look_at(crm: Crm, stream: str, result: Looked, stopped: Callable[[], bool]) -> None:
        if (crm.name, stream) not in leave_out:
            wanted = state.wanted[crm.name]
            _Look(context=context, crm=crm, object=stream, wanted=wanted, result=result, stopped=stopped, now=now).run()
        context.progress.step("removals", next(done), total)

    return each_stream(context, Looked, look_at)


@dataclass(slots=True, kw_only=True)
class _Look:
    """The look at one object of one CRM."""

    context: PassContext
    crm: Crm
    object: str
    wanted: Properties
    result: Looked
    stopped: Callable[[], bool]
    now: datetime
    _bin_read: bool = False

    def run(self) -> None:
        for step in (
            self._apply_removals,
            self._bring_restored,
            self._ask_after_emptied_bin,
            self._compare_counts,
            self._ask_after_recent,
            self._relink_recent,
        ):
            if self.stopped():
                return
            step()
        end_look(self.context, self.crm, self.object, self.now)

    # ── What the CRM tells ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _apply_removals(self) -> None:
        name = f"removals:{self.object}"
        cursor = pages.get_cursor(self.context.store, self.crm.name, name)
        try:
            self._apply_from(cursor)
        except ObjectStopped as error:
            if error.code != _TOO_LONG_AGO:
                raise
            if self._compare():
                self._apply_from(None)

    def _apply_from(self, cursor: Cursor | None) -> None:
        for page in self.crm.removals(self.object, cursor, now=self.now):
            if page.since is not None and runs.began_before(self.context.store, page.since):
                self._compare()  # what went before then, and after the first pull, nobody tells
            going_on = replace(page, last=False)  # a look is over when all its steps are: what they take away counts together
            self.result.add(apply_removals(self.context.store, going_on, now=self.now, shrink=self.context.config.guard.shrink))
            self._bin_read = page.bin is not None and page.last
            if self.stopped():
                return

    def _compare(self) -> bool:
        """Compares the object whole, since its removals cannot be told any more; whether it came to its end."""
        compared = Compared()
        comparison = ObjectComparison(
            context=self.context, crm=self.crm, stream=self.object, wanted=self.wanted, result=compared, now=self.now
        )
        comparison.run(self.stopped)
        self.result.compared = True
        for gone in compared.gone:
            self.result.add(gone)
        return compared.whole

    # ── What is back ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _bring_restored(self) -> None:
        """What was archived here as long as it can be restored, by id. Before counting: as many may be purged as came back."""
        for ids in self._pieces(known_ids.gone_lately, _RESTORED_BACK):
            read = None if self.stopped() else bring_again(self.context, self.crm, self.object, ids, self.now)
            if read is None:  # the pull brings what is restored
                return
            self.result.restored += read.restored

    # ── Who is not even in the bin ───────────────────────────────────────────────────────────────────────────────────────────────

    def _ask_after_emptied_bin(self) -> None:
        """People who were archived here, and whom the bin does not hold any more: they are back, or were deleted for privacy."""
        if not self._bin_read:
            return
        for ids in self._pieces(known_ids.missing_in_bin, _SURELY_IN_BIN):
            if self.stopped():
                return
            removed, _ = ask_after(self.context, self.crm, self.object, ids, self.now)
            self.result.add(removed)
        known_ids.clear_bin(self.context.store, self.crm.name, self.object)

    # ── What it can count ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _compare_counts(self) -> None:
        """Purged, merged and hard-deleted records, and records that are missing here: where the numbers of ids differ."""
        counts = _IdCounts(context=self.context, crm=self.crm, object=self.object, wanted=self.wanted, result=self.result, now=self.now)
        if not counts.run(self.stopped):
            self._compare()

    # ── What has to be asked ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _ask_after_recent(self) -> None:
        """Of an object that tells nothing, what is recent or still to come, by id."""
        if self.crm.tells_removals(self.object):
            return
        for ids in self._pieces(known_ids.recent_activity_ids, _ASKED_BACK):
            if self.stopped():
                return
            removed, _ = ask_after(self.context, self.crm, self.object, ids, self.now)
            self.result.add(removed)

    def _relink_recent(self) -> None:
        """Whom recent activities and deals are about now."""
        for ids in self._pieces(known_ids.recent_activity_ids, _LINKED_BACK):
            links = {} if self.stopped() else self.crm.relink(self.object, ids)
            if not links:  # the pull brings every such change
                return
            self.result.relinked += activities.relink(self.context.store, self.crm.name, self.object, links, now=self.now)

    def _pieces(self, which: Callable[..., list[str]], back: timedelta) -> Iterator[list[str]]:
        """Ids that this function of `known` tells since so long ago."""
        after, since = "", self.now - back
        while ids := which(self.context.store, self.crm.name, self.object, since=since, after=after, limit=BATCH):
            after = ids[-1]
            yield ids


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Ids from first to last, both included, and how many of them live there and here."""

    first: int
    last: int
    theirs: int
    ours: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _IdCounts:
    """The comparison of one object by how many ids there are in a stretch: those that differ are halved until they can be read id by id."""

    context: PassContext
    crm: Crm
    object: str
    wanted: Properties
    result: Looked
    now: datetime

    def run(self, stopped: Callable[[], bool]) -> bool:
        """Whether it came to its end; False where so many stretches differ that the object has to be compared whole."""
        if known_ids.let_go(self.context.store, self.crm.name, self.object):  # fewer are here on purpose
            return True
        last = self._largest()
        theirs = None if last is None else self.crm.count(self.object, 1, last)
        if last is None or theirs is None:
            return True
        ours = known_ids.count_known(self.context.store, self.crm.name, self.object, 1, last)
        self._check_size(theirs, ours)
        work, counted = [*self._beyond(last), _Stretch(1, last, theirs, ours)], 1
        while work and not stopped():
            stretch = work.pop()
            uncounted = stretch.first > last and stretch.theirs < stretch.ours  # too new for the CRM's index
            if stretch.theirs == stretch.ours or uncounted or self._settled(stretch):
                continue
            if counted >= _MOST_COUNTS:
                return False
            work += self._halves(stretch)
            counted += 1
        return True

    def _beyond(self, last: int) -> list[_Stretch]:
        """The ids after the largest that is here: the newest of all may have come out of the bin. What the search does not show yet is no
        sign of anything; and where many are missing they were created since the pull, which brings them."""
        first, end = last + 1, 2 * last + _SMALL
        theirs = self.crm.count(self.object, first, end) or 0
        ours = known_ids.count_known(self.context.store, self.crm.name, self.object, first, end) if theirs else 0
        return [_Stretch(first, end, theirs, ours)] if 0 < theirs - ours <= _FEW else []

    def _largest(self) -> int | None:
        """The largest id here, of those that are numbers, that is old enough to be counted there."""
        largest = known_ids.largest(self.context.store, self.crm.name, self.object, created_before=self.now - _COUNTED_AFTER)
        return int(largest) if largest.isdigit() else None

    def _check_size(self, theirs: int, ours: int) -> None:
        if ours - theirs > max(ALWAYS, ours * self.context.config.guard.shrink):
            raise SafetyStop(
                f"{self.crm.name} counts {theirs:,} {self.object}, {ours:,} are here: more than {self.context.config.guard.shrink:.0%} are "
                "missing; nothing was removed",
                advice="Check the credentials' permissions first. If so many were really deleted, raise `shrink` in [guard], once.",
            )

    def _settled(self, stretch: _Stretch) -> bool:
        """Asks after the ids of a stretch that is small enough, or reads it id by id; whether nothing of it is left to look at."""
        if stretch.ours > stretch.theirs and stretch.ours <= _SMALL:
            removed, _ = ask_after(self.context, self.crm, self.object, self._ids(stretch), self.now)
            self.result.add(removed)
            return True
        if stretch.last - stretch.first >= _SMALL:
            return False
        known = set(self._ids(stretch))
        missing = [str(number) for number in range(stretch.first, stretch.last + 1) if str(number) not in known]
        read = read_again(self.context, self.crm, self.object, missing, self.wanted, self.now)
        self.result.restored += read.restored
        self.result.found += read.found
        return True

    def _ids(self, stretch: _Stretch) -> list[str]:
        return known_ids.known_between(self.context.store, self.crm.name, self.object, stretch.first, stretch.last)

    def _halves(self, stretch: _Stretch) -> Iterator[_Stretch]:
        middle = (stretch.first + stretch.last) // 2
        theirs = self.crm.count(self.object, stretch.first, middle) or 0
        ours = known_ids.count_known(self.context.store, self.crm.name, self.object, stretch.first, middle)
        yield _Stretch(stretch.first, middle, theirs, ours)
        yield _Stretch(middle + 1, stretch.last, stretch.theirs - theirs, stretch.ours - ours)
