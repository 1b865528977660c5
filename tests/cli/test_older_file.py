"""`--as`, `check --apply`, and commands beside a file that another one replaced."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest
from sqlalchemy import text

from connector.app import open_store
from connector.cli.actor import actor_of
from connector.config.load import load
from connector.sandbox.serve import Sandbox
from tests.cli.runner import CommandLine, command_line, small_sandbox

COMMENT = "\n# says the same\n"


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Somebody applied the file, then another one, and then the first one came back. By now the CRMs are closed: nobody asks them."""
    with small_sandbox() as box:
        return _replaced(command_line(tmp_path_factory.mktemp("older"), box), box)


def _replaced(cli: CommandLine, box: Sandbox) -> CommandLine:
    assert box.hubspot_url in cli.config.read_text(encoding="utf-8")
    old = cli.config.read_text(encoding="utf-8")
    cli.json("run", "--as", "anna")
    cli.edit({("qualification", "minimum"): "1"})
    cli.json("pull", "--as", "ben")
    cli.config.write_text(old + COMMENT, encoding="utf-8")
    return cli


@pytest.mark.parametrize("command", ["run", "serve"])
def test_an_older_file_is_refused(cli: CommandLine, command: str) -> None:
    result = cli.type(command)
    assert result.exit_code == 2
    assert "is an older file: in force from" in result.stderr
    assert "was applied by ben" in " ".join(result.stderr.split())
    assert "check --apply" in result.stderr


def test_what_concludes_nothing_says_so_and_goes_on(cli: CommandLine) -> None:
    result = cli.type("plan")
    assert result.exit_code == 0
    assert "Nobody is judged by it" in " ".join(result.stdout.split())
    assert cli.json("status")["file"]["by"] == "ben"


def test_check_names_it_and_applies_it_when_told(tmp_path: Path) -> None:
    with small_sandbox() as box:
        cli = _replaced(command_line(tmp_path, box), box)
        document = cli.json("check")
        (said,) = [finding for finding in document["findings"] if finding["topic"] == "file in force"]
        assert (said["warning"], document["applied"]) == (True, None)
        pulled = cli.type("pull")
        assert (pulled.exit_code, "Nobody is judged by it" in " ".join(pulled.stdout.split())) == (0, True)
        assert cli.json("check", "--apply", "--as", "chiara")["applied"] is True
        assert cli.json("check", "--apply")["applied"] is False
        status = cli.json("status")
        assert status["file"]["by"] == "chiara"
        assert [(act["deed"], act["by"]) for act in status["acts"]] == [("applied", "chiara")]
        cli.json("run")


def test_nothing_is_applied_that_is_wrong(cli: CommandLine) -> None:
    """The CRMs of this file do not answer any more."""
    document = cli.json("check", "--apply", code=1)
    assert (document["ok"], document["applied"]) == (False, None)
    assert cli.json("status")["file"]["by"] == "ben"


def test_apply_needs_the_database(cli: CommandLine) -> None:
    result = cli.type("check", "--apply", "--offline")
    assert (result.exit_code, "--offline" in result.stderr) == (2, True)


def test_who_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert actor_of(" anna ").name == "anna"
    monkeypatch.setattr(getpass, "getuser", lambda: "login")
    assert actor_of("").name == "login"

    def nobody() -> str:
        raise KeyError("uid not found")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert actor_of("").name.startswith(("user ", "somebody"))


def test_who_looked_and_who_paused_is_kept(cli: CommandLine) -> None:
    with open_store(load(cli.config)) as store:
        with store.read() as connection:
            who = connection.scalar(text("SELECT id FROM record WHERE object = 'contacts' AND contact_id IS NOT NULL LIMIT 1"))
        assert cli.type("explain", who, "--as", "dora").exit_code == 0
        cli.json("pause", "rule", ":stages", "--as", "emil")
        assert [pause["by"] for pause in cli.json("status")["paused"]] == ["emil"]
        cli.json("resume", "rule", ":stages", "--as", "fritz")
        with store.read() as connection:
            acts = connection.execute(text("SELECT deed, about, by FROM act ORDER BY id")).all()
    assert [tuple(act) for act in acts][-3:] == [("looked", "contact", "dora"), ("paused", "rule", "emil"), ("resumed", "rule", "fritz")]
