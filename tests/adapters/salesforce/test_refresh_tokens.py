"""Refresh tokens that are good once: the newer one is kept, for the next start and for other processes, or said not to be."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest
import requests
import responses

from connector.adapters.refresh_token import KeptToken
from connector.adapters.salesforce import SalesforceCrm
from connector.adapters.salesforce.wire import requests as wire
from connector.config.secrets import Secret
from tests.adapters.salesforce.answers import EXPIRED, HOST, QUERY_URL, TOKEN_URL, at_once, crm, findings, mocked, pulled, users
from tests.adapters.salesforce.fake_org import access_to
from tests.adapters.secrets import PlainSecret


@pytest.fixture
def org() -> Iterator[responses.RequestsMock]:
    """Answers in place of the network."""
    yield from mocked()


class Rotating:
    """A token endpoint whose refresh tokens are good once: {access_token, refresh_token}; queries take the newest access token alone."""

    def __init__(self, org: responses.RequestsMock, first: str) -> None:
        self.good, self.access, self.logins, self.refused = first, "", 0, 0
        self._lock = threading.Lock()
        org.add_callback(responses.POST, TOKEN_URL, self.token)
        org.add_callback(responses.GET, QUERY_URL, self.query)

    def token(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        with self._lock:
            if parse_qs(str(request.body))["refresh_token"] != [self.good]:
                self.refused += 1
                return 400, {}, orjson.dumps({"error": "invalid_grant", "error_description": "expired access/refresh token"}).decode()
            self.logins += 1
            self.good, self.access = f"refresh-{self.logins}", f"access-{self.logins}"
            granted = {"access_token": self.access, "refresh_token": self.good, "instance_url": HOST}
            return 200, {}, orjson.dumps(granted).decode()

    def query(self, request: requests.PreparedRequest) -> tuple[int, dict[str, str], str]:
        if request.headers["Authorization"] != f"Bearer {self.access}":
            return 401, {}, orjson.dumps(EXPIRED).decode()
        return 200, {}, orjson.dumps(users()).decode()


def refreshing(token: Any) -> SalesforceCrm:
    return crm(access_to(HOST, auth="refresh-token", refresh_token=token))


def test_a_rotated_token_is_written_back_for_its_owner_alone(org: responses.RequestsMock, tmp_path: Path) -> None:
    path = tmp_path / "refresh-token"
    path.write_text("first\na second line stays\n")
    path.chmod(0o644)
    endpoint = Rotating(org, "first")
    assert pulled(refreshing(Secret("file", str(path))))
    assert path.read_text() == "refresh-1\na second line stays\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert pulled(refreshing(Secret("file", str(path))))  # the next start
    assert (endpoint.logins, endpoint.refused) == (2, 0)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["refresh-token", "refresh-token.lock"]


def test_a_token_that_another_process_renewed_is_read_again(org: responses.RequestsMock, tmp_path: Path) -> None:
    path = tmp_path / "refresh-token"
    path.write_text("first")
    endpoint = Rotating(org, "first")
    one, other = (refreshing(Secret("file", str(path))) for _ in range(2))
    for turn in (one, other, one, other):
        assert pulled(turn)
        endpoint.access = ""  # the session ends
    assert (endpoint.logins, endpoint.refused) == (4, 0)


def test_processes_that_renew_at_once_wait_for_each_other(org: responses.RequestsMock, tmp_path: Path) -> None:
    path = tmp_path / "refresh-token"
    path.write_text("first")
    endpoint = Rotating(org, "first")
    adapters = [refreshing(Secret("file", str(path))) for _ in range(4)]
    tokens: list[str] = []

    def log_in(one: SalesforceCrm) -> None:
        # Each login ends the others' sessions here; what counts is that no refresh token was used twice.
        tokens.append(one._client._login.renewed(None, "normal"))

    at_once([lambda one=one: log_in(one) for one in adapters])  # type: ignore[misc]  # bound now, not at the end of the loop
    assert sorted(tokens) == [f"access-{number}" for number in range(1, 5)]
    assert (endpoint.logins, endpoint.refused) == (4, 0)
    assert path.read_text() == "refresh-4\n"


def test_a_token_written_between_reading_and_asking_is_used(org: responses.RequestsMock) -> None:
    """Where no lock holds the other process: it had renewed before us, and its token came to be known a moment later."""

    class Late(PlainSecret):
        """The file, which holds the newer token from the second reading on."""

        def read(self) -> str:
            return next(readings)

    readings = chain(["stale"], repeat("first"))
    endpoint = Rotating(org, "first")
    assert pulled(refreshing(Late("")))
    assert (endpoint.logins, endpoint.refused) == (1, 1)


@pytest.mark.parametrize("kind", ["environment", "folder"])
def test_where_it_cannot_be_kept_memory_has_it_and_check_warns(
    org: responses.RequestsMock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setenv("REFRESH", "first")
    path = tmp_path / "gone" / "refresh-token"
    path.parent.mkdir()
    path.write_text("first")
    secret = Secret("env", "REFRESH") if kind == "environment" else Secret("file", str(path))
    if kind == "folder":

        def refused(*_args: object, **_more: object) -> tuple[int, str]:
            raise PermissionError(13, "Permission denied")  # tests may run as root, whom no mode stops

        monkeypatch.setattr("connector.adapters.refresh_token.tempfile.mkstemp", refused)
    endpoint = Rotating(org, "first")
    org.get(f"{HOST}{wire.BASE}/limits", json={})
    org.get(f"{HOST}{wire.BASE}/sobjects/Lead/describe", status=503)
    shared = refreshing(secret)
    assert "rotates" not in findings(refreshing(PlainSecret("no token")))
    assert pulled(shared)
    endpoint.access = ""
    assert pulled(shared)
    assert (endpoint.logins, endpoint.refused) == (2, 1)
    told = findings(shared)
    assert "rotates refresh tokens" in told
    assert "refresh-2" not in told
    assert ("not read from a file" if kind == "environment" else "Permission denied") in told


def test_a_token_that_an_administrator_replaced_wins_over_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFRESH", "first")
    kept = KeptToken(Secret("env", "REFRESH"))
    kept.keep("second")
    assert (kept.current(), bool(kept.unkept)) == ("second", True)
    monkeypatch.setenv("REFRESH", "authorised anew")
    assert (kept.current(), kept.unkept) == ("authorised anew", "")


def test_a_link_to_the_token_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "data" / "token", tmp_path / "token"
    target.parent.mkdir()
    target.write_text("first\n")
    link.symlink_to(target)
    KeptToken(Secret("file", str(link))).keep("second")
    assert link.is_symlink()
    assert target.read_text() == link.read_text() == "second\n"
