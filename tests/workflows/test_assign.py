"""Who gets a lead: in turn, the same company to the same person, routes first, nobody who is not there."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from connector.model import Owner, Record
from tests.support.company import ASSIGN, QUALIFY, THEN, Company, running_company
from tests.support.stores import rerunning

RULES = QUALIFY + THEN + ASSIGN


def owner(company: Company, number: int | str) -> str | None:
    found: str | None = company.salesforce.value("Lead", f"00Q{number}", "OwnerId")
    return found


def add(company: Company, number: int | str, **more: str) -> None:
    company.person(str(number), stage="lead", interest="50", **more)
    company.lead(f"00Q{number}", stage="Nurturing")


def works_at(company: Company, number: int | str, company_id: str) -> None:
    row = company.hubspot.read("contacts", [str(number)], ["email", "lifecyclestage", "interest"])[str(number)]
    assert isinstance(row, Record)
    company.hubspot.put(replace(row, company_id=company_id))


def test_in_turn_within_a_pass_and_over_passes(either_url: str) -> None:
    with running_company(either_url, RULES) as company:
        for number in range(1, 5):
            add(company, number)
        company.settle()
        assert [owner(company, number) for number in range(1, 5)] == ["anna", "ben", "chiara", "anna"]
        add(company, 5)
        company.settle()
        assert owner(company, 5) == "ben"
        assert Counter(task.owner_id for task in company.tasks("alert")) == {"anna": 2, "ben": 2, "chiara": 1}


def test_a_transaction_that_is_run_again_takes_no_turn_twice(either_url: str) -> None:
    """PostgreSQL may run a transaction again after a lost deadlock: whose turn it is goes on once all the same."""
    with running_company(either_url, RULES) as company:
        company.store = rerunning(company.store)
        for number in range(1, 6):
            add(company, number)
        company.settle()
        assert [owner(company, number) for number in range(1, 6)] == ["anna", "ben", "chiara", "anna", "ben"]
        assert company.rows("SELECT position FROM turn WHERE name = 'inbound'") == [(5,)]


def test_who_is_inactive_is_passed_over(url: str) -> None:
    with running_company(url, RULES) as company:
        company.salesforce.put(Owner(crm="salesforce", id="ben", email="ben@acme.example", name="Ben", active=False))
        for number in range(1, 4):
            add(company, number)
        company.settle()
        assert [owner(company, number) for number in range(1, 4)] == ["anna", "chiara", "anna"]


def test_the_same_company_goes_to_the_same_owner(url: str) -> None:
    """Within a pass, and later; whichever CRM knows the company."""
    with running_company(url, RULES) as company:
        for number in range(1, 5):
            add(company, number)
            works_at(company, number, "c1" if number in (1, 3) else f"c{number + 10}")
        company.settle()
        assert [owner(company, number) for number in range(1, 5)] == ["anna", "ben", "anna", "chiara"]
        add(company, 5)
        works_at(company, 5, "c12")
        company.settle()
        assert owner(company, 5) == "ben"


def test_a_route_goes_first(url: str) -> None:
    with running_company(url, RULES) as company:
        add(company, 1, country="Austria")
        add(company, 2)
        company.settle()
        assert (owner(company, 1), owner(company, 2)) == ("chiara", "anna")


def test_whom_somebody_owns_is_left_with_him(url: str) -> None:
    with running_company(url, RULES) as company:
        company.person(stage="lead", interest="50")
        company.lead(stage="Nurturing", owner="ben")
        company.settle()
        assert owner(company, 1) == "ben"
        assert [task.owner_id for task in company.tasks("alert")] == ["ben"]


def test_a_queue_and_a_deactivated_user_are_no_owner(url: str) -> None:
    with running_company(url, RULES) as company:
        company.salesforce.put(Owner(crm="salesforce", id="gone", email="gone@acme.example", name="Gone", active=False))
        for number, who in ((1, "queue"), (2, "gone")):
            company.person(str(number), stage="lead", interest="50")
            company.lead(f"00Q{number}", stage="Nurturing", owner=who)
        company.run()
        assert company.contact("2").owner is None
        assert (owner(company, 1), owner(company, 2)) == ("anna", "ben")


def test_a_turn_is_not_used_up_by_what_was_given_already(url: str) -> None:
    with running_company(url, RULES) as company:
        add(company, 1)
        company.settle()
        for _ in range(3):
            company.all_due()
            company.run()
        add(company, 2)
        company.settle()
        assert owner(company, 2) == "ben"


def test_what_is_held_uses_up_one_turn_however_long_it_waits(url: str) -> None:
    with running_company(url, RULES) as company:
        company.config = company.config.model_copy(update={"guard": company.config.guard.model_copy(update={"assign": 0})})
        add(company, 1)
        for _ in range(3):
            company.run()
            company.all_due()
        assert company.rows("SELECT position FROM turn WHERE name = 'inbound'") == [(1,)]
