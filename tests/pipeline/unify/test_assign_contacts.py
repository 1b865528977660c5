"""Whose record is the contact's: from what records tell of who they are to the contact of each. Values in, values out; no database."""

from __future__ import annotations

import pytest

from connector.model import CrmName
from connector.pipeline.unify.identity import Assignment, Key, Trace, assign_contacts, one_person, stored_ids
from connector.pipeline.unify.linking import stored_id
from connector.store.tables.rows import PersonRecord

IDA: Key = ("hubspot", "contacts", "1")
TOM: Key = ("hubspot", "contacts", "2")
LEAD: Key = ("salesforce", "Lead", "00Q1")
OTHER_LEAD: Key = ("salesforce", "Lead", "00Q2")
PERSON: Key = ("salesforce", "Contact", "0031")
ADDRESS, ANOTHER = "ida@kunde.example", "tom@kunde.example"


def trace(key: Key, *names: Key, email: str | None = None, contact: int | None = None, claims: bool = False) -> Trace:
    return Trace(key, (key, *names), () if email is None else (email,), contact, claims)


@pytest.mark.parametrize(
    ("traces", "together"),
    [
        # nothing joins them
        ([trace(IDA, email=ADDRESS), trace(TOM, email=ANOTHER)], [{IDA}, {TOM}]),
        # an address, within a CRM and across
        ([trace(IDA, email=ADDRESS), trace(LEAD, email=ADDRESS)], [{IDA, LEAD}]),
        ([trace(IDA, email=ADDRESS), trace(TOM, email=ADDRESS)], [{IDA, TOM}]),
        # a stored id, whatever the addresses say
        ([trace(IDA, LEAD, email=ADDRESS, claims=True), trace(LEAD, email=ANOTHER)], [{IDA, LEAD}]),
        # a stored id beats the address
        (
            [trace(IDA, LEAD, email=ADDRESS, claims=True), trace(LEAD), trace(OTHER_LEAD, email=ADDRESS)],
            [{IDA, LEAD}, {OTHER_LEAD}],
        ),
        # what it became
        ([trace(LEAD, PERSON), trace(PERSON)], [{LEAD, PERSON}]),
        # what was one contact stays one
        ([trace(IDA, contact=7), trace(LEAD, contact=7)], [{IDA, LEAD}]),
    ],
)
def test_who_is_one_person(traces: list[Trace], together: list[set[Key]]) -> None:
    groups = [{member.key for member in group} for group in one_person(traces)]
    assert sorted(map(sorted, groups)) == sorted(map(sorted, together))
    backwards = [{member.key for member in group} for group in one_person(traces[::-1])]
    assert sorted(map(sorted, backwards)) == sorted(map(sorted, together))


@pytest.mark.parametrize(
    ("person", "contacts", "merges", "fresh"),
    [
        ([trace(IDA)], {}, [], [[IDA]]),
        ([trace(IDA), trace(LEAD)], {}, [], [[IDA, LEAD]]),
        ([trace(IDA), trace(LEAD, contact=7)], {IDA: 7, LEAD: 7}, [], []),
        ([trace(IDA, contact=9), trace(LEAD, contact=7)], {IDA: 7, LEAD: 7}, [[7, 9]], []),
        ([trace(IDA, contact=9), trace(LEAD, contact=7), trace(PERSON, contact=9)], {IDA: 7, LEAD: 7, PERSON: 7}, [[7, 9]], []),
    ],
)
def test_which_contact_a_persons_records_belong_to(
    person: list[Trace], contacts: dict[Key, int], merges: list[list[int]], fresh: list[list[Key]]
) -> None:
    assert assign_contacts([person]) == Assignment(contacts=contacts, merges=merges, fresh=fresh)


def stored(crm: CrmName, object_name: str, record_id: str, *, linked: str | None = None, converted: str | None = None) -> PersonRecord:
    return PersonRecord(
        crm=crm, object=object_name, id=record_id, role=None, owner_id=None, company_id=None, converted_to=converted, modified_at=None,
        properties={}, linked_id=linked,
    )  # fmt: skip


def test_the_ids_that_the_other_crm_stores_and_what_became_of_a_lead() -> None:
    rows = [stored("hubspot", "contacts", "1", linked="00Q1"), stored("salesforce", "Lead", "00Q1", converted="0031")]
    assert stored_ids(rows) == {"00Q1", "0031"}
    assert stored_ids([stored("salesforce", "Lead", "00Q1", converted="0031")]) == set()


@pytest.mark.parametrize(
    ("crm", "properties", "id_field", "found"),
    [
        ("hubspot", '{"salesforceleadid":"00Q5e00000AbCdE"}', None, "00Q5e00000AbCdEEAV"),
        ("hubspot", '{"salesforcecontactid":"003000000000123","salesforceleadid":"00Q5e00000AbCdE"}', None, "003000000000123AAA"),
        ("hubspot", '{"salesforcecontactid":null,"salesforceleadid":"00Q5e00000AbCdE"}', None, "00Q5e00000AbCdEEAV"),
        ("hubspot", '{"salesforcecontactid":"","email":"a@x.example"}', None, None),
        ("salesforce", '{"HubSpot_Id__c":"123"}', "HubSpot_Id__c", "123"),
        ("salesforce", '{"HubSpot_Id__c":123.0}', "HubSpot_Id__c", "123"),
        ("salesforce", '{"HubSpot_Id__c":"123"}', None, None),
        ("salesforce", '{"Note__c":"\\"HubSpot_Id__c\\":\\"9\\""}', "HubSpot_Id__c", None),
    ],
)
def test_the_id_of_the_other_half_that_a_record_stores(crm: str, properties: str, id_field: str | None, found: str | None) -> None:
    assert stored_id(crm, properties, id_field) == found
