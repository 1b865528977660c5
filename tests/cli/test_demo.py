"""The demo, small: the story it tells, what it leaves behind, and that the commands it names work."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from connector.cli.demo_run import make_folder
from connector.cli.main import app
from connector.config.load import load
from connector.errors import ConnectorError
from connector.sandbox.configuration import SECRETS
from tests.cli.runner import RUNNER

SMALL = ["--contacts", "500", "--leads", "200"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "made"


@pytest.fixture(scope="module")
def told(folder: Path) -> dict[str, Any]:
    """What the demo says with --json."""
    result = RUNNER.invoke(app, ["demo", "--json", "--folder", str(folder), *SMALL])
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_it_goes_on_until_nothing_is_left_to_do(told: dict[str, Any]) -> None:
    *busy, last = told["passes"]
    assert told["quiet"] is True
    assert 1 <= len(busy) <= 4
    assert all(one["planned"] > 0 and one["mode"] == "live" and one["held"] == 0 for one in busy)
    assert (last["planned"], last["outcomes"], last["errors"]) == (0, {}, [])


def test_it_tells_who_moved_and_why(told: dict[str, Any]) -> None:
    moves = {(line["rule"], line["to"]): line for line in told["moved"]}
    assert {("engaged and qualified", "mql"), ("sales accepted", "sql"), ("went cold", "lead"), (":rejection", "lead")} <= moves.keys()
    for line in told["moved"]:
        assert line["from"] != line["to"]
        assert 1 <= len(line["examples"]) <= min(3, line["contacts"])
        assert all(one["name"] and one["why"] for one in line["examples"])
    assert moves["engaged and qualified", "mql"]["examples"][0]["why"]["score"] >= 50


def test_it_tells_tasks_clocks_and_rejections(told: dict[str, Any]) -> None:
    assert {line["task"] for line in told["tasks"]} == {"mql-alert", "give-reason"}  # breaches from before going live escalate nothing
    assert all(line["created"] == sum(line["in"].values()) for line in told["tasks"])
    assert sum(line["breached"] for line in told["slas"]) > 0
    assert sum(line["n"] for line in told["rejections"]) > 0
    assert all(line["rejected"] + line["disqualified"] == line["n"] for line in told["rejections"])
    assert set(told["pulled"]) == set(told["calls"]) == {"hubspot", "salesforce"}


def test_its_numbers_are_the_ledgers(told: dict[str, Any]) -> None:
    """Every action that was planned came to an end that is counted, or waits for another day."""
    planned = sum(one["planned"] for one in told["passes"])
    waiting = sum(line["waiting"] for line in told["tasks"])
    assert planned == sum(sum(one["outcomes"].values()) for one in told["passes"]) + waiting


def test_the_commands_that_it_names_work_though_the_sandbox_is_gone(told: dict[str, Any]) -> None:
    assert [re.search(r" (explain|status|plan) ", line)[1] for line in told["try"]] == ["explain", "status", "plan"]  # type: ignore[index]
    for line in told["try"]:
        words = shlex.split(line)
        command = words[words.index("connector") + 1 :] if "-m" in words else words[1:]
        result = RUNNER.invoke(app, command)
        assert result.exit_code == 0, (line, result.output)
        assert len(result.stdout.splitlines()) > 5, line


def test_its_file_states_its_own_rails_and_holds_no_secret(told: dict[str, Any], folder: Path) -> None:
    text = (folder / "config.toml").read_text(encoding="utf-8")
    config = load(folder / "config.toml")
    assert config.mode == "live"
    assert config.guard.stage_changes > 5000
    assert config.adopt.clocks_from is not None
    assert [secret for secret in SECRETS.values() if secret in text] == []
    assert set(type(config.guard).model_fields) <= set(re.findall(r"(?m)^([a-z_]+)\s*=", text.split("[guard]")[1]))
    assert (folder / ".gitignore").read_text(encoding="utf-8") == "*\n"
    assert told["config"] == str(folder / "config.toml")


def test_a_second_demo_begins_anew_and_shows_its_tables(told: dict[str, Any], folder: Path) -> None:
    result = RUNNER.invoke(app, ["demo", "--folder", str(folder), *SMALL])
    assert result.exit_code == 0
    assert result.stderr == ""
    for words in ("Pass 1 (", "nothing left to do", "Try next:", "explain"):
        assert words in result.stdout
    for title in ("Pulled", "Who moved", "Tasks", "SLA clocks", "Rejected by sales"):
        assert f"\n{title}\n" in result.stdout


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("mine", encoding="utf-8")
    result = RUNNER.invoke(app, ["demo", "--folder", str(tmp_path), *SMALL])
    assert result.exit_code == 1
    assert "is not the demo's" in result.stderr
    assert (tmp_path / "config.toml").read_text(encoding="utf-8") == "mine"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConnectorError, match="cannot be used"):
        make_folder(tmp_path / "file" / "demo")
