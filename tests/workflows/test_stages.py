"""The stage of a contact: what each CRM's word counts, at adoption and afterwards, and how the other side is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connector.model import Record, Surroundings
from tests.support.company import HEAD, QUALIFY, config_of, new_company, running_company

ADOPT = pytest.mark.parametrize(
    ("adopt", "hubspot", "salesforce", "expected"),
    [
        ("hubspot", "lead", "Open", "lead"),
        ("salesforce", "lead", "Open", "mql"),
        ("furthest", "lead", "Open", "mql"),
        ("furthest", "sql", "Nurturing", "sql"),
        ("salesforce", "sql", "Rejected", "sql"),
        ("hubspot", "nonsense", "Open", "mql"),
        ("hubspot", "nonsense", "Rejected", None),
    ],
)


@ADOPT
def test_what_was_there_is_adopted_and_its_difference_is_not_written(
    url: str, adopt: str, hubspot: str, salesforce: str, expected: str | None
) -> None:
    with new_company(url, head=HEAD.replace("[adopt]", f'[adopt]\nstage = "{adopt}"')) as company:
        company.person(stage=hubspot)
        company.lead(stage=salesforce)
        company.run()
        company.later(minutes=5)
        company.all_due()
        assert company.run().planned == 0
        assert company.stage() == expected
        assert (company.shows(), company.shows("00Q1")) == (hubspot, salesforce)


def test_a_difference_at_adoption_is_settled_by_the_next_change(url: str) -> None:
    with new_company(url) as company:
        company.person(stage="lead")
        company.lead(stage="Open")
        company.run()
        assert company.contact().stage_differs
        company.later(minutes=5)
        company.edit(stage="sql")
        company.settle()
        assert (company.stage(), company.shows("00Q1")) == ("sql", "Qualified")
        assert not company.contact().stage_differs


def test_a_contact_in_one_crm_does_not_differ(url: str) -> None:
    with new_company(url) as company:
        company.person(stage="lead")
        company.run()
        assert not company.contact().stage_differs


def test_linked_later_the_stage_further_along_holds_and_is_told(either_url: str) -> None:
    with running_company(either_url) as company:
        company.person(stage="lead")
        company.person("2", stage="sql")
        company.run()
        company.later(minutes=5)
        company.lead(stage="Open")
        company.lead("00Q2", stage="Nurturing")
        company.settle()
        assert (company.stage(), company.shows(), company.shows("00Q1")) == ("mql", "mql", "Open")
        assert (company.stage("2"), company.shows("2"), company.shows("00Q2")) == ("sql", "sql", "Qualified")


@pytest.mark.parametrize("first", [True, False])
def test_a_default_of_the_crm_says_nothing_until_something_was_agreed(url: str, first: bool) -> None:
    """Also when its record is linked to a contact whose stage is agreed already."""
    with running_company(url, set_up={"salesforce": Surroundings(defaults={"Status": "Open"})}) as company:
        if first:
            company.lead(stage="Open")
            company.run()
            assert company.stage("00Q1") is None
            company.later(minutes=5)
        company.person(stage="lead")
        if not first:
            company.run()
            company.later(minutes=5)
            company.lead(stage="Open")
        company.settle()
        assert (company.stage(), company.shows(), company.shows("00Q1")) == ("lead", "lead", "Nurturing")
        company.later(minutes=5)
        company.edit("00Q1", stage="Open")
        company.settle()
        assert (company.stage(), company.shows()) == ("mql", "mql")


def test_a_second_lead_with_the_default_does_not_pull_the_contact_up(url: str) -> None:
    """A duplicate that becomes the contact's record is linked later, as a first one would be."""
    with running_company(url, set_up={"salesforce": Surroundings(defaults={"Status": "Open"})}) as company:
        company.person(stage="lead")
        company.lead(stage="Nurturing")
        company.run()
        company.later(minutes=5)
        company.lead("00Q0", Email="p1@kunde.example", stage="Open", owner="ben")
        company.settle()
        assert (company.stage(), company.shows(), company.shows("00Q0")) == ("lead", "lead", "Nurturing")


def test_the_side_that_changed_wins_and_the_other_is_told_once(either_url: str) -> None:
    with running_company(either_url) as company:
        company.person(stage="sql")
        company.lead(stage="Qualified")
        company.run()
        company.later(minutes=5)
        company.edit("00Q1", stage="Nurturing")
        company.settle()
        assert (company.stage(), company.shows()) == ("lead", "lead")
        for _ in range(2):
            company.later(minutes=5)
            company.all_due()
            assert company.run().planned == 0
        assert company.writes() == 1


def test_where_both_changed_the_stage_further_along_wins(url: str) -> None:
    with running_company(url) as company:
        company.person(stage="lead")
        company.lead(stage="Nurturing")
        company.run()
        company.later(minutes=5)
        company.edit(stage="mql")
        company.edit("00Q1", stage="Qualified")
        company.settle()
        assert (company.stage(), company.shows()) == ("sql", "sql")


def test_a_value_that_no_stage_names_says_nothing(url: str) -> None:
    with running_company(url) as company:
        company.person(stage="mql")
        company.lead(stage="Open")
        company.run()
        company.later(minutes=5)
        company.edit("00Q1", stage="On holiday")
        company.edit(stage="elsewhere")
        assert company.run().planned == 0
        assert company.stage() == "mql"
        assert (company.shows(), company.shows("00Q1")) == ("elsewhere", "On holiday")


def test_any_listed_value_reads_as_the_stage_and_is_left_alone(url: str) -> None:
    with running_company(url) as company:
        company.person(stage="lead")
        company.lead(stage="Nurturing")
        company.run()
        company.later(minutes=5)
        company.edit("00Q1", stage="Working")
        company.settle()
        assert (company.stage(), company.shows(), company.shows("00Q1")) == ("mql", "mql", "Working")


def test_a_crm_without_a_value_or_not_to_be_written_agrees(url: str) -> None:
    with running_company(url) as company:
        company.person(stage="lead")
        company.lead(stage="Nurturing")
        company.run()
        for stage in ("subscriber", "customer"):
            company.later(minutes=5)
            company.edit(stage=stage)
            assert company.run().planned == 0
            assert company.stage() == stage
        assert company.shows("00Q1") == "Nurturing"


def test_a_person_who_moves_it_while_our_own_write_is_on_its_way_back_wins(url: str) -> None:
    """Our own write, seen again, is no change: it does not outvote the person."""
    with running_company(url) as company:
        company.person(stage="lead")
        company.lead(stage="Nurturing")
        company.run()
        company.later(minutes=5)
        company.edit(stage="sql")
        company.run()
        assert company.shows("00Q1") == "Qualified"
        company.later(minutes=1)
        company.edit(stage="lead")
        company.settle()
        assert (company.stage(), company.shows(), company.shows("00Q1")) == ("lead", "lead", "Nurturing")


def test_a_person_who_moves_it_back_right_after_a_rule_wins(url: str) -> None:
    with running_company(url, QUALIFY) as company:
        company.person(stage="lead", interest="50")
        company.lead(stage="Nurturing")
        company.run()
        assert (company.shows(), company.shows("00Q1")) == ("mql", "Open")
        company.later(minutes=1)
        company.edit(stage="subscriber")
        company.settle()
        assert (company.stage(), company.shows()) == ("subscriber", "subscriber")


@pytest.mark.parametrize("both", [True, False])
def test_a_person_who_takes_a_rules_step_back_at_once_wins(either_url: str, both: bool) -> None:
    """Back to the very value that stood there before the rule; and the rule waits for new evidence."""
    with running_company(either_url, QUALIFY) as company:
        company.person(stage="lead", interest="50")
        if both:
            company.lead(stage="Nurturing")
        company.run()
        assert company.shows() == "mql"
        company.later(minutes=1)
        company.edit(stage="lead")
        company.settle()
        assert (company.stage(), company.shows()) == ("lead", "lead")
        assert not both or company.shows("00Q1") == "Nurturing"
        assert [row.by for row in company.rows("SELECT by FROM spell WHERE stage = 'mql'")] == ["connector"]
        assert company.outcomes() == ["ignored"]
        company.later(days=100)
        company.all_due()
        assert company.run().planned == 0


def test_a_person_who_takes_back_what_the_other_side_was_told_wins(url: str) -> None:
    with running_company(url) as company:
        company.person(stage="lead")
        company.lead(stage="Nurturing")
        company.run()
        company.later(minutes=5)
        company.edit("00Q1", stage="Qualified")
        company.run()
        assert company.shows() == "sql"
        company.edit(stage="lead")
        company.settle()
        assert (company.stage(), company.shows(), company.shows("00Q1")) == ("lead", "lead", "Nurturing")


def test_a_refused_write_is_not_tried_again_for_the_same_agreement(url: str) -> None:
    with running_company(url) as company:
        company.person(stage="lead")
        company.lead(stage="Nurturing")
        company.run()
        company.later(minutes=5)
        company.salesforce.refuse("00Q1", "no")
        company.edit(stage="mql")
        company.run()
        tried = company.salesforce.requests["update"]
        for _ in range(2):
            company.later(minutes=5)
            company.all_due()
            assert company.run().planned == 0
        assert company.salesforce.requests["update"] == tried
        company.salesforce.refuse("00Q1", "no", times=0)
        company.edit(stage="sql")
        company.settle()
        assert company.shows("00Q1") == "Qualified"


def test_a_converted_lead_tells_its_stage_and_is_not_written(url: str) -> None:
    with running_company(url) as company:
        company.person(stage="mql")
        company.lead(stage="Open")
        company.run()
        company.later(minutes=5)
        lead = company.salesforce.read("Lead", ["00Q1"], ["Email", "Status"])["00Q1"]
        assert isinstance(lead, Record)
        company.salesforce.put(
            replace(lead, properties={**lead.properties, "Status": "Converted"}, converted_to="003A", modified_at=company.now)
        )
        company.salesforce.person("Contact", "003A", Email="p1@kunde.example")
        company.settle()
        assert (company.stage(), company.shows()) == ("customer", "customer")
        assert company.contact("003A").id == company.contact().id
        company.later(minutes=5)
        company.edit(stage="mql")
        company.settle()
        assert (company.stage(), company.shows("00Q1")) == ("mql", "Converted")


def test_going_live_agrees_anew_what_was_agreed_in_shadow(either_url: str) -> None:
    shadow = HEAD.replace('mode = "live"', 'mode = "shadow"')
    with new_company(either_url, head=shadow) as company:
        company.person(stage="lead")
        company.lead(stage="Open")
        company.run()
        company.later(minutes=5)
        company.edit("00Q1", stage="Qualified")
        result = company.run()
        assert result.planned == 1
        assert company.stage() == "sql"
        company.config = config_of()
        company.later(minutes=5)
        assert company.run().planned == 0
        assert (company.stage(), company.writes()) == ("lead", 0)
