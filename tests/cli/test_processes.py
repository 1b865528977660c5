"""Commands in processes of their own: signals, one pass at a time, nothing but JSON on standard output."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.cli.main import app
from connector.config.load import load
from connector.sandbox.serve import Sandbox
from tests.cli.runner import CONTACTS, RUNNER, CommandLine, command_line, small_sandbox, start


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with small_sandbox() as sandbox:
        yield sandbox


def end(process: subprocess.Popen[str], number: int) -> tuple[str, str]:
    """Sends a signal to this one process; what it said."""
    os.kill(process.pid, number)
    return process.communicate(timeout=60)


def asked(box: Sandbox, *, calls: int) -> None:
    """Waits until the sandbox's HubSpot was asked so often; two minutes at most."""
    pause = threading.Event()
    for _ in range(24_000):
        if box.calls()["hubspot"] >= calls:
            return
        pause.wait(0.005)
    raise AssertionError("nobody asked")


def wait_for(process: subprocess.Popen[str], words: str) -> None:
    """Reads its log until a line has these words."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"it ended without {words!r}")


class TestServe:
    def test_it_passes_beats_and_ends_with_0_on_sigterm(self, box: Sandbox, tmp_path: Path) -> None:
        cli = command_line(tmp_path, box)
        process = start("serve", "--json", "--config", str(cli.config))
        try:
            wait_for(process, "A pass ended. run=1 mode=shadow")
            assert cli.json("status", "--health")["healthy"] is True
            output, log = end(process, signal.SIGTERM)
        finally:
            process.kill()
        assert process.returncode == 0
        assert json.loads(output) == {"passes": 1, "failed": 0, "skipped": 0, "jobs": {}}
        assert "The service stopped. passes=1" in log
        assert ".example" not in log.replace(str(cli.config), "")

    def test_sigterm_in_the_middle_of_a_pull_finishes_the_page_and_loses_nothing(self, tmp_path: Path) -> None:
        with small_sandbox() as box:
            box.hubspot_faults.latency = 0.2
            cli = command_line(tmp_path, box)
            process = start("serve", "--config", str(cli.config))
            try:
                wait_for(process, "The service began")
                asked(box, calls=3)
                _, log = end(process, signal.SIGTERM)
            finally:
                process.kill()
            assert process.returncode == 0, log
            assert "A pass was interrupted. run=1" in log
            box.hubspot_faults.latency = 0.0
            assert cli.json("run")["errors"] == []
        status = cli.json("status")
        assert [run["state"] for run in status["runs"]] == ["done", "done"]
        assert status["contacts"] > CONTACTS


class TestRun:
    def test_only_json_on_standard_output(self, box: Sandbox, tmp_path: Path) -> None:
        cli = command_line(tmp_path, box)
        process = start("run", "--json", "--config", str(cli.config))
        output, log = process.communicate(timeout=120)
        assert process.returncode == 0, log
        assert json.loads(output)["run"] == 1
        assert log == ""

    def test_ctrl_c_ends_in_order_with_130(self, tmp_path: Path) -> None:
        with small_sandbox() as box:
            cli = command_line(tmp_path, box)
            process = start("run", "--config", str(cli.config))
            try:
                asked(box, calls=2)
                output, log = end(process, signal.SIGINT)
            finally:
                process.kill()
            assert process.returncode == 130, log
            assert "Traceback" not in log
            assert "Stopping after what is in hand" in log
            assert "Stopped as asked" in output
            assert cli.json("run")["errors"] == []

    def test_a_killed_run_keeps_nobody_waiting(self, tmp_path: Path) -> None:
        with small_sandbox() as box:
            cli = command_line(tmp_path, box)
            process = start("run", "--config", str(cli.config))
            asked(box, calls=2)
            end(process, signal.SIGKILL)
            assert cli.json("run")["errors"] == []


class TestSandbox:
    def test_it_writes_a_configuration_that_run_takes(self, tmp_path: Path) -> None:
        file = tmp_path / "made" / "sandbox.toml"
        process = start("sandbox", "--contacts", "60", "--leads", "30", "--write-config", str(file))
        assert process.stdout is not None
        try:
            told = []
            for line in process.stdout:
                told.append(line)
                if "Ctrl-C ends it" in line:
                    break
            text = "".join(told)
            assert "export HUBSPOT_ACCESS_TOKEN=sandbox-token" in text
            assert f"run --config {file}" in text
            assert "sandbox-token" not in file.read_text(encoding="utf-8")
            assert CommandLine(file).json("run")["pulled"]["hubspot"]["contacts"]["seen"] == 60
            output, log = end(process, signal.SIGTERM)
        finally:
            process.kill()
        assert (process.returncode, log) == (0, "")
        assert "The sandbox has stopped" in output

    def test_it_prints_one_document(self, tmp_path: Path) -> None:
        process = start("sandbox", "--json", "--contacts", "20", "--leads", "10", cwd=tmp_path)
        assert process.stdout is not None
        try:
            lines = []
            for line in process.stdout:
                lines.append(line)
                if line == "}\n":
                    break
            said = json.loads("".join(lines))
            rest, _ = end(process, signal.SIGINT)
        finally:
            process.kill()
        assert (process.returncode, rest) == (0, "")
        assert said["hubspot"].startswith("http://127.0.0.1:")
        assert said["salesforce"].startswith("https://127.0.0.1:")
        file = tmp_path / "printed.toml"
        file.write_text(said["config"], encoding="utf-8")
        config = load(file)
        assert config.mode == "shadow"
        assert config.crm.hubspot is not None
        assert config.crm.hubspot.base_url == said["hubspot"]

    def test_it_writes_over_nobodys_file(self, tmp_path: Path) -> None:
        file = tmp_path / "mine.toml"
        file.write_text("mine", encoding="utf-8")
        refused = RUNNER.invoke(app, ["sandbox", "--json", "--write-config", str(file)])
        assert refused.exit_code == 1
        assert "exists already" in json.loads(refused.stdout)["error"]
        assert file.read_text(encoding="utf-8") == "mine"
