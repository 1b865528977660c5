"""`approve`: what was refused of a plan goes again, or is given up; and `status` shows it meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.config.load import load
from connector.model import State
from connector.store.database import Store
from tests.cli.runner import CommandLine, command_line
from tests.support.actions import add_contacts, plan, proposal, rows, set_stage, task


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    """Plan 1: contact 1's stage was refused, and the task stands behind it."""
    made = command_line(tmp_path)
    with Store.open(load(made.config).database.url) as store:
        store.upgrade()
        add_contacts(store, 1)
        plan(store, proposal(1, set_stage(1), task(1)))
        store.write(lambda c: c.exec_driver_sql("UPDATE ledger SET state = 'blocked' WHERE kind = 'create_task'"))
        refused = "UPDATE ledger SET state = 'refused', message = 'locked', next_step = 'unlock it' WHERE kind = 'set_stage'"
        store.write(lambda c: c.exec_driver_sql(refused))
    return made


def states(cli: CommandLine) -> set[str]:
    with Store.open(load(cli.config).database.url) as store:
        return {row["state"] for row in rows(store)}


def test_status_tells_what_to_do(cli: CommandLine) -> None:
    (row,) = cli.json("status")["refused"]["rows"]
    assert (row["plan"], row["message"], row["next_step"], row["blocked"]) == (1, "locked", "unlock it", 1)
    shown = cli.type("status").stdout
    assert "Refused: 1" in shown
    assert "approve 1" in shown


def test_it_goes_again(cli: CommandLine) -> None:
    assert cli.json("approve", "1") == {"plan": 1, "freed": 2, "dropped": 0, "no_longer_true": 0}
    assert states(cli) == {State.PLANNED}
    assert cli.json("status")["refused"] == {"count": 0, "rows": []}
    assert cli.json("approve", "1", code=1)["freed"] == 0


def test_it_is_given_up(cli: CommandLine) -> None:
    assert "2 actions of plan 1 are given up" in cli.type("approve", "1", "--drop", "--as", "emil").stdout
    assert states(cli) == {State.DROPPED}
    assert [(act["deed"], act["about"], act["name"], act["by"]) for act in cli.json("status")["acts"]] == [("dropped", "plan", "1", "emil")]


def test_another_plan_is_left_alone(cli: CommandLine) -> None:
    result = cli.type("approve", "2")
    assert result.exit_code == 1
    assert "Nothing of plan 2 waits" in result.stdout
    assert states(cli) == {State.REFUSED, State.BLOCKED}
