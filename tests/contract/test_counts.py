"""What a pull says it did: seen = stored + unchanged + set aside, each record once, on every stream of every CRM, whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from connector.adapters.port import Crm
from connector.model import Cursor
from connector.pipeline.pull.streams import StreamPull
from connector.store.database import Store
from connector.store.mirror import pages
from connector.store.mirror.tally import Tally
from tests.contract.reading import some, things
from tests.contract.subjects import Subject
from tests.support.stores import empty_store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with empty_store(f"sqlite:///{tmp_path}/counts.db") as made:
        yield made


def counted(
    crm: Crm, stream: str, cursor: Cursor | None, subject: Subject, store: Store, meanwhile: Callable[[], object] = lambda: None
) -> tuple[StreamPull, Cursor]:
    """A pull into the mirror; what it says is what its pages brought. meanwhile: what somebody does after its first page."""
    result, met, nameless = StreamPull(), set[str](), 0
    with Tally() as tally:
        for page in crm.pull(stream, cursor, now=subject.now):
            result.add(page, tally.add(pages.commit_page(store, page, now=subject.now)))
            ids = [*(one.id for one in things(page)), *(aside.record.id for aside in page.set_aside)]
            met |= set(filter(None, ids))
            nameless += ids.count("")
            cursor = page.cursor
            assert result.seen == result.stored + result.unchanged + result.set_aside == len(met) + nameless, stream
            meanwhile()
            meanwhile = bool
    assert cursor is not None
    return result, cursor


def test_on_every_stream_once_and_again(subject: Subject, store: Store) -> None:
    for stream in subject.crm.streams():
        first, _ = counted(subject.crm, stream, None, subject, store)
        assert first.unchanged == 0, stream
        again, _ = counted(subject.fresh(), stream, None, subject, store)
        assert (again.seen, again.stored, again.set_aside) == (first.seen, 0, first.set_aside), stream


def test_after_all_that_people_do(subject: Subject, store: Store) -> None:
    cursors = {stream: counted(subject.crm, stream, None, subject, store)[1] for stream in subject.crm.streams()}
    edited, deleted, restored, purged, kept, lost = some(subject, 6)
    subject.edit(edited, "Chefin")
    subject.delete(subject.people, deleted)
    subject.delete(subject.people, restored)
    subject.restore(restored)
    subject.delete_for_good(purged)
    subject.merge(kept, lost)
    subject.create("neu")
    subject.log_call(edited)
    subject.later()
    for stream in subject.crm.streams():
        result, cursors[stream] = counted(subject.crm, stream, cursors.get(stream), subject, store)
        if stream == subject.people:
            assert result.stored >= 2  # edited and created; a survivor of a merge may show nothing new


def test_a_record_that_changes_while_it_is_read_counts_once(subject: Subject, store: Store) -> None:
    subject.later()
    stamped = some(subject, 400)
    _, cursor = counted(subject.crm, subject.people, None, subject, store)
    for one in stamped:
        subject.edit(one, "vorher")
    subject.later()
    result, _ = counted(subject.crm, subject.people, cursor, subject, store, lambda: subject.edit(stamped[0], "nachher"))
    assert result.stored in (400, 399)  # where it moved behind the window's end, the next pull brings it
