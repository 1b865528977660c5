"""Sales gives a lead back: what counts as a rejection, its reason, and how the contact goes back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.company import EVERYTHING, QUALIFY, REJECTION, SLA, Company, moment, running_company

RULES = QUALIFY + SLA + REJECTION


def rejections(company: Company) -> list[tuple[int, str, str | None, bool, bool]]:
    rows = company.rows("SELECT * FROM rejection ORDER BY contact_id, attempt")
    return [(row.attempt, row.kind, row.reason, bool(row.accepted), bool(row.sent_back)) for row in rows]


def begun(company: Company, **more: str) -> None:
    """A contact that became MQL a pass ago."""
    company.person(stage="lead", owner="anna", **more)
    company.run()
    company.later(minutes=5)
    company.edit(stage="mql")
    company.settle()
    company.later(hours=1)


def test_before_any_touch_it_is_rejected_and_goes_back_in_the_next_pass(either_url: str) -> None:
    with running_company(either_url, RULES) as company:
        begun(company)
        company.edit(status="UNQUALIFIED", rejection_reason="No need")
        assert company.run().planned == 0
        assert rejections(company) == [(1, "rejected", "No need", True, False)]
        (row,) = company.attempts()
        assert (row.outcome, moment(row.ended_at)) == ("rejected", company.now)
        assert [clock.state for clock in company.clocks()] == ["ended"]
        company.later(minutes=5)
        company.settle()
        assert (company.stage(), company.shows()) == ("lead", "lead")
        assert rejections(company) == [(1, "rejected", "No need", True, True)]
        assert company.tasks() == []
        assert company.contact().rejected_before


def test_after_a_touch_it_is_disqualified(url: str) -> None:
    with running_company(url, RULES) as company:
        begun(company)
        company.touch()
        company.later(hours=1)
        company.edit(status="UNQUALIFIED", rejection_reason="No need")
        company.settle()
        assert company.outcomes() == ["disqualified"]
        assert rejections(company)[0][1] == "disqualified"


def test_without_a_reason_the_rep_is_asked_once_and_it_waits(url: str) -> None:
    with running_company(url, RULES) as company:
        begun(company)
        company.edit(status="UNQUALIFIED")
        for _ in range(4):
            company.run()
            company.later(hours=1)
            company.all_due()
        assert len(company.tasks("say-why")) == 1
        assert company.stage() == "mql"
        company.edit(rejection_reason="No need")
        company.settle()
        assert (company.stage(), rejections(company)) == ("lead", [(1, "rejected", "No need", True, True)])


def test_without_a_reason_in_time_it_goes_back_all_the_same(url: str) -> None:
    with running_company(url, RULES) as company:
        begun(company)
        company.edit(status="UNQUALIFIED")
        back = company.now + timedelta(days=2)
        company.settle()
        assert moment(company.contact().due_at) == back
        company.at(back)
        company.settle()
        assert (company.stage(), rejections(company)) == ("lead", [(1, "rejected", None, False, True)])


def test_without_a_limit_the_rep_is_asked_all_the_same(url: str) -> None:
    with running_company(url, RULES.replace('reason_within = "2 business days"\n', "")) as company:
        begun(company)
        company.edit(status="UNQUALIFIED")
        company.settle()
        assert len(company.tasks("say-why")) == 1
        company.later(days=30)
        company.all_due()
        company.run()
        assert company.stage() == "mql"


@pytest.mark.parametrize(("touches", "accepted"), [(2, False), (3, True)])
def test_a_reason_may_need_touches(url: str, touches: int, accepted: bool) -> None:
    with running_company(url, RULES) as company:
        begun(company)
        for _ in range(touches):
            company.touch()
            company.later(minutes=20)
        company.edit(status="UNQUALIFIED", rejection_reason="unreachable")
        company.settle()
        assert rejections(company) == [(1, "disqualified", "Unreachable", accepted, accepted)]
        assert company.stage() == ("lead" if accepted else "mql")


def test_true_when_the_attempt_begins_it_says_nothing_until_it_was_false(url: str) -> None:
    with running_company(url, RULES) as company:
        begun(company, status="UNQUALIFIED", rejection_reason="No need")
        company.all_due()
        company.run()
        assert company.outcomes() == ["open"]
        company.edit(status="NEW")
        company.run()
        company.later(minutes=5)
        company.edit(status="UNQUALIFIED")
        company.settle()
        assert company.outcomes() == ["rejected"]


def test_rejected_before_the_first_look_after_the_beginning(url: str) -> None:
    """MQL and rejected between two passes: the CRM's own times tell that it was rejected during the attempt."""
    with running_company(url, RULES) as company:
        company.person(stage="lead", owner="anna")
        company.run()
        company.later(minutes=5)
        company.edit(stage="mql")
        company.later(minutes=2)
        company.edit(status="UNQUALIFIED", rejection_reason="No need")
        company.later(minutes=2)
        company.settle()
        assert company.outcomes() == ["rejected"]
        assert company.stage() == "lead"


def test_rejected_in_an_attempt_that_began_with_a_touch_logged_late(url: str) -> None:
    """When it is judged, the lead status said no long before anybody knew of the attempt; the CRM's history says that it was during it."""
    with running_company(url, RULES) as company:
        begun(company)
        company.later(days=10)
        company.settle()
        assert company.outcomes() == ["ignored"]
        touched = company.now
        company.later(hours=1)
        company.edit(status="UNQUALIFIED", rejection_reason="No need")
        company.settle()
        company.later(hours=1)
        company.touch(touched)
        company.settle()
        assert company.outcomes() == ["ignored", "disqualified"]
        assert company.stage() == "lead"


def test_by_salesforce(either_url: str) -> None:
    with running_company(either_url, RULES) as company:
        company.lead(stage="Nurturing", owner="anna")
        company.person(stage="lead")
        company.run()
        company.later(minutes=5)
        company.edit(stage="mql")
        company.settle()
        assert company.shows("00Q1") == "Open"
        company.later(hours=1)
        company.edit("00Q1", status="Rejected", Rejection_Reason__c="No need")
        company.settle()
        assert company.outcomes() == ["rejected"]
        assert [row.crm for row in company.rows("SELECT crm FROM rejection")] == ["salesforce"]
        assert (company.shows(), company.shows("00Q1")) == ("lead", "Nurturing")


def test_with_an_accepted_reason_only_a_person_moves_it_again(either_url: str) -> None:
    rules = RULES.replace('when = "interest >= 10"', 'when = "interest >= 10"\nagain_after = "30 days"\nagain_if_changed = ["interest"]')
    with running_company(either_url, rules) as company:
        begun(company, interest="50")
        company.edit(status="UNQUALIFIED", rejection_reason="No need")
        company.settle()
        assert company.stage() == "lead"
        company.edit(status="NEW", interest="90")
        company.later(days=100)
        company.all_due()
        assert company.run().planned == 0
        company.edit(stage="mql")
        company.settle()
        assert company.outcomes() == ["rejected", "open"]


def test_a_transition_that_never_fired_is_barred_as_well(url: str) -> None:
    """A person had made the contact MQL from a stage that the transition does not leave."""
    with running_company(url, RULES.replace('["", "subscriber", "lead"]', '["lead"]')) as company:
        company.person(stage="subscriber", owner="anna", interest="50")
        company.run()
        company.later(minutes=5)
        company.edit(stage="mql")
        company.settle()
        company.later(hours=1)
        company.edit(status="UNQUALIFIED", rejection_reason="No need")
        company.settle()
        assert company.stage() == "lead"
        company.later(days=100)
        company.all_due()
        assert company.run().planned == 0


@pytest.mark.parametrize(
    ("again", "fires"), [('again_after = "30 days"\n', True), ('again_if_changed = ["interest"]\n', True), ("", False)]
)
def test_without_a_reason_the_transitions_own_words_hold(url: str, again: str, fires: bool) -> None:
    rules = RULES.replace('when = "interest >= 10"\n', f'when = "interest >= 10"\n{again}')
    with running_company(url, rules) as company:
        begun(company, interest="50")
        company.edit(status="UNQUALIFIED")
        company.settle()
        company.later(days=5)
        company.settle()
        assert company.stage() == "lead"
        company.edit(status="NEW")
        company.later(days=1)
        assert company.run().planned == 0
        company.later(days=40)
        company.edit(interest="60")
        company.settle()
        assert company.stage() == ("mql" if fires else "lead")


def test_sent_back_by_us_it_is_no_step_of_another_transition(url: str) -> None:
    cold = '[[transition]]\nname = "cold"\nfrom = ["mql"]\nto = "lead"\nwhen = "interest < 0"\nthen = [{ task = "chase" }]\n'
    with running_company(url, RULES + cold) as company:
        begun(company)
        company.edit(status="UNQUALIFIED", rejection_reason="No need")
        company.settle()
        company.later(hours=1)
        company.all_due()
        company.run()
        assert company.stage() == "lead"
        assert company.tasks("chase") == []


def test_without_send_back_to_it_stays(url: str) -> None:
    with running_company(url, RULES.replace('send_back_to = "lead"\n', "")) as company:
        begun(company)
        company.edit(status="UNQUALIFIED", rejection_reason="No need")
        company.settle()
        assert (company.stage(), company.outcomes()) == ("mql", ["rejected"])


def test_nothing_else_moves_it_meanwhile(url: str) -> None:
    up = '[[transition]]\nname = "accepted"\nfrom = ["mql"]\nto = "sql"\nwhen = "interest >= 90"\n'
    with running_company(url, EVERYTHING + up) as company:
        begun(company)
        company.edit(status="UNQUALIFIED", interest="95")
        company.settle()
        assert company.stage() == "mql"
