"""The port's contract where answers fail while it reads: one kind of trouble at a time, and how a pull goes on."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from connector.errors import PassStopped
from connector.model import Page
from connector.sandbox.fault_injection import Fault
from connector.sandbox.serve import Sandbox
from tests.contract.faults import TROUBLES, Trouble
from tests.contract.reading import Read, again, read, read_on, some, whole
from tests.contract.subjects import Clock, HubSpotRoom, Room, SalesforceRoom

#: What goes wrong in every run of the tests; the rest takes its turn in the long one.
_OFTEN = {"502 HTML", "truncated", "lost", "429 ten seconds"}


def param(name: str, value: Any, often: set[str]) -> Any:
    """A parameter, for the long run alone where it is not among these."""
    return pytest.param(value, id=name, marks=() if name in often else pytest.mark.long)


class TestTrouble:
    @pytest.mark.parametrize("times", [pytest.param(1, marks=pytest.mark.long), 12])
    @pytest.mark.parametrize("trouble", [param(each.name, each, _OFTEN) for each in TROUBLES if each.name != "slow"])
    def test_a_first_pull_gone_on_with_brings_everything_once(self, room: Room, trouble: Trouble, times: int) -> None:
        """Twelve in a row are more than one request is tried: the pull ends with an error, and the next goes on."""
        room.trouble(trouble, times=times, after=2)
        found = read_on(room.crm, room.people, None, room.now)
        assert found.live == room.live(room.people)
        assert max(Counter(found.ids).values()) == 1

    def test_a_session_that_ends_in_the_middle_is_renewed(self, contract_box: Sandbox, contract_clock: Clock) -> None:
        room = SalesforceRoom(contract_box, contract_clock)
        try:
            pull = room.crm.pull(room.people, None, now=room.now)
            pages = [next(pull)]
            contract_box.salesforce.expire_sessions()
            pages += list(pull)
            assert Read(pages).live == room.live(room.people)
        finally:
            room.close()

    def test_a_token_that_was_taken_away_ends_the_pull_and_keeps_its_place(self, contract_box: Sandbox, contract_clock: Clock) -> None:
        room = HubSpotRoom(contract_box, contract_clock)
        try:
            refused = Fault("hubspot", "", 100, after=12, status=401, headers={"content-type": "application/json"}, body=b"{}")
            room.frame.add(refused)
            pages: list[Page] = []
            with pytest.raises(PassStopped):
                pages.extend(room.crm.pull(room.people, None, now=room.now))  # those before the error stay in
            room.clean()
            rest = read(room.crm, room.people, pages[-1].cursor if pages else None, room.now)
            assert Read([*pages, *rest.pages]).live == room.live(room.people)
        finally:
            room.clean()
            room.close()

    def test_answers_slower_than_the_timeout(self, contract_box: Sandbox, contract_clock: Clock) -> None:
        contract_clock.forward(timedelta(hours=1))
        slow = next(each for each in TROUBLES if each.name == "slow")
        for kind in (HubSpotRoom, SalesforceRoom):
            made = type("Hasty", (kind,), {"hasty": True})(contract_box, contract_clock)
            try:
                read(made.crm, "owners" if made.name == "hubspot" else "User", None, made.now)
                made.trouble(slow, times=1)
                found = read_on(made.crm, made.people, None, made.now)
                assert found.live == made.live(made.people)
            finally:
                made.clean()
                made.close()

    @pytest.mark.parametrize(
        "trouble", [each for each in TROUBLES if each.name in ("500", "truncated", "lost")], ids=lambda each: each.name
    )
    def test_changes_gone_on_with(self, room: Room, trouble: Trouble) -> None:
        cursor = whole(room)
        room.later()
        ids = some(room, 430)
        room.stamp_alike(ids)
        room.later()
        room.trouble(trouble, times=11, after=1)
        found = read_on(room.crm, room.people, cursor, room.now)
        assert set(ids) <= set(found.ids)

    @pytest.mark.parametrize("trouble", [each for each in TROUBLES if each.name in ("500", "truncated")], ids=lambda each: each.name)
    def test_what_is_asked_by_id_is_asked_again(self, room: Room, trouble: Trouble) -> None:
        ids = some(room, 3)
        room.trouble(trouble, times=2, call="read")
        assert set(again(lambda: room.crm.read(room.people, ids, [room.words]))) == set(ids)
        room.trouble(trouble, times=2, call="fates")
        assert again(lambda: room.crm.fates(room.people, ids)) == {}
        room.trouble(trouble, times=2, call="refill")
        pages = again(lambda: list(room.crm.refill(room.people, [room.words], None, now=room.now)))
        assert {one.id for page in pages for one in page.records} == room.live(room.people)
