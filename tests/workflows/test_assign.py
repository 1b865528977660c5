"""Who gets a lead: in turn, the same company to the same person, routes first, nobody who is not there."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from connector.model import Owner, Record
from tests.support.rule_world import ASSIGN, QUALIFY, THEN, World, running_world

RULES = QUALIFY + THEN + ASSIGN


def owner(w: World, number: int | str) -> str | None:
    found: str | None = w.salesforce.value("Lead", f"00Q{number}", "OwnerId")
    return found


def add(w: World, number: int | str, **more: str) -> None:
    w.person(str(number), stage="lead", interest="50", **more)
    w.lead(f"00Q{number}", stage="Nurturing")


def company(w: World, number: int | str, company_id: str) -> None:
    row = w.hubspot.read("contacts", [str(number)], ["email", "lifecyclestage", "interest"])[str(number)]
    assert isinstance(row, Record)
    w.hubspot.put(replace(row, company_id=company_id))


def test_in_turn_within_a_pass_and_over_passes(either_url: str) -> None:
    with running_world(either_url, RULES) as w:
        for number in range(1, 5):
            add(w, number)
        w.settle()
        assert [owner(w, number) for number in range(1, 5)] == ["anna", "ben", "chiara", "anna"]
        add(w, 5)
        w.settle()
        assert owner(w, 5) == "ben"
        assert Counter(task.owner_id for task in w.tasks("alert")) == {"anna": 2, "ben": 2, "chiara": 1}


def test_who_is_inactive_is_passed_over(url: str) -> None:
    with running_world(url, RULES) as w:
        w.salesforce.put(Owner(crm="salesforce", id="ben", email="ben@acme.example", name="Ben", active=False))
        for number in range(1, 4):
            add(w, number)
        w.settle()
        assert [owner(w, number) for number in range(1, 4)] == ["anna", "chiara", "anna"]


def test_the_same_company_goes_to_the_same_owner(url: str) -> None:
    """Within a pass, and later; whichever CRM knows the company."""
    with running_world(url, RULES) as w:
        for number in range(1, 5):
            add(w, number)
            company(w, number, "c1" if number in (1, 3) else f"c{number + 10}")
        w.settle()
        assert [owner(w, number) for number in range(1, 5)] == ["anna", "ben", "anna", "chiara"]
        add(w, 5)
        company(w, 5, "c12")
        w.settle()
        assert owner(w, 5) == "ben"


def test_a_route_goes_first(url: str) -> None:
    with running_world(url, RULES) as w:
        add(w, 1, country="Austria")
        add(w, 2)
        w.settle()
        assert (owner(w, 1), owner(w, 2)) == ("chiara", "anna")


def test_whom_somebody_owns_is_left_with_him(url: str) -> None:
    with running_world(url, RULES) as w:
        w.person(stage="lead", interest="50")
        w.lead(stage="Nurturing", owner="ben")
        w.settle()
        assert owner(w, 1) == "ben"
        assert [task.owner_id for task in w.tasks("alert")] == ["ben"]


def test_a_queue_and_a_deactivated_user_are_no_owner(url: str) -> None:
    with running_world(url, RULES) as w:
        w.salesforce.put(Owner(crm="salesforce", id="gone", email="gone@acme.example", name="Gone", active=False))
        for number, who in ((1, "queue"), (2, "gone")):
            w.person(str(number), stage="lead", interest="50")
            w.lead(f"00Q{number}", stage="Nurturing", owner=who)
        w.run()
        assert w.contact("2").owner is None
        assert (owner(w, 1), owner(w, 2)) == ("anna", "ben")


def test_a_turn_is_not_used_up_by_what_was_given_already(url: str) -> None:
    with running_world(url, RULES) as w:
        add(w, 1)
        w.settle()
        for _ in range(3):
            w.all_due()
            w.run()
        add(w, 2)
        w.settle()
        assert owner(w, 2) == "ben"


def test_what_is_held_uses_up_one_turn_however_long_it_waits(url: str) -> None:
    with running_world(url, RULES) as w:
        w.config = w.config.model_copy(update={"guard": w.config.guard.model_copy(update={"assign": 0})})
        add(w, 1)
        for _ in range(3):
            w.run()
            w.all_due()
        assert w.rows("SELECT position FROM turn WHERE name = 'inbound'") == [(1,)]
