"""The port's contract on pulling: everything once, from any page on, and afterwards what changed."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta
from itertools import islice

from tests.contract.reading import Read, changed, read, some, whole
from tests.contract.subjects import Room, SandboxRoom


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
