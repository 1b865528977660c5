"""Schema drift in both vendors' own words, over real HTTP: what an admin does in the CRM, and what the connector makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connector import engine
from connector.app import App, Pacing
from connector.engine import PassResult
from connector.reports.status import status
from connector.sandbox.serve import Sandbox
from tests.system.support import NOW, config_for, running, small_sandbox


class Time:
    """The connector's clock, and the sandbox's."""

    def __init__(self) -> None:
        self.at = NOW

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def box(time: Time) -> Iterator[Sandbox]:
    with small_sandbox(time, contacts=40, leads=20) as box:
        yield box


@pytest.fixture
def app(box: Sandbox, time: Time, tmp_path: Path) -> Iterator[App]:
    waiting = Pacing(clock=lambda: time().timestamp())  # a day goes by for the limits too
    with running(config_for(box, f"sqlite:///{tmp_path}/c.db", mode="shadow"), now=time, waiting=waiting) as app:
        assert ran(app, time).suspended == []
        yield app


def ran(app: App, time: Time, after: timedelta = timedelta(0)) -> PassResult:
    time.at += after
    result = engine.run_pass(app.context())
    assert result.errors == []
    return result


def drifted(app: App, time: Time) -> list[tuple[Any, ...]]:
    """Since the first pass, which tells of what was never there, too."""
    found = status(app.store, app.config, now=time.at)["drift"]
    return sorted((row["crm"], row["object"], row["property"], row["what"]) for row in found if row["at"] > NOW)


def gone(result: PassResult) -> dict[str, str]:
    return {row["field"]: row["state"] for row in result.suspended}


HOUR, MINUTES = timedelta(hours=1), timedelta(minutes=20)


def test_hubspot_loses_hides_and_regains_a_property(box: Sandbox, app: App, time: Time) -> None:
    someone = box.hubspot.ids("contacts")[0]
    box.hubspot.schema.remove_property("contacts", "budget_amount")
    box.hubspot.edit("contacts", someone, firstname="Dora")
    assert gone(ran(app, time, MINUTES)) == {"budget": "gone"}  # the page shows it, long before the hour is over
    assert drifted(app, time) == [("hubspot", "contacts", "budget_amount", "vanished")]
    box.hubspot.schema.restore_property("contacts", "budget_amount")
    assert gone(ran(app, time, HOUR)) == {}
    box.hubspot.schema.hide_property("contacts", "budget_amount")
    assert gone(ran(app, time, HOUR)) == {"budget": "gone"}
    box.hubspot.schema.show_property("contacts", "budget_amount")
    assert (gone(ran(app, time, HOUR)), drifted(app, time)) == ({}, [])


def test_hubspot_changes_a_type_and_drops_a_stage(box: Sandbox, app: App, time: Time) -> None:
    box.hubspot.schema.change_type("contacts", "budget_amount", "bool", "booleancheckbox")
    box.hubspot.schema.drop_option("contacts", "lifecyclestage", "salesqualifiedlead")
    assert gone(ran(app, time, HOUR)) == {"budget": "gone"}
    assert drifted(app, time) == [
        ("hubspot", "contacts", "budget_amount", "type"),
        ("hubspot", "contacts", "lifecyclestage", "options"),
    ]
    box.hubspot.schema.change_type("contacts", "budget_amount", "number", "number")
    box.hubspot.schema.add_option("contacts", "lifecyclestage", "salesqualifiedlead")
    assert (gone(ran(app, time, HOUR)), drifted(app, time)) == ({}, [])


def test_salesforce_loses_a_field_and_hides_another(box: Sandbox, app: App, time: Time) -> None:
    lead = next(iter(box.salesforce.live("Lead")))
    box.salesforce.schema.hide_field("Lead", "Budget__c")
    box.salesforce.edit("Lead", lead, FirstName="Dora")
    assert gone(ran(app, time, MINUTES)) == {"budget": "gone"}
    assert drifted(app, time) == [("salesforce", "Lead", "Budget__c", "vanished")]
    box.salesforce.schema.show_field("Lead", "Budget__c")
    box.salesforce.schema.remove_option("Lead", "Status", "Qualified")
    assert gone(ran(app, time, HOUR)) == {}
    assert drifted(app, time) == [("salesforce", "Lead", "Status", "options")]


def test_what_keeps_one_crm_from_telling_its_fields_keeps_nothing_from_the_other(box: Sandbox, app: App, time: Time) -> None:
    """The day's share of Salesforce is spent when it is time to look again: HubSpot is mirrored all the same, and nobody is judged."""
    someone, lead = box.hubspot.ids("contacts")[0], next(iter(box.salesforce.live("Lead")))
    box.hubspot.edit("contacts", someone, firstname="Dora")
    box.salesforce.edit("Lead", lead, FirstName="Dora")
    box.salesforce.spend_calls()
    time.at += HOUR
    result = engine.run_pass(app.context())
    assert [getattr(error, "crm", None) for error in result.errors] == ["salesforce"]
    assert (result.pulled["hubspot"]["contacts"].stored, result.evaluated, result.plan) == (1, 0, None)
    assert not any(stream.whole for stream in result.pulled["salesforce"].values())
    assert ran(app, time, timedelta(days=1)).pulled["salesforce"]["Lead"].stored == 1
