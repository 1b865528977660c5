"""The jobs beside the pass over real HTTP: what people delete, merge and link anew is found; the comparison; the fast lane."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from connector import engine
from connector.app import App
from connector.engine import preview
from connector.errors import SafetyStop
from connector.jobs.fast_lane import run_fast
from connector.jobs.mirror_jobs import Mirrored, look_for_removals, reconcile
from connector.model import RemovalPage
from connector.reports.checks.check import check
from connector.sandbox.serve import Sandbox
from connector.store.mirror.removals import apply_removals
from tests.system.support import NOW, config_for, rows, running, small_sandbox


class Clock:
    """The sandbox's time and the connector's."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


def sandbox(clock: Clock) -> Sandbox:
    """Every time the same people."""
    return small_sandbox(clock, contacts=150, leads=60)


@pytest.fixture
def box(clock: Clock) -> Iterator[Sandbox]:
    with sandbox(clock) as box:
        yield box


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store after two passes in shadow: they leave the CRMs as they were, so that it fits every new sandbox of the same people."""
    file, clock = tmp_path_factory.mktemp("mirror") / "c.db", Clock()
    with sandbox(clock) as box, running(config_for(box, f"sqlite:///{file}", mode="shadow"), now=clock) as app:
        for _ in range(2):
            assert engine.run_pass(app.context()).errors == []
    return file


@pytest.fixture
def app(box: Sandbox, mirror: Path, tmp_path: Path, clock: Clock) -> Iterator[App]:
    """After two passes in shadow and an hour."""
    shutil.copyfile(mirror, tmp_path / "c.db")
    with running(config_for(box, f"sqlite:///{tmp_path}/c.db", mode="shadow"), now=clock) as app:
        clock.at += timedelta(hours=1)
        yield app


def looked(app: App) -> Mirrored:
    result = look_for_removals(app.context())
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
    result = reconcile(app.context())
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
    found = reconcile(app.context()).objects["hubspot"]["contacts"]
    assert (found.seen, found.same, found.repaired, found.removed) == (150, 148, 2, 0)


def a_call_is_seen_through_its_link(app: App, box: Sandbox, clock: Clock) -> None:
    assert engine.run_pass(app.context()).errors == []  # what was repaired is judged
    waiting = "c.stage = 'mql' AND c.touch_count = 0 AND NOT c.excluded AND r.object = 'contacts'"
    called = rows(app, f"SELECT r.id FROM contact c JOIN record r ON r.contact_id = c.id WHERE {waiting} ORDER BY r.id")[0].id
    (owner,) = rows(app, "SELECT id FROM owner WHERE crm = 'hubspot' AND email = 'anna@acme.example'")
    searches = sum(path.endswith("/search") for _, path in box.hubspot_faults.log)
    box.hubspot.log_call([called], at=clock.at, owner=owner.id)
    clock.at += timedelta(minutes=1)
    result = run_fast(app.context())
    assert result.errors == []
    (touched,) = rows(app, "SELECT c.touch_count FROM contact c JOIN record r ON r.contact_id = c.id WHERE r.id = :id", id=called)
    assert touched.touch_count == 1
    assert sum(path.endswith("/search") for _, path in box.hubspot_faults.log) == searches


def alive(app: App, name: str) -> set[str]:
    """The activities or deals of one object that live here."""
    table = "deal" if name == "deals" else "activity"
    return {row.id for row in rows(app, f"SELECT id FROM {table} WHERE object = :name AND NOT archived", name=name)}


def test_deals_and_activities_that_went_without_a_word_and_those_that_came_back(app: App, box: Sandbox, clock: Clock) -> None:
    hubspot = box.hubspot
    (first, second, third), (deal, other, last, swallowed) = hubspot.ids("calls")[:3], hubspot.ids("deals")[:4]
    meeting = hubspot.ids("meetings")[0]
    for name, one in (("calls", first), ("calls", second), ("deals", deal), ("meetings", meeting)):
        hubspot.delete(name, one)
    looked(app)
    hubspot.restore("calls", first)  # the modified dates do not tell
    hubspot.restore("deals", deal)
    hubspot.restore("meetings", meeting)
    hubspot.purge("calls", third)  # as many as came back: no total tells
    hubspot.purge("deals", last)
    hubspot.merge("deals", other, swallowed)
    clock.at += timedelta(minutes=30)
    result = looked(app)
    assert told(result, "hubspot", "calls") == {"restored": 1, "deleted": 1}
    assert told(result, "hubspot", "deals") == {"restored": 1, "deleted": 1}  # the survivor of the merge told of it in the pull
    assert told(result, "hubspot", "meetings") == {"restored": 1}
    assert rows(app, "SELECT DISTINCT counts FROM activity_link WHERE object = 'calls' AND id = :id", id=first) == [(True,)]
    for name in ("calls", "deals", "emails", "meetings", "tasks"):
        assert alive(app, name) == set(hubspot.ids(name)), name
    quiet = looked(app)
    assert all(told(quiet, "hubspot", name) == {} for name in ("calls", "deals", "meetings"))


def test_a_privacy_deletion_is_found_beside_a_restored_contact(app: App, box: Sandbox, clock: Clock) -> None:
    """As many came back as went: the number of all of them stays what it was."""
    back, gone = box.hubspot.ids("contacts")[:2]
    box.hubspot.delete("contacts", back)
    looked(app)
    box.hubspot.restore("contacts", back)
    box.hubspot.forget(gone)
    clock.at += timedelta(minutes=30)
    assert told(looked(app), "hubspot", "contacts") == {"restored": 1, "purged": 1}
    assert rows(app, "SELECT id FROM record WHERE id = :id", id=gone) == []


def test_merged_deals_are_gone_after_a_comparison_too(app: App, box: Sandbox, clock: Clock) -> None:
    one, other = box.hubspot.ids("deals")[:2]
    box.hubspot.merge("deals", one, other)
    clock.at += timedelta(minutes=30)
    assert reconcile(app.context()).objects["hubspot"]["deals"].removed == 0  # the pull before it has told
    assert alive(app, "deals") == set(box.hubspot.ids("deals"))


def test_the_newest_of_all_came_out_of_the_bin(app: App, box: Sandbox, clock: Clock) -> None:
    """It was deleted before the first pull, and no id that is here is larger."""
    newest = box.hubspot.log_call([box.hubspot.ids("contacts")[0]], at=clock.at)
    box.hubspot.delete("calls", newest)
    clock.at += timedelta(minutes=30)
    looked(app)
    box.hubspot.restore("calls", newest)
    assert told(looked(app), "hubspot", "calls") == {"found": 1}
    assert alive(app, "calls") == set(box.hubspot.ids("calls"))
    many_new_ones_are_left_to_the_pull(app, box, clock)


def many_new_ones_are_left_to_the_pull(app: App, box: Sandbox, clock: Clock) -> None:
    """As many as come between a pull and its look; they are looked for one by one when they are not the newest any more."""
    some = [box.hubspot.log_call([box.hubspot.ids("contacts")[0]], at=clock.at) for _ in range(6)]
    for one in some:
        box.hubspot.delete("calls", one)
    clock.at += timedelta(minutes=30)
    looked(app)
    for one in some:
        box.hubspot.restore("calls", one)
    assert told(looked(app), "hubspot", "calls") == {}
    box.hubspot.log_call([box.hubspot.ids("contacts")[0]], at=clock.at)
    clock.at += timedelta(minutes=30)
    assert told(looked(app), "hubspot", "calls") == {"found": 6}
    assert alive(app, "calls") == set(box.hubspot.ids("calls"))
    assert told(looked(app), "hubspot", "calls") == {}


@pytest.mark.parametrize("killed", [False, True])
def test_a_privacy_deletion_out_of_the_bin(app: App, box: Sandbox, clock: Clock, killed: bool) -> None:
    """What is archived here, and lies in the bin no more. killed: an earlier look met it there, and did not come to its end."""
    gone, back, still = box.hubspot.ids("contacts")[:3]
    for one in (gone, back, still):
        box.hubspot.delete("contacts", one)
    looked(app)
    if killed:
        with app.store.read() as connection:
            assert connection.execute(text("SELECT count(*) FROM seen")).scalar() == 0
        cursor = {"since": 0, "began": 1, "after": "1"}
        page = RemovalPage(crm="hubspot", object="contacts", cursor=cursor, calls=1, removals=(), bin=[gone, back, still], begins=True)
        apply_removals(app.store, page, now=clock.at, shrink=None)
        cursors = "DELETE FROM cursor WHERE object = 'removals:contacts'"
        app.store.write(lambda connection: connection.execute(text(cursors)))
    box.hubspot.forget(gone)
    box.hubspot.restore("contacts", back)
    clock.at += timedelta(minutes=30)
    assert told(looked(app), "hubspot", "contacts") == {"restored": 1, "purged": 1}
    left = rows(app, "SELECT id, archived FROM record WHERE object = 'contacts' AND id IN (:a, :b, :c)", a=gone, b=back, c=still)
    assert sorted(left) == sorted([(back, False), (still, True)])
    assert told(looked(app), "hubspot", "contacts") == {}


def test_a_crm_that_was_taken_out_of_the_file_stops_everything(app: App, box: Sandbox, clock: Clock) -> None:
    """Its people would be judged by what was read last, and those who are in it alone would be gone."""
    database = str(app.config.database.url)
    with running(config_for(box, database, mode="shadow", hubspot=False), now=clock) as without:
        for what in (engine.run_pass, look_for_removals, reconcile):
            (error,) = what(without.context()).errors
            assert isinstance(error, SafetyStop)
            assert error.message.startswith("the mirror holds 150 people of hubspot")
        with pytest.raises(SafetyStop):
            preview(without.context())
        wrong = [finding for finding in check(without.config, {}, without.store, now=clock.at) if not finding.ok]
        assert "database" in {finding.topic for finding in wrong}
    clock.at += timedelta(minutes=5)
    assert engine.run_pass(app.context()).errors == []


def test_a_first_look_finds_what_went_before_the_log_begins(app: App, box: Sandbox, clock: Clock) -> None:
    """The mirror may be older than what Salesforce still tells of deletions: 15 days, or less where the log was cut."""
    lead, other = sorted(box.salesforce.live("Lead"))[:2]
    box.salesforce.hard_delete("Lead", lead)
    clock.at += timedelta(days=16)
    box.salesforce.hard_delete("Lead", other)
    clock.at += timedelta(hours=1)
    found = told(looked(app), "salesforce", "Lead")
    assert (found["deleted"], found["compared"]) == (2, True)
    assert live(app, "salesforce", "Lead") == set(box.salesforce.live("Lead"))
    assert "compared" not in told(looked(app), "salesforce", "Lead")
