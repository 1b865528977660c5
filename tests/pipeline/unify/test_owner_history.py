"""Whole passes: who owned a contact when, in which CRM, since which rule or person."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from connector.model import RecordRef
from connector.store.mirror import privacy_forget
from tests.support.company import EVERYTHING, NOW, Company, moment, running_company, when

Row = tuple[str, str, str | None, datetime | None, datetime | None]


def stays(company: Company, contact: int | None = None) -> list[Any]:
    number = company.contact().id if contact is None else contact
    return company.rows("SELECT * FROM ownership WHERE contact_id = :id ORDER BY crm, number", id=number)


def told(rows: list[Any]) -> list[Row]:
    return [(row.crm, row.owner_id, row.owner, moment(row.since), moment(row.until)) for row in rows]


def test_owners_in_both_crms_from_the_first_sight_on(either_url: str) -> None:
    with running_company(either_url) as company:
        company.person(owner="anna", stage="lead")
        company.lead(owner="ben", stage="Nurturing")
        company.run()
        anna = ("hubspot", "anna", "anna@acme.example", company.now, None)
        ben = ("salesforce", "ben", "ben@acme.example", company.now, None)
        assert told(stays(company)) == [anna, ben]
        before = stays(company)
        company.later(hours=1)
        company.edit(city="Graz")
        company.run()
        assert stays(company) == before
        company.later(hours=1)
        company.edit(owner="chiara")
        edited = company.now
        company.later(minutes=5)
        company.run()
        chiara = ("hubspot", "chiara", "chiara@acme.example", edited, None)
        assert told(stays(company)) == [(*anna[:4], edited), chiara, ben]
        company.later(hours=1)
        company.edit(owner=None)
        company.later(minutes=5)
        company.run()
        assert [until is None for *_, until in told(stays(company))] == [False, False, True]
        company.later(hours=1)
        company.edit(owner="queue")
        company.run()
        assert told(stays(company))[2][:3] == ("hubspot", "queue", None)


def test_what_a_rule_assigned_is_its_own(either_url: str) -> None:
    with running_company(either_url, EVERYTHING) as company:
        company.person(stage="lead", interest="50")
        company.lead(stage="Nurturing", owner="queue")
        company.settle()
        owned = [row for row in stays(company) if row.crm == "salesforce"]
        assert [(row.owner_id, row.rule, row.by) for row in owned] == [("queue", None, None), ("anna", "qualify", None)]
        assert owned[0].until == owned[1].since


def test_a_contact_that_is_gone_is_nobody_s(either_url: str) -> None:
    with running_company(either_url) as company:
        ref = company.person(owner="anna", stage="lead")
        company.run()
        number = company.contact().id
        company.later(hours=1)
        company.hubspot.archive(ref.object, ref.id)
        company.look()
        company.run()
        assert told(stays(company, number)) == [("hubspot", "anna", "anna@acme.example", NOW + timedelta(minutes=5), company.now)]


def test_of_a_merge_each_number_keeps_its_own(either_url: str) -> None:
    with running_company(either_url) as company:
        company.person("1", "one@kunde.example", owner="anna", stage="lead")
        company.lead("00Q2", "two@kunde.example", owner="ben", stage="Nurturing")
        company.run()
        kept, lost = company.contact("1").id, company.contact("00Q2").id
        company.later(hours=1)
        company.edit("00Q2", Email="one@kunde.example")
        company.run()
        assert company.contact("00Q2").id == kept
        assert told(stays(company, lost)) == [("salesforce", "ben", "ben@acme.example", NOW + timedelta(minutes=5), company.now)]
        assert [(row[0], row[1], row[4]) for row in told(stays(company, kept))] == [("hubspot", "anna", None), ("salesforce", "ben", None)]


def test_a_person_deleted_for_privacy_has_no_owner_any_more(either_url: str) -> None:
    with running_company(either_url) as company:
        company.person(owner="anna", stage="lead")
        company.run()
        number = company.contact().id
        privacy_forget.forget(company.store, [RecordRef(crm="hubspot", object="contacts", id="1")], now=when("19 10:00"))
        assert told(stays(company, number)) == [("hubspot", "anna", "anna@acme.example", NOW + timedelta(minutes=5), when("19 10:00"))]
