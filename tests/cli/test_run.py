"""`run`, `pull`, `plan`, `explain`, `status`, `check` beside a small sandbox, within this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.app import open_store
from connector.config.load import load
from connector.sandbox.serve import Sandbox
from connector.store import leases
from tests.cli.runner import CONTACTS, CommandLine, command_line, small_sandbox


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with small_sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def shadow(box: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """After one pass in shadow: nothing was written, so that it serves every test that only looks."""
    cli = command_line(tmp_path_factory.mktemp("shadow"), box)
    document = cli.json("run")
    assert document["planned"] > 0
    assert document["outcomes"] == {"shadow": document["planned"]}
    return cli


def planned(cli: CommandLine, *words: str) -> list[dict[str, Any]]:
    actions: list[dict[str, Any]] = cli.json("plan", *words)["actions"]
    return actions


class TestLooking:
    def test_run_tells_what_was_pulled_planned_and_is_next(self, shadow: CommandLine) -> None:
        result = shadow.type("run")
        assert result.exit_code == 0
        assert result.stderr == ""
        for words in ("Pulled", "HubSpot     contacts", "Salesforce  Lead", "Planned", "Shadow mode: nothing was written", "connector"):
            assert words in result.stdout
        assert "\x1b" not in result.stdout  # no terminal, no colours and no bars

    def test_run_document(self, shadow: CommandLine) -> None:
        document = shadow.json("run")
        keys = {"run", "mode", "pulled", "evaluated", "plan", "planned", "held", "outcomes", "suspended", "halted", "paused", "errors"}
        assert set(document) == keys
        assert set(document["pulled"]) == {"hubspot", "salesforce"}
        assert set(document["pulled"]["hubspot"]["contacts"]) == {"seen", "stored", "unchanged", "set_aside", "calls"}

    def test_pull_only_mirrors(self, shadow: CommandLine) -> None:
        part, whole = shadow.json("pull"), shadow.json("pull", "--full")
        assert set(part) == {"run", "pulled", "interrupted", "errors"}
        assert whole["pulled"]["hubspot"]["contacts"]["seen"] == CONTACTS
        assert whole["pulled"]["hubspot"]["contacts"]["stored"] == 0
        assert part["pulled"]["hubspot"]["contacts"]["seen"] < CONTACTS
        shown = shadow.type("pull")
        assert shown.exit_code == 0
        assert "plan" in shown.stdout.splitlines()[-1]

    def test_pull_with_deletes_tells_what_was_removed(self, shadow: CommandLine) -> None:
        document = shadow.json("pull", "--deletes")
        assert document["errors"] == []
        counts = {"archived", "merged", "deleted", "purged", "restored", "found", "relinked", "compared"}
        assert set(document["removed"]) == {"hubspot", "salesforce"}
        assert set(document["removed"]["hubspot"]["contacts"]) == counts
        again = shadow.type("pull", "--deletes")
        assert again.exit_code == 0
        assert "Nothing was removed, restored or linked anew." in again.stdout

    def test_reconcile_adds_up(self, shadow: CommandLine) -> None:
        document = shadow.json("reconcile")
        assert document["errors"] == []
        for objects in document["objects"].values():
            for one in objects.values():
                assert one["seen"] == one["same"] + one["repaired"] + one["set_aside"]
        assert document["objects"]["hubspot"]["contacts"]["seen"] == document["objects"]["hubspot"]["contacts"]["same"] == CONTACTS
        for crm, total in document["totals"].items():
            assert sum(bucket[crm] for bucket in document["buckets"]) == total > 0
        shown = shadow.type("reconcile")
        assert shown.exit_code == 0
        for words in ("The mirror against the CRMs", "HubSpot     contacts", "Who is where", "In both CRMs", "Duplicates: never written"):
            assert words in shown.stdout
        assert "@" not in shown.stdout

    def test_plan_lists_its_actions(self, shadow: CommandLine) -> None:
        document = shadow.json("plan")
        assert set(document) == {"plan", "actions", "held", "guard"}
        keys = {"key", "bundle", "kind", "rule", "contact", "crm", "object", "id", "before", "after", "why", "state", "new"}
        assert all(keys <= set(action) for action in document["actions"])
        result = shadow.type("plan", "--limit", "3")
        assert result.exit_code == 0
        assert f"… and {len(document['actions']) - 3} more" in result.stdout
        assert "engaged and qualified" in result.stdout

    def test_a_plan_is_not_kept(self, shadow: CommandLine) -> None:
        assert planned(shadow) == planned(shadow)

    def test_a_plan_at_another_moment(self, shadow: CommandLine) -> None:
        assert planned(shadow, "--at", "2031-01-01T10:00") != planned(shadow)
        with_zone = shadow.type("plan", "--at", "2031-01-01T10:00:00+09:00")
        assert "Wed 2031-01-01 02:00" in with_zone.stdout

    def test_explain_is_a_page_and_a_document(self, shadow: CommandLine) -> None:
        record = next(action for action in planned(shadow) if action["rule"] == "engaged and qualified")
        document = shadow.json("explain", record["id"])
        assert document["contact"] == record["contact"]
        email = document["fields"]["email"]["value"]
        result = shadow.type("explain", email)
        assert result.exit_code == 0
        for words in (email, "Records", "Qualification:", "needed: qualified", "✓ engaged and qualified → mql: fires", "Score:", "History"):
            assert words in result.stdout
        assert "+00:00" not in result.stdout

    def test_status_tells_runs_and_limits(self, shadow: CommandLine) -> None:
        document = shadow.json("status")
        assert {"runs", "lag_seconds", "budget", "set_aside", "held", "parked", "suspended", "open_tasks"} <= set(document)
        assert document["contacts"] > CONTACTS
        result = shadow.type("status")
        assert result.exit_code == 0
        for words in ("Mode shadow. The mirror is as of", "Last runs", "10 seconds in 10 s", "tasks of the connector are open"):
            assert words in result.stdout

    def test_check_asks_the_crms(self, shadow: CommandLine) -> None:
        document = shadow.json("check")
        wrong = [finding for finding in document["findings"] if not finding["ok"] and not finding["warning"]]
        assert wrong == []
        assert document["ok"] is True
        topics = {finding["topic"] for finding in document["findings"]}
        assert {"hubspot: credentials", "salesforce: credentials", "team.inbound", "database"} <= topics
        assert {one["has"] for one in document["requires"]["hubspot"]} == {True}
        shown = shadow.type("check")
        assert shown.exit_code == 0
        assert "✓ salesforce: credentials: logged in" in shown.stdout

    def test_who_runs_is_said_when_a_pass_runs_elsewhere(self, shadow: CommandLine) -> None:
        with open_store(load(shadow.config)) as store:
            held = leases.take(store, "pass", "elsewhere/77", 3600, lambda: 4e9)
            document = shadow.json("run", code=1)
            leases.release(store, held)
        assert "pass is being done by elsewhere/77" in document["error"]


class TestLive:
    def test_what_is_beyond_its_rail_is_held_with_exit_code_3(self, box: Sandbox, tmp_path: Path) -> None:
        cli = command_line(tmp_path, box, mode="live")
        nothing = {("guard", name): "0" for name in ("stage_changes", "backward", "assign", "tasks")}
        cli.edit(nothing)
        document = cli.json("run", code=3)
        assert document["held"] == document["planned"] > 0
        again = cli.type("run")
        assert again.exit_code == 3
        assert "wait for approval; nothing of them is written" in again.stdout
        assert "Held beyond a guard rail" in cli.type("status").stdout

    def test_a_run_and_the_status_tell_of_what_waits_for_a_pause(self, box: Sandbox, tmp_path: Path) -> None:
        cli = command_line(tmp_path, box, mode="live")
        cli.type("pause", "crm", "hubspot")
        cli.type("pause", "crm", "salesforce")
        shown = " ".join(cli.type("run").stdout.split())
        assert "The crm hubspot is paused, and actions wait for it: `" in shown
        assert "connector resume crm hubspot --config" in shown
        document = cli.json("run")
        assert document["paused"] == [{"scope": "crm", "name": "hubspot"}]  # what goes to Salesforce stands behind it
        assert "hubspot was paused" in " ".join(cli.type("status").stdout.split())

    def test_live_passes_come_to_rest(self, tmp_path: Path) -> None:
        with small_sandbox() as box:
            cli = command_line(tmp_path, box, mode="live")
            document = cli.json("run")
            assert document["planned"] == sum(document["outcomes"].values()) > 0
            for _ in range(4):
                shown = cli.type("run")
                assert shown.exit_code == 0, shown.output
            assert "Nothing was left to do." in shown.stdout
