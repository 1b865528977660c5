"""Fields of related records: as REST has them also by Bulk API, and one that is hidden takes no other with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connector.adapters.salesforce.wire.errors import NoSuchColumn
from connector.model import Page
from connector.sandbox.salesforce.options import SalesforceOptions
from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world
from tests.adapters.salesforce.fake_org import START, Clock, Org

_RELATED = ("Account.NumberOfEmployees", "Account.AnnualRevenue", "Account.Is_Key__c", "Account.Since__c", "Account.Name")


@pytest.fixture(scope="module")
def running() -> Iterator[Org]:
    """A small org whose accounts have fields of every type, pages of three."""
    clock = Clock()
    world = make_world(now=START, hubspot_contacts=60, salesforce_leads=120)
    for at, row in enumerate(world.salesforce["Account"].values()):
        row.update(NumberOfEmployees=at * 10, AnnualRevenue=at * 1e6, Is_Key__c=at % 2 == 0, Since__c=START, Rating__c="A")
    for row in world.salesforce["Contact"].values():
        row["Rating__c"] = "B"
    with Sandbox(world, now=clock, hubspot=None, salesforce=SalesforceOptions(page_size=3)) as box:
        yield Org(box, clock)


@pytest.fixture
def org(running: Org) -> Iterator[Org]:
    """The org, as each test finds it."""
    running.state.actions.change_options(page_size=3)
    yield running
    running.reset()


def contacts(org: Org, *wanted: str) -> list[Page]:
    return org.pages("Contact", crm=org.crm(wanted={"Contact": wanted}))


def told(pages: list[Page]) -> dict[str, dict[str, Any]]:
    return {record.id: dict(record.properties) for page in pages for record in page.records}


def test_bulk_api_and_rest_have_the_same_values_and_types(org: Org) -> None:
    org.state.actions.change_options(page_size=1)
    by_job = contacts(org, *_RELATED, "Email")
    assert any("bulk" in (page.cursor or {}) for page in by_job)
    org.state.actions.change_options(page_size=2_000)
    by_rest = contacts(org, *_RELATED, "Email")
    assert not any("bulk" in (page.cursor or {}) for page in by_rest)
    assert told(by_job) == told(by_rest)
    types = {name: {type(row[name]) for row in told(by_job).values()} - {type(None)} for name in _RELATED}
    assert types == dict(zip(_RELATED, ({int}, {float}, {bool}, {str}, {str}), strict=True))


@pytest.mark.parametrize("page_size", [3, 2_000])
def test_a_hidden_field_of_the_account_takes_no_other_with_it(org: Org, page_size: int) -> None:
    """Not the contact's own of the same name, nor the account's others."""
    org.state.actions.change_options(page_size=page_size)
    org.state.hidden.add(("Account", "Rating__c"))
    pages = contacts(org, "Email", "Rating__c", "Account.Name", "Account.Rating__c")
    assert {page.absent for page in pages} == {frozenset({"Account.Rating__c"})}
    found = told(pages)
    assert {row["Rating__c"] for row in found.values()} == {"B"}
    assert any(row["Account.Name"] for row in found.values())
    org.state.hidden.clear()
    org.state.hidden.add(("Contact", "Rating__c"))
    pages = contacts(org, "Email", "Rating__c", "Account.Name", "Account.Rating__c")
    assert {page.absent for page in pages} == {frozenset({"Rating__c"})}


@pytest.mark.parametrize(
    ("column", "entity", "name", "concerned"),
    [
        ("Rating__c", "Contact", "Rating__c", True),
        ("rating__c", "contact", "Rating__c", True),
        ("Rating__c", "Contact", "Account.Rating__c", False),
        ("Rating__c", "Account", "Rating__c", False),
        ("Rating__c", "Account", "Account.Rating__c", True),
        ("Rating__c", "Account", "Account.Industry", False),
        ("Partner__r", "Partner__r", "Partner__r.Name", True),
        ("Partner__r", "Partner__r", "Account.Partner__r.Name", True),
        ("Partner__r", "Partner__r", "Account.Name", False),
        ("Partner__r", "Partner__r", "Email", False),
    ],
)
def test_which_field_is_meant(column: str, entity: str, name: str, concerned: bool) -> None:
    error = NoSuchColumn("no", column=column, entity=entity, crm="salesforce", code="INVALID_FIELD", advice="")
    assert error.concerns("Contact", name) is concerned


def test_a_relationship_that_is_not_there_takes_its_own_fields_alone(org: Org) -> None:
    pages = contacts(org, "Email", "Account.Name", "Partner__r.Name", "Partner__r.City")
    assert {page.absent for page in pages} == {frozenset({"Partner__r.Name", "Partner__r.City"})}
    assert any(row["Account.Name"] for row in told(pages).values())
