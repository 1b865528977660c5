"""Sales gives a lead back: what counts as a rejection, its reason, and how the contact goes back."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.rule_world import EVERYTHING, QUALIFY, REJECTION, SLA, World, moment, running_world

RULES = QUALIFY + SLA + REJECTION


def rejections(w: World) -> list[tuple[int, str, str | None, bool, bool]]:
    rows = w.rows("SELECT * FROM rejection ORDER BY contact_id, attempt")
    return [(row.attempt, row.kind, row.reason, bool(row.accepted), bool(row.sent_back)) for row in rows]


def begun(w: World, **more: str) -> None:
    """A contact that became MQL a pass ago."""
    w.person(stage="lead", owner="anna", **more)
    w.run()
    w.later(minutes=5)
    w.edit(stage="mql")
    w.settle()
    w.later(hours=1)


def test_before_any_touch_it_is_rejected_and_goes_back_in_the_next_pass(either_url: str) -> None:
    with running_world(either_url, RULES) as w:
        begun(w)
        w.edit(status="UNQUALIFIED", rejection_reason="No need")
        assert w.run().planned == 0
        assert rejections(w) == [(1, "rejected", "No need", True, False)]
        (row,) = w.attempts()
        assert (row.outcome, moment(row.ended_at)) == ("rejected", w.now)
        assert [clock.state for clock in w.clocks()] == ["ended"]
        w.later(minutes=5)
        w.settle()
        assert (w.stage(), w.shows()) == ("lead", "lead")
        assert rejections(w) == [(1, "rejected", "No need", True, True)]
        assert w.tasks() == []
        assert w.contact().rejected_before


def test_after_a_touch_it_is_disqualified(url: str) -> None:
    with running_world(url, RULES) as w:
        begun(w)
        w.touch()
        w.later(hours=1)
        w.edit(status="UNQUALIFIED", rejection_reason="No need")
        w.settle()
        assert w.outcomes() == ["disqualified"]
        assert rejections(w)[0][1] == "disqualified"


def test_without_a_reason_the_rep_is_asked_once_and_it_waits(url: str) -> None:
    with running_world(url, RULES) as w:
        begun(w)
        w.edit(status="UNQUALIFIED")
        for _ in range(4):
            w.run()
            w.later(hours=1)
            w.all_due()
        assert len(w.tasks("say-why")) == 1
        assert w.stage() == "mql"
        w.edit(rejection_reason="No need")
        w.settle()
        assert (w.stage(), rejections(w)) == ("lead", [(1, "rejected", "No need", True, True)])


def test_without_a_reason_in_time_it_goes_back_all_the_same(url: str) -> None:
    with running_world(url, RULES) as w:
        begun(w)
        w.edit(status="UNQUALIFIED")
        back = w.now + timedelta(days=2)
        w.settle()
        assert moment(w.contact().due_at) == back
        w.at(back)
        w.settle()
        assert (w.stage(), rejections(w)) == ("lead", [(1, "rejected", None, False, True)])


def test_without_a_limit_the_rep_is_asked_all_the_same(url: str) -> None:
    with running_world(url, RULES.replace('reason_within = "2 business days"\n', "")) as w:
        begun(w)
        w.edit(status="UNQUALIFIED")
        w.settle()
        assert len(w.tasks("say-why")) == 1
        w.later(days=30)
        w.all_due()
        w.run()
        assert w.stage() == "mql"


@pytest.mark.parametrize(("touches", "accepted"), [(2, False), (3, True)])
def test_a_reason_may_need_touches(url: str, touches: int, accepted: bool) -> None:
    with running_world(url, RULES) as w:
        begun(w)
        for _ in range(touches):
            w.touch()
            w.later(minutes=20)
        w.edit(status="UNQUALIFIED", rejection_reason="unreachable")
        w.settle()
        assert rejections(w) == [(1, "disqualified", "Unreachable", accepted, accepted)]
        assert w.stage() == ("lead" if accepted else "mql")


def test_true_when_the_attempt_begins_it_says_nothing_until_it_was_false(url: str) -> None:
    with running_world(url, RULES) as w:
        begun(w, status="UNQUALIFIED", rejection_reason="No need")
        w.all_due()
        w.run()
        assert w.outcomes() == ["open"]
        w.edit(status="NEW")
        w.run()
        w.later(minutes=5)
        w.edit(status="UNQUALIFIED")
        w.settle()
        assert w.outcomes() == ["rejected"]


def test_rejected_before_the_first_look_after_the_beginning(url: str) -> None:
    """MQL and rejected between two passes: the CRM's own times tell that it was rejected during the attempt."""
    with running_world(url, RULES) as w:
        w.person(stage="lead", owner="anna")
        w.run()
        w.later(minutes=5)
        w.edit(stage="mql")
        w.later(minutes=2)
        w.edit(status="UNQUALIFIED", rejection_reason="No need")
        w.later(minutes=2)
        w.settle()
        assert w.outcomes() == ["rejected"]
        assert w.stage() == "lead"


def test_by_salesforce(either_url: str) -> None:
    with running_world(either_url, RULES) as w:
        w.lead(stage="Nurturing", owner="anna")
        w.person(stage="lead")
        w.run()
        w.later(minutes=5)
        w.edit(stage="mql")
        w.settle()
        assert w.shows("00Q1") == "Open"
        w.later(hours=1)
        w.edit("00Q1", status="Rejected", Rejection_Reason__c="No need")
        w.settle()
        assert w.outcomes() == ["rejected"]
        assert [row.crm for row in w.rows("SELECT crm FROM rejection")] == ["salesforce"]
        assert (w.shows(), w.shows("00Q1")) == ("lead", "Nurturing")


def test_with_an_accepted_reason_only_a_person_moves_it_again(either_url: str) -> None:
    rules = RULES.replace('when = "interest >= 10"', 'when = "interest >= 10"\nagain_after = "30 days"\nagain_if_changed = ["interest"]')
    with running_world(either_url, rules) as w:
        begun(w, interest="50")
        w.edit(status="UNQUALIFIED", rejection_reason="No need")
        w.settle()
        assert w.stage() == "lead"
        w.edit(status="NEW", interest="90")
        w.later(days=100)
        w.all_due()
        assert w.run().planned == 0
        w.edit(stage="mql")
        w.settle()
        assert w.outcomes() == ["rejected", "open"]


def test_a_transition_that_never_fired_is_barred_as_well(url: str) -> None:
    """A person had made the contact MQL from a stage that the transition does not leave."""
    with running_world(url, RULES.replace('["", "subscriber", "lead"]', '["lead"]')) as w:
        w.person(stage="subscriber", owner="anna", interest="50")
        w.run()
        w.later(minutes=5)
        w.edit(stage="mql")
        w.settle()
        w.later(hours=1)
        w.edit(status="UNQUALIFIED", rejection_reason="No need")
        w.settle()
        assert w.stage() == "lead"
        w.later(days=100)
        w.all_due()
        assert w.run().planned == 0


@pytest.mark.parametrize(
    ("again", "fires"), [('again_after = "30 days"\n', True), ('again_if_changed = ["interest"]\n', True), ("", False)]
)
def test_without_a_reason_the_transitions_own_words_hold(url: str, again: str, fires: bool) -> None:
    rules = RULES.replace('when = "interest >= 10"\n', f'when = "interest >= 10"\n{again}')
    with running_world(url, rules) as w:
        begun(w, interest="50")
        w.edit(status="UNQUALIFIED")
        w.settle()
        w.later(days=5)
        w.settle()
        assert w.stage() == "lead"
        w.edit(status="NEW")
        w.later(days=1)
        assert w.run().planned == 0
        w.later(days=40)
        w.edit(interest="60")
        w.settle()
        assert w.stage() == ("mql" if fires else "lead")


def test_sent_back_by_us_it_is_no_step_of_another_transition(url: str) -> None:
    cold = '[[transition]]\nname = "cold"\nfrom = ["mql"]\nto = "lead"\nwhen = "interest < 0"\nthen = [{ task = "chase" }]\n'
    with running_world(url, RULES + cold) as w:
        begun(w)
        w.edit(status="UNQUALIFIED", rejection_reason="No need")
        w.settle()
        w.later(hours=1)
        w.all_due()
        w.run()
        assert w.stage() == "lead"
        assert w.tasks("chase") == []


def test_without_send_back_to_it_stays(url: str) -> None:
    with running_world(url, RULES.replace('send_back_to = "lead"\n', "")) as w:
        begun(w)
        w.edit(status="UNQUALIFIED", rejection_reason="No need")
        w.settle()
        assert (w.stage(), w.outcomes()) == ("mql", ["rejected"])


def test_nothing_else_moves_it_meanwhile(url: str) -> None:
    up = '[[transition]]\nname = "accepted"\nfrom = ["mql"]\nto = "sql"\nwhen = "interest >= 90"\n'
    with running_world(url, EVERYTHING + up) as w:
        begun(w)
        w.edit(status="UNQUALIFIED", interest="95")
        w.settle()
        assert w.stage() == "mql"
