"""What `check` finds in an org: the sandbox's Salesforce over TLS, with both sides' own clocks held."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from connector.model import Finding, Uses
from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world
from tests.adapters.salesforce.fake_org import Clock, Org


@contextmanager
def org_with(**tables: dict[str, dict[str, Any]]) -> Iterator[Org]:
    """A small org that has these objects too."""
    clock = Clock()
    world = make_world(now=clock.now, hubspot_contacts=20, salesforce_leads=10)
    for name, rows in tables.items():
        for row in rows.values():
            row.setdefault("AssigneeId", world.connector_user_id)
        world.salesforce[name] = rows
    with Sandbox(world=world, now=clock, hubspot=None) as box:
        made = Org(box, clock)
        yield made
        made.reset()


@pytest.fixture
def org() -> Iterator[Org]:
    with org_with() as made:
        yield made


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
