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
from tests.contract.sandboxes import SUBJECTS, small_sandbox, subject_named
from tests.contract.subjects import Clock, Drifted, SandboxSubject, Subject

A_DAY = timedelta(hours=25)


# ── The whole pass stops ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def beside(crm: str, box: Sandbox, clock: Clock) -> Iterator[Subject]:
    """A subject; afterwards nothing goes wrong any more, and the day is over."""
    subject = subject_named(crm, box, clock)
    with closing(subject.crm):
        yield subject
    subject.clean()
    clock.forward(A_DAY)


def stopped(subject: Subject) -> CrmError:
    """The error that a first pull ends with."""
    with pytest.raises(PassStopped) as told:
        list(subject.crm.pull(subject.people, None, now=subject.now))
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
def test_it_says_why_and_what_to_do(
    crm: str, scenario: str, words: str, advice: str, contract_sandbox: Sandbox, contract_clock: Clock
) -> None:
    with beside(crm, contract_sandbox, contract_clock) as subject:
        subject.crm.schema([subject.people])  # signed in
        subject.play(scenario, times=1)
        error = stopped(subject)
    assert words in error.message
    assert advice in error.advice


def test_one_code_of_salesforce_has_two_meanings(contract_sandbox: Sandbox, contract_clock: Clock) -> None:
    """REQUEST_LIMIT_EXCEEDED: too many at once passes within seconds, a spent day does not; only the message tells."""
    with beside("salesforce", contract_sandbox, contract_clock) as subject:
        subject.crm.schema(["Lead"])
        contract_sandbox.salesforce.crowd(5)
        with pytest.raises(RateLimited) as crowded:
            subject.crm.schema(["Lead"])
        contract_sandbox.salesforce.crowd(4)
        assert subject.crm.schema(["Lead"])  # the fifth try
        subject.play("day-limit", times=0)
        before = subject.sent()
        spent = stopped(subject)
        assert subject.sent() == before + 1  # and is not tried again
        assert crowded.value.code == spent.code == "REQUEST_LIMIT_EXCEEDED"
        subject.later(A_DAY)
        assert subject.crm.schema(["Lead"])


# ── Fields drift ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", SUBJECTS)
def test_fields_that_drift_are_told_and_all_else_goes_on(name: str) -> None:
    clock = Clock()
    with small_sandbox(clock) as box, closing(subject_named(name, box, clock)) as subject:
        names = subject.drifted
        wanted = [subject.words, names.vanished, names.hidden, names.retyped, names.poorer]
        subject.crm.want({subject.people: wanted})
        before = dict(subject.crm.schema([subject.people])[subject.people])
        assert set(wanted) <= set(before)
        assert names.option in choosable(before[names.poorer])
        cursor = read(subject.crm, subject.people, None, subject.now).cursor
        subject.later()
        subject.play("schema-drift")
        one, *_ = some(subject, 1)
        subject.edit(one, "Nachher")
        subject.later()
        found = read_on(subject.crm, subject.people, cursor, subject.now)
        assert {names.vanished, names.hidden} == set().union(*(page.absent for page in found.pages))
        told = [record for page in found.pages for record in page.records if record.id == one][-1]
        assert told.properties[subject.words] == "Nachher"
        assert {names.retyped, names.poorer} <= set(told.properties)
        check_schema(names, before, subject.crm.schema([subject.people])[subject.people])
        if isinstance(subject, SandboxSubject):
            check_writes(subject, one)


def choosable(facts: PropertyFacts) -> set[str]:
    return set(facts.options or ()) - facts.hidden


def check_schema(names: Drifted, before: Mapping[str, PropertyFacts], after: Mapping[str, PropertyFacts]) -> None:
    assert names.vanished not in after
    assert names.hidden not in after
    assert after[names.retyped].type != before[names.retyped].type
    assert choosable(before[names.poorer]) - choosable(after[names.poorer]) == {names.option}
    assert names.new not in before
    assert names.new in after


def check_writes(subject: Subject, one: str) -> None:
    """A field that is gone is refused, alone; the next write to another is done."""
    (gone,) = subject.crm.update(subject.people, [FieldWrite(record=subject.ref(one), properties={subject.drifted.vanished: "1"})])
    (good,) = subject.crm.update(subject.people, field_writes(subject, [one], "Geht noch"))
    assert (gone.state, good.state) == (WriteState.REFUSED, WriteState.WRITTEN)
    assert subject.value(one) == "Geht noch"
