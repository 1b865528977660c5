"""The stage of a contact: what each CRM's word counts, at adoption and afterwards, and how the other side is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connector.model import Record, Surroundings
from tests.support.rule_world import HEAD, QUALIFY, config_of, running_world, world

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
    with world(url, head=HEAD.replace("[adopt]", f'[adopt]\nstage = "{adopt}"')) as w:
        w.person(stage=hubspot)
        w.lead(stage=salesforce)
        w.run()
        w.later(minutes=5)
        w.all_due()
        assert w.run().planned == 0
        assert w.stage() == expected
        assert (w.shows(), w.shows("00Q1")) == (hubspot, salesforce)


def test_a_difference_at_adoption_is_settled_by_the_next_change(url: str) -> None:
    with world(url) as w:
        w.person(stage="lead")
        w.lead(stage="Open")
        w.run()
        assert w.contact().stage_differs
        w.later(minutes=5)
        w.edit(stage="sql")
        w.settle()
        assert (w.stage(), w.shows("00Q1")) == ("sql", "Qualified")
        assert not w.contact().stage_differs


def test_a_contact_in_one_crm_does_not_differ(url: str) -> None:
    with world(url) as w:
        w.person(stage="lead")
        w.run()
        assert not w.contact().stage_differs


def test_linked_later_the_stage_further_along_holds_and_is_told(either_url: str) -> None:
    with running_world(either_url) as w:
        w.person(stage="lead")
        w.person("2", stage="sql")
        w.run()
        w.later(minutes=5)
        w.lead(stage="Open")
        w.lead("00Q2", stage="Nurturing")
        w.settle()
        assert (w.stage(), w.shows(), w.shows("00Q1")) == ("mql", "mql", "Open")
        assert (w.stage("2"), w.shows("2"), w.shows("00Q2")) == ("sql", "sql", "Qualified")


@pytest.mark.parametrize("first", [True, False])
def test_a_default_of_the_crm_says_nothing_until_something_was_agreed(url: str, first: bool) -> None:
    """Also when its record is linked to a contact whose stage is agreed already."""
    with running_world(url, set_up={"salesforce": Surroundings(defaults={"Status": "Open"})}) as w:
        if first:
            w.lead(stage="Open")
            w.run()
            assert w.stage("00Q1") is None
            w.later(minutes=5)
        w.person(stage="lead")
        if not first:
            w.run()
            w.later(minutes=5)
            w.lead(stage="Open")
        w.settle()
        assert (w.stage(), w.shows(), w.shows("00Q1")) == ("lead", "lead", "Nurturing")
        w.later(minutes=5)
        w.edit("00Q1", stage="Open")
        w.settle()
        assert (w.stage(), w.shows()) == ("mql", "mql")


def test_a_second_lead_with_the_default_does_not_pull_the_contact_up(url: str) -> None:
    """A duplicate that becomes the contact's record is linked later, as a first one would be."""
    with running_world(url, set_up={"salesforce": Surroundings(defaults={"Status": "Open"})}) as w:
        w.person(stage="lead")
        w.lead(stage="Nurturing")
        w.run()
        w.later(minutes=5)
        w.lead("00Q0", Email="p1@kunde.example", stage="Open", owner="ben")
        w.settle()
        assert (w.stage(), w.shows(), w.shows("00Q0")) == ("lead", "lead", "Nurturing")


def test_the_side_that_changed_wins_and_the_other_is_told_once(either_url: str) -> None:
    with running_world(either_url) as w:
        w.person(stage="sql")
        w.lead(stage="Qualified")
        w.run()
        w.later(minutes=5)
        w.edit("00Q1", stage="Nurturing")
        w.settle()
        assert (w.stage(), w.shows()) == ("lead", "lead")
        for _ in range(2):
            w.later(minutes=5)
            w.all_due()
            assert w.run().planned == 0
        assert w.writes() == 1


def test_where_both_changed_the_stage_further_along_wins(url: str) -> None:
    with running_world(url) as w:
        w.person(stage="lead")
        w.lead(stage="Nurturing")
        w.run()
        w.later(minutes=5)
        w.edit(stage="mql")
        w.edit("00Q1", stage="Qualified")
        w.settle()
        assert (w.stage(), w.shows()) == ("sql", "sql")


def test_a_value_that_no_stage_names_says_nothing(url: str) -> None:
    with running_world(url) as w:
        w.person(stage="mql")
        w.lead(stage="Open")
        w.run()
        w.later(minutes=5)
        w.edit("00Q1", stage="On holiday")
        w.edit(stage="elsewhere")
        assert w.run().planned == 0
        assert w.stage() == "mql"
        assert (w.shows(), w.shows("00Q1")) == ("elsewhere", "On holiday")


def test_any_listed_value_reads_as_the_stage_and_is_left_alone(url: str) -> None:
    with running_world(url) as w:
        w.person(stage="lead")
        w.lead(stage="Nurturing")
        w.run()
        w.later(minutes=5)
        w.edit("00Q1", stage="Working")
        w.settle()
        assert (w.stage(), w.shows(), w.shows("00Q1")) == ("mql", "mql", "Working")


def test_a_crm_without_a_value_or_not_to_be_written_agrees(url: str) -> None:
    with running_world(url) as w:
        w.person(stage="lead")
        w.lead(stage="Nurturing")
        w.run()
        for stage in ("subscriber", "customer"):
            w.later(minutes=5)
            w.edit(stage=stage)
            assert w.run().planned == 0
            assert w.stage() == stage
        assert w.shows("00Q1") == "Nurturing"


def test_a_person_who_moves_it_while_our_own_write_is_on_its_way_back_wins(url: str) -> None:
    """Our own write, seen again, is no change: it does not outvote the person."""
    with running_world(url) as w:
        w.person(stage="lead")
        w.lead(stage="Nurturing")
        w.run()
        w.later(minutes=5)
        w.edit(stage="sql")
        w.run()
        assert w.shows("00Q1") == "Qualified"
        w.later(minutes=1)
        w.edit(stage="lead")
        w.settle()
        assert (w.stage(), w.shows(), w.shows("00Q1")) == ("lead", "lead", "Nurturing")


def test_a_person_who_moves_it_back_right_after_a_rule_wins(url: str) -> None:
    with running_world(url, QUALIFY) as w:
        w.person(stage="lead", interest="50")
        w.lead(stage="Nurturing")
        w.run()
        assert (w.shows(), w.shows("00Q1")) == ("mql", "Open")
        w.later(minutes=1)
        w.edit(stage="subscriber")
        w.settle()
        assert (w.stage(), w.shows()) == ("subscriber", "subscriber")


@pytest.mark.parametrize("both", [True, False])
def test_a_person_who_takes_a_rules_step_back_at_once_wins(either_url: str, both: bool) -> None:
    """Back to the very value that stood there before the rule; and the rule waits for new evidence."""
    with running_world(either_url, QUALIFY) as w:
        w.person(stage="lead", interest="50")
        if both:
            w.lead(stage="Nurturing")
        w.run()
        assert w.shows() == "mql"
        w.later(minutes=1)
        w.edit(stage="lead")
        w.settle()
        assert (w.stage(), w.shows()) == ("lead", "lead")
        assert not both or w.shows("00Q1") == "Nurturing"
        assert [row.by for row in w.rows("SELECT by FROM spell WHERE stage = 'mql'")] == ["connector"]
        assert w.outcomes() == ["ignored"]
        w.later(days=100)
        w.all_due()
        assert w.run().planned == 0


def test_a_person_who_takes_back_what_the_other_side_was_told_wins(url: str) -> None:
    with running_world(url) as w:
        w.person(stage="lead")
        w.lead(stage="Nurturing")
        w.run()
        w.later(minutes=5)
        w.edit("00Q1", stage="Qualified")
        w.run()
        assert w.shows() == "sql"
        w.edit(stage="lead")
        w.settle()
        assert (w.stage(), w.shows(), w.shows("00Q1")) == ("lead", "lead", "Nurturing")


def test_a_refused_write_is_not_tried_again_for_the_same_agreement(url: str) -> None:
    with running_world(url) as w:
        w.person(stage="lead")
        w.lead(stage="Nurturing")
        w.run()
        w.later(minutes=5)
        w.salesforce.refuse("00Q1", "no")
        w.edit(stage="mql")
        w.run()
        tried = w.salesforce.requests["update"]
        for _ in range(2):
            w.later(minutes=5)
            w.all_due()
            assert w.run().planned == 0
        assert w.salesforce.requests["update"] == tried
        w.salesforce.refuse("00Q1", "no", times=0)
        w.edit(stage="sql")
        w.settle()
        assert w.shows("00Q1") == "Qualified"


def test_a_converted_lead_tells_its_stage_and_is_not_written(url: str) -> None:
    with running_world(url) as w:
        w.person(stage="mql")
        w.lead(stage="Open")
        w.run()
        w.later(minutes=5)
        lead = w.salesforce.read("Lead", ["00Q1"], ["Email", "Status"])["00Q1"]
        assert isinstance(lead, Record)
        w.salesforce.put(replace(lead, properties={**lead.properties, "Status": "Converted"}, converted_to="003A", modified_at=w.now))
        w.salesforce.person("Contact", "003A", Email="p1@kunde.example")
        w.settle()
        assert (w.stage(), w.shows()) == ("customer", "customer")
        assert w.contact("003A").id == w.contact().id
        w.later(minutes=5)
        w.edit(stage="mql")
        w.settle()
        assert (w.stage(), w.shows("00Q1")) == ("mql", "Converted")


def test_going_live_agrees_anew_what_was_agreed_in_shadow(either_url: str) -> None:
    shadow = HEAD.replace('mode = "live"', 'mode = "shadow"')
    with world(either_url, head=shadow) as w:
        w.person(stage="lead")
        w.lead(stage="Open")
        w.run()
        w.later(minutes=5)
        w.edit("00Q1", stage="Qualified")
        result = w.run()
        assert result.planned == 1
        assert w.stage() == "sql"
        w.config = config_of(either_url)
        w.later(minutes=5)
        assert w.run().planned == 0
        assert (w.stage(), w.writes()) == ("lead", 0)
