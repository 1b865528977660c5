"""[[sla]] as values: clocks, touches and now in, clocks out."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from connector.config.tables import SlaRule
from connector.workflows.attempts import AttemptState, end
from connector.workflows.sla import ClockFacts, ClocksNow, ClockState, advance, clocks_now, events, mark_before_live
from connector.workflows.touches import Touched
from tests.workflows.values import CALENDAR, at, attempt, calls, clock, config

RULE = config().slas[0]
RULES = {RULE.id: RULE}
TWO_CHANNELS = RULE.model_copy(update={"touches": 2, "channels": 2})
BOTH = [Touched(at(0, 10), "call"), Touched(at(0, 11), "email")]


@pytest.mark.parametrize(
    ("rule", "before", "touches", "now", "state", "met_at"),
    [
        (RULE, clock(), [], at(0, 11.9), "running", None),
        (RULE, clock(), [], at(0, 12), "warned", None),
        (RULE, clock(), [], at(0, 13), "warned", None),  # due is not yet too late
        (RULE, clock(), [], at(0, 13) + timedelta(microseconds=1), "breached", None),
        (RULE, clock(), calls(at(0, 13)), at(0, 14), "met", at(0, 13)),
        (RULE, clock(state="warned"), calls(at(0, 12.5)), at(0, 12.5), "met", at(0, 12.5)),
        (RULE, clock(state="breached"), calls(at(0, 14)), at(0, 15), "breached", at(0, 14)),
        (RULE, clock(state="breached"), calls(at(0, 12.9), at(0, 14)), at(1, 9), "met", at(0, 12.9)),  # logged late, dated in time
        (RULE, clock(state="ended", ended_at=at(0, 11)), calls(at(0, 10)), at(1, 9), "met", at(0, 10)),
        (RULE, clock(state="ended", ended_at=at(0, 11)), calls(at(0, 12)), at(1, 9), "ended", None),
        (RULE, clock(), calls(at(0, 8)), at(0, 12), "warned", None),  # before the clock began
        (TWO_CHANNELS, clock(), calls(at(0, 10), at(0, 11)), at(0, 11), "running", None),
        (TWO_CHANNELS, clock(), BOTH, at(0, 11), "met", at(0, 11)),
        (RULE, clock(warn_at=None), [], at(0, 12.5), "running", None),
        (RULE, clock(state="waived"), [], at(5, 9), "waived", None),
    ],
)
def test_a_clock_as_it_stands(
    rule: SlaRule, before: ClockState, touches: list[Touched], now: datetime, state: str, met_at: datetime | None
) -> None:
    after = advance(before, rule, touches, now)
    counted = [touch for touch in touches if touch.at >= before.started_at]
    assert (after.state, after.met_at) == (state, met_at)
    assert (after.touches, after.channels) == (len(counted), len({touch.channel for touch in counted}))


def now_of(now: datetime, *, present: AttemptState | None = None, earlier: tuple[AttemptState, ...] = (), **more: Any) -> ClocksNow:
    facts: dict[str, Any] = {
        "clocks": [], "touches": [], "starting": [RULE], "owner": "anna@acme.example", "assigned_at": at(0, 9), **more,
    }  # fmt: skip
    last = attempt() if present is None else present
    known = {state.number: state for state in (*earlier, last)}
    return clocks_now(RULES, ClockFacts(attempts=known, present=last, calendar=CALENDAR, **facts), now)


class TestClocksNow:
    def test_a_clock_starts_when_the_owner_got_the_contact(self) -> None:
        (started,) = now_of(at(0, 12), assigned_at=at(0, 11)).changed
        assert (started.started_at, started.due_at, started.warn_at, started.state) == (at(0, 11), at(0, 15), at(0, 14), "running")

    def test_it_says_when_to_look_again(self) -> None:
        assert now_of(at(0, 10)).moments == (at(0, 12),)
        assert now_of(at(0, 12)).moments == (at(0, 13),)
        assert now_of(at(0, 13)).moments == (at(0, 13) + timedelta(microseconds=1),)
        assert now_of(at(0, 14)).moments == ()

    @pytest.mark.parametrize(
        "more",
        [
            {"owner": None},
            {"assigned_at": None},
            {"starting": []},
            {"present": attempt(found=True)},
            {"present": end(attempt(), "accepted", at(0, 10))},
        ],
    )
    def test_no_clock_starts(self, more: dict[str, Any]) -> None:
        assert now_of(at(0, 11), **more) == ClocksNow()

    def test_one_that_did_not_change_is_not_named(self) -> None:
        assert now_of(at(0, 10), clocks=[clock()]).changed == ()
        assert [state.state for state in now_of(at(0, 12), clocks=[clock()]).changed] == ["warned"]

    def test_a_new_owner_gets_a_clock_of_his_own_and_the_old_one_ends_then(self) -> None:
        left, begun = now_of(at(0, 12), clocks=[clock()], owner="ben@acme.example", assigned_at=at(0, 11)).changed
        assert (left.owner, left.state, left.ended_at) == ("anna@acme.example", "ended", at(0, 11))
        assert (begun.owner, begun.number, begun.started_at, begun.due_at) == ("ben@acme.example", 2, at(0, 11), at(0, 15))

    @pytest.mark.parametrize(
        ("before", "more"),
        [
            (clock(number=3), {}),  # started anew twice already
            (clock(owner=None), {}),
            (clock(), {"touches": calls(at(0, 10))}),  # met before he gave it away
        ],
    )
    def test_the_clock_goes_on_for_the_new_owner(self, before: ClockState, more: dict[str, Any]) -> None:
        now = now_of(at(0, 11), clocks=[before], owner="ben@acme.example", assigned_at=at(0, 10.5), **more)
        assert {state.number for state in now.changed} <= {before.number}

    def test_the_clock_of_an_attempt_that_is_over_ends_with_it(self) -> None:
        over = end(attempt(), "accepted", at(0, 11))
        (ended,) = now_of(at(1, 9), present=over, clocks=[clock()]).changed
        assert (ended.state, ended.ended_at) == ("ended", at(0, 11))

    def test_a_breach_that_nobody_saw_in_time_stands_although_the_attempt_is_over(self) -> None:
        over = end(attempt(), "accepted", at(0, 15))
        (breached,) = now_of(at(1, 9), present=over, clocks=[clock()]).changed
        assert breached.state == "breached"

    def test_the_next_attempt_has_a_clock_of_its_own(self) -> None:
        over, present = end(attempt(), "ignored", at(2, 9)), attempt(number=2, began_at=at(3, 10))
        closed, begun = now_of(at(3, 10), present=present, earlier=(over,), clocks=[clock()], touches=calls(at(0, 10))).changed
        assert (closed.attempt, closed.state) == (1, "met")
        assert (begun.attempt, begun.number, begun.started_at) == (2, 1, at(3, 10))

    def test_the_clock_of_a_rule_that_the_file_has_no_more_stays_as_it_is(self) -> None:
        assert now_of(at(4, 9), clocks=[clock(sla="gone")], starting=[]).changed == ()


def test_what_stands_is_a_warning_or_a_breach_of_the_attempt() -> None:
    told = events(RULES, [clock(state="warned"), clock(state="breached"), clock(number=2, state="warned")], attempt())
    assert [(event.event, event.cause, event.then) for event in told] == [
        ("breach", "attempt:1/response.1/breach", RULE.on_breach),
        ("warn", "attempt:1/response.2/warn", RULE.on_warn),
    ]
    silent = [clock(), clock(number=2, state="met"), clock(attempt=2, state="breached"), clock(number=3, sla="gone", state="warned")]
    assert events(RULES, silent, attempt()) == []


class TestBeforeGoingLive:
    """The clock warns at 12:00 and is due at 13:00."""

    @pytest.mark.parametrize(
        ("state", "live_since", "mark"),
        [
            ("warned", at(0, 12.5), "warn"),
            ("warned", at(0, 12), None),  # it comes up with the first live pass
            ("warned", None, None),  # shadow
            ("breached", at(0, 14), "breach"),
            ("breached", at(0, 12.5), None),
            ("running", at(0, 14), None),
            ("met", at(0, 14), None),
        ],
    )
    def test_what_passed_is_marked(self, state: str, live_since: datetime | None, mark: str | None) -> None:
        assert mark_before_live(clock(state=state), live_since).before_live == mark

    @pytest.mark.parametrize(
        ("state", "mark", "stand"),
        [("warned", "warn", []), ("breached", "breach", []), ("breached", "warn", ["breach"]), ("warned", None, ["warn"])],
    )
    def test_a_marked_one_is_no_cause(self, state: str, mark: Any, stand: list[str]) -> None:
        assert [event.event for event in events(RULES, [clock(state=state, before_live=mark)], attempt())] == stand

    def test_one_that_says_the_same_as_in_shadow_is_marked_by_the_first_live_pass(self) -> None:
        (marked,) = now_of(at(0, 14), clocks=[clock(state="breached")], live_since=at(0, 13.5)).changed
        assert marked == clock(state="breached", before_live="breach")
        assert now_of(at(0, 15), clocks=[marked], live_since=at(0, 13.5)).changed == ()
