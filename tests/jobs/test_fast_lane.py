"""The fast lane: a few contacts read by id, judged and acted on alone, beside whatever else runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connector.engine import PassResult
from connector.errors import ConnectorError, PassStopped
from connector.jobs import fast_lane
from connector.jobs.fast_lane import run_fast
from connector.model import ActivityKind, RecordRef
from connector.pipeline.context import PassContext
from connector.pipeline.pull.streams import pull
from tests.support.small_world import DIRECTOR, NOW, World, config, world

MINUTE = timedelta(minutes=1)
SCHEDULE = """
[schedule]
fast = { every = "1 minute", when = "stage = 'mql' AND touch_count = 0" }
"""


@pytest.fixture
def here(tmp_path: Path) -> Iterator[World]:
    with at(f"sqlite:///{tmp_path}/store.db") as made:
        yield made


def at(url: str) -> AbstractContextManager[World]:
    return world(url, config(more=SCHEDULE))


@pytest.fixture
def dora(here: World) -> RecordRef:
    return make_dora(here)


def make_dora(here: World) -> RecordRef:
    """An MQL whom nobody called yet; the mirror knows."""
    ref = here.person("1", "dora@kunde.example", **{**DIRECTOR, "lifecyclestage": "marketingqualifiedlead", "hubspot_owner_id": "1"})
    for _ in range(3):
        here.run(after=MINUTE)
    return ref


def rush(here: World, *errors: type[ConnectorError], after: timedelta = MINUTE) -> PassResult:
    here.now += after
    result = run_fast(PassContext(config=here.config, store=here.store, crms=here.crms, now=lambda: here.now, holder="test"))
    assert [type(error) for error in result.errors] == list(errors)
    return result


def rows(here: World, statement: str) -> list[Any]:
    with here.store.read() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(statement).all()]


def touches(here: World, number: str = "1") -> int:
    (row,) = rows(here, f"SELECT c.touch_count FROM contact c JOIN record r ON r.contact_id = c.id WHERE r.id = '{number}'")
    return int(row[0])


def test_the_same_on_postgresql(postgres_url: str) -> None:
    with at(postgres_url) as here:
        here.activity(make_dora(here), "601", ActivityKind.CALL, here.now)
        assert rush(here).evaluated == 1
        assert touches(here) == 1


def test_a_touch_counts_at_once_without_a_pull(here: World, dora: RecordRef) -> None:
    here.activity(dora, "601", ActivityKind.CALL, here.now)
    pulls = here.hubspot.requests["pull"]
    result = rush(here)
    assert touches(here) == 1
    assert result.evaluated == 1
    assert here.hubspot.requests["pull"] == pulls
    assert rows(here, "SELECT count(*) FROM cursor WHERE object = 'calls'") == [(0,)]
    assert rush(here).pulled == {"hubspot": {}, "salesforce": {}}  # she is touched: the lane is not hers any more


def test_an_edit_is_acted_on_at_once(here: World, dora: RecordRef) -> None:
    here.hubspot.edit("contacts", "1", hs_lead_status="CONNECTED")
    result = rush(here)
    assert result.plan is not None
    assert [(action.rule, str(action.kind), action.after) for action in result.plan.actions] == [
        ("accepted", "set_stage", "salesqualifiedlead")
    ]
    assert here.hubspot.value("contacts", "1", "lifecyclestage") == "salesqualifiedlead"


def test_a_deadline_is_seen_within_the_minute(here: World, dora: RecordRef) -> None:
    result = rush(here, after=timedelta(hours=6))
    assert result.plan is not None
    assert [action.target for action in result.plan.actions] == ["escalation"]


def test_half_read_people_are_left_to_the_pass(here: World, dora: RecordRef) -> None:
    """Beside a pull that has brought a record and not yet what happened with it: nobody but the lane's own is unified or judged."""
    here.person("2", "emil@kunde.example", **{**DIRECTOR, "lifecyclestage": "marketingqualifiedlead"})
    pull(PassContext(config=here.config, store=here.store, crms=here.crms, now=lambda: here.now, holder="test"), here.now)
    here.activity(dora, "601", ActivityKind.CALL, here.now)
    assert rush(here).evaluated == 1
    assert rows(here, "SELECT contact_id FROM record WHERE id = '2'") == [(None,)]
    here.run(after=MINUTE)
    assert rows(here, "SELECT role FROM record WHERE id = '2'") == [("main",)]


def test_time_does_not_run_backwards_for_whom_it_judged(here: World, dora: RecordRef) -> None:
    """A pass that began before, and comes to judging after the fast lane, leaves its contacts to the next one."""
    began = here.now
    here.activity(dora, "601", ActivityKind.CALL, here.now)
    rush(here, after=5 * MINUTE)
    (judged,) = rows(here, "SELECT judged_at FROM contact c JOIN record r ON r.contact_id = c.id WHERE r.id = '1'")
    here.hubspot.edit("contacts", "1", jobtitle="Head of IT")
    here.now = began + MINUTE
    here.run()
    assert rows(here, "SELECT judged_at FROM contact c JOIN record r ON r.contact_id = c.id WHERE r.id = '1'") == [judged]
    here.run(after=10 * MINUTE)
    assert rows(here, "SELECT judged_at FROM contact c JOIN record r ON r.contact_id = c.id WHERE r.id = '1'")[0][0] > judged[0]


def test_nothing_before_the_first_pass_nor_under_another_file(here: World) -> None:
    here.person("1", "dora@kunde.example", **{**DIRECTOR, "lifecyclestage": "marketingqualifiedlead", "hubspot_owner_id": "1"})
    assert rush(here).pulled == {}
    here.run()
    here.run(after=MINUTE)
    assert rush(here).pulled["hubspot"]["contacts"].seen == 1
    here.config = config(more=SCHEDULE, edit=(("points = 20", "points = 21"),))
    assert rush(here).pulled == {}


def test_a_crm_that_does_not_answer_ends_it_and_nothing_is_concluded(here: World, dora: RecordRef) -> None:
    here.hubspot.fail("read", PassStopped("the day's share is spent", crm="hubspot"))
    assert rush(here, PassStopped, after=timedelta(hours=6)).evaluated == 0
    assert rows(here, "SELECT command, state FROM run ORDER BY id DESC LIMIT 1") == [("fast", "failed")]
    assert rush(here).planned == 1


def test_what_came_to_nothing_leaves_no_trace(here: World, dora: RecordRef) -> None:
    rush(here)  # reads properties that the CRM in memory did not give to a pull
    before = rows(here, "SELECT count(*) FROM run")
    rush(here)
    assert rows(here, "SELECT count(*) FROM run") == before


def test_the_rest_has_its_turn_the_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fast_lane, "MOST", 2)
    with at(f"sqlite:///{tmp_path}/store.db") as here:
        for number in range(1, 6):
            properties = {**DIRECTOR, "lifecyclestage": "marketingqualifiedlead", "hubspot_owner_id": "1"}
            here.person(str(number), f"{number}@kunde.example", **properties)
        for _ in range(3):
            here.run(after=MINUTE)
        asked: list[list[str]] = []
        real = here.hubspot.activities_of

        def watched(object_name: str, ids: Any) -> Any:
            asked.append(list(ids))
            return real(object_name, ids)

        monkeypatch.setattr(here.hubspot, "activities_of", watched)
        for _ in range(5):
            rush(here, after=timedelta(seconds=1))
        assert [len(ids) for ids in asked] == [2] * 5
        assert {one for ids in asked[:3] for one in ids} == {"1", "2", "3", "4", "5"}
        # Who is due goes first, whosever turn it is.
        here.store.write(
            lambda connection: connection.exec_driver_sql(
                f"UPDATE contact SET due_at = {int(NOW.timestamp() * 1e6)} WHERE id = (SELECT contact_id FROM record WHERE id = '3')"
            )
        )
        rush(here, after=timedelta(seconds=1))
        assert "3" in asked[-1]
