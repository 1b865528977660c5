"""Every script of `connector sandbox --fault` against every adapter that it concerns: what is read is whole, what is written is there once.

The scripts are taken from the sandbox's own list, so that a new one is played here as soon as it exists; what it means in memory, or that
it means nothing there, has to be said beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TypeVar

import pytest

from connector.errors import CrmError, ObjectStopped, PassStopped, Retriable
from connector.model import FieldWrite, TaskWrite, WriteOutcome, WriteState
from connector.sandbox.scenarios.catalogue import SCENARIOS
from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world
from tests.contract.memory_subject import IN_MEMORY, NOT_IN_MEMORY
from tests.contract.reading import Read, field_writes, read_on, some, task_write
from tests.contract.sandboxes import room_named, small_box
from tests.contract.subjects import HUBSPOT, SALESFORCE, Clock, HubSpotRoom, Room

W = TypeVar("W", FieldWrite, TaskWrite)

A_DAY = timedelta(hours=25)
#: What every pull meets while such a script is played. Others may cost a pull, which the next one makes good (`Retriable`).
STOPPING = {"revoked", "no-account", "account-moves", "day-limit"}
#: What becomes of some writes, row by row, whoever plays it.
SEEN = {"refused-rows": WriteState.REFUSED, "lost-answers": WriteState.UNKNOWN}

PLAYED = [(name, crm) for name, one in SCENARIOS.items() for crm in one.crms]
PLAYED += [(name, f"memory as {crm}") for name, crm in PLAYED if name in IN_MEMORY]


def test_every_script_has_its_meaning_in_memory_or_none() -> None:
    assert {*IN_MEMORY, *NOT_IN_MEMORY} == set(SCENARIOS)
    assert not set(IN_MEMORY) & set(NOT_IN_MEMORY)


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def box(clock: Clock) -> Iterator[Sandbox]:
    """Small enough that a pull is quick; more Leads than a page holds."""
    world = make_world(now=clock(), hubspot_contacts=250, salesforce_leads=450)
    with Sandbox(world, now=clock, hubspot=HUBSPOT, salesforce=SALESFORCE) as running:
        yield running


@contextmanager
def own(scenario: str, name: str, box: Sandbox, clock: Clock) -> Iterator[Room]:
    """A room that nothing goes wrong in yet: HubSpot's with tokens that end, and one in a hurry where answers are slow."""
    clock.forward(A_DAY)
    with small_box(clock) if scenario == "schema-drift" else nullcontext(box) as mine:
        yield from in_room(scenario, name, mine, clock)


def in_room(scenario: str, name: str, box: Sandbox, clock: Clock) -> Iterator[Room]:
    room = HubSpotRoom(box, clock, oauth=True) if name == "hubspot" else room_named(name, box, clock)
    room.hasty = scenario == "slow"
    room.crm.close()
    room.crm = room.fresh()
    try:
        yield room
    finally:
        room.clean()
        room.crm.close()


def play(room: Room, scenario: str) -> None:
    room.play(scenario, times=1 if room.hasty else 5)


# ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def pull_on(room: Room, cursor: object, errors: list[CrmError]) -> Read:
    """Pulls some minutes apart, as passes are: each goes on from the last page that came."""
    found = Read([])
    for _ in range(6):
        try:
            for page in room.crm.pull(room.people, cursor, now=room.now):  # type: ignore[arg-type]  # a cursor is the adapter's own
                found.pages.append(page)
                cursor = page.cursor
        except CrmError as error:
            errors.append(error)
        room.later()
    return found


@pytest.mark.parametrize("first", [True, False], ids=["first read", "changes"])
@pytest.mark.parametrize(("scenario", "name"), PLAYED)
def test_what_is_read_is_whole_afterwards(scenario: str, name: str, first: bool, box: Sandbox, clock: Clock) -> None:
    """The script begins with a first read, or once one is done; the pull after it, and what the CRM tells of removals, make all whole."""
    with own(scenario, name, box, clock) as room:
        begun = Read([]) if first else read_on(room.crm, room.people, None, room.now)
        room.later(timedelta(hours=1))
        errors: list[CrmError] = []
        play(room, scenario)
        meanwhile = pull_on(room, begun.cursor if begun.pages else None, errors)
        room.clean()
        room.later(A_DAY)
        pages = [*begun.pages, *meanwhile.pages]
        last = read_on(room.crm, room.people, pages[-1].cursor if pages else None, room.now)
        brought = {one.id: one for page in (*pages, *last.pages) for one in page.records}
        gone = room.crm.fates(room.people, [one for one, record in brought.items() if not record.archived])
        alive = {one for one, record in brought.items() if not record.archived and one not in gone}
        assert alive == room.live(room.people)
        assert {one: brought[one].properties[room.words] or None for one in alive} == {one: room.value(one) or None for one in alive}
        check_errors(scenario, errors)


def check_errors(scenario: str, errors: list[CrmError]) -> None:
    """What may pass is to be tried again; what stops a pass stops it, and no object alone."""
    assert not [error for error in errors if isinstance(error, ObjectStopped)]
    if scenario in STOPPING:
        assert [error for error in errors if isinstance(error, PassStopped)]
    else:
        assert not [error for error in errors if not isinstance(error, Retriable)]


# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Writer:
    """Goes about its writes as the executor does: what did not end is looked up before it is sent again."""

    room: Room
    ids: list[str]
    fields: dict[str, FieldWrite] = field(default_factory=dict)
    tasks: dict[str, TaskWrite] = field(default_factory=dict)
    keys: list[tuple[str, str]] = field(default_factory=list)
    sent: set[str] = field(default_factory=set)
    states: set[WriteState] = field(default_factory=set)

    def order(self, words: str) -> None:
        """Each person gets this value, and a task of this name."""
        for one, write in zip(self.ids, field_writes(self.room, self.ids, words), strict=True):
            self.fields[one] = write
            key = f"{words} {one}"
            self.tasks[key] = task_write(self.room, one, key)
            self.keys.append((one, key))

    def work(self) -> None:
        """One pass."""
        for one, outcome in self._tried(self.fields, partial(self.room.crm.update, self.room.people)):
            if outcome.state is WriteState.WRITTEN:
                del self.fields[one]
        try:
            self._look_up()
        except CrmError:
            return  # nothing is sent of which nobody knows whether it is there
        for key, outcome in self._tried(self.tasks, self.room.crm.create_tasks):
            if outcome.state is WriteState.WRITTEN:
                del self.tasks[key]

    def _look_up(self) -> None:
        doubtful = [write for key, write in self.tasks.items() if key in self.sent]
        for key in self.room.crm.find_tasks(doubtful) if doubtful else ():
            del self.tasks[key]

    def _tried(self, writes: Mapping[str, W], send: Callable[[Sequence[W]], list[WriteOutcome]]) -> list[tuple[str, WriteOutcome]]:
        self.sent.update(writes)
        try:
            outcomes = send(list(writes.values())) if writes else []
        except CrmError:
            return []
        self.states.update(outcome.state for outcome in outcomes)
        return list(zip(writes, outcomes, strict=True))


@pytest.mark.parametrize(("scenario", "name"), PLAYED)
def test_what_is_written_is_there_and_once(scenario: str, name: str, box: Sandbox, clock: Clock) -> None:
    with own(scenario, name, box, clock) as room:
        writer = Writer(room, some(room, 4))
        play(room, scenario)
        for number in range(3):
            writer.order(f"{scenario} {name} {number}")
            writer.work()
            room.later()
        room.clean()
        room.later(A_DAY)
        for _ in range(3):
            writer.work()
            room.later()
        there = set(some(room, 10_000)) & set(writer.ids)
        assert there
        assert not there & set(writer.fields)
        assert {room.value(one) for one in there} <= {f"{scenario} {name} 2", *edits(room)}
        made = {(one, key): room.tasks_with(key) for one, key in writer.keys}
        assert {count for (one, _), count in made.items() if one in there} == {1}
        assert max(made.values()) == 1
        if scenario in SEEN:
            assert SEEN[scenario] in writer.states


def edits(room: Room) -> set[str | None]:
    """What people wrote over it meanwhile."""
    values = {room.value(one) for one in some(room, 10_000)}
    return {value for value in values if (value or "").startswith("Head of ")}
