"""What people do in the sandbox's Salesforce: merges, conversions, late commits, mass updates, formulas, a schema that drifts."""

from __future__ import annotations

import threading
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.sandbox.salesforce.actions import SalesforceActions
from connector.sandbox.salesforce.app import create_app
from connector.sandbox.salesforce.errors import RowRefused
from connector.sandbox.salesforce.options import SalesforceOptions
from connector.sandbox.state import World
from tests.sandbox.salesforce.client import (
    ACME,
    ANNA,
    BEN,
    BIG,
    CONTACT,
    CONVERTED,
    LEADS,
    MORNING,
    NOON,
    QUEUE,
    Client,
    Clock,
    make_id,
    tiny_world,
)

TASK = make_id("00T", 0)
LATER = NOON + timedelta(seconds=1)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world() -> World:
    return tiny_world()


@pytest.fixture
def client(world: World, clock: Clock) -> Client:
    made = Client(create_app(world, SalesforceOptions(multi_currency=True), now=clock), headers={"sforce_auto_assign": "FALSE"})
    assert made.sign_in().status == 200
    return made


@pytest.fixture
def actions(client: Client) -> SalesforceActions:
    found: SalesforceActions = client.app.state.actions
    return found


def one(client: Client, soql: str, verb: str = "query") -> Any:
    reply = client.query(soql, verb)
    assert reply.status == 200, reply.body
    (record,) = reply.json["records"]
    return record


# ── Merges and conversions ──


def test_a_merge_leaves_a_chain_and_moves_the_children(client: Client, actions: SalesforceActions, world: World) -> None:
    campaign = actions.create("Campaign", Name="Fair")
    members = [actions.create("CampaignMember", CampaignId=campaign, LeadId=lead, Status="Responded") for lead in LEADS[1:3]]
    actions.merge("Lead", keep=LEADS[2], lose=LEADS[1])
    actions.merge("Lead", keep=LEADS[3], lose=LEADS[2])
    lost = client.query(
        "SELECT Id, MasterRecordId FROM Lead WHERE IsDeleted = true AND MasterRecordId != null ORDER BY Id", "queryAll"
    ).json
    assert [(row["Id"], row["MasterRecordId"]) for row in lost["records"]] == [(LEADS[1], LEADS[2]), (LEADS[2], LEADS[3])]
    task = world.salesforce["Task"][TASK]
    assert (task["WhoId"], task["SystemModstamp"], task["LastModifiedDate"]) == (LEADS[3], NOON, MORNING)
    assert actions.live("CampaignMember")[members[1]]["LeadId"] == LEADS[3]
    assert members[0] not in actions.live("CampaignMember")  # one person is in a campaign once
    assert actions.live("Lead")[LEADS[3]]["SystemModstamp"] == NOON
    actions.undelete("Lead", LEADS[2])
    back = actions.live("Lead")[LEADS[2]]
    assert (back["MasterRecordId"], world.salesforce["Task"][TASK]["WhoId"]) == (None, LEADS[3])


def test_histories_tell_who_and_the_log_tells_all(actions: SalesforceActions, world: World, client: Client) -> None:
    actions.act_as(world.salesforce["User"][BEN]["Email"])
    deal = actions.create("Opportunity", Name="D", StageName="Prospecting", CloseDate=date(2026, 12, 1), AccountId=BIG)
    actions.edit("Opportunity", deal, StageName="Closed Won")
    actions.edit("Opportunity", deal, Name="E")  # nothing that its history tells
    history = client.query(f"SELECT StageName, CreatedById FROM OpportunityHistory WHERE OpportunityId = '{deal}'").json["records"]
    assert [(row["StageName"], row["CreatedById"]) for row in history] == [("Prospecting", BEN), ("Closed Won", BEN)]
    actions.edit("Lead", LEADS[1], Status="Nurturing")
    (row,) = client.query(f"SELECT CreatedById FROM LeadHistory WHERE LeadId = '{LEADS[1]}'").json["records"]
    assert row["CreatedById"] == BEN
    with pytest.raises(RowRefused):
        actions.edit("Lead", LEADS[1], Title="x", OwnerId="005000000000000AAA")
    told = [(edit.object, edit.property, edit.after, edit.user) for edit in world.edits]
    assert ("Opportunity", "StageName", "Closed Won", BEN) in told
    assert ("Lead", "Status", "Nurturing", BEN) in told
    assert not any(name == "Title" for _, name, *_ in told)


def test_accounts_and_contacts_merge_too(actions: SalesforceActions) -> None:
    deal = actions.create("Opportunity", Name="D", StageName="Closed Won", CloseDate=date(2026, 12, 1), AccountId=BIG)
    other = actions.create("Contact", LastName="Other", AccountId=BIG)
    actions.create("OpportunityContactRole", OpportunityId=deal, ContactId=other, IsPrimary=True)
    actions.merge("Account", keep=ACME, lose=BIG)
    actions.merge("Contact", keep=CONTACT, lose=other)
    assert actions.live("Opportunity")[deal]["AccountId"] == ACME
    assert [row["ContactId"] for row in actions.live("OpportunityContactRole").values()] == [CONTACT]
    assert BIG not in actions.live("Account")


def test_a_merge_waits_for_another_one_of_the_same_record(actions: SalesforceActions) -> None:
    actions.merge("Lead", keep=LEADS[2], lose=LEADS[1], late=60)
    with pytest.raises(RowRefused):  # it is lost already, though nobody else sees that yet
        actions.merge("Lead", keep=LEADS[1], lose=LEADS[3])
    assert actions.live("Lead", deleted=True)[LEADS[1]]["MasterRecordId"] == LEADS[2]


def test_what_cannot_be_merged(actions: SalesforceActions) -> None:
    for keep, lose in ((LEADS[1], LEADS[1]), (LEADS[1], CONVERTED)):
        with pytest.raises(RowRefused):
            actions.merge("Lead", keep, lose)
    with pytest.raises(RowRefused):
        actions.merge("Task", TASK, TASK)


def test_a_conversion_makes_three_records_and_takes_everything_along(client: Client, actions: SalesforceActions, world: World) -> None:
    campaign = actions.create("Campaign", Name="Fair")
    member = actions.create("CampaignMember", CampaignId=campaign, LeadId=LEADS[1])
    contact = actions.convert(LEADS[1])
    lead = one(client, f"SELECT IsConverted, Status, ConvertedDate, ConvertedContactId, ConvertedAccountId, ConvertedOpportunityId, "
                       f"SystemModstamp FROM Lead WHERE Id = '{LEADS[1]}'")  # fmt: skip
    assert (lead["IsConverted"], lead["Status"], lead["ConvertedDate"]) == (True, "Closed - Converted", "2026-12-01")
    assert (lead["ConvertedContactId"], lead["SystemModstamp"]) == (contact, "2026-12-01T12:00:00.000+0000")
    made = one(client, f"SELECT Email, AccountId, Account.Name, OwnerId FROM Contact WHERE Id = '{contact}'")
    assert (made["Email"], made["Account"]["Name"], made["OwnerId"]) == ("z1@Kunde.example", "Kunde", ANNA)
    assert made["AccountId"] == lead["ConvertedAccountId"]
    role = one(client, "SELECT ContactId, IsPrimary, Opportunity.IsClosed FROM OpportunityContactRole")
    assert (role["ContactId"], role["IsPrimary"], role["Opportunity"]["IsClosed"]) == (contact, True, False)
    assert world.salesforce["Task"][TASK]["WhoId"] == contact
    assert world.salesforce["Task"][TASK]["AccountId"] == made["AccountId"]
    assert (actions.live("CampaignMember")[member]["ContactId"], actions.live("CampaignMember")[member]["LeadId"]) == (contact, None)
    assert client.write("PATCH", f"/sobjects/Lead/{LEADS[1]}", {"Title": "x"}).code == "CANNOT_UPDATE_CONVERTED_LEAD"
    with pytest.raises(RowRefused):
        actions.convert(LEADS[1])


def test_a_queues_lead_is_converted_to_a_users_contact_in_an_account_that_exists(actions: SalesforceActions, world: World) -> None:
    world.salesforce["Lead"][LEADS[0]]["Company"] = "Acme"
    contact = actions.live("Lead")[LEADS[0]]["OwnerId"] == QUEUE and actions.convert(LEADS[0], opportunity=False)
    made = actions.live("Contact")[str(contact)]
    assert made["OwnerId"] in world.salesforce["User"]
    assert made["AccountId"] == ACME
    assert actions.live("Lead")[LEADS[0]]["ConvertedOpportunityId"] is None


# ── New objects ──


def test_an_opportunitys_stage_decides(client: Client, world: World) -> None:
    made = client.write("POST", "/sobjects/Opportunity", {"Name": "Deal", "StageName": "Prospecting", "CloseDate": "2026-12-31"}).json["id"]
    deal = world.salesforce["Opportunity"][made]
    assert (deal["IsClosed"], deal["IsWon"], deal["Probability"], deal["CurrencyIsoCode"]) == (False, False, 10.0, "EUR")
    client.write("PATCH", f"/sobjects/Opportunity/{made}", {"StageName": "Closed Won", "CurrencyIsoCode": "CHF"})
    assert (deal["IsClosed"], deal["IsWon"], deal["Probability"], deal["CurrencyIsoCode"]) == (True, True, 100.0, "CHF")
    assert client.write("POST", "/sobjects/Opportunity", {"Name": "x"}).json[0]["fields"] == ["StageName", "CloseDate"]


def test_currencies_are_an_option(world: World, clock: Clock) -> None:
    world.salesforce["Opportunity"][make_id("006", 1)] = {"Id": make_id("006", 1), "CurrencyIsoCode": "EUR", "IsDeleted": False}
    client = Client(create_app(world, now=clock))
    client.sign_in()
    assert client.query("SELECT CurrencyIsoCode FROM Opportunity").code == "INVALID_FIELD"
    assert "CurrencyIsoCode" not in {one["name"] for one in client.get("/sobjects/Opportunity/describe").json["fields"]}


def test_a_member_is_a_lead_or_a_contact(client: Client, actions: SalesforceActions) -> None:
    campaign = actions.create("Campaign", Name="Fair")
    both = {"CampaignId": campaign, "LeadId": LEADS[1], "ContactId": CONTACT}
    assert client.write("POST", "/sobjects/CampaignMember", both).code == "REQUIRED_FIELD_MISSING"
    assert client.write("POST", "/sobjects/CampaignMember", {"CampaignId": campaign}).code == "REQUIRED_FIELD_MISSING"
    made = client.write("POST", "/sobjects/CampaignMember", {"CampaignId": campaign, "LeadId": LEADS[1]}).json["id"]
    actions.edit("CampaignMember", made, Status="Attended")
    member = one(client, "SELECT HasResponded, FirstRespondedDate, Campaign.Name, Lead.Email FROM CampaignMember")
    assert (member["HasResponded"], member["FirstRespondedDate"], member["Campaign"]["Name"]) == (True, "2026-12-01", "Fair")
    actions.delete("Campaign", campaign)
    assert client.query("SELECT Id FROM CampaignMember").json["totalSize"] == 0


def test_activities_by_action(client: Client, actions: SalesforceActions) -> None:
    call, todo, meeting = actions.log_call(LEADS[1], owner=ANNA, minutes=3), actions.task(LEADS[1]), actions.event(LEADS[1])
    told = one(client, f"SELECT TaskSubtype, IsClosed, CallType, CallDurationInSeconds, OwnerId FROM Task WHERE Id = '{call}'")
    assert list(told.values())[1:] == ["Call", True, "Outbound", 180, ANNA]
    assert not actions.live("Task")[todo]["IsClosed"]
    assert actions.live("Event")[meeting]["EndDateTime"] == NOON
    assert actions.live("Lead")[LEADS[1]]["SystemModstamp"] == NOON


def test_old_activities_are_archived_without_a_stamp(client: Client, actions: SalesforceActions, clock: Clock) -> None:
    actions.log_call(LEADS[1])
    waiting = actions.task(LEADS[1])
    clock.at += timedelta(days=367)
    client.sign_in()
    assert actions.archive() == 2
    assert client.query("SELECT Id FROM Task").json["totalSize"] == 1
    assert client.query("SELECT Id FROM Task WHERE IsArchived = true", "queryAll").json["totalSize"] == 3
    assert waiting in actions.live("Task")
    assert max(row["SystemModstamp"] for row in actions.live("Task").values()) == NOON


# ── Time ──


def test_a_late_commit_shows_later_under_its_old_stamp(client: Client, actions: SalesforceActions, clock: Clock) -> None:
    actions.change_options(late_commits=60)
    made = actions.create("Lead", LastName="Late", Company="Kunde")
    actions.edit("Lead", LEADS[1], Title="late")
    clock.at += timedelta(seconds=59)
    assert client.query(f"SELECT Id FROM Lead WHERE Id = '{made}'").json["totalSize"] == 0
    assert client.found("Title = 'late'") == []
    clock.at += timedelta(seconds=1)
    assert one(client, f"SELECT SystemModstamp FROM Lead WHERE Id = '{made}'")["SystemModstamp"] == "2026-12-01T12:00:00.000+0000"
    assert client.found("Title = 'late' AND SystemModstamp = 2026-12-01T12:00:00Z") == [1]


def test_who_writes_to_a_row_under_way_waits_for_it(client: Client, actions: SalesforceActions, clock: Clock) -> None:
    actions.edit("Lead", LEADS[1], Title="late", FirstName="Late", late=600)
    clock.at += timedelta(seconds=10)
    assert client.write("PATCH", f"/sobjects/Lead/{LEADS[1]}", {"Title": "ours"}).status == 204
    lead = actions.live("Lead")[LEADS[1]]
    assert (lead["Title"], lead["FirstName"], lead["SystemModstamp"]) == ("ours", "Late", NOON + timedelta(seconds=10))
    late = actions.create("Lead", LastName="L", Company="K", late=600)
    actions.log_call(late)
    assert late in actions.live("Lead")
    actions.delete("Lead", LEADS[3], late=600)
    actions.hard_delete("Lead", LEADS[3])
    assert LEADS[3] not in actions.live("Lead", deleted=True)
    actions.convert(LEADS[2], late=600)
    assert not actions.live("Lead")[LEADS[2]]["IsConverted"]
    actions.settle()
    assert actions.live("Lead")[LEADS[2]]["IsConverted"]


def test_ids_are_never_given_twice(actions: SalesforceActions) -> None:
    first = actions.create("Lead", LastName="A", Company="K", late=600)
    second = actions.create("Lead", LastName="B", Company="K")
    actions.hard_delete("Lead", second)
    third = actions.create("Lead", LastName="C", Company="K")
    assert len({first, second, third}) == 3
    assert first < second < third


def test_a_refused_action_leaves_nothing(actions: SalesforceActions, world: World) -> None:
    before = {name: {row_id: dict(row) for row_id, row in rows.items()} for name, rows in world.salesforce.items()}
    with pytest.raises(RowRefused):
        actions.create("Lead", LastName="x" * 81, Company="K")
    with pytest.raises(RowRefused):
        actions.edit("Lead", LEADS[1], Email="none")
    assert world.salesforce == before


def test_many_rows_may_share_one_stamp(client: Client, actions: SalesforceActions) -> None:
    actions.stamp_alike("Lead", LEADS[:6], LATER)
    assert client.found(f"(SystemModstamp = 2026-12-01T12:00:01Z AND Id > '{LEADS[3]}') OR SystemModstamp > 2026-12-01T12:00:01Z") == [4, 5]


def test_a_formula_changes_without_a_stamp(client: Client, actions: SalesforceActions) -> None:
    actions.recompute("Lead", LEADS[1], Grade__c="A")
    told = one(client, f"SELECT Grade__c, SystemModstamp FROM Lead WHERE Id = '{LEADS[1]}'")
    assert (told["Grade__c"], told["SystemModstamp"]) == ("A", "2026-12-01T08:00:00.000+0000")
    field = next(one for one in client.get("/sobjects/Lead/describe").json["fields"] if one["name"] == "Grade__c")
    assert (field["calculated"], field["updateable"]) == (True, False)
    with pytest.raises(ValueError, match="no formula"):
        actions.recompute("Lead", LEADS[1], Title="x")


# ── Schema changes ──


def test_the_schema_drifts(client: Client, actions: SalesforceActions) -> None:
    def fields() -> dict[str, Any]:
        return {one["name"]: one for one in client.get("/sobjects/Lead/describe").json["fields"]}

    actions.schema.remove_field("Lead", "Wild__c")
    actions.schema.add_field("Lead", "New__c", "double")
    actions.schema.change_type("Lead", "Title", "double")
    actions.schema.hide_field("Lead", "Email")
    actions.schema.remove_option("Lead", "Rejection_Reason__c", "Bad timing")
    actions.schema.remove_option("Lead", "Status", "Qualified")
    told = fields()
    assert not {"Wild__c", "Email"} & set(told)
    assert (told["New__c"]["type"], told["Title"]["type"]) == ("double", "double")
    for name in ("Wild__c", "Email"):
        assert client.query(f"SELECT {name} FROM Lead").code == "INVALID_FIELD"
    assert "Bad timing" not in [value["value"] for value in told["Rejection_Reason__c"]["picklistValues"]]
    refused = client.write("PATCH", f"/sobjects/Lead/{LEADS[1]}", {"Rejection_Reason__c": "Bad timing"})
    assert refused.code == "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
    assert "Qualified" not in [value["value"] for value in told["Status"]["picklistValues"]]
    actions.schema.show_field("Lead", "Email")
    assert client.query("SELECT Email FROM Lead").status == 200
    with pytest.raises(KeyError):
        actions.schema.hide_field("Lead", "Nothing__c")


# ── Threads and indexes ──


def test_actions_come_between_requests(client: Client, actions: SalesforceActions) -> None:
    def edit() -> None:
        for number in range(60):
            actions.edit("Lead", LEADS[1], Title=str(number), Salutation=str(number))

    thread = threading.Thread(target=edit)
    thread.start()
    while thread.is_alive():
        told = one(client, f"SELECT Title, Salutation FROM Lead WHERE Id = '{LEADS[1]}'")
        assert told["Title"] == told["Salutation"]
    thread.join()


STEP = st.tuples(st.sampled_from(["stamp", "put", "drop", "ask"]), st.integers(0, 7), st.integers(0, 5), st.booleans())


@given(st.lists(STEP, max_size=30))
def test_an_index_answers_as_a_look_at_every_row_would(steps: list[tuple[str, int, int, bool]]) -> None:
    """Rows may be changed, added and taken away behind the server's back."""
    world = tiny_world()
    client = Client(create_app(world, now=Clock()))
    client.sign_in()
    table = world.salesforce["Lead"]
    for what, number, minutes, flag in [*steps, ("ask", 3, 2, False)]:
        stamp, row = MORNING + timedelta(minutes=minutes), table.get(LEADS[number])
        if what == "stamp" and row is not None:
            row["SystemModstamp"] = stamp
        elif what == "put" and row is None:
            table[LEADS[number]] = {"Id": LEADS[number], "SystemModstamp": stamp, "IsDeleted": flag}
        elif what == "drop":
            table.pop(LEADS[number], None)
        else:
            text = f"{stamp:%Y-%m-%dT%H:%M:%SZ}"
            where = f"(SystemModstamp = {text} AND Id > '{LEADS[number]}') OR SystemModstamp > {text}"
            found = client.query(f"SELECT Id FROM Lead WHERE {where} ORDER BY SystemModstamp, Id LIMIT 3", "queryAll").json["records"]
            keys = sorted((row["SystemModstamp"], row["Id"]) for row in table.values())
            assert [record["Id"] for record in found] == [key[1] for key in keys if key > (stamp, LEADS[number])][:3]
