"""HubSpot's OAuth: renewed by age, by one thread for all, replayed once; refusals that stop clearly; newer refresh tokens that are kept."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from connector.adapters.client import Budget, NoBudget
from connector.adapters.hubspot import HubSpotCrm
from connector.config.secrets import Secret
from connector.config.settings import HubSpotSettings
from connector.errors import PassStopped
from connector.model import WriteState
from connector.sandbox.fault_injection import Fault
from connector.sandbox.hubspot.options import HubSpotOptions
from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world
from tests.adapters.hubspot.calls import task

START = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)


class Clock:
    """The sandbox's and the connector's time."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        return self.at

    def seconds(self) -> float:
        return self.at.timestamp()

    def go(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@contextmanager
def account(**options: Any) -> Iterator[tuple[Sandbox, Clock]]:
    clock = Clock()
    world = make_world(now=clock.now(), hubspot_contacts=20, salesforce_leads=0)
    with Sandbox(world, now=clock.now, hubspot=HubSpotOptions(**options), salesforce=None) as box:
        yield box, clock


def app(
    box: Sandbox,
    clock: Clock,
    folder: Path,
    *,
    by_file: bool = True,
    version: Any = "v3",
    secret: str = "sandbox-secret",
    budget: Budget | None = None,
) -> HubSpotCrm:
    texts = {"id": "sandbox-client", "secret": secret, "refresh": "sandbox-refresh-token"}
    for name, text in texts.items():
        if not (folder / name).exists():
            (folder / name).write_text(f"{text}\n", encoding="utf-8")
    settings = HubSpotSettings.model_construct(
        base_url=box.hubspot_url,
        api_version=version,
        access_token=None,
        client_id=Secret.parse(f"file:{folder / 'id'}"),
        client_secret=Secret.parse(f"file:{folder / 'secret'}"),
        refresh_token=Secret.parse(f"file:{folder / 'refresh'}") if by_file else Secret.parse("env:CONNECTOR_TEST_REFRESH"),
        ca_bundle=None,
    )
    return HubSpotCrm(settings, wanted={"contacts": ("email",)}, budget=budget or NoBudget(), sleep=clock.go, clock=clock.seconds)


def renewals(box: Sandbox) -> int:
    return sum("/oauth/" in path for _, path in box.hubspot_faults.log)


def read(crm: HubSpotCrm) -> int:
    return len(crm.schema(["contacts"])["contacts"])


@pytest.mark.parametrize("version", ["v3", "2026-03", "2026-09"])
def test_renews_by_age_before_the_token_ends(tmp_path: Path, version: str) -> None:
    with account(token_seconds=1800) as (box, clock):
        crm = app(box, clock, tmp_path, version=version)
        assert read(crm)
        clock.go(1800 * 0.74)
        assert read(crm)
        assert renewals(box) == 1
        clock.go(1800 * 0.02)
        assert read(crm)
        assert renewals(box) == 2
        assert {path for _, path in box.hubspot_faults.log if "/oauth/" in path} == {
            f"/oauth/{'2026-03' if version == 'v3' else version}/token"
        }
        crm.close()


def test_eight_threads_and_one_dead_token_renew_once_and_replay(tmp_path: Path) -> None:
    with account() as (box, clock):
        crm = app(box, clock, tmp_path)
        read(crm)
        box.hubspot.tokens.expire()
        together = Barrier(8)

        def one(_: int) -> int:
            together.wait()
            return read(crm)

        with ThreadPoolExecutor(8) as threads:
            assert all(threads.map(one, range(8)))
        assert renewals(box) == 2
        crm.close()


def test_a_second_401_stops(tmp_path: Path) -> None:
    with account() as (box, clock):
        crm = app(box, clock, tmp_path)
        box.hubspot_faults.add(Fault(crm="hubspot", match="/properties/", times=9, status=401, body=b"{}"))
        with pytest.raises(PassStopped):
            read(crm)
        assert renewals(box) == 2
        assert sum("/properties/" in path for _, path in box.hubspot_faults.log) == 2
        crm.close()


def test_a_pull_that_met_the_dead_token_goes_on(tmp_path: Path) -> None:
    with account() as (box, clock):
        crm = app(box, clock, tmp_path)
        read(crm)
        box.hubspot.tokens.expire()
        assert [page.last for page in crm.pull("contacts", None, now=clock.now())][-1]
        assert renewals(box) == 2
        crm.close()


@pytest.mark.parametrize(
    ("harm", "code", "advice"),
    [
        ("revoked", "BAD_REFRESH_TOKEN", "refresh_token"),
        ("hub gone", "BAD_HUB", "refresh_token"),
        ("wrong secret", "BAD_CLIENT_SECRET", "client_secret"),
    ],
)
def test_refusals_stop_and_say_what_to_do(tmp_path: Path, harm: str, code: str, advice: str) -> None:
    with account() as (box, clock):
        crm = app(box, clock, tmp_path, secret="not it" if harm == "wrong secret" else "sandbox-secret")
        if harm == "revoked":
            box.hubspot.tokens.revoke()
        box.hubspot.tokens.hub_gone = harm == "hub gone"
        with pytest.raises(PassStopped) as caught:
            read(crm)
        assert caught.value.code == code
        assert f"crm.hubspot.{advice}" in caught.value.advice
        assert "sandbox-refresh" not in f"{caught.value.message}{caught.value.advice}"
        assert renewals(box) == 1
        crm.close()


def test_a_newer_refresh_token_is_kept_in_its_file(tmp_path: Path) -> None:
    with account(rotate_refresh_tokens=True) as (box, clock):
        first = app(box, clock, tmp_path)
        read(first)
        first.close()
        assert (tmp_path / "refresh").read_text(encoding="utf-8").strip() == box.hubspot.tokens.refresh_token
        second = app(box, clock, tmp_path)
        assert read(second)
        assert not [one for one in second.check(now=clock.now()) if "newer refresh token" in one.message]
        second.close()


def test_where_it_cannot_be_kept_check_warns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONNECTOR_TEST_REFRESH", "sandbox-refresh-token")
    with account(rotate_refresh_tokens=True) as (box, clock):
        crm = app(box, clock, tmp_path, by_file=False)
        read(crm)
        clock.go(1700)
        read(crm)
        found = [one for one in crm.check(now=clock.now()) if "newer refresh token" in one.message]
        assert [(one.ok, one.warning) for one in found] == [(False, True)]
        assert "file:" in found[0].advice
        crm.close()


def test_check_reads_the_scopes_of_the_app(tmp_path: Path) -> None:
    with account() as (box, clock):
        crm = app(box, clock, tmp_path)
        findings = crm.check(now=clock.now())
        assert not [one for one in findings if one.topic == "hubspot: scopes" and not one.permissions and one.warning]
        assert "OAuth" in next(one.message for one in findings if one.topic == "hubspot: credentials")
        crm.close()


def test_threads_that_ask_while_a_renewal_goes_on_take_its_refusal(tmp_path: Path) -> None:
    with account() as (box, clock):
        crm = app(box, clock, tmp_path)
        box.hubspot.tokens.revoke()
        box.hubspot_faults.latency = 1.5  # so long that all ask meanwhile, on a busy machine too

        def one(_: int) -> str:
            with pytest.raises(PassStopped) as caught:
                read(crm)
            return caught.value.code

        with ThreadPoolExecutor(8) as threads:
            first = threads.submit(one, 0)
            while not box.hubspot_faults.calls:
                time.sleep(0.01)
            assert set(threads.map(one, range(7))) | {first.result()} == {"BAD_REFRESH_TOKEN"}
        assert renewals(box) == 1
        crm.close()


@pytest.mark.parametrize(
    ("status", "body", "asked"), [(503, b"", 5), (429, b"", 5), (200, b"<html>", 5), (200, b"{}", 5), (404, b"<html>", 1), (410, b"", 1)]
)
def test_a_renewal_that_fails_stops_the_pass_and_is_not_tried_again_by_each_request(
    tmp_path: Path, status: int, body: bytes, asked: int
) -> None:
    with account() as (box, clock):
        crm = app(box, clock, tmp_path)
        record = next(iter(box.world.hubspot["contacts"]))
        read(crm)
        box.hubspot.tokens.expire()
        box.hubspot_faults.add(Fault(crm="hubspot", match="/oauth/", times=99, status=status, body=body))
        with pytest.raises(PassStopped) as caught:
            crm.create_tasks([task("k", record, owner_id=None)])
        assert (caught.value.status, bool(caught.value.advice)) == (status, True)
        assert renewals(box) == 1 + asked
        box.hubspot_faults.clear()
        before = len(box.world.hubspot["tasks"])
        box.hubspot.tokens.expire()
        assert [one.state for one in crm.create_tasks([task("k", record, owner_id=None)])] == [WriteState.WRITTEN]
        assert len(box.world.hubspot["tasks"]) == before + 1, "replayed once, made once"
        crm.close()


class Lanes(NoBudget):
    """Remembers who asked for what."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str]] = []

    def take(self, bucket: Any, lane: Any = "normal") -> None:
        self.taken.append((bucket, lane))


def test_the_replay_waits_in_the_lane_of_its_request(tmp_path: Path) -> None:
    with account() as (box, clock):
        budget = Lanes()
        crm = app(box, clock, tmp_path, budget=budget)
        for ask, lane in (
            (lambda: crm.fates("contacts", ["1"]), "backfill"),
            (lambda: crm.read("contacts", [next(iter(box.world.hubspot["contacts"]))], ["email"]), "urgent"),
            (lambda: crm.schema(["contacts"]), "normal"),
        ):
            box.hubspot.tokens.expire()
            budget.taken.clear()
            ask()
            assert {taken for taken in budget.taken if taken[0] == "call"} == {("call", lane)}
            assert [taken for taken in budget.taken if taken[0] == "login"] == [("login", "urgent")]
        crm.close()
