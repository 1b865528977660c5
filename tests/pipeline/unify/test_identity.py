"""Which of a person's records stands for the contact, and when nothing may be written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.pipeline.unify.identity import Candidate, choose

NOW = datetime(2026, 11, 18, 10, tzinfo=UTC)


def candidate(number: int, **values: Any) -> Candidate:
    basis: dict[str, Any] = {"crm": "salesforce", "object": "Lead", "id": str(number), "active_at": NOW}
    return Candidate(**{**basis, "owner": None, "converted": False, **values})


@pytest.mark.parametrize(
    "better",
    [
        {"stored": True, "object": "Lead", "converted": True},
        {"object": "Contact", "converted": True},
        {"owner": "a@acme.example"},
        {"active_at": NOW + timedelta(hours=1)},
        {"id": "5"},
    ],
)
def test_the_order_of_candidates(better: dict[str, Any]) -> None:
    other = candidate(10, converted="converted" in better and "stored" not in better and "object" not in better)
    chosen = choose([other, candidate(11, **better)])
    assert chosen.main["salesforce"].id == better.get("id", "11")


@given(st.permutations([candidate(9), candidate(10), candidate(11, owner="a@acme.example"), candidate(3, converted=True)]))
def test_the_order_of_reading_does_not_matter(candidates: list[Candidate]) -> None:
    assert choose(candidates).main["salesforce"].id == "11"


@pytest.mark.parametrize(("email", "shared"), [("info@kunde.example", True), ("sales@kunde.example", True), ("ida@kunde.example", False)])
def test_a_shared_mailbox_is_ambiguous(email: str, shared: bool) -> None:
    assert (choose([candidate(1, emails=("ida@kunde.example", email))]).ambiguous is not None) is shared


@pytest.mark.parametrize(
    ("second", "ambiguous"),
    [
        ({"owner": "b@acme.example"}, True),
        ({"owner": "a@acme.example"}, False),
        ({"owner": None}, False),
        ({"owner": "b@acme.example", "converted": True}, False),
        ({"owner": "b@acme.example", "crm": "hubspot", "object": "contacts"}, False),
    ],
)
def test_two_open_records_with_different_owners_are(second: dict[str, Any], ambiguous: bool) -> None:
    chosen = choose([candidate(1, owner="a@acme.example"), candidate(2, **second)])
    assert (chosen.ambiguous is not None) is ambiguous
