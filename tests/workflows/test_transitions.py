"""Transitions: the first that fits, one step a pass, evidence used once, and the steps that somebody else took."""

from __future__ import annotations

import pytest

from tests.support.rule_world import ASSIGN, EVERYTHING, HEAD, QUALIFY, THEN, config_of, running_world, world

DOWN = '[[transition]]\nname = "cold"\nfrom = ["mql"]\nto = "lead"\nwhen = "interest < 5"\n'


def test_stage_owner_and_task_as_one_bundle_once(either_url: str) -> None:
    with running_world(either_url, EVERYTHING) as w:
        w.person(stage="lead", interest="50", firstname="Ida", lastname="Ito")
        w.lead(stage="Nurturing")
        result = w.run()
        assert result.plan is not None
        assert {action.bundle.split("|")[0] for action in result.plan.actions} == {"qualify"}
        assert (w.shows(), w.shows("00Q1"), w.salesforce.value("Lead", "00Q1", "OwnerId")) == ("mql", "Open", "anna")
        assert [(task.outcome, task.owner_id) for task in w.tasks()] == [("Call Ida Ito", "anna")]
        w.settle()
        w.all_due()
        assert w.run().planned == 0
        assert len(w.tasks()) == 1
        assert [row.by for row in w.rows("SELECT by FROM spell WHERE contact_id = :id ORDER BY number", id=w.contact().id)] == [
            "crm",
            "connector",
        ]


def test_at_most_one_step_a_pass_the_first_that_fits(url: str) -> None:
    rules = QUALIFY + '[[transition]]\nname = "also"\nfrom = ["lead"]\nto = "customer"\nwhen = "interest >= 10"\n'
    rules += '[[transition]]\nname = "on"\nfrom = ["mql"]\nto = "sql"\nwhen = "interest >= 10"\n'
    with running_world(url, rules) as w:
        w.person(stage="lead", interest="50")
        w.run()
        assert w.shows() == "mql"
        w.later(minutes=5)
        w.run()
        assert w.shows() == "sql"


def test_no_stage_yet_is_an_origin_of_its_own(url: str) -> None:
    with running_world(url, QUALIFY) as w:
        w.person(interest="50")
        w.person("2", interest="50", stage="nonsense")
        w.settle()
        assert (w.stage(), w.stage("2")) == ("mql", "mql")


def test_of_two_with_the_same_step_only_the_one_that_fired_acts(url: str) -> None:
    second = '[[transition]]\nname = "second"\nfrom = ["lead"]\nto = "mql"\nwhen = "interest >= 20"\nthen = [{ task = "chase" }]\n'
    with running_world(url, QUALIFY + THEN + ASSIGN + second) as w:
        w.person(stage="lead", interest="50")
        w.settle()
        w.all_due()
        w.settle()
        assert (len(w.tasks("alert")), len(w.tasks("chase"))) == (1, 0)


# ── Evidence ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("again", "days", "interest", "fires"),
    [
        ("", 400, "70", False),
        ('again_after = "90 days"', 89, "70", False),
        ('again_after = "90 days"', 91, "50", True),
        ('again_if_changed = ["interest"]', 400, "50", False),
        ('again_if_changed = ["interest"]', 1, "70", True),
        ('again_if_changed = ["hubspot.job_title"]', 1, "70", False),
        ('again_if_changed = ["owner"]', 1, "70", False),
    ],
)
def test_moved_back_by_a_person_it_needs_new_evidence(url: str, again: str, days: int, interest: str, fires: bool) -> None:
    with running_world(url, QUALIFY + again) as w:
        w.person(stage="lead", interest="50")
        w.settle()
        w.edit(stage="lead")
        w.settle()
        assert w.stage() == "lead"
        w.later(days=days)
        w.edit(interest=interest)
        w.settle()
        assert w.stage() == ("mql" if fires else "lead")


def test_one_sides_value_may_be_the_new_evidence(either_url: str) -> None:
    """Also where no condition reads it."""
    with running_world(either_url, QUALIFY + 'again_if_changed = ["hubspot.job_title"]') as w:
        w.person(stage="lead", interest="50", jobtitle="Clerk")
        w.settle()
        w.edit(stage="lead")
        w.settle()
        assert w.stage() == "lead"
        w.edit(jobtitle="Director")
        w.settle()
        assert w.stage() == "mql"


def test_the_contact_is_due_when_the_wait_is_over(url: str) -> None:
    with running_world(url, QUALIFY + 'again_after = "90 days"') as w:
        w.person(stage="lead", interest="50")
        w.settle()
        w.edit(stage="lead")
        back = w.now
        w.settle()
        w.at(back)
        w.later(days=90, minutes=-1)
        assert w.run().evaluated == 0
        w.later(minutes=1)
        w.settle()
        assert w.stage() == "mql"


def test_moved_back_by_a_rule_it_needs_new_evidence(url: str) -> None:
    with running_world(url, QUALIFY + 'again_if_changed = ["seen_at"]' + "\n" + DOWN) as w:
        w.person(stage="lead", interest="50")
        w.settle()
        for interest in ("1", "50"):
            w.edit(interest=interest)
            w.settle()
            assert w.stage() == "lead"
        w.edit(seen_at="2026-11-18T11:00:00Z")
        w.settle()
        assert w.stage() == "mql"


def test_made_mql_by_a_person_and_moved_back_no_rule_overrules_him(url: str) -> None:
    """Whichever stages the person passed over on the way."""
    with running_world(url, QUALIFY) as w:
        w.person(stage="lead")
        w.run()
        for stage in ("sql", "lead"):
            w.later(minutes=5)
            w.edit(stage=stage)
            w.settle()
        w.edit(interest="50")
        w.settle()
        assert w.stage() == "lead"


def test_what_was_found_was_taken(url: str) -> None:
    with world(url, QUALIFY) as w:
        w.person(stage="sql", interest="50")
        w.run()
        w.later(minutes=5)
        w.edit(stage="lead")
        w.settle()
        assert w.stage() == "lead"


def test_no_step_down_was_taken_by_a_stay_that_was_found(url: str) -> None:
    """Nobody knows where a contact found in lead came from: made MQL, it may still go cold."""
    cold = """
[[transition]]
name = "cold"
from = ["mql"]
to = "lead"
when = "stage_since < ago('5 days')"
"""
    with world(url, cold) as w:
        w.person(stage="lead")
        w.settle()
        w.edit(stage="mql")
        w.settle()
        w.later(days=6)
        w.settle()
        assert w.stage() == "lead"


def test_a_changed_rule_makes_all_due_and_fires_nothing_twice(either_url: str) -> None:
    with running_world(either_url, EVERYTHING) as w:
        w.person(stage="lead", interest="50")
        w.person("2", stage="lead", interest="7")
        w.settle()
        w.edit(stage="lead")
        w.settle()
        w.config = config_of(either_url, EVERYTHING.replace("interest >= 10", "interest >= 5"))
        w.settle()
        assert (w.stage(), w.stage("2")) == ("lead", "mql")
        assert len(w.tasks("alert")) == 2


# ── Steps that somebody else took ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_step_that_a_crm_took_runs_the_then_once(either_url: str) -> None:
    with running_world(either_url, EVERYTHING) as w:
        w.person(stage="lead", interest="0")
        w.lead(stage="Nurturing")
        w.run()
        w.later(minutes=5)
        w.edit(stage="mql")
        w.settle()
        assert w.salesforce.value("Lead", "00Q1", "OwnerId") == "anna"
        assert len(w.tasks("alert")) == 1
        for _ in range(2):
            w.later(hours=1)
            w.all_due()
            assert w.run().planned == 0


def test_a_new_record_in_that_stage_is_a_step_too(url: str) -> None:
    with running_world(url, EVERYTHING) as w:
        w.person(stage="mql")
        w.settle()
        assert len(w.tasks("alert")) == 1


def test_a_step_from_elsewhere_is_not_that_transitions(url: str) -> None:
    with running_world(url, EVERYTHING) as w:
        w.person(stage="sql")
        w.run()
        w.later(minutes=5)
        w.edit(stage="mql")
        w.settle()
        assert w.tasks("alert") == []


def test_a_step_before_the_first_live_pass_is_not_made_up_for(url: str) -> None:
    head = HEAD.replace("clocks_from = 2026-01-01", "")
    with world(url, EVERYTHING, head=head.replace('"live"', '"shadow"')) as w:
        w.person(stage="lead")
        w.run()
        w.later(minutes=5)
        w.edit(stage="mql")
        assert w.run().planned == 2
        w.config = config_of(url, EVERYTHING, head=head)
        w.later(minutes=5)
        w.settle()
        assert w.writes() == 0


def test_two_more_steps_back_and_forth_each_run_it(url: str) -> None:
    """The spell it leaves is the cause: each step is one of its own."""
    with running_world(url, QUALIFY + 'then = [{ task = "alert" }]\n') as w:
        w.person(stage="lead", owner="anna")
        w.run()
        for stage in ("mql", "lead", "mql"):
            w.later(hours=1)
            w.edit(stage=stage)
            w.settle()
            for task in w.tasks():
                w.hubspot.complete(task.id)
        assert len(w.tasks("alert")) == 2


# ── Who is left alone ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scope", ["exclude = \"domain(email) IN ('kunde.example')\"", "only = \"owner IN ('ben@acme.example')\""])
def test_the_excluded_are_never_written_to(url: str, scope: str) -> None:
    with running_world(url, f"{EVERYTHING}\n[scope]\n{scope}\n") as w:
        w.person(stage="lead", interest="50")
        w.lead(stage="Open")
        w.settle()
        assert w.contact().excluded
        assert w.writes() == 0


def test_in_shadow_the_third_plan_equals_the_second(either_url: str) -> None:
    with world(either_url, EVERYTHING, head=HEAD.replace('"live"', '"shadow"')) as w:
        for number in range(4):
            w.person(str(number), stage="lead", interest="50")
        plans = []
        for _ in range(3):
            plan = w.run().plan
            assert plan is not None
            plans.append([(action.key, action.before, action.after) for action in plan.actions])
            w.later(minutes=5)
        assert plans[1] == plans[2]
        assert len(plans[0]) == 4 * 3
        assert w.rows("SELECT * FROM turn") == []
        assert w.writes() == 0
