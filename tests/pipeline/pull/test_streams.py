"""The streams of a pull beside each other: order, errors, an end in good order, progress; and what refers to what comes later."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from connector.adapters.memory.crm import MemoryCrm
from connector.errors import CrmError, Interrupted, ObjectStopped, PassStopped, Retriable
from connector.model import CrmName, Cursor, Page
from connector.pipeline.context import Unwatched
from connector.pipeline.pull.streams import Pulled, errors_of, pull
from connector.store.mirror import pages as mirror
from tests.support.company import NOW, Company, funnel, new_company

#: For how long a test waits for another thread, at most.
LONG = 60.0


class Watched(Unwatched):
    """Remembers what was told of each stream."""

    def __init__(self) -> None:
        self.told: dict[str, list[tuple[int, int | None]]] = {}

    def pulled(self, crm: CrmName, stream: str, seen: int, total: int | None) -> None:
        self.told.setdefault(f"{crm} {stream}", []).append((seen, total))


@pytest.fixture
def company(url: str) -> Iterator[Company]:
    with new_company(url, funnel()) as made:
        made.hubspot.page_size = 2
        yield made


def pulled(company: Company, *, stopped: Callable[[], bool] = lambda: False, progress: Unwatched | None = None) -> Pulled:
    context = company.context(
        stopped=stopped,
        progress=progress or Unwatched(),
    )
    return pull(context, company.now)


def during(crm: MemoryCrm, monkeypatch: pytest.MonkeyPatch, what: dict[str, Callable[[], object]]) -> None:
    """Does something before each page of some streams, in the thread of the stream."""
    real = crm.pull

    def pages(stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        for page in real(stream, cursor, now=now):
            what.get(stream, lambda: None)()
            yield page

    monkeypatch.setattr(crm, "pull", pages)


def raising(error: BaseException) -> Callable[[], object]:
    def work() -> object:
        raise error

    return work


class TestBesideEachOther:
    def test_streams_of_both_crms_are_read_at_the_same_time(self, company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
        """Four streams meet: one after the other they would wait for ever."""
        meeting = threading.Barrier(4, timeout=LONG)
        once: set[str] = set()

        def meet(name: str) -> Callable[[], object]:
            def work() -> object:
                if name not in once:
                    once.add(name)
                    meeting.wait()
                return None

            return work

        during(company.hubspot, monkeypatch, {name: meet(name) for name in ("owners", "contacts")})
        during(company.salesforce, monkeypatch, {name: meet(name) for name in ("User", "Lead")})
        assert errors_of(pulled(company)) == []
        assert once == {"owners", "contacts", "User", "Lead"}

    def test_results_stand_in_the_order_of_the_streams(self, company: Company) -> None:
        found = pulled(company)
        assert {crm: list(streams) for crm, streams in found.items()} == {crm: list(company.crms[crm].streams()) for crm in company.crms}
        assert found["hubspot"]["contacts"].seen == 5
        assert all(stream.whole for streams in found.values() for stream in streams.values())

    def test_activities_that_come_before_their_contacts_are_linked_and_count(
        self, company: Company, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        calls_are_in = threading.Event()
        ada = company.person("1", "ada@kunde.example")
        company.touch(NOW - timedelta(hours=1), on=ada.id, id="77")
        company.touch(NOW - timedelta(hours=2), on=ada.id, id="78")
        real = mirror.commit_page

        def commit(store: object, page: Page, **options: object) -> object:
            if page.object == "contacts":
                assert calls_are_in.wait(LONG)
            result = real(store, page, **options)  # type: ignore[arg-type]  # passed through
            if page.object == "calls":
                calls_are_in.set()
            return result

        monkeypatch.setattr(mirror, "commit_page", commit)
        company.run()
        with company.store.read() as connection:
            rows = connection.exec_driver_sql(
                "SELECT c.touch_count, (SELECT count(*) FROM activity_link l WHERE l.contact_id = c.id) FROM contact c "
                "JOIN record r ON r.contact_id = c.id WHERE r.id = '1'"
            ).all()
        assert [tuple(row) for row in rows] == [(2, 2)]


class TestErrors:
    def test_an_object_that_cannot_be_read_stops_itself_alone(self, company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
        during(company.hubspot, monkeypatch, {"contacts": raising(ObjectStopped("no scope", crm="hubspot"))})
        found = pulled(company)
        assert {name: (stream.whole, stream.error is None) for name, stream in found["hubspot"].items() if name != "contacts"} == {
            name: (True, True) for name in company.hubspot.streams() if name != "contacts"
        }
        assert [error.message for error in errors_of(found)] == ["no scope"]

    @pytest.mark.parametrize("error", [PassStopped("the day's share is spent", crm="hubspot"), Retriable("500", crm="hubspot")])
    def test_what_concerns_the_whole_crm_stops_all_its_streams_after_the_page_in_hand(
        self, company: Company, monkeypatch: pytest.MonkeyPatch, error: CrmError
    ) -> None:
        for number in range(20, 40):
            company.person(str(number), f"{number}@kunde.example")
        contacts_began, owners_failed = threading.Event(), threading.Event()

        def fail() -> object:
            assert contacts_began.wait(LONG)
            raise error

        def go_on() -> object:
            contacts_began.set()
            return owners_failed.wait(LONG)

        real = company.hubspot.pull

        def pages(stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
            try:
                yield from real(stream, cursor, now=now)
            finally:
                if stream == "owners":
                    owners_failed.set()

        monkeypatch.setattr(company.hubspot, "pull", pages)
        during(company.hubspot, monkeypatch, {"owners": fail, "contacts": go_on})
        found = pulled(company)
        assert errors_of(found) == [error]
        contacts = found["hubspot"]["contacts"]
        assert contacts.error is None
        assert not contacts.whole
        assert 0 < contacts.seen < 25
        assert all(stream.whole for stream in found["salesforce"].values())
        monkeypatch.undo()
        rest = pulled(company)["hubspot"]["contacts"]
        assert (rest.whole, rest.seen + contacts.seen) == (True, 25)

    def test_the_same_words_of_several_streams_are_one_error(self, company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
        meeting = threading.Barrier(2, timeout=LONG)

        def fail() -> object:
            meeting.wait()
            raise PassStopped("the day's share is spent", crm="hubspot")

        during(company.hubspot, monkeypatch, {"owners": fail, "contacts": fail})
        assert len(errors_of(pulled(company))) == 1

    def test_a_bug_comes_out_and_stops_everything(self, company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
        during(company.salesforce, monkeypatch, {"Lead": raising(KeyError("bug"))})
        with pytest.raises(KeyError, match="bug"):
            pulled(company)

    def test_who_was_asked_to_end_while_waiting_has_failed_at_nothing(self, company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
        during(company.hubspot, monkeypatch, {"contacts": raising(Interrupted("asked to end", crm="hubspot"))})
        found = pulled(company)
        assert errors_of(found) == []
        assert not found["hubspot"]["contacts"].whole

    def test_when_the_days_share_is_spent_the_run_says_when_it_goes_on_and_keeps_its_place(
        self, company: Company, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pages = iter([None, PassStopped("its share is spent", crm="hubspot", advice="It goes on by itself after 10:00 UTC.")])

        def spend() -> object:
            error = next(pages)
            if error is not None:
                raise error
            return None

        during(company.hubspot, monkeypatch, {"contacts": spend})
        result = company.run(errors=("its share is spent",))
        assert result.pulled["hubspot"]["contacts"].seen == 2
        with company.store.read() as connection:
            (problem,) = connection.exec_driver_sql("SELECT problem FROM run").scalars()
        assert problem == "its share is spent. It goes on by itself after 10:00 UTC."
        monkeypatch.undo()
        assert company.run().pulled["hubspot"]["contacts"].seen == 3


class TestEnding:
    def test_asked_to_stop_it_ends_between_pages(self, company: Company) -> None:
        watched = Watched()
        found = pulled(company, stopped=lambda: "hubspot contacts" in watched.told, progress=watched)
        assert found["hubspot"]["contacts"].seen in (0, 2)
        assert errors_of(found) == []
        assert sum(pulled(company)["hubspot"][name].seen + found["hubspot"][name].seen for name in ("contacts",)) == 5

    def test_asked_before_it_begins_it_reads_nothing(self, company: Company) -> None:
        found = pulled(company, stopped=lambda: True)
        assert company.hubspot.calls() == 0
        assert not any(stream.whole for stream in found["hubspot"].values())


class TestProgress:
    def test_pages_with_the_total_and_the_end(self, company: Company) -> None:
        watched = Watched()
        pulled(company, progress=watched)
        assert watched.told["hubspot contacts"] == [(2, 5), (4, 5), (5, 5)]
        assert watched.told["hubspot companies"] == [(0, 0)]

    def test_going_on_it_shows_what_was_seen_before(self, company: Company) -> None:
        first, second = Watched(), Watched()
        pulled(company, progress=first, stopped=lambda: "hubspot contacts" in first.told)
        seen = first.told.get("hubspot contacts", [(0, 5)])[-1][0]
        pulled(company, progress=second)
        assert second.told["hubspot contacts"][0][0] == seen + 2 if seen < 4 else 5
        assert second.told["hubspot contacts"][-1] == (5, 5)

    def test_a_stream_that_does_not_tell_its_size_ends_full_all_the_same(self, company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
        real = company.hubspot.pull

        def pages(stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
            for page in real(stream, cursor, now=now):
                yield replace(page, total=None)

        monkeypatch.setattr(company.hubspot, "pull", pages)
        watched = Watched()
        pulled(company, progress=watched)
        assert watched.told["hubspot contacts"] == [(2, None), (4, None), (5, 5)]
