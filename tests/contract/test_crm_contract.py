"""The port's contract, which HubSpot, Salesforce and the CRM in memory keep alike: every method, and every way in which answers fail.

HubSpot and Salesforce are spoken to over real HTTP, beside a sandbox; the truth is read past the adapters.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any, TypeVar

import pytest
from crm_contract_rooms import PEOPLE, TROUBLES, Clock, HubSpotRoom, MemoryRoom, Room, SalesforceRoom, SandboxRoom, Trouble

from connector.adapters.port import Crm
from connector.errors import CrmError, PassStopped
from connector.model import Cursor, Fate, FieldWrite, Page, TaskSpec, TaskWrite, WriteState
from connector.sandbox.frame import Fault
from connector.sandbox.scenarios import SCENARIOS, arm
from connector.sandbox.serve import Sandbox

T = TypeVar("T")

ROOMS = ("hubspot", "salesforce", "memory as hubspot", "memory as salesforce")
_OPTIONS: dict[str, dict[str, Any]] = {
    "hubspot": {"requests_per_10_seconds": 10**6, "searches_per_second": 10**6},
    "salesforce": {"page_size": 200},
}


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def box(clock: Clock) -> Iterator[Sandbox]:
    with Sandbox(now=clock, hubspot_contacts=PEOPLE, salesforce_leads=450, **_OPTIONS["hubspot"], **_OPTIONS["salesforce"]) as running:
        yield running


def _room(name: str, box: Sandbox, clock: Clock) -> Room:
    if name == "hubspot":
        return HubSpotRoom(box, clock)
    if name == "salesforce":
        return SalesforceRoom(box, clock)
    return MemoryRoom(name.rsplit(" ", 1)[1])


@pytest.fixture(params=ROOMS)
def room(request: pytest.FixtureRequest, box: Sandbox, clock: Clock) -> Iterator[Room]:
    """Time goes on from test to test: what one did is not new to the next."""
    clock.forward(timedelta(hours=1))
    made = _room(request.param, box, clock)
    yield made
    made.clean()
    made.close()


# ── Reading on and on ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class Read:
    """What pages brought, in their order."""

    pages: list[Page]

    @property
    def ids(self) -> list[str]:
        return [one.id for page in self.pages for one in things(page)]

    @property
    def live(self) -> set[str]:
        """What lives, as it was brought last."""
        last = {one.id: one for page in self.pages for one in things(page)}
        return {one.id for one in last.values() if not getattr(one, "archived", False)}

    @property
    def cursor(self) -> Cursor:
        return self.pages[-1].cursor

    @property
    def calls(self) -> int:
        return sum(page.calls for page in self.pages)


def things(page: Page) -> list[Any]:
    lists = (
        page.records,
        page.activities,
        page.owners,
        page.changes,
        page.deals,
        page.deal_contacts,
        page.campaigns,
        page.campaign_members,
    )
    return [one for each in lists for one in each]


def read(crm: Crm, stream: str, cursor: Cursor | None, now: Any) -> Read:
    """One pull to its end; the pages add up."""
    pages = list(crm.pull(stream, cursor, now=now))
    add_up(crm, stream, pages)
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    return Read(pages)


def add_up(crm: Crm, stream: str, pages: Sequence[Page]) -> None:
    for page in pages:
        assert (page.crm, page.object) == (crm.name, stream)
        assert page.seen == len(things(page)) + len(page.set_aside)


def read_on(crm: Crm, stream: str, cursor: Cursor | None, now: Any, *, tries: int = 40) -> Read:
    """Pulls again and again, each from the last page's cursor, until one comes to its end."""
    pages: list[Page] = []
    for _ in range(tries):
        try:
            for page in crm.pull(stream, cursor, now=now):
                pages.append(page)
                cursor = page.cursor
            add_up(crm, stream, pages)
            assert pages[-1].last
            return Read(pages)
        except CrmError:
            continue
    raise AssertionError(f"{tries} pulls did not come to their end")


def whole(room: Room) -> Cursor:
    """The cursor after a first read of the people, and what it said of itself."""
    return read(room.crm, room.people, None, room.now).cursor


def changed(room: Room, cursor: Cursor) -> Read:
    """The next pull, once the lags are over."""
    room.later()
    return read(room.crm, room.people, cursor, room.now)


def some(room: Room, count: int, *, first: int = 0) -> list[str]:
    """People that may be changed: no converted Leads among them."""
    if isinstance(room, SalesforceRoom):
        return sorted(one for one, row in room.box.salesforce.live("Lead").items() if not row.get("IsConverted"))[first : first + count]
    return sorted(room.live(room.people))[first : first + count]


class TestFirstPull:
    def test_it_brings_everything_once(self, room: Room) -> None:
        found = read(room.crm, room.people, None, room.now)
        assert found.live == room.live(room.people)
        assert max(Counter(found.ids).values()) == 1
        assert len(found.pages) > 1
        assert all(page.full for page in found.pages[:-1])
        totals = {page.total for page in found.pages if page.total is not None}
        assert not totals or max(totals) >= len(found.live)

    def test_every_stream_comes_to_its_end(self, room: Room) -> None:
        for stream in room.crm.streams():
            found = read(room.crm, stream, None, room.now)
            if isinstance(room, SandboxRoom) and stream not in ("User", "LeadHistory"):
                assert found.live == room.live(stream), stream
            assert max(Counter(found.ids).values(), default=1) == 1

    def test_stopped_after_any_page_it_goes_on_with_the_cursor(self, room: Room) -> None:
        pages = len(read(room.crm, room.people, None, room.now).pages)
        for stop in range(1, pages + 1):
            begun = Read(list(islice(pull := room.crm.pull(room.people, None, now=room.now), stop)))
            pull.close()  # type: ignore[attr-defined]  # a generator
            rest = read(room.fresh(), room.people, begun.cursor, room.now)
            assert begun.live | rest.live == room.live(room.people)
            if stop < pages:
                assert max(Counter([*begun.ids, *rest.ids]).values()) == 1

    def test_calls_are_those_of_the_pages(self, room: Room) -> None:
        crm = room.fresh()
        before, arrived = crm.calls(), room.sent()
        found = read(crm, room.people, None, room.now)
        assert found.calls <= crm.calls() - before <= found.calls + 2  # a login
        assert crm.calls() - before <= room.sent() - arrived if isinstance(room, SandboxRoom) else True

    def test_streams_in_threads_of_their_own(self, room: Room) -> None:
        crm, found = room.fresh(), dict[str, Read]()

        def work(stream: str) -> None:
            found[stream] = read(crm, stream, None, room.now)

        threads = [threading.Thread(target=work, args=(stream,)) for stream in crm.streams()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(found) == set(crm.streams())
        assert found[room.people].live == room.live(room.people)

    def test_it_brings_what_is_wanted_now(self, room: Room) -> None:
        crm = room.fresh()
        crm.want({room.people: [room.words]})
        (first, *_) = crm.pull(room.people, None, now=room.now)
        assert {tuple(one.properties) for one in first.records} == {(room.words,)}
        crm.want({room.people: [room.words, "email" if crm.name == "hubspot" else "Email"]})
        (first, *_) = crm.pull(room.people, None, now=room.now)
        assert {len(one.properties) for one in first.records} == {2}


class TestChanges:
    def test_nothing_new_in_few_calls(self, room: Room) -> None:
        cursor = whole(room)
        quiet = changed(room, cursor)
        again = changed(room, quiet.cursor)
        room.later(timedelta(hours=1))
        last = read(room.crm, room.people, again.cursor, room.now)
        assert last.ids == []
        assert last.calls <= 2
        assert not last.pages[-1].full

    def test_edits_creations_and_deletions(self, room: Room) -> None:
        cursor = whole(room)
        room.later()
        one, two, three = some(room, 3)
        room.edit(one, "Erste")
        made = room.create("Neue")
        room.delete(room.people, two)
        found = changed(room, cursor)
        last = {record.id: record for page in found.pages for record in page.records}
        assert last[one].properties[room.words] == "Erste"
        assert last[made].properties[room.words] == "Neue"
        assert three not in last
        assert two not in last or last[two].archived

    def test_more_than_a_page_with_one_moment(self, room: Room) -> None:
        cursor = whole(room)
        room.later()
        ids = some(room, 430)
        room.stamp_alike(ids)
        found = changed(room, cursor)
        assert set(ids) <= set(found.ids)
        assert max(Counter(found.ids).values()) == 1

    def test_stopped_after_any_page_nothing_is_lost(self, room: Room) -> None:
        cursor = whole(room)
        room.later()
        ids = set(some(room, 430))
        room.stamp_alike(sorted(ids))
        room.later()
        pages = len(read(room.crm, room.people, cursor, room.now).pages)
        for stop in range(1, pages + 1):
            begun = Read(list(islice(pull := room.crm.pull(room.people, cursor, now=room.now), stop)))
            pull.close()  # type: ignore[attr-defined]  # a generator
            rest = read(room.fresh(), room.people, begun.cursor, room.now)
            assert ids <= {*begun.ids, *rest.ids}

    def test_what_changes_while_it_is_read_is_not_lost(self, room: Room) -> None:
        pull = room.crm.pull(room.people, None, now=room.now)
        pages = [next(pull)]
        last, first = some(room, 1000)[-1], some(room, 1)[0]
        room.edit(last, "Später")
        room.edit(first, "Früher")
        made = room.create("Dazu")
        pages += list(pull)
        found = changed(room, pages[-1].cursor)
        brought = {one.id: one for page in (*pages, *found.pages) for one in page.records}
        assert [brought[one].properties[room.words] for one in (last, first, made)] == ["Später", "Früher", "Dazu"]


class TestByIds:
    def test_records_as_they_are_now(self, room: Room) -> None:
        ids = some(room, 120)
        room.edit(ids[0], "Jetzt")
        room.delete(room.people, ids[1])
        found = room.crm.read(room.people, [*ids, "999999999999999" if room.crm.name == "hubspot" else "00Q000000000999AAA"], [room.words])
        assert set(found) == {one for one in ids if one != ids[1]}
        assert {one: record.properties for one, record in found.items()} == {one: {room.words: room.value(one)} for one in found}
        assert found[ids[0]].properties[room.words] == "Jetzt"
        assert room.crm.read(room.people, [], [room.words]) == {}

    def test_what_became_of_them(self, room: Room) -> None:
        live, archived, one, other, third, gone = some(room, 6)
        room.delete(room.people, archived)
        survivor = room.merge(one, other)
        final = room.merge(third, survivor)
        room.delete_for_good(gone)
        found = room.crm.fates(room.people, [live, archived, one, other, third, survivor, final, gone])
        assert live not in found
        assert final not in found
        assert found[archived].fate is Fate.ARCHIVED
        assert {found[each].into for each in {one, other, third, survivor} - {final}} <= {final, survivor}
        assert {found[each].fate for each in {one, other, third, survivor} - {final}} == {Fate.MERGED}
        assert found[gone].fate in (Fate.PURGED, Fate.DELETED)
        assert room.crm.fates(room.people, []) == {}

    def test_removals_are_told_once_there_is_a_cursor(self, room: Room) -> None:
        assert room.crm.tells_removals(room.people)
        pages = list(room.crm.removals(room.people, None, now=room.now))
        assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
        room.later(timedelta(hours=1))
        (one,) = some(room, 1)
        if room.crm.name == "hubspot":
            room.delete(room.people, one)
        else:
            room.delete_for_good(one)
        room.later(timedelta(hours=1))
        told = [each for page in room.crm.removals(room.people, pages[-1].cursor, now=room.now) for each in page.removals]
        assert one in {each.record.id for each in told}
        assert {each.record.object for each in told} == {room.people}

    def test_a_restored_record_is_read_again(self, room: Room) -> None:
        (one,) = some(room, 1)
        room.delete(room.people, one)
        assert room.crm.fates(room.people, [one])[one].fate is Fate.ARCHIVED
        room.restore(one)
        assert room.crm.fates(room.people, [one]) == {}
        assert set(room.crm.read(room.people, [one], [room.words])) == {one}

    def test_counted_by_number_where_ids_are_numbers(self, room: Room) -> None:
        counted = room.crm.count(room.people, 1, 10**14)
        if room.crm.name == "salesforce":
            assert counted is None
            return
        ids = sorted(map(int, room.live(room.people)))
        assert counted == len(ids)
        assert room.crm.count(room.people, ids[10], ids[20]) == 11
        assert room.crm.count(room.people, ids[10] + 1, ids[20]) == 10

    def test_how_many(self, room: Room) -> None:
        told = room.crm.how_many(room.people)
        assert told is not None
        assert abs(told - len(room.live(room.people))) <= max(5, len(room.live(room.people)) // 50)

    def test_refilled_from_any_page(self, room: Room) -> None:
        whole_refill = list(room.crm.refill(room.people, [room.words], None, now=room.now))
        add_up(room.crm, room.people, whole_refill)
        values = {one.id: one.properties for page in whole_refill for one in page.records}
        assert {one: list(value) for one, value in values.items()} == {one: [room.words] for one in room.live(room.people)}
        for stop in range(1, len(whole_refill)):
            begun = list(islice(pull := room.crm.refill(room.people, [room.words], None, now=room.now), stop))
            pull.close()  # type: ignore[attr-defined]  # a generator
            rest = list(room.fresh().refill(room.people, [room.words], begun[-1].cursor, now=room.now))
            ids = [one.id for page in (*begun, *rest) for one in page.records]
            assert sorted(ids) == sorted(values)

    def test_whom_activities_are_about(self, room: Room) -> None:
        one, two = some(room, 2)
        call = room.log_call(one)
        found = room.crm.relink(room.calls, [call])
        if room.crm.name == "salesforce":
            assert found == {}
        else:
            assert {each: [ref.id for ref in refs] for each, refs in found.items()} == {call: [one]}
        activities = {each.id: each for each in room.crm.activities_of(room.people, [one])}
        assert call in activities
        assert room.ref(one) in activities[call].contacts
        assert call not in {each.id for each in room.crm.activities_of(room.people, [two])}
        assert list(room.crm.activities_of(room.people, [])) == []

    def test_the_fields_of_an_object(self, room: Room) -> None:
        found = room.crm.schema([room.people])[room.people]
        assert room.words in found
        assert found[room.words].name == room.words
        assert found[room.words].writable
        room.hide(room.words)
        try:
            crm = room.fresh()
            assert room.words not in crm.schema([room.people])[room.people]
            crm.want({room.people: [room.words]})
            pages = list(crm.pull(room.people, None, now=room.now))
            assert room.words in set().union(*(page.absent for page in pages))
            assert Read(pages).live == room.live(room.people)
        finally:
            room.show(room.words)
        assert room.words in room.fresh().schema([room.people])[room.people]


# ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def field_writes(room: Room, ids: Sequence[str], words: str) -> list[FieldWrite]:
    return [FieldWrite(record=room.ref(one), properties={room.words: words}) for one in ids]


def task_write(room: Room, one: str, key: str) -> TaskWrite:
    task = TaskSpec(
        purpose="call", subject=key, body="Bitte anrufen", due_at=room.now + timedelta(days=1), priority="high", type="call", owner_id=None
    )
    return TaskWrite(key=key, record=room.ref(one), task=task)


class TestWriting:
    def test_values_are_written(self, room: Room) -> None:
        ids = some(room, 7)
        outcomes = room.crm.update(room.people, field_writes(room, ids, "Geschrieben"))
        assert [outcome.state for outcome in outcomes] == [WriteState.WRITTEN] * 7
        assert {room.value(one) for one in ids} == {"Geschrieben"}
        assert room.crm.batch_size(room.people) >= 100

    def test_of_a_batch_one_is_refused(self, room: Room) -> None:
        ids = some(room, 4)
        room.delete(room.people, ids[2])
        outcomes = room.crm.update(room.people, field_writes(room, ids, "Drei von vier"))
        assert [outcome.state for outcome in outcomes] == [WriteState.WRITTEN, WriteState.WRITTEN, WriteState.REFUSED, WriteState.WRITTEN]
        assert [room.value(one) for one in (*ids[:2], ids[3])] == ["Drei von vier"] * 3
        assert outcomes[2].message

    @pytest.mark.parametrize("kind", ["before", "after", "limit", "locked"])
    def test_a_value_is_written_whatever_the_answers(self, room: Room, kind: str) -> None:
        ids = some(room, 3)
        room.trouble_writing(kind)
        for _ in range(6):
            writes = [write for write in field_writes(room, ids, kind) if room.value(write.record.id) != kind]
            if not writes:
                break
            for outcome, write in zip(room.crm.update(room.people, writes), writes, strict=True):
                assert outcome.state in (WriteState.WRITTEN, WriteState.LATER, WriteState.UNKNOWN)
                if outcome.state is WriteState.WRITTEN:
                    assert room.value(write.record.id) == kind
                if outcome.state is WriteState.LATER:
                    assert room.value(write.record.id) != kind
        assert [room.value(one) for one in ids] == [kind] * 3

    @pytest.mark.parametrize("kind", ["none", "before", "after", "limit", "locked"])
    def test_a_task_is_never_doubled(self, room: Room, kind: str) -> None:
        """As the executor goes about it: what is unknown is looked up before it is sent again."""
        keys = [f"{room.name} {kind} {number} {room.now}" for number in range(3)]
        writes = [task_write(room, one, key) for one, key in zip(some(room, 3), keys, strict=True)]
        if kind != "none":
            room.trouble_writing(kind)
        left, ids = list(writes), dict[str, str]()
        for _ in range(6):
            if not left:
                break
            outcomes = room.crm.create_tasks(left)
            ids |= {write.key: one.id for write, one in zip(left, outcomes, strict=True) if one.state is WriteState.WRITTEN}
            assert not [one for one in outcomes if one.state is WriteState.REFUSED]
            doubtful = [write for write, one in zip(left, outcomes, strict=True) if one.state is WriteState.UNKNOWN]
            room.later()
            ids |= room.crm.find_tasks(doubtful) if doubtful else {}
            left = [write for write in left if write.key not in ids]
        assert [room.tasks_with(key) for key in keys] == [1, 1, 1]
        assert room.crm.find_tasks(writes) == ids
        read_back = room.crm.read_tasks([*ids.values(), "1" if room.crm.name == "hubspot" else "00T000000000999AAA"])
        assert set(read_back) == set(ids.values())
        assert {ids[write.key]: (True, write.task.subject, write.record.id) for write in writes} == {
            one: (bool(told["key"]), told["subject"], told["record_id"]) for one, told in read_back.items()
        }

    def test_a_task_on_what_is_gone_is_refused(self, room: Room) -> None:
        one, gone = some(room, 2)
        room.delete(room.people, gone)
        key = f"{room.name} gone {room.now}"
        outcomes = room.crm.create_tasks([task_write(room, one, f"{key} 1"), task_write(room, gone, f"{key} 2")])
        assert [outcome.state for outcome in outcomes] == [WriteState.WRITTEN, WriteState.REFUSED]
        assert [room.tasks_with(f"{key} {number}") for number in (1, 2)] == [1, 0]


# ── What goes wrong while it reads ───────────────────────────────────────────────────────────────────────────────────────────────────


#: What goes wrong in every run of the tests; the rest takes its turn in the long one.
_OFTEN = {"502 HTML", "truncated", "lost", "429 ten seconds"}


def param(name: str, value: Any, often: set[str]) -> Any:
    """A parameter, for the long run alone where it is not among these."""
    return pytest.param(value, id=name, marks=() if name in often else pytest.mark.long)


class TestTrouble:
    @pytest.mark.parametrize("times", [pytest.param(1, marks=pytest.mark.long), 12])
    @pytest.mark.parametrize("trouble", [param(each.name, each, _OFTEN) for each in TROUBLES if each.name != "slow"])
    def test_a_first_pull_gone_on_with_brings_everything_once(self, room: Room, trouble: Trouble, times: int) -> None:
        """Twelve in a row are more than one request is tried: the pull ends with an error, and the next goes on."""
        room.trouble(trouble, times=times, after=2)
        found = read_on(room.crm, room.people, None, room.now)
        assert found.live == room.live(room.people)
        assert max(Counter(found.ids).values()) == 1

    def test_a_session_that_ends_in_the_middle_is_renewed(self, box: Sandbox, clock: Clock) -> None:
        room = SalesforceRoom(box, clock)
        try:
            pull = room.crm.pull(room.people, None, now=room.now)
            pages = [next(pull)]
            box.salesforce.expire_sessions()
            pages += list(pull)
            assert Read(pages).live == room.live(room.people)
        finally:
            room.close()

    def test_a_token_that_was_taken_away_ends_the_pull_and_keeps_its_place(self, box: Sandbox, clock: Clock) -> None:
        room = HubSpotRoom(box, clock)
        try:
            pull = room.crm.pull(room.people, None, now=room.now)
            pages = [next(pull)]
            room.frame.add(Fault("hubspot", "", 100, status=401, headers={"content-type": "application/json"}, body=b"{}"))
            with pytest.raises(PassStopped):
                pages += list(pull)
            room.clean()
            rest = read(room.crm, room.people, pages[-1].cursor, room.now)
            assert Read([*pages, *rest.pages]).live == room.live(room.people)
        finally:
            room.clean()
            room.close()

    def test_answers_slower_than_the_timeout(self, box: Sandbox, clock: Clock) -> None:
        clock.forward(timedelta(hours=1))
        slow = next(each for each in TROUBLES if each.name == "slow")
        for kind in (HubSpotRoom, SalesforceRoom):
            made = type("Hasty", (kind,), {"hasty": True})(box, clock)
            try:
                read(made.crm, "owners" if made.name == "hubspot" else "User", None, made.now)
                made.trouble(slow, times=1)
                found = read_on(made.crm, made.people, None, made.now)
                assert found.live == made.live(made.people)
            finally:
                made.clean()
                made.close()

    @pytest.mark.parametrize(
        "trouble", [each for each in TROUBLES if each.name in ("500", "truncated", "lost")], ids=lambda each: each.name
    )
    def test_changes_gone_on_with(self, room: Room, trouble: Trouble) -> None:
        cursor = whole(room)
        room.later()
        ids = some(room, 430)
        room.stamp_alike(ids)
        room.later()
        room.trouble(trouble, times=11, after=1)
        found = read_on(room.crm, room.people, cursor, room.now)
        assert set(ids) <= set(found.ids)

    @pytest.mark.parametrize("trouble", [each for each in TROUBLES if each.name in ("500", "truncated")], ids=lambda each: each.name)
    def test_what_is_asked_by_id_is_asked_again(self, room: Room, trouble: Trouble) -> None:
        ids = some(room, 3)
        room.trouble(trouble, times=2, call="read")
        assert set(again(lambda: room.crm.read(room.people, ids, [room.words]))) == set(ids)
        room.trouble(trouble, times=2, call="fates")
        assert again(lambda: room.crm.fates(room.people, ids)) == {}
        room.trouble(trouble, times=2, call="refill")
        pages = again(lambda: list(room.crm.refill(room.people, [room.words], None, now=room.now)))
        assert {one.id for page in pages for one in page.records} == room.live(room.people)


def again(ask: Callable[[], T]) -> T:
    """Asks until it is answered: in memory nothing tries again by itself."""
    for _ in range(3):
        with suppress(CrmError):
            return ask()
    return ask()


#: Of the sandbox's scenarios those that reading alone does not concern, or that end a pull for good.
_NOT_READING = {"slow", "day-limit", "schema-drift", "lost-answers", "locked-rows"}
_OFTEN_PLAYED = {"late-index", "late-commit", "merges", "deleted"}


@pytest.mark.parametrize("crm", ["hubspot", "salesforce"])
@pytest.mark.parametrize("scenario", [param(name, name, _OFTEN_PLAYED) for name in SCENARIOS if name not in _NOT_READING])
def test_after_a_scenario_a_pull_brings_what_it_left_behind(crm: str, scenario: str) -> None:
    """People and faults come between the calls of a pull; the pull after it, and what the CRM tells of removals, make it whole."""
    clock = Clock()
    alone = {"hubspot": crm == "hubspot", "salesforce": crm == "salesforce", **_OPTIONS[crm]}
    with Sandbox(now=clock, hubspot_contacts=60, salesforce_leads=40, **alone) as own:
        room = _room(crm, own, clock)
        try:
            begun = read_on(room.crm, room.people, None, room.now)
            room.later(timedelta(hours=1))
            arm(own, scenario, every=1, times=5)
            meanwhile = read_on(room.crm, room.people, begun.cursor, room.now)
            for _ in range(3):
                room.later()
                meanwhile = Read([*meanwhile.pages, *read_on(room.crm, room.people, meanwhile.cursor, room.now).pages])
            room.clean()
            room.later(timedelta(hours=1))
            last = read_on(room.crm, room.people, meanwhile.cursor, room.now)
            brought = {one.id: one for read_ in (begun, meanwhile, last) for page in read_.pages for one in page.records}
            gone = room.crm.fates(room.people, [one for one, record in brought.items() if not record.archived])
            alive = {one for one, record in brought.items() if not record.archived and one not in gone}
            assert alive == room.live(room.people)
            assert {one: brought[one].properties[room.words] or None for one in alive} == {one: room.value(one) or None for one in alive}
        finally:
            room.close()


def test_closing_twice_does_no_harm(room: Room) -> None:
    crm = room.fresh()
    next(iter(crm.pull(room.people, None, now=room.now)))
    crm.close()
    crm.close()


def test_where_a_person_opens_a_record(room: Room) -> None:
    (one,) = some(room, 1)
    assert one in room.crm.record_url(room.people, one)


def test_surroundings_and_check_raise_nothing(room: Room) -> None:
    room.crm.surroundings()
    assert room.crm.check(now=room.now)
