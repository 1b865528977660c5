"""A Lead that is converted goes on as a Contact: the same contact of ours, its history, clocks and tasks with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from connector.model import Record
from tests.support.rule_world import EVERYTHING, SLA, World, running_world


def convert(w: World, lead: str = "00Q1", to: str = "003A", **more: Any) -> None:
    row = w.salesforce.read("Lead", [lead], ["Email", "Status", "OwnerId"])[lead]
    assert isinstance(row, Record)
    w.salesforce.put(replace(row, converted_to=to, modified_at=w.now, **more))


def contact_record(w: World, record_id: str = "003A", **properties: str | None) -> None:
    w.salesforce.person("Contact", record_id, **{"Email": None, "OwnerId": "anna", **properties})


def roles(w: World) -> dict[str, str]:
    return {row.id: row.role for row in w.rows("SELECT id, role FROM record WHERE crm = 'salesforce'")}


@pytest.mark.parametrize("first", ["contact", "lead", "together"])
def test_clocks_go_on_whichever_comes_first(either_url: str, first: str) -> None:
    with running_world(either_url, SLA) as w:
        w.lead(stage="Open", owner="anna")
        w.run()
        before = w.contact("00Q1").id
        w.later(minutes=5)
        if first != "lead":
            contact_record(w)
        if first != "contact":
            convert(w)
        if first != "together":
            w.run()
            w.later(minutes=1)
            convert(w)
            contact_record(w)
        w.run()
        assert w.contact("003A").id == before
        assert not w.contact("003A").gone
        assert [clock.state for clock in w.clocks("003A")] == ["running"]
        assert w.outcomes("003A") == ["open"]
        assert roles(w) == {"003A": "main", "00Q1": "duplicate"}
        assert w.stage("003A") == "mql"  # the Lead goes on telling the stage


def test_a_conversion_into_somebody_elses_contact_makes_them_one(either_url: str) -> None:
    with running_world(either_url, EVERYTHING) as w:
        contact_record(w, Email="known@kunde.example")
        w.person("1", stage="lead", email="known@kunde.example")
        w.lead("00Q2", stage="Open", Email="second@kunde.example", owner="anna")
        w.run()
        kept = w.contact("00Q2").id
        assert w.contact("003A").id != kept
        w.later(minutes=5)
        convert(w, "00Q2")
        w.settle()
        assert {w.contact(one).id for one in ("1", "003A", "00Q2")} == {kept}
        assert w.outcomes("003A") == ["open"]


def test_a_lead_converted_twice_goes_with_both(either_url: str) -> None:
    """The conversion is undone and made anew, into another Contact: what was one person stays one."""
    with running_world(either_url) as w:
        w.lead(stage="Open")
        contact_record(w)
        convert(w)
        w.run()
        before = w.contact("00Q1").id
        w.later(minutes=5)
        contact_record(w, "003B")
        convert(w, to="003B")
        w.run()
        assert {w.contact(one).id for one in ("00Q1", "003A", "003B")} == {before}


def test_a_stored_lead_id_leads_to_what_the_lead_became(either_url: str) -> None:
    with running_world(either_url) as w:
        w.person("1", stage="lead", email="one@kunde.example", salesforceleadid="00Q1")
        w.lead(stage="Open", Email="two@kunde.example")
        convert(w)
        contact_record(w, Email="three@kunde.example")
        contact_record(w, "003B", Email="one@kunde.example")
        w.run()
        assert w.contact("1").id == w.contact("003A").id != w.contact("003B").id
        assert w.contact("1").ambiguous is None
