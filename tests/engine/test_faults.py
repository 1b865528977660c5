"""The CRMs misbehave: each fault gives its message with the way out, the cursor stays, and the next pass loses nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from connector import engine
from connector.app import App
from connector.sandbox.frame import Fault
from connector.sandbox.serve import Sandbox
from engine_rooms import Waited, config_for, running, small_sandbox

_SCOPES = (
    b'{"status":"error","message":"This app hasn\'t been granted all required scopes to make this call.","correlationId":"c-403",'
    b'"category":"MISSING_SCOPES","errors":[{"message":"One or more of the following scopes are required.",'
    b'"context":{"requiredGranularScopes":["crm.objects.contacts.read"]}}]}'
)
_LIMIT = (
    b'{"status":"error","message":"You have reached your ten_secondly_rolling limit.","errorType":"RATE_LIMIT","correlationId":"c-429",'
    b'"policyName":"TEN_SECONDLY_ROLLING"}'
)
_DAILY = (
    b'{"status":"error","message":"You have reached your daily limit.","errorType":"RATE_LIMIT","correlationId":"c-day","policyName":"DAILY"}'
)
_INVALID = b'[{"message":"\\nSELECT Foo FROM Lead\\nERROR at Row:1:Column:8\\nNo such column \'Foo\' on entity \'Lead\'.","errorCode":"INVALID_FIELD"}]'
_SF_DAY = b'[{"message":"TotalRequests Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]'
_JSON = {"content-type": "application/json"}
_HTML = {"content-type": "text/html"}
_FOREVER = 1000

#: name, fault, what the message says, what the advice says.
LASTING = [
    ("401", Fault("hubspot", "/objects/contacts", _FOREVER, status=401, headers=_JSON, body=b'{"status":"error","category":"INVALID_AUTHENTICATION"}'), "401", "token"),
    ("403", Fault("hubspot", "/objects/contacts", _FOREVER, status=403, headers=_JSON, body=_SCOPES), "403", "crm.objects.contacts.read"),
    ("429 for ever", Fault("hubspot", "/objects/contacts", _FOREVER, status=429, headers=_JSON, body=_LIMIT), "429", "."),
    ("the day's limit", Fault("hubspot", "/objects/contacts", _FOREVER, status=429, headers=_JSON, body=_DAILY), "day", "headroom"),
    ("500", Fault("hubspot", "/objects/contacts", _FOREVER, status=500, headers=_JSON, body=b'{"status":"error"}'), "500", "."),
    ("HTML", Fault("hubspot", "/objects/contacts", _FOREVER, status=200, headers=_HTML, body=b"<html>maintenance</html>"), ".", "."),
    ("cut off", Fault("hubspot", "/objects/contacts", _FOREVER, kind="truncate"), ".", "."),
    ("salesforce 401", Fault("salesforce", "/queryAll", _FOREVER, status=401, headers=_JSON, body=b'[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]'), ".", "."),
    ("salesforce login", Fault("salesforce", "/oauth2/token", _FOREVER, status=400, headers=_JSON, body=b'{"error":"invalid_client","error_description":"invalid client credentials"}'), ".", "External Client App"),
    ("salesforce column", Fault("salesforce", "FROM Lead ", _FOREVER, status=400, headers=_JSON, body=_INVALID), "Foo", "."),
    ("salesforce day", Fault("salesforce", "/queryAll", _FOREVER, status=403, headers=_JSON, body=_SF_DAY), ".", "."),
    ("salesforce HTML", Fault("salesforce", "/queryAll", _FOREVER, status=503, headers=_HTML, body=b"<html>down</html>"), "503", "."),
]  # fmt: skip
PASSING = [
    ("429 with Retry-After", Fault("hubspot", "/objects/contacts", 2, status=429, headers={**_JSON, "retry-after": "3"}, body=_LIMIT)),
    ("429 without", Fault("hubspot", "/objects/contacts", 2, status=429, headers=_JSON, body=_LIMIT)),
    ("500 twice", Fault("hubspot", "/objects/", 2, status=500, body=b"")),
    ("HTML once", Fault("hubspot", "/objects/contacts", 1, status=502, headers=_HTML, body=b"<html>bad gateway</html>")),
    ("cut off once", Fault("hubspot", "/objects/contacts", 1, kind="truncate")),
    ("slow", Fault("hubspot", "/objects/contacts", 2, kind="slow", seconds=0.2)),
    ("lost", Fault("hubspot", "/objects/contacts", 1, kind="lost")),
    ("salesforce session", Fault("salesforce", "/queryAll", 1, status=401, headers=_JSON, body=b'[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]')),
    ("salesforce cut off", Fault("salesforce", "/queryAll", 1, kind="truncate")),
    ("salesforce 503", Fault("salesforce", "/queryAll", 2, status=503, headers=_HTML, body=b"<html>down</html>")),
]  # fmt: skip


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with small_sandbox(contacts=150, leads=60) as box:
        yield box


def add(box: Sandbox, fault: Fault) -> None:
    (box.hubspot_frame if fault.crm == "hubspot" else box.salesforce_frame).add(fault)


def everything_is_there(app: App, box: Sandbox) -> bool:
    with app.store.read() as connection:
        stored = dict(connection.execute(text("SELECT object, count(*) FROM record GROUP BY object")).all())  # type: ignore[arg-type]  # pairs
    return stored.get("contacts") == len(box.world.hubspot["contacts"]) and stored.get("Lead") == len(box.world.salesforce["Lead"])


@pytest.mark.parametrize(("fault", "says", "way_out"), [case[1:] for case in LASTING], ids=[case[0] for case in LASTING])
def test_what_lasts_is_said_and_nothing_is_concluded(box: Sandbox, tmp_path: Path, fault: Fault, says: str, way_out: str) -> None:
    waited = Waited()
    config = config_for(box, f"sqlite:///{tmp_path}/c.db")
    with running(config, waiting=waited.waiting) as app:
        add(box, fault)
        result = engine.run_pass(app.rooms())
        assert result.errors
        assert (result.planned, result.evaluated) == (0, 0)
        said = " ".join(f"{error.message} {error.advice}" for error in result.errors)
        assert re.search(says, said)
        assert re.search(way_out, " ".join(error.advice for error in result.errors))
        assert "@" not in said
        assert sum(waited.slept) < 3600
        box.hubspot_frame.clear()
        box.salesforce_frame.clear()
    with running(config, waiting=waited.waiting) as app:
        again = engine.run_pass(app.rooms())
        assert again.errors == []
        assert everything_is_there(app, box)
        assert again.planned > 0


@pytest.mark.parametrize("fault", [case[1] for case in PASSING], ids=[case[0] for case in PASSING])
def test_what_passes_is_waited_out(box: Sandbox, tmp_path: Path, fault: Fault) -> None:
    waited = Waited()
    with running(config_for(box, f"sqlite:///{tmp_path}/c.db"), waiting=waited.waiting) as app:
        add(box, fault)
        result = engine.run_pass(app.rooms())
        assert result.errors == []
        assert everything_is_there(app, box)
        assert result.planned > 0


def test_retry_after_is_obeyed(box: Sandbox, tmp_path: Path) -> None:
    waited = Waited()
    with running(config_for(box, f"sqlite:///{tmp_path}/c.db"), waiting=waited.waiting) as app:
        add(box, Fault("hubspot", "/objects/contacts", 1, status=429, headers={**_JSON, "retry-after": "7"}, body=_LIMIT))
        engine.run_pass(app.rooms())
        assert any(6.5 <= seconds <= 7.5 for seconds in waited.slept)


def test_an_unknown_property_is_named(box: Sandbox, tmp_path: Path) -> None:
    """HubSpot ignores a property that it does not have; the file's field is then empty, and `check` says which one."""
    del box.world.hubspot_properties["contacts"]["pain_point"]
    with running(config_for(box, f"sqlite:///{tmp_path}/c.db")) as app:
        findings = app.crms["hubspot"].check(now=app.now())
        wrong = [finding for finding in findings if not finding.ok]
        assert any("pain_point" in finding.message for finding in wrong)
        assert all(finding.advice for finding in wrong)
