"""Makes a small database a large one: every row of every table that grows is copied under other ids, so that plans are those of a full one.

The copies have nothing to do: they are not marked, not due, and nothing of theirs is under way.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Column, Connection, Float, Integer, LargeBinary, MetaData, Table, func, select, text

from connector.store.database import Store
from connector.store.tables import Json, metadata
from tests.support.query_plans import growing

#: Columns that tell one row from another or one thing from another: in a copy they are others, the same in every table.
_NUMBERS = frozenset({"contact_id", "merged_into", "ledger", "plan", "into", "survivor", "version"})
_TEXTS = frozenset(
    {"id", "record_id", "company_id", "deal_id", "campaign_id", "into_id", "converted_to", "converted_deal", "linked_id", "email", "key",
     "bundle", "source", "correlation_id"}
)  # fmt: skip
#: What a copy says instead, so that no pass has anything to do with it.
_NEVER = 4_000_000_000_000_000
_QUIET: dict[tuple[str, str], str] = {
    ("contact", "due_at"): str(_NEVER),
    ("contact", "recount_at"): "NULL",
    ("record", "unify"): "false",
    ("ledger", "state"): "CASE WHEN state IN ('shadow', 'superseded') THEN state ELSE 'applied' END",
    ("clock", "state"): "CASE WHEN state IN ('running', 'warned') THEN 'met' ELSE state END",
}
_STEP = 100_000
#: Columns of JSON, which are texts to the database.
_JSON = frozenset(column.name for table in metadata.tables.values() for column in table.columns if isinstance(column.type, Json))


def multiply(store: Store, least: int) -> dict[str, int]:
    """Copies everything, so that each table that grows has so many rows at least; how many each has now."""
    store.write(lambda connection: _multiply(connection, least))
    if store.dialect == "postgresql":
        store.apart("ANALYZE")
    with store.read() as connection:
        return {name: int(connection.scalar(text(f'SELECT count(*) FROM "{name}"')) or 0) for name in sorted(growing())}


def _multiply(connection: Connection, least: int) -> None:
    for name in sorted(growing()):
        table = Table(name, MetaData(), autoload_with=connection)
        rows = connection.scalar(select(func.count()).select_from(table)) or 0
        if not rows:
            connection.execute(table.insert().values({column.name: _something(column) for column in table.columns if not column.nullable}))
        named = ", ".join(f'"{column.name}"' for column in table.columns)
        values = ", ".join(_copied(connection.dialect.name, name, column) for column in table.columns)
        numbers = "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < :copies)"
        copied = text(f'{numbers} INSERT INTO "{name}" ({named}) SELECT {values} FROM "{name}", n')
        connection.execute(copied, {"copies": -(-least // max(1, rows))})


def _copied(dialect: str, table: str, column: Column[Any]) -> str:
    """What a copy has in this column, of `n` the number of the copy."""
    name = column.name
    if (table, name) in _QUIET:
        return _QUIET[table, name]
    if isinstance(column.type, Integer):
        is_id = name in _NUMBERS or (name == "id" and column.primary_key)
        return f'"{name}" + n * {_STEP}' if is_id else f'"{name}"'
    if isinstance(column.type, LargeBinary) and column.primary_key:
        return "CAST(n AS TEXT)" if dialect == "sqlite" else "convert_to(CAST(n AS TEXT), 'UTF8')"
    return f"\"{name}\" || '~' || n" if name in _TEXTS else f'"{name}"'


def _something(column: Column[Any]) -> Any:
    """A value of the column's type."""
    if isinstance(column.type, Boolean):
        return False
    if isinstance(column.type, (Integer, Float)):
        return 1
    if isinstance(column.type, LargeBinary):
        return b"x"
    return "{}" if column.name in _JSON else "x"
