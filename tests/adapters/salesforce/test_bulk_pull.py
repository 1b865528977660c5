"""A first pull by Bulk API: nothing missing, nothing twice, wherever it is stopped and whatever becomes of the job."""

from __future__ import annotations

import csv
import io
import logging
from collections.abc import Sequence
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.adapters.client import Answer
from connector.adapters.salesforce.wire import bulk as wire_bulk
from connector.errors import ObjectStopped, Retriable
from connector.model import Page
from tests.adapters.salesforce.fake_bulk import NOW, TRICKY, WANTED, BulkOrg, lead


def an_org(count: int = 1_000, **values: Any) -> BulkOrg:
    """An org of Leads, some with equal stamps, the youngest an hour old."""
    rows = [lead(number, NOW - timedelta(hours=1 + number // 4)) for number in range(count)]
    return BulkOrg(rows[::-1], **values)


def ids(pages: Sequence[Page]) -> list[str]:
    return [record.id for page in pages for record in page.records]


def everything(org: BulkOrg) -> list[str]:
    return sorted(row["Id"] for row in org.rows)


# ── The choice ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_large_first_pull_goes_by_a_job() -> None:
    org = an_org()
    pages = list(org.pull())
    assert sorted(ids(pages)) == everything(org)
    assert sum(page.seen for page in pages) == 1_000
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert all(page.full for page in pages)
    assert {page.total for page in pages} == {1_000}
    assert sum(page.calls for page in pages) == len(org.sent)
    assert org.count("GET", "/query") - org.count("GET", "/jobs/query") == 1  # REST's first page, and no other
    assert not org.jobs  # deleted
    assert pages[-1].cursor == {"since": "2026-12-02T09:00:00Z"}
    assert org.slept == list(wire_bulk.PAUSES[:2])


def test_a_small_one_goes_by_rest() -> None:
    org = an_org(400)
    assert sorted(ids(list(org.pull()))) == everything(org)
    assert org.count("POST", "/jobs") == 0
    assert len(org.sent) == 8


@pytest.mark.parametrize(("rows", "by_job"), [(12_000, False), (14_000, False), (18_000, True), (300_000, True)])
def test_whichever_costs_fewer_calls(rows: int, by_job: bool) -> None:
    assert (wire_bulk.calls(rows) < -(-rows // 2_000)) is by_job


def test_what_changed_since_is_read_by_rest() -> None:
    org = an_org()
    cursor = list(org.pull())[-1].cursor
    for row in org.rows:
        row["SystemModstamp"] = "2026-12-02T09:30:00.000+0000"
    pages = list(org.pull(cursor, now=NOW + timedelta(hours=1)))
    assert sorted(ids(pages)) == everything(org)
    assert not any(page.full for page in pages)
    assert org.count("POST", "/jobs") == 1


def test_rows_of_the_last_minutes_are_read_once() -> None:
    """The key does not pass them, so the job reads those of REST's first page again; they are told by the job alone."""
    org = BulkOrg([lead(number, NOW - timedelta(minutes=1 if number > 30 else 90)) for number in range(1_000)])
    pages = list(org.pull())
    assert sorted(ids(pages)) == everything(org)
    assert org.count("POST", "/jobs") == 1


def test_both_ways_say_the_same_of_a_record() -> None:
    """Numbers, moments, true and false, empty cells, line breaks and quotes in a cell."""
    by_job, by_rest = an_org(), an_org()
    by_rest.refuse["POST"] = (400, [{"errorCode": "API_DISABLED", "message": "no"}])
    one = {record.id: record for page in by_job.pull() for record in page.records}
    two = {record.id: record for page in by_rest.pull() for record in page.records}
    assert one == two
    assert {type(record.properties["Budget__c"]) for record in one.values()} == {float, type(None)}
    assert TRICKY in {record.properties["Text__c"] for record in one.values()}
    assert {tuple(record.properties) for record in one.values()} == {WANTED}


# ── Going on ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_may_stop_after_any_page() -> None:
    """What was stored before and what a new process reads from there is everything, once; pages are read again, not from the beginning."""
    whole = len(list(an_org().pull()))
    assert whole > 5
    for stop in range(1, whole):
        org = an_org()
        first = list(islice(org.pull(), stop))
        rest = list(org.pull(first[-1].cursor, now=NOW + timedelta(minutes=5)))
        assert sorted([*ids(first), *ids(rest)]) == everything(org), stop
        assert rest[-1].cursor == {"since": "2026-12-02T09:00:00Z"}
        assert {page.total for page in rest} == {1_000}
        assert org.count("POST", "/jobs") == 1
        assert not org.jobs


def test_it_may_stop_inside_a_page_of_results() -> None:
    for stop in range(2, 6):
        org = an_org(6_000, most=5_000)
        first = list(islice(org.pull(), stop))
        rest = list(org.pull(first[-1].cursor))
        assert sorted([*ids(first), *ids(rest)]) == everything(org), stop


def test_a_job_that_is_gone_is_begun_anew_by_rest() -> None:
    org = an_org()
    first = list(islice(org.pull(), 3))
    org.jobs.clear()
    rest = list(org.pull(first[-1].cursor))
    assert set(ids(first)) | set(ids(rest)) == set(everything(org))
    assert len(ids(rest)) == 950  # from REST's own key on
    assert rest[-1].cursor == {"since": "2026-12-02T09:00:00Z"}


def test_a_job_of_another_version_is_left(caplog: pytest.LogCaptureFixture) -> None:
    org = an_org()
    first = list(islice(org.pull(), 3))
    org.refuse["GET " + wire_bulk.JOBS] = (409, [{"errorCode": "API_ERROR", "message": "version"}])
    with caplog.at_level(logging.WARNING):
        rest = list(org.pull(first[-1].cursor))
    assert set(ids(first)) | set(ids(rest)) == set(everything(org))
    assert "Lead is read by REST" in caplog.text


# ── Bad days ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("state", ["Failed", "Aborted"])
def test_a_job_that_fails_is_read_by_rest(state: str, caplog: pytest.LogCaptureFixture) -> None:
    org = an_org()
    org.ends_as = state
    with caplog.at_level(logging.WARNING):
        pages = list(org.pull())
    assert sorted(ids(pages)) == everything(org)
    assert state in caplog.text
    assert "a@b.example" not in caplog.text
    assert not org.jobs
    assert org.count("POST", "/jobs") == 1


@pytest.mark.parametrize(
    "refusal",
    [
        (400, [{"errorCode": "INVALIDENTITY", "message": "Entity 'Lead' is not supported by the Bulk API."}]),
        (400, [{"errorCode": "FUNCTIONALITY_NOT_ENABLED", "message": "Selecting compound data not supported in Bulk Query"}]),
        (403, [{"errorCode": "INSUFFICIENT_ACCESS", "message": "insufficient access rights"}]),
    ],
)
def test_what_a_job_cannot_read_rest_reads(refusal: tuple[int, Any]) -> None:
    org = an_org()
    org.refuse["POST"] = refusal
    assert sorted(ids(list(org.pull()))) == everything(org)


def test_a_job_that_never_ends_is_left() -> None:
    org = an_org()
    org.looks = 100_000
    assert sorted(ids(list(org.pull()))) == everything(org)
    assert sum(org.slept) <= wire_bulk.LONGEST_WAIT
    assert {job["state"] for job in org.jobs.values()} == {"Aborted"}


def test_missing_rows_fail_the_stream_and_the_next_pass_reads_anew() -> None:
    org = an_org()
    org.loses = 1
    pull = org.pull()
    stored = list(islice(pull, 4))
    with pytest.raises(ObjectStopped) as caught:
        next(pull)
    assert caught.value.code == "ROWS_MISSING"
    assert not any(page.last for page in stored)
    org.loses = 0
    rest = list(org.pull(stored[-1].cursor))
    assert set(ids(stored)) | set(ids(rest)) == set(everything(org))


def test_a_page_with_other_rows_than_it_counts_fails() -> None:
    org = an_org()
    send = org.send

    def miscounting(request: Any) -> Answer:
        answer = send(request)
        if "sforce-numberofrecords" in answer.headers:
            return Answer(status=200, headers={**answer.headers, "sforce-numberofrecords": "299"}, body=answer.body)
        return answer

    org.send = miscounting  # type: ignore[method-assign]
    with pytest.raises(ObjectStopped, match="300 rows where it counts 299"):
        list(org.pull())


# ── CSV ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def results(body: bytes, **headers: str) -> Answer:
    told = {"content-type": "text/csv", "sforce-numberofrecords": "1", "sforce-locator": "null", **headers}
    return Answer(status=200, headers={name.replace("_", "-"): value for name, value in told.items()}, body=body)


@pytest.mark.parametrize(
    "answer",
    [
        results(b'"Id"\n"00Q'),
        results(b""),
        results(b'"Id"\n"00Q"\n', sforce_numberofrecords=""),
        results(b'"Id"\n"00Q"\n', sforce_locator=""),
    ],
)
def test_a_page_that_was_cut_is_asked_for_again(answer: Answer) -> None:
    with pytest.raises(Retriable):
        wire_bulk.results_of(answer)


def test_a_login_page_is_no_page_of_results() -> None:
    request = wire_bulk.results("750", "", about="reading Lead")
    assert isinstance(wire_bulk.judge(request, Answer(status=200, headers={"content-type": "text/html"}, body=b"<html>")), Retriable)
    assert wire_bulk.judge(request, results(b"Id\n")) is None


def test_null_is_the_text_null() -> None:
    assert wire_bulk.results_of(results(b"Id\n")).locator is None
    assert wire_bulk.results_of(results(b"Id\n", sforce_locator="MTAwMDA")).locator == "MTAwMDA"


@pytest.mark.parametrize("body", [b'"Id","A"\n"1"\n', b'"Id"\n"\xff"\n', b'"Id"\n"1"x"\n'])
def test_what_is_no_csv_is_refused(body: bytes) -> None:
    with pytest.raises(ObjectStopped):
        list(wire_bulk.rows(body, {}, "reading Lead"))


cells = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30)


@given(st.lists(st.tuples(cells, cells), max_size=20))
def test_any_text_survives(table: list[tuple[str, str]]) -> None:
    """Line breaks of every kind inside cells too; what is empty is null."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(("Id", "Text__c"))
    writer.writerows(table)
    found = list(wire_bulk.rows(text.getvalue().encode(), {}, "reading Lead"))
    assert found == [{"Id": one or None, "Text__c": two or None} for one, two in table]


@pytest.mark.parametrize(
    ("kind", "cell", "value"),
    [
        ("boolean", "true", True),
        ("boolean", "false", False),
        ("int", "7", 7),
        ("currency", "5.0E7", 5e7),
        ("double", "1000.0", 1000.0),
        ("double", "1000", 1000.0),
        ("percent", "", None),
        ("double", "many", "many"),
        ("datetime", "2023-10-22T06:25:12.000Z", "2023-10-22T06:25:12.000+0000"),
        ("date", "2023-10-22", "2023-10-22"),
        ("string", "true", "true"),
        ("textarea", "7", "7"),
    ],
)
def test_cells_become_what_rest_gives(kind: str, cell: str, value: Any) -> None:
    (row,) = wire_bulk.rows(f'"Id","F"\n"1","{cell}"\n'.encode(), {"f": kind}, "reading Lead")
    assert row["F"] == value
    assert type(row["F"]) is type(value)


@given(
    st.builds(
        wire_bulk.JobPlace,
        job=st.just("750"),
        locator=st.text(max_size=9),
        skip=st.integers(0, 9),
        read=st.integers(0, 9),
        total=st.none() | st.integers(1, 9),
        ended=st.booleans(),
    )
)
def test_a_place_survives_a_cursor(place: wire_bulk.JobPlace) -> None:
    assert wire_bulk.JobPlace.of({"until": "x", "bulk": place.cursor()}) == place
