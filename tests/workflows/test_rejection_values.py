"""[rejection] as values: what is on record and what the rule says now in; what to record and to do out."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from connector.conditions import parse
from connector.config.tables import RejectionRule
from connector.model import CrmName
from connector.store.tables.rows import PastChange, PersonRecord
from connector.workflows.attempts import AttemptState
from connector.workflows.rejection import (
    ContactFacts,
    NextSteps,
    RejectionState,
    ask,
    attempt_now,
    next_steps,
    with_reason,
)
from connector.workflows.rejection_sign import SideValues, Sign, sign_of
from tests.workflows.values import CALENDAR, at, attempt, calls, config


def the_rule() -> RejectionRule:
    rule = config().rejection
    assert rule is not None
    return rule


RULE = the_rule()
YES, NO = Sign(rejecting=True, at=at(0, 12), crm="salesforce"), Sign(rejecting=False, at=at(0, 12), crm="salesforce")


def record(crm: CrmName, modified_at: datetime | None = None, **properties: Any) -> PersonRecord:
    object_name, number = ("contacts", "1") if crm == "hubspot" else ("Lead", "00Q1")
    return PersonRecord(crm, object_name, number, "main", None, None, None, modified_at, properties)


def facts(**more: Any) -> ContactFacts:
    return ContactFacts(
        **{"sign": YES, "touches": [], "selling": True, "known_since": at(0, 8), "was_rejecting": False, "calendar": CALENDAR, **more}
    )


def given(**more: Any) -> RejectionState:
    return RejectionState(**{"attempt": 1, "at": at(0, 12), "kind": "rejected", "reason_by": at(1, 12), "run": 7, **more})


@pytest.mark.parametrize(
    ("before", "sign", "was_rejecting", "rejectable"),
    [
        (None, NO, None, True),
        (False, NO, False, True),
        (None, YES, False, True),  # false when last judged, and changed after the attempt began
        (None, YES, True, False),  # true already when it began
        (None, Sign(rejecting=True, at=at(0, 8), crm=None), False, False),  # became true before it began
        (None, YES, None, False),  # seen for the first time: began after the connector came
        (True, YES, True, True),
        (False, YES, True, False),
    ],
)
def test_true_when_the_attempt_begins_it_says_nothing(
    before: bool | None, sign: Sign, was_rejecting: bool | None, rejectable: bool
) -> None:
    asked = ask(attempt(rejectable=before), sign, known_since=at(0, 8), before=was_rejecting)
    assert asked.rejectable is rejectable


def test_what_happened_unseen_before_the_connector_came_is_told_by_the_crms_times() -> None:
    asked = ask(attempt(), YES, known_since=at(2, 0), before=None)
    assert asked.rejectable is True


@pytest.mark.parametrize("was_rejecting", [None, False, True])
@pytest.mark.parametrize(("hour", "rejectable"), [(8, False), (12, True)])
def test_the_crms_history_tells_whether_the_attempt_began_first(was_rejecting: bool | None, hour: int, rejectable: bool) -> None:
    sign = replace(YES, at=at(0, hour), known_by="history")
    assert ask(attempt(), sign, known_since=at(0, 8), before=was_rejecting).rejectable is rejectable


STATUS: dict[CrmName, PersonRecord] = {
    "salesforce": record("salesforce", at(0, 15), Status="Unqualified"),
    "hubspot": record("hubspot", at(0, 16), hs_lead_status="UNQUALIFIED"),
}


def changed(crm: CrmName, moment: datetime, before: str | None, after: str, **more: Any) -> PastChange:
    """A change of the lead status."""
    object_name, number, name = ("contacts", "1", "hs_lead_status") if crm == "hubspot" else ("Lead", "00Q1", "Status")
    told = {"by": "anna@acme.example", "known_by": "history", "record_id": number, **more}
    return PastChange(crm=crm, object=object_name, property=name, before=before, after=after, at=moment, **told)


class TestTheSign:
    def sign(self, said: SideValues, *crms: CrmName, when: str | None = None) -> Sign:
        sides = {crm: STATUS[crm] for crm in crms}
        rule = RULE if when is None else RULE.model_copy(update={"when": parse(when)})
        return sign_of(config(), rule, sides, said, rejecting=True, now=at(1, 0))

    def test_the_history_says_since_when_and_who(self) -> None:
        past = [
            changed("salesforce", at(0, 11), "Open", "Unqualified"),
            changed("salesforce", at(0, 12), "Unqualified", "Working"),
            changed("salesforce", at(0, 14), "Working", "Unqualified", by="ben@acme.example"),
            changed("salesforce", at(0, 14.7), "Open", "Unqualified", record_id="00Q2"),
        ]
        assert self.sign(SideValues(values={}, past=past), "salesforce") == Sign(
            rejecting=True, at=at(0, 14), crm="salesforce", by="ben@acme.example", known_by="history"
        )

    def test_the_side_is_the_one_whose_value_made_it_true(self) -> None:
        """The other side may have been set alike later: the condition was met already."""
        first, later = changed("salesforce", at(0, 11), "Open", "Unqualified"), changed("hubspot", at(0, 13), "OPEN", "UNQUALIFIED")
        found = self.sign(SideValues(values={"h_lead_status": "UNQUALIFIED"}, past=[later, first]), "salesforce", "hubspot")
        assert (found.crm, found.at) == ("salesforce", at(0, 11))
        first, later = changed("hubspot", at(0, 11), "OPEN", "UNQUALIFIED"), changed("salesforce", at(0, 13), "Open", "Unqualified")
        found = self.sign(SideValues(values={}, past=[later, first]), "salesforce", "hubspot")
        assert (found.crm, found.at) == ("hubspot", at(0, 11))

    def test_where_both_are_needed_it_is_the_later_one(self) -> None:
        both = "hubspot.lead_status = 'UNQUALIFIED' AND salesforce.lead_status = 'Unqualified'"
        past = [changed("hubspot", at(0, 11), "OPEN", "UNQUALIFIED"), changed("salesforce", at(0, 13), "Open", "Unqualified")]
        found = self.sign(SideValues(values={}, past=past), "salesforce", "hubspot", when=both)
        assert (found.crm, found.at) == ("salesforce", at(0, 13))

    def test_what_the_change_seen_stands_for_is_said(self) -> None:
        seen = changed("salesforce", at(0, 14), "Open", "Unqualified", by=None, known_by="seen")
        assert self.sign(SideValues(values={}, past=[seen]), "salesforce").known_by == "seen"

    def test_what_companies_and_the_connector_say_is_not_gone_back_for(self) -> None:
        """Of `interest` no history tells: the change that is known is believed as far as it decides."""
        when = "salesforce.lead_status = 'Unqualified' AND interest > 5"
        found = self.sign(SideValues(values={}, past=[changed("salesforce", at(0, 14), "Open", "Unqualified")]), "salesforce", when=when)
        assert found.at == at(0, 14)

    def test_without_a_history_the_records_last_change_says_it(self) -> None:
        assert self.sign(SideValues(values={}), "salesforce") == Sign(rejecting=True, at=at(0, 15), crm="salesforce", known_by="record")

    @pytest.mark.parametrize(
        ("shown", "crm"),
        [
            ("UNQUALIFIED", "hubspot"),
            ("unqualified", "hubspot"),  # compared without regard to case
            ("CONNECTED", "salesforce"),
            ("Unqualified ", "salesforce"),
            (None, "salesforce"),
        ],
    )
    def test_without_a_history_it_is_hubspots_where_it_shows_a_value_that_the_condition_names_for_it(
        self, shown: str | None, crm: str
    ) -> None:
        assert self.sign(SideValues(values={"h_lead_status": shown}), "salesforce", "hubspot").crm == crm

    def test_it_is_hubspots_where_nobody_else_has_the_contact(self) -> None:
        assert self.sign(SideValues(values={}), "hubspot").crm == "hubspot"

    def test_it_is_never_later_than_now(self) -> None:
        past = [changed("salesforce", at(0, 14), "Open", "Unqualified")]
        assert sign_of(config(), RULE, STATUS, SideValues(values={}, past=past), rejecting=True, now=at(0, 9)).at == at(0, 9)

    def test_what_does_not_reject_is_nobodys(self) -> None:
        found = sign_of(config(), RULE, STATUS, SideValues(values={}), rejecting=False, now=at(0, 9))
        assert found == Sign(rejecting=False, at=at(0, 9), crm=None)


class TestWhatBecomesOfTheAttempt:
    def test_it_ends_at_the_moment_of_the_sign(self) -> None:
        now = attempt_now(RULE, attempt(), facts(owner="anna@acme.example", score=12.5, criteria_met=1), 7, at(1, 9))
        (ended,) = now.attempts
        assert (ended.outcome, ended.ended_at) == ("rejected", at(0, 12))
        assert now.rejection == given(owner="anna@acme.example", score=12.5, criteria_met=1, crm="salesforce")

    def test_after_a_touch_it_is_disqualified(self) -> None:
        now = attempt_now(RULE, attempt(), facts(touches=calls(at(0, 10), at(0, 13))), 7, at(1, 9))
        assert now.rejection is not None
        assert (now.attempts[0].outcome, now.rejection.kind, now.rejection.touches) == ("disqualified", "disqualified", 1)

    def test_it_was_ignored_before_anybody_rejected_it(self) -> None:
        """What happened first counts, whether or not anybody looked meanwhile."""
        old = attempt(ignored_at=at(0, 11))
        now = attempt_now(RULE, old, facts(), 7, at(1, 9))
        assert [(state.outcome, state.ended_at) for state in now.attempts] == [("ignored", at(0, 11))]
        assert now.rejection is None

    def test_a_touch_after_that_opens_the_next_one_which_is_rejected(self) -> None:
        old = attempt(ignored_at=at(0, 10))
        now = attempt_now(RULE, old, facts(touches=calls(at(0, 11))), 7, at(1, 9))
        assert [(state.number, state.outcome, state.late) for state in now.attempts] == [(1, "ignored", False), (2, "disqualified", True)]
        assert now.rejection is not None
        assert now.rejection.attempt == 2

    @pytest.mark.parametrize(
        ("rule", "state", "more"),
        [
            (RULE, attempt(rejectable=True), {"sign": NO}),
            (RULE, attempt(rejectable=False), {"was_rejecting": True}),
            (None, attempt(), {}),  # the file has no such rule, or nobody knows what it says
        ],
    )
    def test_nothing_differs(self, rule: Any, state: AttemptState, more: dict[str, Any]) -> None:
        now = attempt_now(rule, state, facts(**more), 7, at(1, 9))
        assert (now.attempts, now.rejection) == ((), None)


class TestTheReason:
    @pytest.mark.parametrize(
        ("touches", "reason", "kept", "accepted"),
        [
            (0, None, None, False),
            (0, "duplicate", "Duplicate", True),  # the file's spelling
            (0, "No budget", "No budget", False),  # it needs a touch
            (1, "No budget", "No budget", True),
            (1, "because", "because", False),
        ],
    )
    def test_counts_where_the_file_has_it_and_its_touches_were_made(
        self, touches: int, reason: str | None, kept: str | None, accepted: bool
    ) -> None:
        state = with_reason(RULE, given(touches=touches), reason, at(0, 13))
        assert (state.reason, state.accepted) == (kept, accepted)

    def test_another_one_is_dated_anew_and_the_same_one_is_not(self) -> None:
        first = with_reason(RULE, given(), "because", at(0, 13))
        assert with_reason(RULE, first, "because", at(0, 14)).reason_at == at(0, 13)
        assert with_reason(RULE, first, "so", at(0, 14)).reason_at == at(0, 14)

    def test_after_it_was_accepted_or_sent_back_nothing_changes_it(self) -> None:
        for state in (given(accepted=True, reason="Duplicate"), given(sent_back=True)):
            assert with_reason(RULE, state, "No budget", at(0, 13)) == state


NO_WAY_BACK = RULE.model_copy(update={"send_back_to": None})


@pytest.mark.parametrize(
    ("rule", "state", "run", "now", "steps"),
    [
        (RULE, None, 8, at(0, 13), NextSteps()),
        (None, given(), 8, at(0, 13), NextSteps()),
        (RULE, given(sent_back=True), 8, at(0, 13), NextSteps()),
        # in the pass that logs it: the reason is asked for, and the next pass looks again
        (RULE, given(), 7, at(0, 13), NextSteps(keeps=True, asks_reason=True, moments=(at(1, 12), at(0, 13)))),
        (RULE, given(accepted=True), 7, at(0, 13), NextSteps(keeps=True, moments=(at(0, 13),))),
        (RULE, given(), 8, at(0, 14), NextSteps(keeps=True, asks_reason=True, moments=(at(1, 12),))),
        (RULE, given(accepted=True), 8, at(0, 14), NextSteps(keeps=True, sends_back=True)),
        (RULE, given(), 8, at(1, 12), NextSteps(keeps=True, sends_back=True)),  # its time is over
        (RULE, given(reason_by=None), 8, at(9, 12), NextSteps(keeps=True, asks_reason=True)),
        (NO_WAY_BACK, given(accepted=True), 8, at(0, 14), NextSteps()),
    ],
)
def test_what_a_rejection_still_wants(rule: Any, state: RejectionState | None, run: int, now: datetime, steps: NextSteps) -> None:
    assert next_steps(rule, state, run, now) == steps


def test_while_nobody_knows_what_the_rule_reads_it_keeps_the_contact_and_wants_nothing() -> None:
    assert next_steps(RULE, given(accepted=True), 8, at(0, 14), suspended=True) == NextSteps(keeps=True)
