"""Numbers of the ledger's rows: each is given once, whatever became of the row.

PostgreSQL has a sequence for it. SQLite counts up only a key of one column, and the ledger's begins with the contact: there the last number
given stands in `meta`, and its one writer takes the next ones.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

_LAST = "ledger_id"
_TAKE = text(
    "INSERT INTO meta (name, value) VALUES (:name, CAST(:count AS TEXT))"
    " ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(meta.value AS INTEGER) + :count AS TEXT) RETURNING value"
)
_SET = text("INSERT INTO meta (name, value) VALUES (:name, :value) ON CONFLICT (name) DO UPDATE SET value = :value")
_SEQUENCE = text("SELECT nextval('ledger_id_seq') FROM generate_series(1, :count)")


def take(connection: Connection, count: int) -> list[int]:
    """So many numbers for rows of the ledger, in their order. They are gone with the transaction on SQLite, for good on PostgreSQL."""
    if not count:
        return []
    if connection.dialect.name == "postgresql":
        return sorted(connection.scalars(_SEQUENCE, {"count": count}))
    last = int(connection.execute(_TAKE, {"name": _LAST, "count": count}).scalar_one())
    return list(range(last - count + 1, last + 1))


def last(connection: Connection) -> int:
    """The last number that was given; one that was given in a transaction that did not end may be among them."""
    if connection.dialect.name == "postgresql":
        return int(connection.execute(text("SELECT last_value FROM ledger_id_seq")).scalar_one())
    return int(connection.execute(text("SELECT value FROM meta WHERE name = :name"), {"name": _LAST}).scalar() or 0)


def go_on_from(connection: Connection, number: int) -> None:
    """In a copy of a store: numbers go on behind this one. SQLite's."""
    connection.execute(_SET, {"name": _LAST, "value": str(number)})
