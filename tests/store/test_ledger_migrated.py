"""A ledger of the version before, whose rows had a number of their own, keyed by contact: nothing of it is lost, and numbers go on."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from alembic import command
from sqlalchemy import text

from connector.store import ledger, numbers, schema, shadow
from connector.store.database import Store
from connector.store.tables import to_micros
from tests.support.actions import NOW

AT = to_micros(NOW)
LEDGER = (
    "INSERT INTO ledger (id, plan, bundle, position, key, kind, rule, contact_id, crm, object, record_id, target, state, backward, new,"
    " urgency, planned_at, fence, tries, config_version, code, message, next_step, correlation_id) VALUES (:id, :plan, :bundle, :position,"
    " :key, :kind, 'r', :contact, 'hubspot', 'contacts', '1', 't', :state, :no, :yes, 0, :at, 0, 0, 'v', '', '', '', '')"
)
#: id, plan, contact, kind, state: an old shadow plan (1), the last one (2), and a live one (3).
ROWS = [
    (1, 1, 1, "set_stage", "shadow"),
    (2, 1, 9, "assign", "shadow"),
    (3, 2, 1, "set_stage", "shadow"),
    (4, 2, 1, "assign", "shadow"),
    (5, 2, 2, "set_stage", "shadow"),
    (6, 3, 1, "set_stage", "applied"),
    (7, 3, 2, "assign", "held"),
]


@pytest.fixture
def before(database_url: str) -> Any:
    with Store.open(database_url) as store:
        store.write(lambda connection: command.upgrade(schema.alembic_config(connection), "0005"))

        def fill(connection: Any) -> None:
            for number, mode in ((1, "shadow"), (2, "shadow"), (3, "live")):
                values = {"id": number, "mode": mode, "at": AT}
                connection.execute(
                    text("INSERT INTO plan (id, run, mode, created_at, config_version) VALUES (:id, 1, :mode, :at, 'v')"), values
                )
            for number, plan, contact, kind, state in ROWS:
                position = 100 if kind == "set_stage" else 200
                values = {
                    "id": number, "plan": plan, "contact": contact, "bundle": f"r|{contact}|c", "key": f"r|{contact}|{kind}",
                    "position": position, "kind": kind, "state": state, "at": AT, "no": False, "yes": True,
                }  # fmt: skip
                connection.execute(text(LEDGER), values)
                value = "INSERT INTO action_value (ledger, contact_id, before, after) VALUES (:id, :contact, 'a', :after)"
                connection.execute(text(value), {"id": number, "contact": contact, "after": f"b{number}"})
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT setval('ledger_id_seq', 7)"))

        store.write(fill)
        yield store


def read(store: Store) -> list[Any]:
    columns = "l.id, l.plan, l.contact_id, l.kind, l.state, v.after"
    joined = f"SELECT {columns} FROM ledger l JOIN action_value v ON v.ledger = l.id ORDER BY l.id"
    with store.read() as connection:
        return [tuple(row) for row in connection.execute(text(joined))]


def test_every_row_is_there_and_numbers_go_on(before: Store) -> None:
    before.upgrade()
    kept = [(*row, f"b{row[0]}") for row in ROWS]
    superseded = [(*row[:4], "superseded" if row[1] == 1 else row[4], row[5]) for row in kept]
    assert read(before) == superseded, "of the shadow plans the last one stands"
    assert before.write(lambda connection: numbers.take(connection, 2)) == [8, 9]
    with before.read() as connection:
        assert [row.key for row in ledger.held_of(connection, [1, 2, 9])] == ["r|2|assign"]
        standing = shadow.standing(connection, [1, 2, 9])
        assert [row.id for row in standing] == [3, 4, 5]
        assert shadow.counts(connection) == shadow.counted(standing) == Counter(
            {
                ("r", "bundle set_stage:hubspot assign:hubspot"): 1,
                ("r", "bundle set_stage:hubspot"): 1,
                ("r", "contacts set_stage"): 2,
                ("r", "contacts assign"): 1,
            }
        )
        assert connection.scalar(text("SELECT count(*) FROM plan WHERE decided")) == 3


def test_going_back_keeps_them_too(before: Store) -> None:
    before.upgrade()
    migrated = read(before)
    before.write(lambda connection: command.downgrade(schema.alembic_config(connection), "0005"))
    assert read(before) == migrated
    before.upgrade()
    assert read(before) == migrated
