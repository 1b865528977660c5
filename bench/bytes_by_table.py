"""How many bytes of the database a contact takes, by table: what docs/scale.md reckons with.

    python bench/bytes_by_table.py --size 20000 --database postgresql

The made-up company of `world`, unified, judged and planned in shadow, and then two thousand changed; rows and indexes apart. The tables
are written anew before they are measured: what updates leave behind until it is used again is not in it.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

import apart
import orjson
import steps
from bases import DIALECTS, Base, bases
from rich.console import Console
from rich.table import Table
from sqlalchemy import text
from world import NOW

#: (name of the table, whether it is an index, bytes), of all that the database keeps.
_SQLITE = """SELECT m.tbl_name AS name, m.type = 'index' AS is_index, sum(d.pgsize) AS bytes
FROM dbstat d JOIN sqlite_master m ON m.name = d.name GROUP BY m.tbl_name, m.type"""
_POSTGRESQL = """SELECT c.relname AS name, sizes.is_index, sizes.bytes FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (VALUES (false, pg_table_size(c.oid)), (true, pg_indexes_size(c.oid))) AS sizes(is_index, bytes)
WHERE c.relkind = 'r' AND n.nspname = 'public'"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """One table: rows, bytes of its rows, bytes of its indexes."""

    rows: int
    own: int
    indexes: int


def main() -> None:
    """Makes it, measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=20_000, help="contacts")
    parser.add_argument("--database", choices=DIALECTS, default="sqlite")
    parser.add_argument("--json", action="store_true", help="one JSON document in place of the table")
    asked = parser.parse_args()
    with bases([asked.database]) as made:
        base = made.named(asked.database, "sizes")
        for step in (steps.fill, steps.unify_all, steps.judge_all):
            apart.apart(step, base, asked.size)
        apart.apart(steps.settle, base)
        apart.apart(_changed, base, asked.size)
        base.run("DELETE FROM record WHERE object = 'companies' AND length(id) > 8")  # of the pages that were committed beside
        base.pack()
        found = sizes(base)
    if asked.json:
        kept = {name: {"rows": one.rows, "bytes": one.own, "index_bytes": one.indexes} for name, one in found.items()}
        sys.stdout.buffer.write(orjson.dumps({"contacts": asked.size, "tables": kept}, option=orjson.OPT_INDENT_2) + b"\n")
    else:
        Console(width=100).print(table(found, asked.size, asked.database))


def _changed(base: Base, size: int) -> None:
    steps.some_changed(base, size, count=1_000, turn=1, at=NOW + timedelta(minutes=12))


def sizes(base: Base) -> Mapping[str, Size]:
    """Every table that holds a row, the largest first."""
    found: defaultdict[str, dict[bool, int]] = defaultdict(dict)
    with base.connected() as connection:
        for row in connection.execute(text(_SQLITE if base.dialect == "sqlite" else _POSTGRESQL)):
            found[row.name][bool(row.is_index)] = int(row.bytes)
        rows = {name: int(connection.scalar(text(f'SELECT count(*) FROM "{name}"')) or 0) for name in found}
    made = {name: Size(rows=rows[name], own=kinds.get(False, 0), indexes=kinds.get(True, 0)) for name, kinds in found.items() if rows[name]}
    return dict(sorted(made.items(), key=lambda item: -(item[1].own + item[1].indexes)))


def table(found: Mapping[str, Size], contacts: int, dialect: str) -> Table:
    """Rows and bytes for each contact."""
    shown = Table("table", "rows", "bytes", "of indexes", "together", title=f"For each of {contacts:,} contacts, {dialect}")
    for column in shown.columns[1:]:
        column.justify = "right"
    total = 0
    for name, one in found.items():
        together = one.own + one.indexes
        total += together
        cells = (one.rows / contacts, one.own / contacts, one.indexes / contacts, together / contacts)
        shown.add_row(name, f"{cells[0]:.2f}", *(f"{value:,.0f}" for value in cells[1:]))
    shown.add_section()
    shown.add_row("all", "", "", "", f"{total / contacts:,.0f}")
    return shown


if __name__ == "__main__":
    main()
