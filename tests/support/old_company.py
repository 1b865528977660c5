"""The company of tests/store/old/: a database as schema 0002 wrote it, with CRMs that hold what they held then.

`old_database` says how the files were made. The database is laid down as it was, on SQLite and, row by row, on PostgreSQL; nothing here
uses the tables as this version declares them.
"""

from __future__ import annotations

import gzip
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from alembic import command
from pydantic import TypeAdapter
from sqlalchemy import Boolean, Connection, MetaData, Table, insert, make_url, text

from connector.adapters.memory.crm import MemoryCrm
from connector.config.load import loads
from connector.config.tables import Config
from connector.model import Activity, Deal, Owner, Record, Removal, Surroundings
from connector.store import schema
from connector.store.database import Store
from tests import ROOT
from tests.support.company import LINKS, Company

FOLDER = ROOT / "tests" / "store" / "old"
#: The schema that the files were made with.
REVISION = "0002"
_KINDS = {kind.__name__: TypeAdapter[Any](kind) for kind in (Activity, Deal, Owner, Record)}
#: PostgreSQL's sequences, each with its table.
_SERIALS = """SELECT pg_get_serial_sequence(quote_ident(table_name), 'id') AS name, table_name
FROM information_schema.columns WHERE column_name = 'id' AND column_default LIKE 'nextval%'"""
_REMOVAL = TypeAdapter(Removal)
#: SQLite's types of the columns of `contact` that no migration makes, in PostgreSQL's words.
_TYPES = {"BIGINT": "BIGINT", "TEXT": "TEXT", "BOOLEAN": "BOOLEAN", "DOUBLE": "DOUBLE PRECISION", "VARCHAR": 'VARCHAR COLLATE "C"'}


def kept(name: str) -> Any:
    """The values of a kept JSON file."""
    return orjson.loads(gzip.decompress((FOLDER / f"{name}.json.gz").read_bytes()))


@cache
def old_config() -> Config:
    """The file that the database was made under, live."""
    os.environ["COMPANY_TOKEN"] = "x"
    return loads((FOLDER / "config.toml").read_text().replace('mode = "shadow"', 'mode = "live"'), source="config.toml")


# ── The database ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def lay_old_database(url: str, folder: Path) -> None:
    """Makes the database at this address, which is empty, as it was kept. folder: for a file on the way."""
    place = make_url(url)
    if place.get_backend_name() == "sqlite":
        _run_dump(Path(place.database or ""))
        return
    file = folder / "old.db"
    _run_dump(file)
    with closing(sqlite3.connect(file)) as old, Store.open(url) as store:
        store.write(lambda connection: command.upgrade(schema.alembic_config(connection), REVISION))
        store.write(lambda connection: _copy(old, connection))


def old_rows() -> dict[str, list[dict[str, Any]]]:
    """What the database held: table → rows, a column's name → its value as SQLite has it."""
    with closing(sqlite3.connect(":memory:")) as old:
        old.executescript(_dump())
        old.row_factory = sqlite3.Row
        return {table: [dict(row) for row in old.execute(f'SELECT * FROM "{table}"')] for table in _tables(old)}


def _dump() -> str:
    return gzip.decompress((FOLDER / "database.sql.gz").read_bytes()).decode()


def _run_dump(file: Path) -> None:
    with closing(sqlite3.connect(file)) as old:
        old.executescript(_dump())


def _tables(old: sqlite3.Connection) -> list[str]:
    names = (row[0] for row in old.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"))
    return [name for name in names if name != "alembic_version"]


def _copy(old: sqlite3.Connection, connection: Connection) -> None:
    """Every row, into PostgreSQL's tables of the same schema."""
    for _, name, kind, *_ in old.execute("PRAGMA table_info(contact)").fetchall():
        if schema.FIELD_COLUMN.match(name):
            connection.execute(text(f"ALTER TABLE contact ADD COLUMN {name} {_TYPES[kind.partition('(')[0].strip()]}"))
    for name in _tables(old):
        cursor = old.execute(f'SELECT * FROM "{name}"')
        names = [column[0] for column in cursor.description]
        table = Table(name, MetaData(), autoload_with=connection)
        flags = {column.name for column in table.columns if isinstance(column.type, Boolean)}
        rows = [{key: _flag(value) if key in flags else value for key, value in zip(names, row, strict=True)} for row in cursor]
        if rows:
            connection.execute(insert(table), rows)
    for row in connection.execute(text(_SERIALS)).all():
        connection.execute(text(f"SELECT setval('{row.name}', (SELECT coalesce(max(id), 0) + 1 FROM {row.table_name}), false)"))


def _flag(value: int | None) -> bool | None:
    return None if value is None else bool(value)


# ── The company ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def old_company(url: str, folder: Path) -> Iterator[Company]:
    """The company at the moment at which its database was kept, with the database brought to this version."""
    lay_old_database(url, folder)
    held = kept("crms")
    set_up = {name: Surroundings(links=LINKS[name]) for name in LINKS}
    with Store.open(url) as store:
        store.upgrade()
        company = Company(store, old_config(), datetime.fromisoformat(held["now"]), set_up)
        for name, crm in company.crms.items():
            _restore(crm, held[name])
        yield company


def _restore(crm: MemoryCrm, held: dict[str, Any]) -> None:
    """What it held, in the order in which it changed: cursors that are kept in the database count by it."""
    crm._stored.clear()
    crm._removed.clear()
    for each in held["stored"]:
        thing = _KINDS[each["kind"]].validate_python(each["thing"])
        crm._stored.setdefault(each["stream"], {})[thing.id] = (each["number"], thing)
    for each in held["removed"]:
        removal = _REMOVAL.validate_python(each["thing"])
        crm._removed.setdefault(each["stream"], {})[removal.record.id] = (each["number"], removal)
    crm._changes, crm._next_task = held["changes"], held["next_task"]
    crm._refused = {name: (code, message) for name, (code, message) in held["refused"].items()}
    crm._busy.update(held["busy"])
