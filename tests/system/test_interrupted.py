"""Asked to end while a request waits for the CRM's limit: it ends at once, in good order, and nothing is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime

import pytest

from connector.app import Pacing
from connector.engine import run_pass
from connector.errors import Interrupted
from connector.model import Cursor, Page
from connector.store.budget import Limit, SharedBudget
from tests.support.company import Company, funnel, new_company


@pytest.fixture
def company(url: str) -> Iterator[Company]:
    with new_company(url, funnel()) as made:
        yield made


def test_a_wait_ends_when_it_is_asked_to_and_says_so() -> None:
    stop = threading.Event()
    Pacing().until(stop, "hubspot").sleep(0.001)
    stop.set()
    with pytest.raises(Interrupted):
        Pacing().until(stop, "hubspot").sleep(3600)


def test_a_pass_that_waits_for_an_hour_ends_at_once(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two requests an hour are allowed: the third would wait for the rest of it, by the wall clock."""
    stop, waits = threading.Event(), threading.Event()
    waiting = Pacing().until(stop, "hubspot")

    def sleep(seconds: float) -> None:
        assert seconds > 600
        waits.set()
        waiting.sleep(seconds)

    limit = Limit(name="hour", count=2, seconds=3600, buckets=frozenset({"call"}))
    budget = SharedBudget(company.store, "a", [limit], crm="hubspot", headroom=0, clock=waiting.clock, sleep=sleep)
    real = company.hubspot.pull

    def pages(stream: str, cursor: Cursor | None, *, now: datetime) -> Iterator[Page]:
        for page in real(stream, cursor, now=now):
            budget.take("call")
            yield page

    monkeypatch.setattr(company.hubspot, "pull", pages)

    def ask() -> None:
        assert waits.wait(60)
        stop.set()

    asking = threading.Thread(target=ask)
    asking.start()
    context = company.context(stopped=stop.is_set)
    result = run_pass(context)
    asking.join(60)
    assert result.interrupted
    assert (result.errors, result.evaluated) == ([], 0)
    assert sum(stream.whole for stream in result.pulled["hubspot"].values()) <= 2
    monkeypatch.undo()
    company.run()
    with company.store.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM record").scalar_one() == 5
