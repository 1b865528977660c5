"""The port's contract on pulling: everything once, from any page on, and afterwards what changed."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from itertools import islice

from tests.contract.reading import Read, changed, read, some, whole
from tests.contract.subjects import SandboxSubject, Subject


class TestFirstPull:
    def test_it_brings_everything_once(self, subject: Subject) -> None:
        found = read(subject.crm, subject.people, None, subject.now)
        assert found.live == subject.live(subject.people)
        assert max(Counter(found.ids).values()) == 1
        assert len(found.pages) > 1
        assert all(page.full for page in found.pages[:-1])
        totals = {page.total for page in found.pages if page.total is not None}
        assert not totals or max(totals) >= len(found.live)

    def test_every_stream_comes_to_its_end(self, subject: Subject) -> None:
        for stream in subject.crm.streams():
            found = read(subject.crm, stream, None, subject.now)
            if isinstance(subject, SandboxSubject) and stream not in ("User", "LeadHistory"):
                assert found.live == subject.live(stream), stream
            assert max(Counter(found.ids).values(), default=1) == 1

    def test_stopped_after_any_page_it_goes_on_with_the_cursor(self, subject: Subject) -> None:
        pages = len(read(subject.crm, subject.people, None, subject.now).pages)
        for stop in range(1, pages + 1):
            begun = Read(list(islice(pull := subject.crm.pull(subject.people, None, now=subject.now), stop)))
            pull.close()  # type: ignore[attr-defined]  # a generator
            rest = read(subject.fresh(), subject.people, begun.cursor, subject.now)
            assert begun.live | rest.live == subject.live(subject.people)
            if stop < pages:
                assert max(Counter([*begun.ids, *rest.ids]).values()) == 1

    def test_calls_are_those_of_the_pages(self, subject: Subject) -> None:
        crm = subject.fresh()
        before, arrived = crm.calls(), subject.sent()
        found = read(crm, subject.people, None, subject.now)
        assert found.calls <= crm.calls() - before <= found.calls + 2  # a login
        assert crm.calls() - before <= subject.sent() - arrived if isinstance(subject, SandboxSubject) else True

    def test_streams_in_threads_of_their_own(self, subject: Subject) -> None:
        crm, found = subject.fresh(), dict[str, Read]()

        def work(stream: str) -> None:
            found[stream] = read(crm, stream, None, subject.now)

        threads = [threading.Thread(target=work, args=(stream,)) for stream in crm.streams()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(found) == set(crm.streams())
        assert found[subject.people].live == subject.live(subject.people)

    def test_it_brings_what_is_wanted_now(self, subject: Subject) -> None:
        crm = subject.fresh()
        crm.want({subject.people: [subject.words]})
        (first, *_) = crm.pull(subject.people, None, now=subject.now)
        assert {tuple(one.properties) for one in first.records} == {(subject.words,)}
        crm.want({subject.people: [subject.words, "email" if crm.name == "hubspot" else "Email"]})
        (first, *_) = crm.pull(subject.people, None, now=subject.now)
        assert {len(one.properties) for one in first.records} == {2}


class TestChanges:
    def test_nothing_new_in_few_calls(self, subject: Subject) -> None:
        cursor = whole(subject)
        quiet = changed(subject, cursor)
        again = changed(subject, quiet.cursor)
        subject.later(timedelta(hours=1))
        last = read(subject.crm, subject.people, again.cursor, subject.now)
        assert last.ids == []
        assert last.calls <= 2
        assert not last.pages[-1].full

    def test_edits_creations_and_deletions(self, subject: Subject) -> None:
        cursor = whole(subject)
        subject.later()
        one, two, three = some(subject, 3)
        subject.edit(one, "Erste")
        made = subject.create("Neue")
        subject.delete(subject.people, two)
        found = changed(subject, cursor)
        last = {record.id: record for page in found.pages for record in page.records}
        assert last[one].properties[subject.words] == "Erste"
        assert last[made].properties[subject.words] == "Neue"
        assert three not in last
        assert two not in last or last[two].archived

    def test_more_than_a_page_with_one_moment(self, subject: Subject) -> None:
        cursor = whole(subject)
        subject.later()
        ids = some(subject, 430)
        subject.stamp_alike(ids)
        found = changed(subject, cursor)
        assert set(ids) <= set(found.ids)
        assert max(Counter(found.ids).values()) == 1

    def test_stopped_after_any_page_nothing_is_lost(self, subject: Subject) -> None:
        cursor = whole(subject)
        subject.later()
        ids = set(some(subject, 430))
        subject.stamp_alike(sorted(ids))
        subject.later()
        pages = len(read(subject.crm, subject.people, cursor, subject.now).pages)
        for stop in range(1, pages + 1):
            begun = Read(list(islice(pull := subject.crm.pull(subject.people, cursor, now=subject.now), stop)))
            pull.close()  # type: ignore[attr-defined]  # a generator
            rest = read(subject.fresh(), subject.people, begun.cursor, subject.now)
            assert ids <= {*begun.ids, *rest.ids}

    def test_what_changes_while_it_is_read_is_not_lost(self, subject: Subject) -> None:
        pull = subject.crm.pull(subject.people, None, now=subject.now)
        pages = [next(pull)]
        last, first = some(subject, 1000)[-1], some(subject, 1)[0]
        subject.edit(last, "Später")
        subject.edit(first, "Früher")
        made = subject.create("Dazu")
        pages += list(pull)
        found = changed(subject, pages[-1].cursor)
        brought = {one.id: one for page in (*pages, *found.pages) for one in page.records}
        assert [brought[one].properties[subject.words] for one in (last, first, made)] == ["Später", "Früher", "Dazu"]
