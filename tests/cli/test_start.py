"""What a command loads: the command line alone loads no library of the store, the CRMs or the sandbox, and the health check few."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Collection
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import typer.main

import connector.cli
from connector.cli.main import app
from connector.cli.registry import COMMANDS
from tests.cli.runner import command_line
from tests.support.stores import lay_tables

#: What a CRM, the service's schedule and the sandbox take.
CRM_CLIENTS = {"hubspot", "simple_salesforce", "requests", "urllib3", "jwt", "cryptography", "zeep"}
SANDBOX = {"starlette", "uvicorn", "httptools", "faker", "trustme"}
STORE = {"sqlalchemy", "sqlmodel", "alembic", "psycopg"}
CONFIGURATION = {"pydantic", "sqlglot", "apscheduler", "holidays"}
#: Runs a command as the console script does, and prints what was loaded by then after what the command printed.
SCRIPT = """
import gc, sys
from connector.cli.main import main
try:
    main()
except SystemExit as end:
    print("MODULES", gc.get_freeze_count(), end.code, *sys.modules)
"""


def loaded(*words: str) -> tuple[int, int, set[str]]:
    """Of a command in a process of its own: how many objects it froze when it was imported, its exit code, the modules that were loaded."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, *words], capture_output=True, text=True, check=True)
    frozen, code, *modules = done.stdout.split("MODULES ")[1].split()
    return int(frozen), int(code), set(modules)


def packages(modules: Collection[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_the_command_line_alone_loads_nothing_heavy(option: str) -> None:
    frozen, code, modules = loaded(option)
    assert code == 0
    assert packages(modules) & (CRM_CLIENTS | SANDBOX | STORE | CONFIGURATION | {"orjson", "rich"}) == set()
    ours = {"connector", "connector.cli", "connector.cli.common", "connector.cli.main", "connector.cli.process", "connector.cli.registry"}
    assert {module for module in modules if module.partition(".")[0] == "connector"} == {*ours, "connector.errors"}
    assert frozen == 0


def test_the_health_check_loads_no_client_no_sandbox_and_no_report(tmp_path: Path) -> None:
    cli = command_line(tmp_path)
    lay_tables(f"sqlite:///{tmp_path / 'store.db'}")
    frozen, code, modules = loaded("status", "--health", "--config", str(cli.config))
    assert code == 1  # the service never ran
    assert packages(modules) & (CRM_CLIENTS | SANDBOX) == set()
    unused = {"connector.engine", "connector.jobs.service", "connector.reports.status", "apscheduler.schedulers", "rich.progress"}
    assert ({"connector.adapters.hubspot", "connector.adapters.salesforce"} | unused) & modules == set()
    assert frozen > 50_000  # what was imported is not looked through for cycles


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_listed_with_the_first_line_of_its_own_help(name: str) -> None:
    front = typer.main.get_command(app)
    assert isinstance(front, typer.core.TyperGroup)
    command = front.commands[name]
    assert command.name == name
    assert COMMANDS[name].summary == inspect.cleandoc(command.help or "")


def test_no_circle_between_the_modules_of_the_command_line() -> None:
    graph = {}
    for path in Path(connector.cli.__path__[0]).glob("*.py"):
        froms = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.ImportFrom)]
        graph[path.stem] = {node.module for node in froms if node.module is not None and node.module.startswith("connector.cli.")}
    assert graph["run"] >= {"connector.cli.planned", "connector.cli.pull_summary"}
    TopologicalSorter({f"connector.cli.{name}": others for name, others in graph.items()}).prepare()  # raises CycleError
