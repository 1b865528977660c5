"""Commands that need no CRM: the command line itself, errors in words, exit codes, pauses, the database."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from connector import __version__
from connector.app import Pacing, open_app
from connector.cli import run
from connector.cli.main import app
from connector.config.tables import Config
from connector.reports import status as status_report
from tests.cli.runner import RUNNER, CommandLine, command_line
from tests.support.stores import lay_tables

COMMANDS = ("demo", "sandbox", "init", "check", "run", "pull", "plan", "explain", "status", "approve", "pause", "resume", "serve")


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return command_line(tmp_path)


@pytest.fixture
def filled(cli: CommandLine) -> CommandLine:
    """With the tables made."""
    lay_tables(f"sqlite:///{cli.config.parent / 'store.db'}")
    return cli


class TestCommandLine:
    def test_version(self) -> None:
        result = RUNNER.invoke(app, ["--version"])
        assert (result.exit_code, result.stdout) == (0, f"connector {__version__}\n")

    def test_nothing_given_shows_the_help_on_standard_error(self) -> None:
        result = RUNNER.invoke(app, [])
        assert (result.exit_code, result.stdout) == (2, "")
        assert all(f"  {name} " in result.stderr for name in COMMANDS)

    @pytest.mark.parametrize("words", [*([name] for name in COMMANDS), ["db"], ["db", "upgrade"]], ids=" ".join)
    def test_every_command_has_help(self, words: list[str]) -> None:
        result = RUNNER.invoke(app, [*words, "--help"])
        assert result.exit_code == 0
        assert len(result.stdout.splitlines()[2].strip()) > 20
        assert words == ["db"] or "--json" in result.stdout

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["runn"], "No such command 'runn'. Did you mean 'run'?"),
            (["run", "--bogus"], "No such option: --bogus"),
            (["explain"], "Missing argument 'WHO'"),
            (["plan", "--limit", "many"], "--limit"),
            (["sandbox", "--hubspot-port", "99999"], "--hubspot-port"),
            (["sandbox", "--fault", "late-indx"], "did you mean late-index?"),
        ],
    )
    def test_a_wrong_command_line(self, words: list[str], said: str) -> None:
        result = RUNNER.invoke(app, words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert said in result.stderr
        assert "--help` says what it takes" in result.stderr

    def test_a_wrong_command_line_is_a_document_with_json(self) -> None:
        result = RUNNER.invoke(app, ["run", "--bogus", "--json"])
        assert result.exit_code == 2
        assert json.loads(result.stdout) == {
            "error": "No such option: --bogus",
            "advice": "`connector run --help` says what it takes.",
            "problems": [],
        }

    @pytest.mark.parametrize(("words", "name"), [(["plan", "--follow"], "--follow")])
    def test_what_is_not_built_is_refused_by_name(self, cli: CommandLine, words: list[str], name: str) -> None:
        result = cli.type(*words)
        assert result.exit_code == 2
        assert f"{name} (" in result.stderr
        assert "is not built yet" in result.stderr


class TestConfiguration:
    def test_a_missing_file(self, tmp_path: Path) -> None:
        result = CommandLine(tmp_path / "none.toml").type("run")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "no such file; --config PATH names another" in result.stderr

    @pytest.mark.parametrize(
        "words", [["run"], ["pull"], ["plan"], ["status"], ["check"], ["explain", "x@y.example"], ["pause"], ["serve"]], ids=" ".join
    )
    def test_every_problem_is_told_at_once(self, cli: CommandLine, words: list[str]) -> None:
        text = cli.config.read_text(encoding="utf-8")
        text = text.replace('timezone = "Europe/Berlin"', 'timezone = "Europe/Berlinn"').replace("[adopt]", "[adopt]\nspeed = 3")
        text = text.replace("employees BETWEEN 50 AND 5000", "employes BETWEEN 50 AND 5000")
        cli.config.write_text(text, encoding="utf-8")
        document = cli.json(*words, code=2)
        found = {problem["path"].split('"')[0].strip() for problem in document["problems"]}
        assert found == {"timezone", "adopt.speed", "qualification.criteria[1]"}
        assert document["error"] == f"3 problems in {cli.config}"
        result = cli.type(*words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert all(problem["expected"].split("?")[0] in result.stderr.replace("\n", " ") for problem in document["problems"])

    def test_a_secret_that_is_not_set(self, cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
        cli.edit({("crm.hubspot", "access_token"): '"env:NOBODY_SET_THIS"'})
        document = cli.json("run", code=2)
        assert [problem["path"] for problem in document["problems"]] == ["env:NOBODY_SET_THIS"]

    def test_check_offline_runs_the_examples_and_asks_nobody(self, cli: CommandLine) -> None:
        document = cli.json("check", "--offline")
        assert document["ok"] is True
        assert sum(finding["topic"].startswith("example") for finding in document["findings"]) == 4
        assert not (cli.config.parent / "store.db").exists()
        shown = cli.type("check", "--offline")
        assert shown.exit_code == 0
        assert "✓" in shown.stdout

    def test_a_wrong_example_fails_the_check(self, cli: CommandLine) -> None:
        cli.config.write_text(cli.config.read_text(encoding="utf-8").replace("score = 80", "score = 81"), encoding="utf-8")
        assert cli.json("check", "--offline", code=1)["ok"] is False
        shown = cli.type("check", "--offline")
        assert shown.exit_code == 1
        assert "✗" in shown.stdout


class TestDatabase:
    def test_upgrade_makes_the_tables_once(self, cli: CommandLine) -> None:
        first, second = cli.json("db", "upgrade"), cli.json("db", "upgrade")
        assert first["before"] is None
        assert second == {"before": first["after"], "after": first["after"]}

    @pytest.mark.parametrize("words", [["status"], ["plan"], ["explain", "a@b.example"]])
    def test_before_the_first_pass_there_is_nothing_to_look_at(self, cli: CommandLine, words: list[str]) -> None:
        document = cli.json(*words, code=1)
        assert "nothing was pulled yet" in document["error"]
        assert "run" in document["advice"]

    @pytest.mark.parametrize("words", [["run"], ["status"], ["pause"], ["serve"]])
    def test_an_older_schema_is_upgraded_by_nobody_but_its_command(self, filled: CommandLine, words: list[str]) -> None:
        with sqlite3.connect(filled.config.parent / "store.db") as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.close()
        assert "schema 9999" in filled.json(*words, code=1)["error"]


class TestPauses:
    def test_pause_and_resume_everything(self, filled: CommandLine) -> None:
        document = filled.json("pause")
        assert document["changed"] is True
        assert [(one["scope"], one["name"]) for one in document["paused"]] == [("all", "")]
        assert filled.json("pause")["changed"] is False
        refused = filled.json("run", code=1)
        assert "everything is paused since" in refused["error"]
        assert "connector resume" in refused["advice"]
        assert filled.json("resume") == {"changed": True, "paused": []}
        assert filled.json("resume")["changed"] is False

    @pytest.mark.parametrize(("what", "name"), [("crm", "hubspot"), ("job", "pass"), ("rule", "first touch"), ("rule", ":rejection")])
    def test_a_part_of_it(self, filled: CommandLine, what: str, name: str) -> None:
        assert [(one["scope"], one["name"]) for one in filled.json("pause", what, name)["paused"]] == [(what, name)]
        assert name in filled.type("resume").stdout  # what was paused by itself stays so
        assert filled.json("resume", what, name)["paused"] == []

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["rule", "first tuch"], 'did you mean "first touch"?'),
            (["crm"], "which crm? hubspot, salesforce"),
            (["robot", "x"], "none of crm, job, rule"),
            (["all", "x"], "without a name"),
        ],
    )
    def test_what_cannot_be_paused(self, filled: CommandLine, words: list[str], said: str) -> None:
        result = filled.type("pause", *words)
        assert result.exit_code == 2
        assert said in result.stderr

    def test_a_pause_of_a_rule_that_the_file_lost_can_be_ended(self, filled: CommandLine) -> None:
        filled.json("pause", "rule", "went cold")
        text = filled.config.read_text(encoding="utf-8").replace('name = "went cold"', 'name = "cooled"')
        filled.config.write_text(text, encoding="utf-8")
        assert filled.json("resume", "rule", "went cold") == {"changed": True, "paused": []}


class TestErrors:
    def broken(self, error: Exception) -> Callable[..., Any]:
        def status(*_: object, **__: object) -> dict[str, Any]:
            raise error

        return status

    def test_a_bug_is_told_without_its_text_and_without_a_traceback(self, filled: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(status_report, "status", self.broken(KeyError("anna@kunde.example")))
        result = filled.type("status")
        assert (result.exit_code, result.stdout) == (1, "")
        assert "Something unexpected went wrong: KeyError in status.py, line" in result.stderr
        assert "CONNECTOR_DEBUG=1" in result.stderr
        assert "Traceback" not in result.output
        assert "anna@kunde.example" not in result.output
        assert set(filled.json("status", code=1)) == {"error", "advice", "problems"}

    def test_debugging_shows_the_traceback_on_standard_error(self, filled: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(status_report, "status", self.broken(KeyError("x")))
        result = RUNNER.invoke(app, ["status", "--json", "--config", str(filled.config)], env={"CONNECTOR_DEBUG": "1"})
        assert "Traceback" in result.stderr
        json.loads(result.stdout)

    def test_ctrl_c_ends_a_command(self, filled: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupted(_store: object, _config: Config, **_: object) -> dict[str, Any]:
            raise KeyboardInterrupt

        monkeypatch.setattr(status_report, "status", interrupted)
        result = filled.type("status")
        assert (result.exit_code, result.stdout, result.stderr) == (130, "", "Interrupted.\n")

    def test_a_crm_that_does_not_answer(self, cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(run, "open_app", partial(open_app, waiting=Pacing(sleep=lambda _: None)))
        document = cli.json("run", code=1)
        assert document["plan"] is None
        assert "hubspot did not answer" in document["errors"][0]["message"]
        shown = cli.type("run")
        assert shown.exit_code == 1
        assert "Errors" in shown.stdout
        assert "Nothing was lost" in shown.stdout


class TestStatus:
    def test_status_of_an_empty_mirror(self, filled: CommandLine) -> None:
        document = filled.json("status")
        assert document["runs"] == []
        assert document["lag_seconds"] is None
        shown = filled.type("status")
        assert shown.exit_code == 0
        assert "The mirror was never read whole" in shown.stdout

    def test_health(self, filled: CommandLine) -> None:
        assert filled.json("status", "--health", code=1)["problems"] == ["the service never ran on this database"]
        assert filled.type("status", "--health").stdout == "the service never ran on this database\n"

    def test_explain_somebody_unknown(self, filled: CommandLine) -> None:
        assert "the mirror is empty" in filled.json("explain", "nobody@kunde.example", code=1)["error"]

    def test_a_moment_that_is_none(self, filled: CommandLine) -> None:
        result = filled.type("plan", "--at", "yesterday")
        assert result.exit_code == 2
        assert "'yesterday' is no moment" in result.stderr
