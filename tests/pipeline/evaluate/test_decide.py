"""`decide` as values: one contact and all that is on record of it in, what follows out. No database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connector.config.business_time import TeamCalendars
from connector.model import Kind, Proposal
from connector.pipeline.evaluate.cases import ContactState, Decision, JudgedContact
from connector.pipeline.evaluate.decide import decide
from connector.pipeline.evaluate.proposals import DecisionInputs
from connector.pipeline.evaluate.statement import Answers
from connector.store.fields import FieldStatus
from connector.store.tables.rows import Engagement, PersonRecord
from connector.workflows import suspension
from connector.workflows.assign import RoundRobin
from connector.workflows.attempts import EvidenceState, end
from connector.workflows.fields import columns_needed
from connector.workflows.rejection import RejectionState
from connector.workflows.stages import StageMap
from tests.workflows.values import at, attempt, calls, clock, config

CONFIG = config()
NOW = at(0, 10)
ANNA, BEN = "anna@acme.example", "ben@acme.example"
IDS: Mapping[Any, str] = {(crm, email): f"{crm[0]}-{email[:3]}" for crm in ("hubspot", "salesforce") for email in (ANNA, BEN)}
QUIET = Answers(transitions=(False, False), slas=(True,), assigns=(True,), routes=((),))
QUALIFIES = Answers(transitions=(True, False), slas=(True,), assigns=(True,), routes=((),))
LEAD = PersonRecord("salesforce", "Lead", "00Q1", "main", None, None, None, at(0, 8), {"Status": "Nurturing"})
MQL_LEAD = LEAD._replace(properties={"Status": "Open"})
CONTACT = PersonRecord("hubspot", "contacts", "1", "main", None, None, None, at(0, 8), {"lifecyclestage": "lead"})
MQL_CONTACT = CONTACT._replace(properties={"lifecyclestage": "mql"})


def inputs(**more: Any) -> DecisionInputs:
    given: dict[str, Any] = {
        "config": CONFIG,
        "stages": StageMap(CONFIG),
        "calendars": TeamCalendars(CONFIG),
        "zone": ZoneInfo("UTC"),
        "now": NOW,
        "run": 7,
        "live": True,
        "clocks_from": at(-30, 0),
        "owner_ids": IDS,
        "companies": {},
        "url": lambda crm, object_name, number: f"https://{crm}.example/{object_name}/{number}",
        **more,
    }
    return DecisionInputs(**given)


def state(values: dict[str, Any] | None = None, **more: Any) -> ContactState:
    """A lead that nobody owns, in both CRMs, with nothing on record."""
    columns: dict[str, Any] = {
        "id": 4, "gone": False, "ambiguous": None, "excluded": False, "stage": "lead", "stage_since": at(-2, 9), "stage_differs": False,
        "spell": 1, "attempt": None, "owner": None, "assigned_at": None, "first_seen_at": at(-5, 9), "agreed_number": 3,
        "criteria_met": 1, "score": 42.0, "qualified": True, "f_last_name": "Rossi", **(values or {}),
    }  # fmt: skip
    typed = {name: columns[name] for name in JudgedContact.__dataclass_fields__ if name != "values"}
    contact = JudgedContact(**typed, values=columns)
    given: dict[str, Any] = {"answers": QUIET, "records": [CONTACT, LEAD], "attempts": {}, "bundles": {}, **more}
    return ContactState(contact=contact, **given)


def mql(values: dict[str, Any] | None = None, **more: Any) -> ContactState:
    """An MQL whom Anna owns since Monday 09:00, in its first attempt."""
    known = {"stage": "mql", "stage_since": at(0, 9), "spell": 2, "attempt": 1, "owner": ANNA, "assigned_at": at(0, 9), **(values or {})}
    present = more.pop("attempt", attempt(spell=2, rejectable=True))
    given = {"records": [MQL_CONTACT, MQL_LEAD], "attempt": present, "attempts": {present.number: present}, "clocks": [clock()], **more}
    return state(known, **given)


def decided(contact: ContactState, turns: RoundRobin | None = None, **more: Any) -> Decision:
    return decide(contact, inputs(**more), turns or RoundRobin(CONFIG, {}, IDS))


def written(proposal: Proposal) -> list[tuple[str, str, str | None, str | None]]:
    """(kind, object or task, before, after) of each action."""
    return [
        (action.kind.value, action.target if action.task else action.record.object, action.before, action.after)
        for action in proposal.actions
    ]


class TestSteps:
    def test_a_lead_that_qualifies_is_moved_in_both_crms_given_to_somebody_and_told(self) -> None:
        (proposal,) = decided(state(answers=QUALIFIES)).proposals
        assert (proposal.rule, proposal.contact, proposal.cause, proposal.urgency) == ("qualify", 4, "spell:1", 42.0)
        assert proposal.why == {"rule": "qualify", "qualified": True, "score": 42.0}
        assert written(proposal) == [
            ("set_stage", "contacts", "lead", "mql"),
            ("set_stage", "Lead", "Nurturing", "Open"),
            ("assign", "Lead", None, "s-ann"),
            ("create_task", "alert", None, "alert"),
        ]
        made = proposal.actions[-1].task
        assert made is not None
        assert (made.subject, made.owner_id, made.due_at) == ("Call Rossi", "s-ann", at(0, 14))

    def test_the_next_lead_is_the_next_ones(self) -> None:
        turns = RoundRobin(CONFIG, {"inbound": 4}, IDS)
        owners = [decided(state(answers=QUALIFIES), turns).proposals[0].actions[2].after for _ in range(3)]
        assert (owners, turns.turns) == (["s-ann", "s-ben", "s-ann"], {"inbound": 7})

    def test_a_bundle_that_is_held_is_named_again_and_takes_no_turn(self) -> None:
        turns = RoundRobin(CONFIG, {}, IDS)
        held = state(answers=QUALIFIES, bundles={"qualify|4|spell:1": True})
        assert [written(decided(held, turns).proposals[0])[2][3] for _ in range(2)] == ["s-ann", "s-ann"]
        assert turns.turns == {}

    @pytest.mark.parametrize(
        ("values", "more"),
        [
            ({}, {"bundles": {"qualify|4|spell:1": False}}),  # in the ledger already
            ({}, {"evidence": [EvidenceState(rule="qualify", spell=1, taken_at=at(-3, 9))]}),
            ({"ambiguous": "two owners"}, {}),
            ({"excluded": True}, {}),
            ({"gone": True}, {}),
            ({}, {"records": []}),
        ],
    )
    def test_nothing_is_wanted(self, values: dict[str, Any], more: dict[str, Any]) -> None:
        assert decided(state(values, answers=QUALIFIES, **more)).proposals == ()

    def test_an_assignment_that_is_not_asked_gives_nobody(self) -> None:
        nobody = Answers(transitions=(True, False), slas=(True,), assigns=(False,), routes=((),))
        (proposal,) = decided(state(answers=nobody)).proposals
        assert [action.kind for action in proposal.actions] == [Kind.SET_STAGE, Kind.SET_STAGE, Kind.CREATE_TASK]

    def test_where_nobody_knows_who_gets_it_the_step_waits_whole(self) -> None:
        columns: dict[str, FieldStatus] = {"f_country": "gone"}
        suspended = suspension.of(CONFIG, {column.name: columns.get(column.name, "present") for column in columns_needed(CONFIG)})
        assert decided(state(answers=QUALIFIES), suspended=suspended).proposals == ()

    def test_a_stage_that_the_crms_show_already_is_agreed_without_a_write(self) -> None:
        there = state(answers=QUALIFIES, records=[MQL_CONTACT, MQL_LEAD])
        decision = decided(there)
        assert (decision.agreed, decision.anew) == ("mql", True)
        assert decided(there, live=False).agreed is None

    def test_a_converted_lead_is_not_written(self) -> None:
        converted = LEAD._replace(converted_to="0031")
        (proposal,) = decided(state(answers=QUALIFIES, records=[CONTACT, converted])).proposals
        assert ("set_stage", "Lead") not in [action[:2] for action in written(proposal)]

    def test_a_step_that_a_person_took_runs_what_the_rule_wants_then(self) -> None:
        evidence = [EvidenceState(rule="qualify", spell=2, taken_at=at(0, 9))]
        (proposal,) = decided(mql(spell_by="crm", evidence=evidence)).proposals
        assert (proposal.cause, proposal.why) == ("spell:1", {"rule": "qualify", "taken_by": "crm"})
        assert [action.kind for action in proposal.actions] == [Kind.ASSIGN, Kind.CREATE_TASK]
        assert decided(mql(spell_by="found", evidence=evidence)).proposals == ()
        assert decided(mql(spell_by="crm", evidence=evidence), clocks_from=at(0, 9.5)).proposals == ()

    def test_the_other_crm_is_told_unless_the_difference_is_tolerated(self) -> None:
        (proposal,) = decided(mql(records=[MQL_CONTACT, LEAD])).proposals
        assert (proposal.rule, proposal.cause) == (":stages", "agreement:3")
        assert written(proposal) == [("set_stage", "Lead", "Nurturing", "Open")]
        assert decided(mql({"stage_differs": True}, records=[MQL_CONTACT, LEAD])).proposals == ()
        strange = LEAD._replace(properties={"Status": "Somebody's own"})
        assert decided(mql(records=[MQL_CONTACT, strange])).proposals == ()  # a value that no stage names is left alone


class TestClocks:
    def test_a_warning_makes_its_task_and_the_next_look_is_when_it_is_due(self) -> None:
        decision = decided(mql(), now=at(0, 12))
        assert [clock.state for clock in decision.clocks] == ["warned"]
        (proposal,) = decision.proposals
        assert (proposal.rule, proposal.cause) == ("first touch", "attempt:1/response.1/warn")
        made = proposal.actions[0].task
        assert made is not None
        assert made.subject == "Chase Rossi: 0 of 1 by 2026-11-16 13:00 (first touch)"
        assert (decision.next_look, decision.decide_at) == (at(0, 13), at(0, 13))

    def test_a_breach_is_acted_on_once(self) -> None:
        late = {"now": at(0, 14), "clocks": [clock(state="breached")]}
        (proposal,) = decided(mql(clocks=late["clocks"]), now=at(0, 14)).proposals
        assert proposal.cause == "attempt:1/response.1/breach"
        done = {"first touch|4|attempt:1/response.1/breach": False}
        assert decided(mql(clocks=late["clocks"], bundles=done), now=at(0, 14)).proposals == ()

    def test_an_attempt_that_was_found_is_shown_and_causes_nothing(self) -> None:
        found = attempt(spell=2, found=True, rejectable=None)
        decision = decided(mql(attempt=found, clocks=[], answers=QUALIFIES), now=at(0, 14))
        assert decision == Decision(contact=4)

    def test_the_first_of_all_moments_is_the_next_look(self) -> None:
        answers = Answers(transitions=(False, False), slas=(True,), assigns=(True,), routes=((),), next_change=at(0, 11))
        assert decided(mql(answers=answers)).next_look == at(0, 11)
        ignored = attempt(spell=2, ignored_at=at(0, 10.5), rejectable=True)
        assert decided(mql(attempt=ignored, answers=answers)).next_look == at(0, 10.5)
        assert decided(state()).next_look is None


class TestTheAttempt:
    def test_one_that_nobody_touched_in_time_is_ignored(self) -> None:
        old = attempt(spell=2, ignored_at=at(0, 9.5), rejectable=True)
        decision = decided(mql(attempt=old))
        assert decision.attempts == (end(old, "ignored", at(0, 9.5)),)
        assert decision.begun is None

    def test_a_touch_after_that_opens_the_next_one(self) -> None:
        old = attempt(spell=2, ignored_at=at(0, 9.5), rejectable=True)
        decision = decided(mql(attempt=old, touches=calls(at(0, 9.7))))
        assert [(state.number, state.late) for state in decision.attempts] == [(1, False), (2, True)]
        assert (decision.begun, decision.anew) == (2, True)

    def test_out_of_scope_it_is_withdrawn_and_its_clock_ends(self) -> None:
        decision = decided(mql({"excluded": True}))
        assert [state.outcome for state in decision.attempts] == ["withdrawn"]
        assert [state.state for state in decision.clocks] == ["ended"]


REJECTED = Answers(transitions=(False, False), slas=(True,), assigns=(True,), routes=((),), rejecting=True)


class TestRejection:
    def rejected(self, reason: str | None = None, **more: Any) -> ContactState:
        status = LEAD._replace(modified_at=at(0, 9.5), properties={"Status": "Unqualified"})
        given = {"answers": REJECTED, "records": [MQL_CONTACT, status], "was_rejecting": False, **more}
        return mql({"f_reason": reason}, **given)

    def test_it_is_logged_and_the_reason_is_asked_for(self) -> None:
        decision = decided(self.rejected())
        assert decision.rejection == RejectionState(
            attempt=1,
            at=at(0, 9.5),
            kind="rejected",
            reason_by=at(1, 9.5),
            run=7,
            owner=ANNA,
            criteria_met=1,
            score=42.0,
            crm="salesforce",
            known_by="record",
        )
        (asks,) = decision.proposals
        assert (asks.rule, asks.cause, written(asks)) == (":rejection", "attempt:1/reason", [("create_task", "say-why", None, "say-why")])
        assert decision.next_look == NOW  # the next pass sees to it

    def test_with_a_reason_the_next_pass_sends_it_back(self) -> None:
        over = end(attempt(spell=2, rejectable=True), "rejected", at(0, 9.5))
        known = RejectionState(attempt=1, at=at(0, 9.5), kind="rejected", reason_by=at(1, 9.5), run=6)
        decision = decided(self.rejected(attempt=over, rejection=known, reason="Duplicate", clocks=[]))
        assert decision.rejection is not None
        assert (decision.rejection.reason, decision.rejection.accepted, decision.rejection.reason_at) == ("Duplicate", True, NOW)
        (back,) = decision.proposals
        assert (back.rule, back.cause) == (":rejection", "attempt:1")
        assert written(back)[0] == ("set_stage", "contacts", "mql", "lead")
        assert back.actions[0].backward

    def test_while_it_keeps_the_contact_no_transition_takes_it(self) -> None:
        answers = Answers(transitions=(True, True), slas=(True,), assigns=(True,), routes=((),), rejecting=True)
        assert {proposal.rule for proposal in decided(self.rejected(answers=answers)).proposals} == {":rejection"}

    def test_where_the_contact_is_back_already_it_is_done(self) -> None:
        over = end(attempt(rejectable=True), "rejected", at(0, 9.5))
        known = RejectionState(attempt=1, at=at(0, 9.5), kind="rejected", run=6)
        decision = decided(state({"attempt": 1}, attempt=over, attempts={1: over}, rejection=known))
        assert decision.rejection is not None
        assert decision.rejection.sent_back


def test_a_task_tells_what_happened_last_and_where_the_records_are() -> None:
    file = config('[task.tell]\nsubject = "{owner}"\nbody = "{links}\\n{recent}\\n{why}"\ndue = "1 day"\n[[transition]]\nname = "tell"\n'
                  'from = ["sql"]\nto = "mql"\nwhen = "qualified"\nthen = [{ task = "tell" }]\n')  # fmt: skip
    answers = Answers(transitions=(False, False, True), slas=(False,), assigns=(True,), routes=((),))
    recent = [Engagement(at(-1, 9), "call", "outgoing", "Anna"), Engagement(at(-2, 9), "meeting", None, None)]
    contact = state({"stage": "sql", "owner": BEN}, answers=answers, recent=recent)
    decision = decide(contact, inputs(config=file, stages=StageMap(file)), RoundRobin(file, {}, IDS))
    made = decision.proposals[0].actions[-1].task
    assert made is not None
    assert made.body.splitlines() == [
        "https://hubspot.example/contacts/1",
        "https://salesforce.example/Lead/00Q1",
        "2026-11-15 outgoing call Anna; 2026-11-14 meeting",
        "rule: tell, qualified: True",
    ]
    assert (made.subject, made.due_at) == (BEN, NOW + timedelta(days=1))
