"""How results are shown: values as they are and whole, progress on a terminal alone, signals that ask first."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console
from rich.progress import Progress
from rich.text import Text

from connector.cli import common
from connector.cli.common import ExitCode, orderly
from connector.cli.output import Output, cell, clean, error_console, moment, number, values
from connector.cli.progress import PassWatch, TimeLeft, pass_progress

AT = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)


def test_brackets_in_a_name_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(as_json=False)
    output.table(("Name", "n"), [("[red]Anna[/red]", 1200)], right=["n"])
    output.line("[bold]x", style="red")
    shown = capsys.readouterr().out
    assert "[red]Anna[/red]" in shown
    assert "1,200" in shown
    assert "[bold]x" in shown
    assert "\x1b" not in shown


def test_a_name_cannot_steer_the_terminal() -> None:
    assert clean("a\x1b[31mb\x07\x9b2Jc\td") == "a\N{REPLACEMENT CHARACTER}[31mb\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}2Jc d"
    assert str(cell("two\nlines")) == "two lines"


class Window(io.StringIO):
    """A terminal of 60 columns."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("terminal", [True, False])
def test_a_command_is_never_broken_over_lines(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    out, err = (Window(), Window()) if terminal else (io.StringIO(), io.StringIO())
    for name, value in (("stdout", out), ("stderr", err)):
        monkeypatch.setattr(sys, name, value)
    monkeypatch.setenv("COLUMNS", "60")
    command = f"connector plan --config {'/a folder' * 40}/config.toml"
    output = Output(as_json=False)
    output.line(f"Next: `{command}` now.")
    output.heading(f"Next: `{command}`.")
    error_console().print(Text(f"Run `{command}` first."))
    assert f"Next: `{command}` now.\n" in out.getvalue()
    assert f"Next: `{command}`." in out.getvalue()
    assert err.getvalue() == f"Run `{command}` first.\n"


def test_a_pipe_folds_and_cuts_no_cell(capsys: pytest.CaptureFixture[str]) -> None:
    reason, number = "the reason is long, " * 30 + "but whole", "00Q" + "5" * 200
    rows = [(number, 123456789, reason, ["one", "two"]), ("00Q1", 1, "short", None)]
    Output(as_json=False).table(("Id", "Actions", "Reason", "Records"), rows, right=["Actions"])
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 4
    assert re.split(" {2,}", shown[1]) == [number, "123,456,789", reason, "one"]
    assert shown[2].strip() == "two"
    assert all(line == line.rstrip() for line in shown)


def test_a_terminal_folds_what_is_long_and_shows_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    window = Window()
    monkeypatch.setattr(sys, "stdout", window)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    reason = "".join(f"{place:03}" for place in range(60))
    Output(as_json=False).table(("Actions", "Reason"), [(123456789, reason)], right=["Actions"])
    _, first, *more = (re.sub(r"\x1b\[[0-9;]*m", "", line) for line in window.getvalue().splitlines())
    assert first.split()[0] == "123,456,789"
    assert "".join([first.split()[1], *(line.strip() for line in more)]) == reason


def test_a_table_without_rows_is_not_shown(capsys: pytest.CaptureFixture[str]) -> None:
    Output(as_json=False).table(("Name",), [], title="Nobody")
    assert capsys.readouterr().out == ""


def test_with_json_nothing_but_the_document_is_shown(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    output = Output(as_json=True)
    output.line("a line")
    output.table(("Name",), [("Anna",)], title="People")
    output.document({"at": AT, "name": "小林 🚀", "n": 1.5, "states": {"b", "a"}})
    shown = capfdbinary.readouterr().out.decode("utf-8")
    assert shown == (
        '{\n  "at": "2026-07-01T22:30:00+00:00",\n  "name": "小林 🚀",\n  "n": 1.5,\n  "states": [\n    "a",\n    "b"\n  ]\n}\n'
    )


def test_values_are_for_people() -> None:
    assert moment(AT, "Europe/Berlin") == "Thu 2026-07-02 00:30"
    assert moment(None, "Europe/Berlin") is None
    assert (number(72.0), number(72.456), number(1234.5)) == ("72", "72.46", "1,234.5")
    why = {"score": 72.5, "stage_since": "2026-07-01T22:30:00+00:00", "qualified": True, "owner": None, "roles": ["a", "b"]}
    assert values(why, "Europe/Berlin") == "score 72.5, stage_since Thu 2026-07-02 00:30, qualified yes, owner none, roles a b"
    assert [str(cell(value)) for value in (None, True, 1000, 2.50, ["a", "b"])] == ["–", "yes", "1,000", "2.5", "a\nb"]


class TestProgress:
    def test_a_bar_for_each_stream_and_step(self) -> None:
        console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
        with pass_progress(console, watched=True) as progress:
            progress.pulled("hubspot", "contacts", 100, 300)
            progress.pulled("salesforce", "Lead", 5, None)
            progress.pulled("hubspot", "calls", 10, None)
            progress.pulled("hubspot", "calls", 12, 12)
            progress.pulled("hubspot", "meetings", 0, 0)
            progress.step("evaluate", 2, 4)
        shown = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO above
        for words in ("HubSpot contacts", "✓ HubSpot calls", "✓ HubSpot meetings", "✓ Salesforce Lead", "evaluate", "2 / 4"):
            assert words in shown

    def test_the_time_left_where_the_end_is_known(self) -> None:
        moments = iter(range(0, 1000, 10))
        with Progress(get_time=lambda: float(next(moments)), disable=True) as bars:
            watch = PassWatch(bars)
            watch.pulled("hubspot", "contacts", 100, 1000)
            watch.pulled("hubspot", "contacts", 200, 1000)
            watch.pulled("hubspot", "contacts", 300, 1000)
            watch.pulled("salesforce", "Lead", 5, None)
            watch.pulled("hubspot", "calls", 5, 5)
            left = {str(task.description): TimeLeft().render(task).plain for task in bars.tasks}
        assert left["HubSpot contacts"].endswith(" left")
        assert left["HubSpot contacts"] != "0:00:00 left"
        assert (left["Salesforce Lead"], left["HubSpot calls"]) == ("", "")

    def test_nothing_in_a_pipe(self) -> None:
        console = Console(file=io.StringIO())
        with pass_progress(console, watched=False) as progress:
            progress.pulled("hubspot", "contacts", 100, 300)
            progress.step("unify", 1, None)
        assert console.file.getvalue() == ""  # type: ignore[attr-defined]  # it is the StringIO above


class TestSignals:
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED)])
    def test_the_first_signal_asks(self, number: int, code: ExitCode) -> None:
        before = signal.getsignal(number)
        with orderly() as asked:
            assert not asked()
            os.kill(os.getpid(), number)
            assert asked.event.wait(10)
            assert asked()
            assert asked.exit_code == code
        assert signal.getsignal(number) == before

    def test_the_second_ctrl_c_stops_at_once(self) -> None:
        with orderly() as asked:
            asked.handle(signal.SIGINT, None)
            with pytest.raises(KeyboardInterrupt):
                asked.handle(signal.SIGINT, None)


class TestNextCommands:
    def test_the_program_by_its_name_where_the_shell_finds_it(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/connector")
        assert common.command("status", Path("config.toml")) == "connector status"
        assert common.command("status", tmp_path / "my rules.toml") == f"connector status --config '{tmp_path}/my rules.toml'"

    def test_else_by_the_way_it_was_called(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(shutil, "which", lambda _: None)
        monkeypatch.chdir(tmp_path)
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / "connector").touch()
        monkeypatch.setattr(sys, "argv", ["bin/connector"])
        assert common.program() == "bin/connector"
        monkeypatch.setattr(sys, "argv", ["/somewhere/__main__.py"])
        assert common.program().endswith(" -m connector")
