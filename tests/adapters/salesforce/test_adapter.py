"""The Salesforce adapter against a real HTTP server: the sandbox's Salesforce over TLS, with both sides' own clocks held."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import islice
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.adapters.port import Crm
from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.salesforce.wire import tasks as wire_tasks
from connector.errors import PassStopped, Retriable
from connector.model import Finding, Page, Uses, WriteState
from connector.sandbox.fault_injection import Fault
from connector.sandbox.salesforce.options import SalesforceOptions
from connector.sandbox.serve import Sandbox
from connector.sandbox.state import World
from connector.sandbox.world.make import make_world
from tests.adapters.salesforce.fake_org import START, WANTED, Clock, Org, Value, change

ROWS = ("Account", "Lead", "Contact", "Task", "Event")
PAGE = 100


@pytest.fixture(scope="module")
def world() -> World:
    """A small world."""
    return make_world(now=START, hubspot_contacts=300, salesforce_leads=220)


@pytest.fixture(scope="module")
def running(world: World) -> Iterator[Org]:
    """The server; a pull has several pages, and not so many that a bulk job costs fewer calls."""
    clock = Clock()
    with Sandbox(world, now=clock, hubspot=None, salesforce=SalesforceOptions(page_size=PAGE)) as box:
        yield Org(box, clock)


@pytest.fixture
def org(running: Org) -> Iterator[Org]:
    """The server, as each test finds it."""
    yield running
    running.reset()


def ids(pages: Sequence[Page]) -> list[str]:
    return [one.id for page in pages for one in page.records] + [one.id for page in pages for one in page.activities]


def test_it_is_a_crm(org: Org) -> None:
    crm: Crm = org.crm()
    assert crm.batch_size("Lead") == 200
    assert crm.record_url("Lead", "00Q1").endswith("/lightning/r/Lead/00Q1/view")


def test_what_the_orgs_set_up_means(org: Org) -> None:
    around = org.crm().surroundings()
    assert around.defaults == {"Status": next(row["ApiName"] for row in org.rows["LeadStatus"].values() if row["IsDefault"])}
    assert around.own_users == (org.box.world.connector_user_id,)
    assert around.links["Contact"] == f"{org.box.salesforce_url}/lightning/r/Contact/{{id}}/view"


# ── Pulling ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("stream", ROWS)
def test_a_first_pull_brings_every_row_once(org: Org, stream: str) -> None:
    """Deleted ones and archived activities too."""
    pages = org.pages(stream)
    assert sorted(ids(pages)) == sorted(org.rows[stream])
    assert sum(page.seen for page in pages) == len(org.rows[stream]) == pages[0].total
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    assert all(page.full for page in pages)
    assert sum(page.calls for page in pages) == max(1, -(-len(org.rows[stream]) // PAGE))


def test_owners_are_users_and_queues(org: Org) -> None:
    (users,), (queues,) = org.pages("User"), org.pages("Group")
    inactive = {row["Id"] for row in org.rows["User"].values() if not row["IsActive"]}
    assert {owner.id for owner in users.owners if not owner.active} == inactive
    assert [owner.queue for owner in queues.owners] == [True]


def test_records_are_as_they_stand(org: Org) -> None:
    for page in org.pages("Lead"):
        for record in page.records:
            row = org.rows["Lead"][record.id]
            assert record.properties == {name: row.get(name) for name in WANTED["Lead"]}
            assert (record.owner_id, record.converted_to, record.archived) == (row["OwnerId"], row["ConvertedContactId"], row["IsDeleted"])
            assert (record.created_at, record.modified_at) == (row["CreatedDate"], row["SystemModstamp"])


def test_a_quiet_pull_is_one_query_a_stream(org: Org) -> None:
    crm = org.crm()
    cursors = {stream: org.pages(stream, crm=crm)[-1].cursor for stream in crm.streams()}
    org.clock.now += timedelta(minutes=30)  # the overlap of ten minutes lies behind the last change
    cursors = {stream: org.pages(stream, cursors[stream], crm)[-1].cursor for stream in crm.streams()}
    before = crm.calls()
    org.clock.now += timedelta(minutes=5)
    for stream in crm.streams():
        (page,) = org.pages(stream, cursors[stream], crm)
        assert (page.seen, page.calls, page.last, page.full) == (0, 1, True, False)
        assert wire.moment_of(page.cursor["since"]) == org.clock.now
    assert crm.calls() - before == len(crm.streams())


def test_changes_come_with_the_next_pull(org: Org) -> None:
    crm = org.crm()
    cursor = org.pages("Lead", crm=crm)[-1].cursor
    history = org.pages("LeadHistory", crm=crm)[-1].cursor
    org.clock.now += timedelta(minutes=20)
    lead = next(found for found in org.open_leads() if org.rows["Lead"][found]["Status"] != "Qualified")
    before = org.rows["Lead"][lead]["Status"]
    crm.update("Lead", [change(lead, Status="Qualified")])
    org.clock.now += timedelta(minutes=1)
    (page,) = org.pages("Lead", cursor, crm)
    assert {record.id: record.properties["Status"] for record in page.records}[lead] == "Qualified"
    (changes,) = org.pages("LeadHistory", history, crm)
    told = [(change.record.id, change.property, change.before, change.after) for change in changes.changes]
    assert (lead, "Status", before, "Qualified") in told


@pytest.mark.parametrize("drop_cursors", [False, True])
def test_a_pull_may_stop_after_any_page(org: Org, drop_cursors: bool) -> None:
    """What was stored before the stop, and what a new process reads from the stored cursor, is everything, once."""
    whole = len(org.pages("Task"))
    assert whole > 3
    for stop in range(1, whole):
        first = list(islice(org.crm().pull("Task", None, now=org.clock.now), stop))
        if drop_cursors:
            org.state.drop_cursors()
        org.clock.now += timedelta(minutes=3)
        rest = org.pages("Task", first[-1].cursor)
        assert sorted([*ids(first), *ids(rest)]) == sorted(org.rows["Task"])
        assert wire.moment_of(rest[-1].cursor["since"]) < org.clock.now  # the window of the first one, not a later one


def test_a_cursor_that_vanishes_in_the_middle_loses_nothing(org: Org) -> None:
    found: list[Page] = []
    for page in org.crm().pull("Task", None, now=org.clock.now):
        found.append(page)
        org.state.drop_cursors()
    assert sorted(ids(found)) == sorted(org.rows["Task"])


@given(stamps=st.lists(st.integers(0, 3), min_size=220, max_size=220), stop=st.integers(1, 3))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ties_are_neither_lost_nor_repeated(org: Org, stamps: list[int], stop: int) -> None:
    """A mass update gives many rows one stamp; wherever a pull stops among them, the next goes on with the next row."""
    for row, days in zip(org.rows["Lead"].values(), stamps, strict=True):
        row["SystemModstamp"] = START - timedelta(days=days + 1)
    first = list(islice(org.crm().pull("Lead", None, now=org.clock.now), stop))
    rest = org.pages("Lead", first[-1].cursor)
    assert sorted([*ids(first), *ids(rest)]) == sorted(org.rows["Lead"])


def test_wide_objects_are_whole(org: Org) -> None:
    """Fields for whose names the URI has no room are read by id."""
    names = [f"Answer_To_The_Long_Question_Number_{n:03d}__c" for n in range(330)]
    lead = org.open_leads()[0]
    for row in org.rows["Lead"].values():
        row.update(dict.fromkeys(names, "x"))
    org.rows["Lead"][lead][names[-1]] = "the last one"
    try:
        crm = org.crm(wanted={"Lead": [*names, "Email"]})
        records = {record.id: record for page in org.pages("Lead", crm=crm) for record in page.records}
    finally:
        for row in org.rows["Lead"].values():
            for name in names:
                del row[name]
    assert len(records) == len(org.rows["Lead"])
    assert records[lead].properties[names[-1]] == "the last one"
    assert records[lead].properties["Email"] == org.rows["Lead"][lead]["Email"]


def test_an_unknown_field_is_named_and_stops_nothing(org: Org) -> None:
    crm = org.crm(wanted={"Lead": ["Budgte__c", "Email"]})
    pages = org.pages("Lead", crm=crm)
    assert sorted(ids(pages)) == sorted(org.rows["Lead"])
    assert {page.absent for page in pages} == {frozenset({"Budgte__c"})}
    emails = {record.id: record.properties["Email"] for page in pages for record in page.records}
    assert emails == {found: row["Email"] for found, row in org.rows["Lead"].items()}
    crm.want({"Lead": ["Email"]})
    assert org.pages("Lead", pages[-1].cursor, crm)[-1].absent == frozenset()


def test_fields_hidden_from_the_user_are_done_without(org: Org) -> None:
    org.state.hidden |= {("Task", "Handoff_Key__c"), ("Task", "CallDisposition"), ("Event", "IsAllDayEvent")}
    assert sorted(ids(org.pages("Task"))) == sorted(org.rows["Task"])
    assert sorted(ids(org.pages("Event"))) == sorted(org.rows["Event"])


# ── Reading and writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_records_are_read_by_id(org: Org) -> None:
    wanted = [*org.open_leads()[:3], "00QWx0000099999AAA"]
    found = org.crm().read("Lead", [*wanted, wanted[0][:15]], ["Status"])
    assert {record.id for record in found.values()} == set(wanted[:3])
    assert found[wanted[1]].properties == {"Status": org.rows["Lead"][wanted[1]]["Status"]}


def test_each_row_of_a_batch_has_its_own_outcome(org: Org) -> None:
    one, two, three = org.open_leads()[:3]
    converted = next(row["Id"] for row in org.rows["Lead"].values() if row["IsConverted"])
    inactive = next(row["Id"] for row in org.rows["User"].values() if not row["IsActive"])
    queue = next(iter(org.rows["Group"]))
    outcomes = org.crm().update(
        "Lead",
        [
            change(one, Status="Nurturing"),
            change(converted, Status="Nurturing"),
            change(two, OwnerId=inactive),
            change(three, OwnerId=queue),
            change(one, Rejection_Reason__c="No budget"),
        ],
    )
    states = [outcome.state for outcome in outcomes]
    assert states == [WriteState.WRITTEN, WriteState.REFUSED, WriteState.REFUSED, WriteState.WRITTEN, WriteState.WRITTEN]
    assert [outcome.code for outcome in outcomes[1:3]] == ["CANNOT_UPDATE_CONVERTED_LEAD", "INACTIVE_OWNER_OR_USER"]
    assert all(outcome.advice for outcome in outcomes[1:3])
    assert (org.rows["Lead"][one]["Status"], org.rows["Lead"][one]["Rejection_Reason__c"]) == ("Nurturing", "No budget")
    assert org.rows["Lead"][three]["OwnerId"] == queue


def test_a_login_in_the_middle_of_a_write_moves_no_lead_to_a_queue(org: Org) -> None:
    """Sforce-Auto-Assign: FALSE is on the request that follows the login too."""
    crm, lead = org.crm(), org.open_leads()[0]
    org.crm().update("Lead", [change(lead, OwnerId=org.box.world.connector_user_id)])
    org.pages("User", crm=crm)
    logins = org.state.org.logins
    org.state.expire_sessions()
    assert crm.update("Lead", [change(lead, Status="Nurturing")])[0].state is WriteState.WRITTEN
    assert org.rows["Lead"][lead]["OwnerId"] == org.box.world.connector_user_id
    assert org.state.org.logins == logins + 1


def test_assignment_rules_run_where_they_are_wanted(org: Org) -> None:
    lead = org.open_leads()[0]
    org.crm().update("Lead", [change(lead, OwnerId=org.box.world.connector_user_id)])
    org.crm(run_assignment_rules=True).update("Lead", [change(lead, Status="Nurturing")])
    assert org.rows["Lead"][lead]["OwnerId"] in org.rows["Group"]


def test_more_than_a_batch_is_sent_in_batches(org: Org) -> None:
    leads = org.open_leads()
    writes = [change(lead, Rejection_Reason__c="No need") for lead in (leads * 3)[:450]]
    outcomes = org.crm().update("Lead", writes)
    assert [outcome.id for outcome in outcomes] == [write.record.id for write in writes]
    assert {outcome.state for outcome in outcomes} == {WriteState.WRITTEN}


def tasks_of(org: Org, key: str) -> list[dict[str, Any]]:
    marker = wire_tasks.task_marker(key)
    return [row for row in org.rows["Task"].values() if row.get("Handoff_Key__c") == marker or marker in (row.get("Description") or "")]


def test_a_task_is_created_found_read_back_and_pulled(org: Org) -> None:
    crm, write = org.crm(), org.task("first|1")
    cursor = org.pages("Task", crm=crm)[-1].cursor
    (outcome,) = crm.create_tasks([write])
    assert outcome.state is WriteState.WRITTEN
    assert crm.find_tasks([write, org.task("another")]) == {"first|1": outcome.id}
    assert crm.read_tasks([outcome.id]) == {
        outcome.id: {
            "subject": "Call Zoë",
            "owner_id": org.box.world.connector_user_id,
            "due_at": "2026-12-03",  # 23:30 in UTC is the next day in Berlin
            "key": wire_tasks.task_marker("first|1"),
            "record_id": write.record.id,
        }
    }
    (row,) = tasks_of(org, "first|1")
    assert (row["Priority"], row["TaskSubtype"], row["Status"], row["IsReminderSet"]) == ("High", "Call", "Not Started", True)
    assert row["ReminderDateTime"] == START
    (page,) = org.pages("Task", cursor, crm)
    (activity,) = (activity for activity in page.activities if activity.id == outcome.id)
    assert activity.key == wire_tasks.task_marker("first|1")
    assert activity.contacts == (write.record,)
    assert not activity.done


def test_a_task_is_created_once_however_often_it_is_sent(org: Org) -> None:
    write = org.task("often|1")
    made = [org.crm().create_tasks([write, write]) for _ in range(3)]
    assert len({outcome.id for outcomes in made for outcome in outcomes}) == 1
    assert {outcome.state for outcomes in made for outcome in outcomes} == {WriteState.WRITTEN}
    assert len(tasks_of(org, "often|1")) == 1


def test_a_lost_answer_makes_no_second_task(org: Org) -> None:
    org.box.salesforce_faults.add(Fault("salesforce", "PATCH", times=1, kind="lost"))
    (outcome,) = org.crm().create_tasks([org.task("lost|1")])
    assert (outcome.state, len(tasks_of(org, "lost|1"))) == (WriteState.WRITTEN, 1)


def test_without_the_key_field_a_lost_answer_is_looked_up(org: Org) -> None:
    org.state.hidden.add(("Task", "Handoff_Key__c"))
    org.box.salesforce_faults.add(Fault("salesforce", f"POST {wire.BASE}/composite/sobjects", times=1, kind="lost"))
    crm, write = org.crm(), org.task("plain|1")
    (outcome,) = crm.create_tasks([write])
    assert outcome.state is WriteState.UNKNOWN
    (row,) = tasks_of(org, "plain|1")
    assert crm.find_tasks([write]) == {"plain|1": row["Id"]}
    assert crm.read_tasks([row["Id"]])[row["Id"]]["key"] == wire_tasks.task_marker("plain|1")


def test_find_tasks_may_be_asked_first_where_the_field_is_missing(org: Org) -> None:
    org.state.hidden.add(("Task", "Handoff_Key__c"))
    assert org.crm().find_tasks([org.task("never|1")]) == {}


# ── Logging in ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def pem() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


@pytest.mark.parametrize(
    "values",
    [
        lambda: {"auth": "client-credentials"},
        lambda: {"auth": "jwt", "username": "bot@acme.example", "private_key": Value(pem())},
        lambda: {"auth": "refresh-token", "refresh_token": Value("granted")},
        lambda: {"auth": "password", "username": "bot@acme.example", "password": Value("p")},
    ],
    ids=["client-credentials", "jwt", "refresh-token", "password"],
)
def test_every_flow_logs_in_and_again(org: Org, values: Callable[[], dict[str, Any]]) -> None:
    crm = org.crm(**values())
    assert org.pages("User", crm=crm)[-1].seen == len(org.rows["User"])
    org.state.expire_sessions()
    assert org.pages("User", crm=crm)[-1].seen == len(org.rows["User"])


def test_wrong_credentials_stop_the_pass(org: Org) -> None:
    with pytest.raises(PassStopped) as caught:
        org.pages("User", crm=org.crm(client_secret=Value("wrong")))
    assert "client_secret" in caught.value.advice


def test_an_unknown_authority_stops_the_pass(org: Org) -> None:
    with pytest.raises(PassStopped, match="certificate") as caught:
        org.pages("User", crm=org.crm(ca_bundle=None))
    assert "ca_bundle" in caught.value.advice


def test_threads_share_one_login(org: Org) -> None:
    crm = org.crm()
    logins = org.state.org.logins
    done: list[Page] = []
    threads = [threading.Thread(target=lambda stream=stream: done.extend(org.pages(stream, crm=crm))) for stream in crm.streams()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert {page.object for page in done if page.last} == set(crm.streams())
    assert org.state.org.logins == logins + 1
    assert crm.calls() == sum(page.calls for page in done) + 1


# ── Bad days ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "fault",
    [
        Fault("salesforce", "/queryAll", times=2, status=503),
        Fault("salesforce", "/queryAll", times=1, status=200, body=b"<html>login</html>"),
        Fault("salesforce", "/queryAll", times=1, kind="truncate"),
        Fault("salesforce", "/queryAll", times=1, kind="lost"),
        Fault("salesforce", "/query/", times=1, after=1, kind="truncate"),
        Fault("salesforce", "/query", times=1, after=2, kind="slow", seconds=1.5),
    ],
    ids=["503", "html", "truncated", "lost", "truncated later", "slow"],
)
def test_a_bad_answer_is_asked_for_again(org: Org, fault: Fault) -> None:
    org.box.salesforce_faults.add(fault)
    pages = org.pages("Task", crm=org.crm(timeout=1.0, patience=1.0))
    assert sorted(ids(pages)) == sorted(org.rows["Task"])


def test_a_service_that_stays_down_loses_nothing(org: Org) -> None:
    """The pages before the fault are stored with a cursor; the next pass goes on from there."""
    org.box.salesforce_faults.add(Fault("salesforce", "/query/", times=50, after=1, status=502, body=b"<html>"))
    stored: list[Page] = []
    with pytest.raises(Retriable) as caught:
        stored.extend(org.crm().pull("Task", None, now=org.clock.now))
    assert "reading Task" in caught.value.message
    org.box.salesforce_faults.clear()
    stored.clear()
    org.box.salesforce_faults.add(Fault("salesforce", "/query/", times=50, after=1, status=502, body=b"<html>"))
    pull = org.crm().pull("Task", None, now=org.clock.now)
    stored.extend(islice(pull, 2))
    org.box.salesforce_faults.clear()
    rest = org.pages("Task", stored[-1].cursor)
    assert sorted([*ids(stored), *ids(rest)]) == sorted(org.rows["Task"])


def test_check_finds_a_sound_org_sound(org: Org) -> None:
    findings = org.crm().check(now=org.clock.now)
    assert [finding.topic for finding in findings if not finding.ok] == ["salesforce: sharing"]  # which it says it cannot prove
    assert {"salesforce: credentials", "salesforce: clock", "salesforce: permissions", "salesforce: Task"} <= {
        found.topic for found in findings
    }


def test_check_finds_what_is_hidden(org: Org) -> None:
    org.state.hidden |= {("Lead", "Status"), ("Task", "Handoff_Key__c"), ("Opportunity", "Amount"), ("Opportunity", "AccountId")}
    uses = Uses(written={"Lead": ("Status", "OwnerId")}, tasks=True, live=True)
    findings = org.crm().check(now=org.clock.now + timedelta(minutes=5), uses=uses)
    wrong = [finding for finding in findings if not finding.ok]
    topics = {"salesforce: permissions", "salesforce: Task", "salesforce: clock", "salesforce: sharing", "salesforce: Opportunity"}
    assert {finding.topic for finding in wrong} == topics
    (without,) = [finding for finding in wrong if finding.topic == "salesforce: Opportunity"]
    assert (without.warning, "does not see AccountId, Amount:" in without.message) == (True, True)
    assert all(finding.advice for finding in wrong)
    (needed,) = [finding.permissions for finding in findings if finding.permissions]
    has = {one.name: one.has for one in needed}
    assert {name for name, is_there in has.items() if is_there is False} >= {"Lead.Status: Edit", "Task.Handoff_Key__c: Edit"}
    assert (has["Lead.OwnerId: Edit"], has["Edit Tasks"], has["Lead: View All Records"]) == (True, True, None)


@contextmanager
def org_with(**tables: dict[str, dict[str, Any]]) -> Iterator[Org]:
    """A small org that has these objects too."""
    clock = Clock()
    world = make_world(now=clock.now, hubspot_contacts=20, salesforce_leads=10)
    for name, rows in tables.items():
        for row in rows.values():
            row.setdefault("AssigneeId", world.connector_user_id)
        world.salesforce[name] = rows
    with Sandbox(world, now=clock, hubspot=None) as box:
        made = Org(box, clock)
        yield made
        made.reset()


def test_check_reads_permission_sets_where_it_may() -> None:
    """Whether the user sees past sharing stands in its permission sets."""
    chosen = "0PS000000000001GAA"
    rights = {
        name: {"Id": f"110000000000{number:03}AAA", "ParentId": chosen, "SobjectType": name, "PermissionsViewAllRecords": name != "Account"}
        for number, name in enumerate(("Lead", "Contact", "Account"))
    }
    sets = {
        chosen: {"Id": chosen, "PermissionsViewAllData": False, "PermissionsTransferAnyLead": False, "PermissionsTransferAnyEntity": True,
                 "PermissionsModifyAllData": False}
    }  # fmt: skip
    given = {"1": {"Id": "0Pa000000000001CAA", "PermissionSetId": chosen}}
    with org_with(PermissionSetAssignment=given, PermissionSet=sets, ObjectPermissions=rights) as org:
        (sharing,) = [finding for finding in org.crm().check(now=org.clock.now) if finding.topic == "salesforce: sharing"]
        assert (sharing.warning, sharing.message) == (True, "the connector's user sees only what is shared with it of Account")
        sets[chosen]["PermissionsViewAllData"] = True
        (sharing,) = [finding for finding in org.crm().check(now=org.clock.now) if finding.topic == "salesforce: sharing"]
        assert sharing.ok
        uses = Uses(written={"Lead": ("OwnerId",)})
        for may, told in ((True, True), (False, None)):  # sharing may let it, too
            sets[chosen]["PermissionsTransferAnyEntity"] = may
            needed = next(found.permissions for found in org.crm().check(now=org.clock.now, uses=uses) if found.permissions)
            assert [one.has for one in needed if one.name == "Transfer Leads"] == [told]


def test_check_tells_which_histories_of_leads_are_not_kept() -> None:
    tracked = {
        name: {"Id": name, "EntityDefinitionId": "Lead", "QualifiedApiName": name, "IsFieldHistoryTracked": name != "OwnerId"}
        for name in ("Email", "Status", "OwnerId")
    }
    with org_with(FieldDefinition=tracked) as org:

        def told() -> Finding:
            return next(one for one in org.crm().check(now=org.clock.now) if one.topic == "salesforce: LeadHistory")

        assert (told().ok, told().warning) == (False, True)
        assert "does not track OwnerId" in told().message
        tracked["OwnerId"]["IsFieldHistoryTracked"] = True
        assert told().ok
        tracked.clear()
        assert (told().ok, "cannot be seen" in told().message) == (True, True)


def test_check_finds_hubspots_own_package() -> None:
    with org_with(HubSpot_Inc__HubSpot_Intelligence__c={}) as org:
        for native_sync, ok in ((False, False), (True, True)):
            findings = org.crm().check(now=org.clock.now, uses=Uses(native_sync=native_sync))
            (found,) = [one for one in findings if one.topic == "salesforce: native sync"]
            assert found.ok is ok
