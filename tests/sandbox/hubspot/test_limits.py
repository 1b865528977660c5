"""The sandbox's HubSpot within its limits, and who is let in: rolling windows, days, tokens that expire."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import requests

from connector.sandbox.hubspot.answers import Refusal
from connector.sandbox.hubspot.limits import Limits
from connector.sandbox.hubspot.options import HubSpotOptions
from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world
from tests.sandbox.hubspot.client import NOW, Api, Stage, running


def limits(seconds: list[float], clock: SimpleNamespace, **more: Any) -> Limits:
    options = HubSpotOptions(**{"requests_per_10_seconds": 3, "searches_per_second": 2, "daily": 100, **more})
    return Limits(lambda: options, now=lambda: clock.now, monotonic=lambda: seconds[0])


def test_the_window_rolls() -> None:
    seconds, clock = [0.0], SimpleNamespace(now=NOW)
    gate = limits(seconds, clock)
    assert gate.admit(search=False)["X-HubSpot-RateLimit-Remaining"] == "2"
    seconds[0] = 6.0
    gate.admit(search=False)
    gate.admit(search=False)
    with pytest.raises(Refusal) as refused:
        gate.admit(search=False)
    assert refused.value.status == 429
    body = refused.value.body or {}
    assert (body["policyName"], body["errorType"], body["message"]) == (
        "TEN_SECONDLY_ROLLING",
        "RATE_LIMIT",
        "You have reached your ten_secondly_rolling limit.",
    )
    assert "category" not in body
    seconds[0] = 10.0
    gate.admit(search=False)
    with pytest.raises(Refusal):
        gate.admit(search=False)


def test_searches_have_a_limit_and_a_second_of_their_own() -> None:
    seconds, clock = [0.0], SimpleNamespace(now=NOW)
    gate = limits(seconds, clock)
    assert gate.admit(search=True) == {}
    gate.admit(search=True)
    with pytest.raises(Refusal) as refused:
        gate.admit(search=True)
    assert (refused.value.body or {})["policyName"] == "SECONDLY"
    gate.admit(search=False)
    seconds[0] = 1.0
    gate.admit(search=True)


def test_the_day_ends_at_midnight_of_the_account() -> None:
    seconds, clock = [0.0], SimpleNamespace(now=datetime(2026, 12, 2, 22, 59, tzinfo=UTC))
    gate = limits(seconds, clock, daily=1)
    gate.admit(search=False)
    seconds[0] = 100.0
    with pytest.raises(Refusal) as refused:
        gate.admit(search=True)
    assert (refused.value.body or {})["policyName"] == "DAILY"
    clock.now = datetime(2026, 12, 2, 23, 0, tzinfo=UTC)  # midnight in Berlin
    gate.admit(search=True)


def test_a_429_goes_out_in_its_own_shape_and_searches_have_no_limit_headers() -> None:
    world = make_world(now=NOW, hubspot_contacts=20, salesforce_leads=5)
    with Sandbox(world, now=lambda: NOW, hubspot=HubSpotOptions(requests_per_10_seconds=2), salesforce=None) as sandbox:
        api = Api(sandbox.hubspot_url)
        assert not [name for name in api("POST", "/crm/v3/objects/contacts/search", {}).headers if "ratelimit" in name.lower()]
        assert api("GET", "/crm/v3/owners").headers["X-HubSpot-RateLimit-Max"] == "2"
        assert api("GET", "/crm/v3/owners").status_code == 200
        response = api("GET", "/crm/v3/owners")
        api.session.close()
    assert response.status_code == 429
    assert set(response.json()) == {"status", "message", "errorType", "correlationId", "policyName", "requestId"}
    assert "retry-after" not in {name.lower() for name in response.headers}


def test_what_was_let_in_and_refused_is_counted() -> None:
    seconds, clock = [0.0], SimpleNamespace(now=NOW)
    gate = limits(seconds, clock)
    for search in (False, True, True, True, False, False, False):
        try:
            gate.admit(search=search)
        except Refusal:
            continue
    assert (gate.admitted, gate.searches) == (3, 2)
    assert gate.refused == {"SECONDLY": 1, "TEN_SECONDLY_ROLLING": 1}
    assert (gate.peak_in_10_seconds, gate.peak_searches_in_a_second) == (3, 2)
    seconds[0] = 11.0
    gate.admit(search=False)
    assert gate.peak_in_10_seconds == 3
    gate.restart_counts()
    assert (gate.admitted, gate.searches, gate.refused.total()) == (0, 0, 0)


# ── Tokens that expire ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

FORM = {
    "grant_type": "refresh_token",
    "client_id": "sandbox-client",
    "client_secret": "sandbox-secret",
    "refresh_token": "sandbox-refresh-token",
}


def refresh(stage: Stage, version: str = "2026-09", **changes: str) -> requests.Response:
    return requests.post(f"{stage.api.base}/oauth/{version}/token", data={**FORM, **changes}, timeout=10)


def asked(stage: Stage, token: str) -> requests.Response:
    return stage.api("GET", "/crm/v3/owners", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize("version", ["v1", "2026-03", "2026-09"])
def test_an_oauth_token_lives_as_long_as_it_said(version: str) -> None:
    with running() as stage:
        given = refresh(stage, version).json()
        assert (given["expires_in"], given["token_type"], given["refresh_token"]) == (1800, "bearer", FORM["refresh_token"])
        token = given["access_token"]
        answered = asked(stage, token)
        assert answered.status_code == 200
        assert "X-HubSpot-RateLimit-Max" in answered.headers
        assert "X-HubSpot-RateLimit-Daily" not in answered.headers
        stage.clock.now += timedelta(seconds=1800)
        late = asked(stage, token)
        assert (late.status_code, late.json()["category"]) == (401, "EXPIRED_AUTHENTICATION")
        assert asked(stage, refresh(stage).json()["access_token"]).status_code == 200
        assert stage.api("GET", "/crm/v3/owners").status_code == 200, "the account's own token does not expire"


def test_a_refresh_token_may_change_with_every_use() -> None:
    with running(rotate_refresh_tokens=True, token_seconds=60) as stage:
        given = refresh(stage).json()
        assert given["expires_in"] == 60
        assert given["refresh_token"] != FORM["refresh_token"]
        refused = refresh(stage)
        assert refused.status_code == 400
        text = "refresh token is invalid, expired or revoked"
        expected = {"error": "invalid_grant", "error_description": text, "status": "BAD_REFRESH_TOKEN", "message": text}
        assert refused.json() == expected
        assert refresh(stage, refresh_token=given["refresh_token"]).status_code == 200


def test_refusals_of_a_refresh_say_what_is_wrong() -> None:
    with running() as stage:
        assert refresh(stage, client_secret="wrong").json()["status"] == "BAD_CLIENT_SECRET"
        assert refresh(stage, client_id="wrong").json()["status"] == "BAD_CLIENT_ID"
        assert refresh(stage, grant_type="password").status_code == 400
        assert requests.post(f"{stage.api.base}/oauth/2026-09/token", json=FORM, timeout=10).status_code == 400, "a form, not JSON"
        token = refresh(stage).json()["access_token"]
        stage.actions.tokens.hub_gone = True
        gone = refresh(stage)
        assert gone.status_code == 400
        assert gone.json() == {"status": "BAD_HUB", "message": "missing or unknown hub id", "error": "access_denied"}
        stage.actions.tokens.revoke()
        assert asked(stage, token).status_code == 401


def test_tokens_tell_what_they_are() -> None:
    with running() as stage:
        token = refresh(stage).json()["access_token"]

        def told(text: str) -> Any:
            return requests.post(f"{stage.api.base}/oauth/2026-09/token/introspect", data={"token": text}, timeout=10).json()

        stage.clock.now += timedelta(seconds=800)
        assert (told(token)["active"], told(token)["expires_in"], told(token)["token_use"]) == (True, 1000, "access_token")
        assert told(FORM["refresh_token"])["token_use"] == "refresh_token"
        stage.actions.tokens.expire()
        assert told(token) == {"active": False}
        assert asked(stage, token).status_code == 401
