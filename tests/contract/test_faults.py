"""The port's contract where answers fail while it reads: one kind of fault at a time, and how a pull goes on."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from connector.errors import PassStopped
from connector.model import Page
from connector.sandbox.fault_injection import Fault
from connector.sandbox.serve import Sandbox
from tests.contract.faults import ANSWER_FAULTS, AnswerFault
from tests.contract.reading import Read, again, read, read_on, some, whole
from tests.contract.subjects import Clock, HubSpotSubject, SalesforceSubject, Subject

#: What goes wrong in every run of the tests; the rest takes its turn in the long one.
_OFTEN = {"502 HTML", "truncated", "lost", "429 ten seconds"}


def param(name: str, value: Any, often: set[str]) -> Any:
    """A parameter, for the long run alone where it is not among these."""
    return pytest.param(value, id=name, marks=() if name in often else pytest.mark.long)


class TestAnswerFaults:
    @pytest.mark.parametrize("times", [pytest.param(1, marks=pytest.mark.long), 12])
    @pytest.mark.parametrize("fault", [param(each.name, each, _OFTEN) for each in ANSWER_FAULTS if each.name != "slow"])
    def test_a_first_pull_gone_on_with_brings_everything_once(self, subject: Subject, fault: AnswerFault, times: int) -> None:
        """Twelve in a row are more than one request is tried: the pull ends with an error, and the next goes on."""
        subject.fail_reading(fault, times=times, after=2)
        found = read_on(subject.crm, subject.people, None, subject.now)
        assert found.live == subject.live(subject.people)
        assert max(Counter(found.ids).values()) == 1

    def test_a_session_that_ends_in_the_middle_is_renewed(self, contract_sandbox: Sandbox, contract_clock: Clock) -> None:
        subject = SalesforceSubject(contract_sandbox, contract_clock)
        try:
            pull = subject.crm.pull(subject.people, None, now=subject.now)
            pages = [next(pull)]
            contract_sandbox.salesforce.expire_sessions()
            pages += list(pull)
            assert Read(pages).live == subject.live(subject.people)
        finally:
            subject.close()

    def test_a_token_that_was_taken_away_ends_the_pull_and_keeps_its_place(self, contract_sandbox: Sandbox, contract_clock: Clock) -> None:
        subject = HubSpotSubject(contract_sandbox, contract_clock)
        try:
            refused = Fault("hubspot", "", 100, after=12, status=401, headers={"content-type": "application/json"}, body=b"{}")
            subject.frame.add(refused)
            pages: list[Page] = []
            with pytest.raises(PassStopped):
                pages.extend(subject.crm.pull(subject.people, None, now=subject.now))  # those before the error stay in
            subject.clean()
            rest = read(subject.crm, subject.people, pages[-1].cursor if pages else None, subject.now)
            assert Read([*pages, *rest.pages]).live == subject.live(subject.people)
        finally:
            subject.clean()
            subject.close()

    def test_answers_slower_than_the_timeout(self, contract_sandbox: Sandbox, contract_clock: Clock) -> None:
        contract_clock.forward(timedelta(hours=1))
        slow = next(each for each in ANSWER_FAULTS if each.name == "slow")
        for kind in (HubSpotSubject, SalesforceSubject):
            made = type("Hasty", (kind,), {"hasty": True})(contract_sandbox, contract_clock)
            try:
                read(made.crm, "owners" if made.name == "hubspot" else "User", None, made.now)
                made.fail_reading(slow, times=1)
                found = read_on(made.crm, made.people, None, made.now)
                assert found.live == made.live(made.people)
            finally:
                made.clean()
                made.close()

    @pytest.mark.parametrize(
        "fault", [each for each in ANSWER_FAULTS if each.name in ("500", "truncated", "lost")], ids=lambda each: each.name
    )
    def test_changes_gone_on_with(self, subject: Subject, fault: AnswerFault) -> None:
        cursor = whole(subject)
        subject.later()
        ids = some(subject, 430)
        subject.stamp_alike(ids)
        subject.later()
        subject.fail_reading(fault, times=11, after=1)
        found = read_on(subject.crm, subject.people, cursor, subject.now)
        assert set(ids) <= set(found.ids)

    @pytest.mark.parametrize("fault", [each for each in ANSWER_FAULTS if each.name in ("500", "truncated")], ids=lambda each: each.name)
    def test_what_is_asked_by_id_is_asked_again(self, subject: Subject, fault: AnswerFault) -> None:
        ids = some(subject, 3)
        subject.fail_reading(fault, times=2, call="read")
        assert set(again(lambda: subject.crm.read(subject.people, ids, [subject.words]))) == set(ids)
        subject.fail_reading(fault, times=2, call="fates")
        assert again(lambda: subject.crm.fates(subject.people, ids)) == {}
        subject.fail_reading(fault, times=2, call="refill")
        pages = again(lambda: list(subject.crm.refill(subject.people, [subject.words], None, now=subject.now)))
        assert {one.id for page in pages for one in page.records} == subject.live(subject.people)
