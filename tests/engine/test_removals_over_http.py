"""The jobs beside the pass over real HTTP: what people delete, merge and link anew is found; the comparison; the fast lane."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from engine_rooms import NOW, config_for, rows, running, small_sandbox

from connector import engine
from connector.app import App
from connector.fast import run_fast
from connector.mirroring import Mirrored, look_for_removals, reconcile
from connector.sandbox.serve import Sandbox


class Clock:
    """The sandbox's time and the connector's."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def box(clock: Clock) -> Iterator[Sandbox]:
    with small_sandbox(clock, contacts=150, leads=60) as box:
        yield box


@pytest.fixture
def app(box: Sandbox, tmp_path: Path, clock: Clock) -> Iterator[App]:
    """After two passes in shadow and an hour."""
    with running(config_for(box, f"sqlite:///{tmp_path}/c.db", mode="shadow"), now=clock) as app:
        for _ in range(2):
            assert engine.run_pass(app.rooms()).errors == []
        clock.at += timedelta(hours=1)
        yield app


def looked(app: App) -> Mirrored:
    result = look_for_removals(app.rooms())
    assert [error.message for error in result.errors] == []
    return result


def told(result: Mirrored, crm: str, name: str) -> dict[str, Any]:
    assert result.removed is not None
    return {key: value for key, value in result.removed[crm][name].document().items() if value}


def live(app: App, crm: str, name: str) -> set[str]:
    return {row.id for row in rows(app, "SELECT id FROM record WHERE crm = :crm AND object = :name AND NOT archived", crm=crm, name=name)}


def test_what_went_in_both_crms_goes_here(app: App, box: Sandbox, clock: Clock) -> None:
    hubspot, salesforce = box.hubspot, box.salesforce
    first, second, third, fourth, fifth = hubspot.ids("contacts")[:5]
    meeting = hubspot.log_meeting([first], at=clock.at - timedelta(days=1))
    call = hubspot.log_call([first], at=clock.at - timedelta(days=1))
    clock.at += timedelta(minutes=30)
    assert told(looked(app), "hubspot", "contacts") == {}
    hubspot.delete("contacts", second)
    hubspot.purge("contacts", third)
    hubspot.merge("contacts", fourth, fifth)
    hubspot.delete("meetings", meeting)
    hubspot.dissociate("calls", call, "contacts", first)
    lead, other = sorted(salesforce.live("Lead"))[:2]
    salesforce.hard_delete("Lead", lead)
    salesforce.delete("Lead", other)
    clock.at += timedelta(minutes=30)
    result = looked(app)
    assert live(app, "hubspot", "contacts") == set(hubspot.ids("contacts"))
    assert live(app, "salesforce", "Lead") == set(salesforce.live("Lead"))
    assert told(result, "hubspot", "contacts")["archived"] == 1
    assert told(result, "hubspot", "meetings")["archived"] == 1
    assert told(result, "hubspot", "calls")["relinked"] >= 1  # those of the merged and the purged contact too
    assert rows(app, "SELECT record_id FROM activity_link WHERE object = 'calls' AND id = :id", id=call) == []
    assert rows(app, "SELECT id FROM record WHERE id = :id", id=third) == []
    quiet = looked(app)
    assert quiet.removed is not None
    assert all(told(quiet, crm, name) == {} for crm, objects in quiet.removed.items() for name in objects)


def test_a_comparison_and_the_fast_lane(app: App, box: Sandbox, clock: Clock) -> None:
    everything_is_as_it_is(app)
    what_is_not_is_repaired(app, box)
    a_call_is_seen_through_its_link(app, box, clock)


def everything_is_as_it_is(app: App) -> None:
    result = reconcile(app.rooms())
    assert [error.message for error in result.errors] == []
    for crm, objects in result.objects.items():
        for name, one in objects.items():
            assert (one.seen, one.repaired, one.removed) == (one.same + one.set_aside, 0, 0), (crm, name)
    assert result.objects["hubspot"]["contacts"].seen == 150
    for crm, total in result.buckets["totals"].items():
        assert sum(bucket[crm] for bucket in result.buckets["buckets"]) == total


def what_is_not_is_repaired(app: App, box: Sandbox) -> None:
    gone, changed = box.hubspot.ids("contacts")[:2]
    app.store.write(lambda connection: connection.exec_driver_sql(f"DELETE FROM record WHERE id = '{gone}'"))
    app.store.write(
        lambda connection: connection.exec_driver_sql(f"UPDATE record SET properties = '{{}}', fingerprint = x'00' WHERE id = '{changed}'")
    )
    found = reconcile(app.rooms()).objects["hubspot"]["contacts"]
    assert (found.seen, found.same, found.repaired, found.removed) == (150, 148, 2, 0)


def a_call_is_seen_through_its_link(app: App, box: Sandbox, clock: Clock) -> None:
    assert engine.run_pass(app.rooms()).errors == []  # what was repaired is judged
    waiting = "c.stage = 'mql' AND c.touch_count = 0 AND NOT c.excluded AND r.object = 'contacts'"
    called = rows(app, f"SELECT r.id FROM contact c JOIN record r ON r.contact_id = c.id WHERE {waiting} ORDER BY r.id")[0].id
    (owner,) = rows(app, "SELECT id FROM owner WHERE crm = 'hubspot' AND email = 'anna@acme.example'")
    searches = sum(path.endswith("/search") for _, path in box.hubspot_frame.log)
    box.hubspot.log_call([called], at=clock.at, owner=owner.id)
    clock.at += timedelta(minutes=1)
    result = run_fast(app.rooms())
    assert result.errors == []
    (touched,) = rows(app, "SELECT c.touch_count FROM contact c JOIN record r ON r.contact_id = c.id WHERE r.id = :id", id=called)
    assert touched.touch_count == 1
    assert sum(path.endswith("/search") for _, path in box.hubspot_frame.log) == searches
