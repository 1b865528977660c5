"""The record of a run, whatever ends it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connector.errors import ConnectorError, Interrupted, StoreError
from connector.jobs import fast_lane
from connector.jobs.fast_lane import run_fast
from connector.jobs.mirror_jobs import pull_only
from connector.pipeline import installation
from connector.pipeline.context import PassContext
from connector.reports.status import status
from connector.store import runs
from tests.support.company import Company, funnel, new_company


@pytest.fixture
def company(url: str) -> Iterator[Company]:
    with new_company(url, funnel(), fields_read=False) as made:
        yield made


def context(company: Company) -> PassContext:
    return PassContext(config=company.config, store=company.store, crms=company.crms, now=lambda: company.now, holder="test")


def failing(patch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Reading the CRMs ends with this error."""

    def read(*_: object, **__: object) -> None:
        raise error

    patch.setattr(installation, "prepare", read)


def test_a_bug_comes_out_and_the_run_has_failed(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is "done" counts as a whole pull: the mirror would pass for as young as a run that read nothing."""
    failing(monkeypatch, KeyError("dora@kunde.example"))
    with pytest.raises(KeyError):
        pull_only(context(company))
    (run,) = runs.last_runs(company.store)
    assert (run.state, run.finished_at, run.problem) == ("failed", company.now, "The run was broken off by an unexpected KeyError.")
    assert status(company.store, company.config, now=company.now)["lag_seconds"] is None


def test_an_error_of_the_store_is_in_the_result_and_the_run_has_failed(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, StoreError("the disk is full", advice="Make room."))
    result = pull_only(context(company))
    (run,) = runs.last_runs(company.store)
    assert (run.state, run.problem, result.interrupted) == ("failed", "the disk is full. Make room.", False)
    assert run.summary == result.document()
    assert result.document()["errors"] == [{"message": "the disk is full", "advice": "Make room."}]


def test_to_be_interrupted_is_no_failure(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, Interrupted("asked to end", crm="hubspot"))
    result = pull_only(context(company))
    (run,) = runs.last_runs(company.store)
    assert (run.state, run.problem, result.interrupted, result.errors) == ("done", None, True, [])


def test_what_was_pulled_is_on_record_where_the_run_ends_behind_it(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise ConnectorError("the disk is full")

    company.person("1", "dora@kunde.example")
    monkeypatch.setattr(installation, "catch_up", full)
    assert pull_only(context(company)).pulled["hubspot"]["contacts"].seen == 6
    (run,) = runs.last_runs(company.store)
    assert run.summary is not None
    assert run.summary["pulled"]["hubspot"]["contacts"]["seen"] == 6


def test_a_fast_pass_that_came_to_nothing_is_not_kept_but_a_bug_in_it_is(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lane = """
[schedule]
fast = { every = "1 minute", when = "owner IS NULL" }
"""
    with new_company(url, funnel(lane), fields_read=False) as company:
        run_fast(context(company))
        assert runs.last_runs(company.store) == []
        monkeypatch.setattr(fast_lane, "applied", lambda *_: dict[str, bool]()["nothing"])
        with pytest.raises(KeyError):
            run_fast(context(company))
        assert [run.state for run in runs.last_runs(company.store)] == ["failed"]
