"""The port's contract on what is asked by id: records, what became of them, counts, refills, links, fields."""

from __future__ import annotations

from datetime import timedelta
from itertools import islice

from connector.model import Fate
from tests.contract.reading import Read, add_up, some
from tests.contract.subjects import Subject


class TestByIds:
    def test_records_as_they_are_now(self, subject: Subject) -> None:
        ids = some(subject, 120)
        subject.edit(ids[0], "Jetzt")
        subject.delete(subject.people, ids[1])
        unknown = "999999999999999" if subject.crm.name == "hubspot" else "00Q000000000999AAA"
        found = subject.crm.read(subject.people, [*ids, unknown], [subject.words])
        assert set(found) == {one for one in ids if one != ids[1]}
        assert {one: record.properties for one, record in found.items()} == {one: {subject.words: subject.value(one)} for one in found}
        assert found[ids[0]].properties[subject.words] == "Jetzt"
        assert subject.crm.read(subject.people, [], [subject.words]) == {}

    def test_what_became_of_them(self, subject: Subject) -> None:
        live, archived, one, other, third, gone = some(subject, 6)
        subject.delete(subject.people, archived)
        survivor = subject.merge(one, other)
        final = subject.merge(third, survivor)
        subject.delete_for_good(gone)
        found = subject.crm.fates(subject.people, [live, archived, one, other, third, survivor, final, gone])
        assert live not in found
        assert final not in found
        assert found[archived].fate is Fate.ARCHIVED
        assert {found[each].into for each in {one, other, third, survivor} - {final}} <= {final, survivor}
        assert {found[each].fate for each in {one, other, third, survivor} - {final}} == {Fate.MERGED}
        assert found[gone].fate in (Fate.PURGED, Fate.DELETED)
        assert subject.crm.fates(subject.people, []) == {}

    def test_removals_are_told_once_there_is_a_cursor(self, subject: Subject) -> None:
        assert subject.crm.tells_removals(subject.people)
        pages = list(subject.crm.removals(subject.people, None, now=subject.now))
        assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
        subject.later(timedelta(hours=1))
        (one,) = some(subject, 1)
        if subject.crm.name == "hubspot":
            subject.delete(subject.people, one)
        else:
            subject.delete_for_good(one)
        subject.later(timedelta(hours=1))
        told = [each for page in subject.crm.removals(subject.people, pages[-1].cursor, now=subject.now) for each in page.removals]
        assert one in {each.record.id for each in told}
        assert {each.record.object for each in told} == {subject.people}

    def test_a_restored_record_is_read_again(self, subject: Subject) -> None:
        (one,) = some(subject, 1)
        subject.delete(subject.people, one)
        assert subject.crm.fates(subject.people, [one])[one].fate is Fate.ARCHIVED
        subject.restore(one)
        assert subject.crm.fates(subject.people, [one]) == {}
        assert set(subject.crm.read(subject.people, [one], [subject.words])) == {one}

    def test_what_lives_is_brought_as_the_pull_brings_it(self, subject: Subject) -> None:
        one, gone = some(subject, 2)
        subject.delete(subject.people, gone)
        page = subject.crm.bring(subject.people, [one, gone, "404"])
        if subject.crm.name == "salesforce":  # the pull brings what is restored there
            assert subject.crm.tells_restored(subject.people)
            assert (page.seen, list(page.records)) == (0, [])
            return
        assert not subject.crm.tells_restored(subject.people)
        pages = subject.crm.pull(subject.people, None, now=subject.now)
        (pulled,) = [record for pulled_page in pages for record in pulled_page.records if record.id == one]
        assert (page.seen, list(page.records), dict(page.cursor), page.last) == (1, [pulled], {}, False)
        assert subject.crm.bring(subject.people, []).seen == 0

    def test_counted_by_number_where_ids_are_numbers(self, subject: Subject) -> None:
        if subject.crm.name == "salesforce":
            assert not subject.crm.countable(subject.people)
            return
        assert subject.crm.countable(subject.people)
        counted = subject.crm.count(subject.people, 1, 10**14)
        ids = sorted(map(int, subject.live(subject.people)))
        assert counted == len(ids)
        assert subject.crm.count(subject.people, ids[10], ids[20]) == 11
        assert subject.crm.count(subject.people, ids[10] + 1, ids[20]) == 10

    def test_how_many(self, subject: Subject) -> None:
        told = subject.crm.how_many(subject.people)
        assert told is not None
        assert abs(told - len(subject.live(subject.people))) <= max(5, len(subject.live(subject.people)) // 50)

    def test_refilled_from_any_page(self, subject: Subject) -> None:
        whole_refill = list(subject.crm.refill(subject.people, [subject.words], None, now=subject.now))
        add_up(subject.crm, subject.people, whole_refill)
        values = {one.id: one.properties for page in whole_refill for one in page.records}
        assert {one: list(value) for one, value in values.items()} == {one: [subject.words] for one in subject.live(subject.people)}
        for stop in range(1, len(whole_refill)):
            begun = list(islice(pull := subject.crm.refill(subject.people, [subject.words], None, now=subject.now), stop))
            pull.close()  # type: ignore[attr-defined]  # a generator
            rest = list(subject.fresh().refill(subject.people, [subject.words], begun[-1].cursor, now=subject.now))
            ids = [one.id for page in (*begun, *rest) for one in page.records]
            assert sorted(ids) == sorted(values)

    def test_whom_activities_are_about(self, subject: Subject) -> None:
        one, two = some(subject, 2)
        call = subject.log_call(one)
        found = subject.crm.relink(subject.calls, [call])
        if subject.crm.name == "salesforce":
            assert found == {}
        else:
            assert {each: [ref.id for ref in refs] for each, refs in found.items()} == {call: [one]}
        activities = {each.id: each for each in subject.crm.activities_of(subject.people, [one])}
        assert call in activities
        assert subject.ref(one) in activities[call].contacts
        assert call not in {each.id for each in subject.crm.activities_of(subject.people, [two])}
        assert list(subject.crm.activities_of(subject.people, [])) == []

    def test_the_fields_of_an_object(self, subject: Subject) -> None:
        found = subject.crm.schema([subject.people])[subject.people]
        assert subject.words in found
        assert found[subject.words].name == subject.words
        assert found[subject.words].writable
        subject.hide(subject.words)
        try:
            crm = subject.fresh()
            assert subject.words not in crm.schema([subject.people])[subject.people]
            crm.want({subject.people: [subject.words]})
            pages = list(crm.pull(subject.people, None, now=subject.now))
            assert subject.words in set().union(*(page.absent for page in pages))
            assert Read(pages).live == subject.live(subject.people)
        finally:
            subject.show(subject.words)
        assert subject.words in subject.fresh().schema([subject.people])[subject.people]


def test_closing_twice_does_no_harm(subject: Subject) -> None:
    crm = subject.fresh()
    next(iter(crm.pull(subject.people, None, now=subject.now)))
    crm.close()
    crm.close()


def test_where_a_person_opens_a_record(subject: Subject) -> None:
    (one,) = some(subject, 1)
    assert one in subject.crm.record_url(subject.people, one)


def test_surroundings_and_check_raise_nothing(subject: Subject) -> None:
    subject.crm.surroundings()
    assert subject.crm.check(now=subject.now)
