"""What an adapter says where trying again helps nobody: a day's limit, credentials, an account on the move; and fields that drift."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import timedelta

import pytest

from connector.errors import CrmError, PassStopped, RateLimited
from connector.model import FieldWrite, PropertyFacts, WriteState
from connector.sandbox.serve import Sandbox
from tests.contract.reading import field_writes, read, read_on, some
from tests.contract.sandboxes import ROOMS, room_named, small_box
from tests.contract.subjects import Clock, Drifted, Room, SandboxRoom

A_DAY = timedelta(hours=25)


# ── The whole pass stops ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def beside(crm: str, box: Sandbox, clock: Clock) -> Iterator[Room]:
    """A room; afterwards nothing goes wrong any more, and the day is over."""
    room = room_named(crm, box, clock)
    with closing(room.crm):
        yield room
    room.clean()
    clock.forward(A_DAY)


def stopped(room: Room) -> CrmError:
    """The error that a first pull ends with."""
    with pytest.raises(PassStopped) as told:
        list(room.crm.pull(room.people, None, now=room.now))
    return told.value


@pytest.mark.parametrize(
    ("crm", "scenario", "words", "advice"),
    [
        ("hubspot", "day-limit", "until midnight in the HubSpot account's time zone", "daily_requests"),
        ("salesforce", "day-limit", "of the last 24 hours are used up", "as calls become free"),
        ("hubspot", "revoked", "the access token is not valid", "access token"),
        ("salesforce", "revoked", "invalid_grant", "External Client App"),
        ("hubspot", "no-account", "no account is found for this token", "base_url"),
        ("hubspot", "account-moves", "moved to another data centre, for 2.0 hours more", "goes on where this one stopped"),
    ],
)
def test_it_says_why_and_what_to_do(crm: str, scenario: str, words: str, advice: str, contract_box: Sandbox, contract_clock: Clock) -> None:
    with beside(crm, contract_box, contract_clock) as room:
        room.crm.schema([room.people])  # signed in
        room.play(scenario, times=1)
        error = stopped(room)
    assert words in error.message
    assert advice in error.advice


def test_one_code_of_salesforce_has_two_meanings(contract_box: Sandbox, contract_clock: Clock) -> None:
    """REQUEST_LIMIT_EXCEEDED: too many at once passes within seconds, a spent day does not; only the message tells."""
    with beside("salesforce", contract_box, contract_clock) as room:
        room.crm.schema(["Lead"])
        contract_box.salesforce.crowd(5)
        with pytest.raises(RateLimited) as crowded:
            room.crm.schema(["Lead"])
        contract_box.salesforce.crowd(4)
        assert room.crm.schema(["Lead"])  # the fifth try
        room.play("day-limit", times=0)
        before = room.sent()
        spent = stopped(room)
        assert room.sent() == before + 1  # and is not tried again
        assert crowded.value.code == spent.code == "REQUEST_LIMIT_EXCEEDED"
        room.later(A_DAY)
        assert room.crm.schema(["Lead"])


# ── Fields drift ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ROOMS)
def test_fields_that_drift_are_told_and_all_else_goes_on(name: str) -> None:
    clock = Clock()
    with small_box(clock) as box, closing(room_named(name, box, clock)) as room:
        names = room.drifted
        wanted = [room.words, names.vanished, names.hidden, names.retyped, names.poorer]
        room.crm.want({room.people: wanted})
        before = dict(room.crm.schema([room.people])[room.people])
        assert set(wanted) <= set(before)
        assert names.option in choosable(before[names.poorer])
        cursor = read(room.crm, room.people, None, room.now).cursor
        room.later()
        room.play("schema-drift")
        one, *_ = some(room, 1)
        room.edit(one, "Nachher")
        room.later()
        found = read_on(room.crm, room.people, cursor, room.now)
        assert {names.vanished, names.hidden} == set().union(*(page.absent for page in found.pages))
        told = [record for page in found.pages for record in page.records if record.id == one][-1]
        assert told.properties[room.words] == "Nachher"
        assert {names.retyped, names.poorer} <= set(told.properties)
        check_schema(names, before, room.crm.schema([room.people])[room.people])
        if isinstance(room, SandboxRoom):
            check_writes(room, one)


def choosable(facts: PropertyFacts) -> set[str]:
    return set(facts.options or ()) - facts.hidden


def check_schema(names: Drifted, before: Mapping[str, PropertyFacts], after: Mapping[str, PropertyFacts]) -> None:
    assert names.vanished not in after
    assert names.hidden not in after
    assert after[names.retyped].type != before[names.retyped].type
    assert choosable(before[names.poorer]) - choosable(after[names.poorer]) == {names.option}
    assert names.new not in before
    assert names.new in after


def check_writes(room: Room, one: str) -> None:
    """A field that is gone is refused, alone; the next write to another is done."""
    (gone,) = room.crm.update(room.people, [FieldWrite(record=room.ref(one), properties={room.drifted.vanished: "1"})])
    (good,) = room.crm.update(room.people, field_writes(room, [one], "Geht noch"))
    assert (gone.state, good.state) == (WriteState.REFUSED, WriteState.WRITTEN)
    assert room.value(one) == "Geht noch"
