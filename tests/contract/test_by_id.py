"""The port's contract on what is asked by id: records, what became of them, counts, refills, links, fields."""

from __future__ import annotations

from datetime import timedelta
from itertools import islice

from connector.model import Fate
from tests.contract.reading import Read, add_up, some
from tests.contract.subjects import Room


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

    def test_what_lives_is_brought_as_the_pull_brings_it(self, room: Room) -> None:
        one, gone = some(room, 2)
        room.delete(room.people, gone)
        page = room.crm.bring(room.people, [one, gone, "404"])
        if room.crm.name == "salesforce":  # the pull brings what is restored there
            assert room.crm.tells_restored(room.people)
            assert (page.seen, list(page.records)) == (0, [])
            return
        assert not room.crm.tells_restored(room.people)
        (pulled,) = [record for page in room.crm.pull(room.people, None, now=room.now) for record in page.records if record.id == one]
        assert (page.seen, list(page.records), dict(page.cursor), page.last) == (1, [pulled], {}, False)
        assert room.crm.bring(room.people, []).seen == 0

    def test_counted_by_number_where_ids_are_numbers(self, room: Room) -> None:
        if room.crm.name == "salesforce":
            assert not room.crm.countable(room.people)
            return
        assert room.crm.countable(room.people)
        counted = room.crm.count(room.people, 1, 10**14)
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
