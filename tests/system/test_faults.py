"""The CRMs misbehave: each fault gives its message with the way out, the cursor stays, and the next pass loses nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector import engine
from connector.app import App
from connector.sandbox.fault_injection import Fault
from connector.sandbox.serve import Sandbox
from tests.system.support import SkippingClock, config_for, records_stored, running, small_sandbox

_JSON = {"content-type": "application/json"}
_HTML = {"content-type": "text/html"}
_FOREVER = 1000
_PEOPLE = "/objects/contacts"


def hubspot(status: int, body: dict[str, Any], *, times: int = _FOREVER, **headers: str) -> Fault:
    text = json.dumps({"status": "error", **body})
    return Fault("hubspot", _PEOPLE, times, status=status, headers={**_JSON, **headers}, body=text.encode())


def salesforce(status: int, code: str, message: str, *, match: str = "/queryAll", times: int = _FOREVER) -> Fault:
    body = json.dumps([{"message": message, "errorCode": code}]).encode()
    return Fault("salesforce", match, times, status=status, headers=_JSON, body=body)


def html(crm: str, match: str, status: int, *, times: int = _FOREVER) -> Fault:
    return Fault(crm, match, times, status=status, headers=_HTML, body=b"<html>maintenance</html>")


def limit(name: str, message: str) -> dict[str, Any]:
    return {"message": message, "errorType": "RATE_LIMIT", "correlationId": "c-429", "policyName": name}


_SCOPE = {"context": {"requiredGranularScopes": ["crm.objects.contacts.read"]}}
_SCOPES = {"category": "MISSING_SCOPES", "correlationId": "c-403", "errors": [{"message": "…", **_SCOPE}]}
_BURST = limit("TEN_SECONDLY_ROLLING", "You have reached your ten_secondly_rolling limit.")
_DAILY = limit("DAILY", "You have reached your daily limit.")
_COLUMN = "\nSELECT Foo FROM Lead\nERROR at Row:1:Column:8\nNo such column 'Foo' on entity 'Lead'."
_EXPIRED = "Session expired or invalid"
_CLIENT = b'{"error":"invalid_client","error_description":"invalid client credentials"}'
_LOGIN = Fault("salesforce", "/oauth2/token", _FOREVER, status=400, headers=_JSON, body=_CLIENT)

#: What lasts: the fault, what the message says, what the advice says.
LASTING = {
    "401": (hubspot(401, {"category": "INVALID_AUTHENTICATION"}), "401", "token"),
    "403": (hubspot(403, _SCOPES), "403", "crm.objects.contacts.read"),
    "429 for ever": (hubspot(429, _BURST), "429", "requests_per_10_seconds"),
    "the day's limit": (hubspot(429, _DAILY), "midnight", "headroom"),
    "500": (hubspot(500, {}), "500", "next pass"),
    "HTML": (html("hubspot", _PEOPLE, 200), "contacts", "."),
    "cut off": (Fault("hubspot", _PEOPLE, _FOREVER, kind="truncate"), "contacts", "."),
    "salesforce 401": (salesforce(401, "INVALID_SESSION_ID", _EXPIRED), "ession", "."),
    "salesforce login": (_LOGIN, "invalid_client", "External Client App"),
    "salesforce column": (salesforce(400, "INVALID_FIELD", _COLUMN, match="FROM Lead "), "Foo", "."),
    "salesforce day": (salesforce(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."), "24 hours", "headroom"),
    "salesforce HTML": (html("salesforce", "/queryAll", 503), "503", "."),
}
#: What passes.
PASSING = {
    "429 with Retry-After": hubspot(429, _BURST, times=2, **{"retry-after": "3"}),
    "429 without": hubspot(429, _BURST, times=2),
    "500 twice": hubspot(500, {}, times=2),
    "HTML once": html("hubspot", _PEOPLE, 502, times=1),
    "cut off once": Fault("hubspot", _PEOPLE, 1, kind="truncate"),
    "slow": Fault("hubspot", _PEOPLE, 2, kind="slow", seconds=0.05),
    "lost": Fault("hubspot", _PEOPLE, 1, kind="lost"),
    "salesforce session": salesforce(401, "INVALID_SESSION_ID", _EXPIRED, times=1),
    "salesforce cut off": Fault("salesforce", "/queryAll", 1, kind="truncate"),
    "salesforce 503": html("salesforce", "/queryAll", 503, times=2),
}


@pytest.fixture(scope="module")
def running_box() -> Iterator[Sandbox]:
    with small_sandbox(contacts=100, leads=40) as box:
        yield box


@pytest.fixture
def box(running_box: Sandbox) -> Iterator[Sandbox]:
    """One for all: the passes here are in shadow, since all the faults come while something is read."""
    yield running_box
    running_box.hubspot_faults.clear()
    running_box.salesforce_faults.clear()


def add(box: Sandbox, fault: Fault) -> None:
    (box.hubspot_faults if fault.crm == "hubspot" else box.salesforce_faults).add(fault)


def everything_is_there(app: App, box: Sandbox) -> bool:
    stored = records_stored(app)
    return stored.get("contacts") == len(box.world.hubspot["contacts"]) and stored.get("Lead") == len(box.world.salesforce["Lead"])


@pytest.mark.parametrize(("fault", "says", "way_out"), LASTING.values(), ids=LASTING)
def test_what_lasts_is_said_and_nothing_is_concluded(box: Sandbox, tmp_path: Path, fault: Fault, says: str, way_out: str) -> None:
    clock = SkippingClock()
    config = config_for(box, f"sqlite:///{tmp_path}/c.db", mode="shadow")
    with running(config, waiting=clock.pacing) as app:
        add(box, fault)
        result = engine.run_pass(app.context())
        assert result.errors
        assert (result.planned, result.evaluated) == (0, 0)
        said = " ".join(f"{error.message} {error.advice}" for error in result.errors)
        assert re.search(says, said)
        assert re.search(way_out, " ".join(error.advice for error in result.errors))
        assert "@" not in said
        assert sum(clock.slept) < 3600
        box.hubspot_faults.clear()
        box.salesforce_faults.clear()
    with running(config, waiting=clock.pacing) as app:
        again = engine.run_pass(app.context())
        assert again.errors == []
        assert everything_is_there(app, box)
        assert again.planned > 0


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING)
def test_what_passes_is_waited_out(box: Sandbox, tmp_path: Path, fault: Fault) -> None:
    clock = SkippingClock()
    with running(config_for(box, f"sqlite:///{tmp_path}/c.db", mode="shadow"), waiting=clock.pacing) as app:
        add(box, fault)
        result = engine.run_pass(app.context())
        assert result.errors == []
        assert everything_is_there(app, box)
        assert result.planned > 0


def test_retry_after_is_obeyed(box: Sandbox, tmp_path: Path) -> None:
    clock = SkippingClock()
    with running(config_for(box, f"sqlite:///{tmp_path}/c.db", mode="shadow"), waiting=clock.pacing) as app:
        add(box, hubspot(429, _BURST, times=1, **{"retry-after": "7"}))
        engine.run_pass(app.context())
        assert 7.0 <= sum(clock.slept) < 30.0  # in one go, or in steps that let more urgent requests pass


def test_an_unknown_property_is_named(box: Sandbox, tmp_path: Path) -> None:
    """HubSpot ignores a property that it does not have: the pass names it and the rules that read it, and goes on with all else."""
    definition = box.world.hubspot_properties["contacts"].pop("pain_point")
    with running(config_for(box, f"sqlite:///{tmp_path}/c.db", mode="shadow")) as app:
        result = engine.run_pass(app.context())
        assert result.errors == []
        assert result.evaluated > 0
        suspended = {one["field"]: one for one in result.document()["suspended"]}
        assert suspended["pain_point"]["state"] == "gone"
        assert {"a known, unsolved problem", "engaged and qualified"} <= set(suspended["pain_point"]["rules"])
        assert result.plan is not None
        assert "engaged and qualified" not in {action.rule for action in result.plan.actions}
    box.world.hubspot_properties["contacts"]["pain_point"] = definition
