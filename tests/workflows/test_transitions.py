"""Transitions: the first that fits, one step a pass, evidence used once, and the steps that somebody else took."""

from __future__ import annotations

import pytest

from tests.support.company import ASSIGN, EVERYTHING, HEAD, QUALIFY, THEN, config_of, new_company, running_company

DOWN = '[[transition]]\nname = "cold"\nfrom = ["mql"]\nto = "lead"\nwhen = "interest < 5"\n'


def test_stage_owner_and_task_as_one_bundle_once(either_url: str) -> None:
    with running_company(either_url, EVERYTHING) as company:
        company.person(stage="lead", interest="50", firstname="Ida", lastname="Ito")
        company.lead(stage="Nurturing")
        result = company.run()
        assert result.plan is not None
        assert {action.bundle.split("|")[0] for action in result.plan.actions} == {"qualify"}
        assert (company.shows(), company.shows("00Q1"), company.salesforce.value("Lead", "00Q1", "OwnerId")) == ("mql", "Open", "anna")
        assert [(task.outcome, task.owner_id) for task in company.tasks()] == [("Call Ida Ito", "anna")]
        company.settle()
        company.all_due()
        assert company.run().planned == 0
        assert len(company.tasks()) == 1
        assert [row.by for row in company.rows("SELECT by FROM spell WHERE contact_id = :id ORDER BY number", id=company.contact().id)] == [
            "crm",
            "connector",
        ]


def test_at_most_one_step_a_pass_the_first_that_fits(url: str) -> None:
    rules = QUALIFY + '[[transition]]\nname = "also"\nfrom = ["lead"]\nto = "customer"\nwhen = "interest >= 10"\n'
    rules += '[[transition]]\nname = "on"\nfrom = ["mql"]\nto = "sql"\nwhen = "interest >= 10"\n'
    with running_company(url, rules) as company:
        company.person(stage="lead", interest="50")
        company.run()
        assert company.shows() == "mql"
        company.later(minutes=5)
        company.run()
        assert company.shows() == "sql"


def test_no_stage_yet_is_an_origin_of_its_own(url: str) -> None:
    with running_company(url, QUALIFY) as company:
        company.person(interest="50")
        company.person("2", interest="50", stage="nonsense")
        company.settle()
        assert (company.stage(), company.stage("2")) == ("mql", "mql")


def test_of_two_with_the_same_step_only_the_one_that_fired_acts(url: str) -> None:
    second = '[[transition]]\nname = "second"\nfrom = ["lead"]\nto = "mql"\nwhen = "interest >= 20"\nthen = [{ task = "chase" }]\n'
    with running_company(url, QUALIFY + THEN + ASSIGN + second) as company:
        company.person(stage="lead", interest="50")
        company.settle()
        company.all_due()
        company.settle()
        assert (len(company.tasks("alert")), len(company.tasks("chase"))) == (1, 0)


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
    with running_company(url, QUALIFY + again) as company:
        company.person(stage="lead", interest="50")
        company.settle()
        company.edit(stage="lead")
        company.settle()
        assert company.stage() == "lead"
        company.later(days=days)
        company.edit(interest=interest)
        company.settle()
        assert company.stage() == ("mql" if fires else "lead")


def test_one_sides_value_may_be_the_new_evidence(either_url: str) -> None:
    """Also where no condition reads it."""
    with running_company(either_url, QUALIFY + 'again_if_changed = ["hubspot.job_title"]') as company:
        company.person(stage="lead", interest="50", jobtitle="Clerk")
        company.settle()
        company.edit(stage="lead")
        company.settle()
        assert company.stage() == "lead"
        company.edit(jobtitle="Director")
        company.settle()
        assert company.stage() == "mql"


def test_the_contact_is_due_when_the_wait_is_over(url: str) -> None:
    with running_company(url, QUALIFY + 'again_after = "90 days"') as company:
        company.person(stage="lead", interest="50")
        company.settle()
        company.edit(stage="lead")
        back = company.now
        company.settle()
        company.at(back)
        company.later(days=90, minutes=-1)
        assert company.run().evaluated == 0
        company.later(minutes=1)
        company.settle()
        assert company.stage() == "mql"


def test_moved_back_by_a_rule_it_needs_new_evidence(url: str) -> None:
    with running_company(url, QUALIFY + 'again_if_changed = ["seen_at"]' + "\n" + DOWN) as company:
        company.person(stage="lead", interest="50")
        company.settle()
        for interest in ("1", "50"):
            company.edit(interest=interest)
            company.settle()
            assert company.stage() == "lead"
        company.edit(seen_at="2026-11-18T11:00:00Z")
        company.settle()
        assert company.stage() == "mql"


def test_made_mql_by_a_person_and_moved_back_no_rule_overrules_him(url: str) -> None:
    """Whichever stages the person passed over on the way."""
    with running_company(url, QUALIFY) as company:
        company.person(stage="lead")
        company.run()
        for stage in ("sql", "lead"):
            company.later(minutes=5)
            company.edit(stage=stage)
            company.settle()
        company.edit(interest="50")
        company.settle()
        assert company.stage() == "lead"


def test_what_was_found_was_taken(url: str) -> None:
    with new_company(url, QUALIFY) as company:
        company.person(stage="sql", interest="50")
        company.run()
        company.later(minutes=5)
        company.edit(stage="lead")
        company.settle()
        assert company.stage() == "lead"


def test_no_step_down_was_taken_by_a_stay_that_was_found(url: str) -> None:
    """Nobody knows where a contact found in lead came from: made MQL, it may still go cold."""
    cold = """
[[transition]]
name = "cold"
from = ["mql"]
to = "lead"
when = "stage_since < ago('5 days')"
"""
    with new_company(url, cold) as company:
        company.person(stage="lead")
        company.settle()
        company.edit(stage="mql")
        company.settle()
        company.later(days=6)
        company.settle()
        assert company.stage() == "lead"


def test_a_changed_rule_makes_all_due_and_fires_nothing_twice(either_url: str) -> None:
    with running_company(either_url, EVERYTHING) as company:
        company.person(stage="lead", interest="50")
        company.person("2", stage="lead", interest="7")
        company.settle()
        company.edit(stage="lead")
        company.settle()
        company.config = config_of(EVERYTHING.replace("interest >= 10", "interest >= 5"))
        company.settle()
        assert (company.stage(), company.stage("2")) == ("lead", "mql")
        assert len(company.tasks("alert")) == 2


# ── Steps that somebody else took ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_step_that_a_crm_took_runs_the_then_once(either_url: str) -> None:
    with running_company(either_url, EVERYTHING) as company:
        company.person(stage="lead", interest="0")
        company.lead(stage="Nurturing")
        company.run()
        company.later(minutes=5)
        company.edit(stage="mql")
        company.settle()
        assert company.salesforce.value("Lead", "00Q1", "OwnerId") == "anna"
        assert len(company.tasks("alert")) == 1
        for _ in range(2):
            company.later(hours=1)
            company.all_due()
            assert company.run().planned == 0


def test_a_new_record_in_that_stage_is_a_step_too(url: str) -> None:
    with running_company(url, EVERYTHING) as company:
        company.person(stage="mql")
        company.settle()
        assert len(company.tasks("alert")) == 1


def test_a_step_from_elsewhere_is_not_that_transitions(url: str) -> None:
    with running_company(url, EVERYTHING) as company:
        company.person(stage="sql")
        company.run()
        company.later(minutes=5)
        company.edit(stage="mql")
        company.settle()
        assert company.tasks("alert") == []


def test_a_step_before_the_first_live_pass_is_not_made_up_for(url: str) -> None:
    head = HEAD.replace("clocks_from = 2026-01-01", "")
    with new_company(url, EVERYTHING, head=head.replace('"live"', '"shadow"')) as company:
        company.person(stage="lead")
        company.run()
        company.later(minutes=5)
        company.edit(stage="mql")
        assert company.run().planned == 2
        company.config = config_of(EVERYTHING, head=head)
        company.later(minutes=5)
        company.settle()
        assert company.writes() == 0


def test_two_more_steps_back_and_forth_each_run_it(url: str) -> None:
    """The spell it leaves is the cause: each step is one of its own."""
    with running_company(url, QUALIFY + 'then = [{ task = "alert" }]\n') as company:
        company.person(stage="lead", owner="anna")
        company.run()
        for stage in ("mql", "lead", "mql"):
            company.later(hours=1)
            company.edit(stage=stage)
            company.settle()
            for task in company.tasks():
                company.hubspot.complete(task.id)
        assert len(company.tasks("alert")) == 2


# ── Who is left alone ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scope", ["exclude = \"domain(email) IN ('kunde.example')\"", "only = \"owner IN ('ben@acme.example')\""])
def test_the_excluded_are_never_written_to(url: str, scope: str) -> None:
    with running_company(url, f"{EVERYTHING}\n[scope]\n{scope}\n") as company:
        company.person(stage="lead", interest="50")
        company.lead(stage="Open")
        company.settle()
        assert company.contact().excluded
        assert company.writes() == 0


def test_in_shadow_the_third_plan_equals_the_second(either_url: str) -> None:
    with new_company(either_url, EVERYTHING, head=HEAD.replace('"live"', '"shadow"')) as company:
        for number in range(4):
            company.person(str(number), stage="lead", interest="50")
        plans = []
        for _ in range(3):
            plan = company.run().plan
            assert plan is not None
            plans.append([(action.key, action.before, action.after) for action in plan.actions])
            company.later(minutes=5)
        assert plans[1] == plans[2]
        assert len(plans[0]) == 4 * 3
        assert company.rows("SELECT * FROM turn") == [(":shadow:inbound", 4)], "each was given once, and live begins where it would have"
        assert company.writes() == 0
