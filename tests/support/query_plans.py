"""How the database reaches rows: the plan of each statement while it runs, and of it what must not be: a scan, or a search that finds
half a table.

A search counts as one where every column by which an index is entered is of few values (`LOW`): `crm` alone finds all that a CRM has.
"""

from __future__ import annotations

import json
import re
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event, inspect, make_url

from connector.store.tables import metadata

#: Columns by which no row is found among many: few values, or the same one for nearly all.
LOW = frozenset(
    {"crm", "object", "record_object", "kind", "state", "outcome", "archived", "unify", "gone", "excluded", "role", "mode", "rule",
     "property", "counts", "stage", "channel", "source", "backward", "new", "kept", "position", "number", "code", "by", "sla"}
)  # fmt: skip
#: Tables that do not grow with the base: the installation's own settings and state, users and what they did, campaigns, one row a run.
STEADY = frozenset(
    {"meta", "field", "cursor", "property", "drift", "owner", "campaign", "lease", "budget", "pause", "turn", "run", "plan",
     "alembic_version", "act", "rule_text", "rule_use", "standing", "judging_slice", "property_known"}
)  # fmt: skip
#: Indexes of a small part of a table, whatever its size: to read all of one is no scan. Not those whose part grows with the table.
_GROWING_PARTS = frozenset({"uq_ledger_key"})
_EXPLAINED = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
#: A look at whether there is any row, or at the highest number: one step into an index, whatever the plan calls it.
_PROBE = re.compile(
    r"^SELECT (\w+\.\w+|1)\s+FROM \w+\s*(WHERE \w+\.crm = \S+)?\s+LIMIT \S+( OFFSET \S+)?$|^SELECT max\(\w+\.\w+\) AS \w+\s+FROM \w+$"
)
#: So often the same statement is explained, with whatever values it has then.
_OFTEN = 3
_SQLITE_STEP = re.compile(
    r"^(SCAN|SEARCH) (\S+)(?: USING (AUTOMATIC )?(?:PARTIAL )?(?:COVERING )?(?:INDEX (?!\()(\S+)|INDEX|INTEGER PRIMARY KEY))?(?: \((.*)\))?"
)
_ALIAS = re.compile(r'\b"?(\w+)"? AS "?(\w+)"?')
_WORD = re.compile(r"(?<![\w.])[a-z_]\w*(?![\w.(])")


@dataclass(frozen=True, slots=True, order=True)
class Access:
    """A table reached in a way that grows with it. where: the function of the connector that asked; how: "scan", or "by crm"."""

    where: str
    table: str
    how: str


@dataclass(slots=True)
class Watch:
    """What was seen while statements ran. statements: an example of each access."""

    accesses: dict[Access, str] = field(default_factory=dict)
    explained: int = 0
    seen: Counter[str] = field(default_factory=Counter)


def growing() -> frozenset[str]:
    """Every table but the steady ones: one that is added is taken to grow until it is named there."""
    return frozenset(metadata.tables) - STEADY


@contextmanager
def watched(url: str) -> Iterator[Watch]:
    """Explains every statement on this database while the block runs; a scratch state in memory holds only what is looked at."""
    watch = Watch()
    database = Path(make_url(url).database or "").name
    busy: set[int] = set()

    def before(connection: Connection, cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if database not in str(connection.engine.url.database):
            return
        if id(cursor.connection) in busy or not statement.lstrip().upper().startswith(_EXPLAINED) or _PROBE.match(statement):
            return
        watch.seen[statement] += 1
        if watch.seen[statement] > _OFTEN:
            return
        busy.add(id(cursor.connection))
        try:
            first = parameters[0] if many else parameters
            for table, how in _ACCESSES[connection.dialect.name](connection, statement, first):
                watch.accesses.setdefault(Access(_asked_by(), table, how), " ".join(statement.split()))
            watch.explained += 1
        finally:
            busy.discard(id(cursor.connection))

    event.listen(Engine, "before_cursor_execute", before)
    try:
        yield watch
    finally:
        event.remove(Engine, "before_cursor_execute", before)


def _asked_by() -> str:
    """The innermost function of the connector on the stack that is no means of the store's; "outside" where a test asks itself."""
    for frame in reversed(traceback.extract_stack()):
        place = frame.filename.partition("/connector/")[2]
        if place and place.removesuffix(".py") not in _MEANS:
            return f"{place.removesuffix('.py').replace('/', '.')}.{frame.name}"
    return "outside"


_MEANS = frozenset({"store/database", "store/bulk", "store/scratch", "store/among"})


# ── SQLite ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _sqlite(connection: Connection, statement: str, parameters: Any) -> Iterator[tuple[str, str]]:
    cursor = _raw(connection).cursor()
    rows = cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
    cursor.close()
    aliases = {alias: name for name, alias in _ALIAS.findall(statement) if name in metadata.tables}
    for *_, detail in rows:
        step = _SQLITE_STEP.match(detail)
        if step is None:
            continue
        way, name, automatic, index, columns = step.groups()
        table = aliases.get(name, name)
        if table not in growing() or _is_part(index):
            continue
        if way == "SCAN" or automatic:  # an index made for this one statement: of the whole table
            yield table, "scan"
        else:
            yield from _low(table, re.findall(r"(\w+)[=<>]", columns or "rowid="))


# ── PostgreSQL ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _postgresql(connection: Connection, statement: str, parameters: Any) -> Iterator[tuple[str, str]]:
    """With all switched off that pays for few rows alone: what is read whole then is read whole however many there are."""
    cursor = _raw(connection).cursor()
    # EXPLAIN in a transaction of its own inside this one: what it cannot plan does not break what goes on.
    cursor.execute("SAVEPOINT explained")
    for way in ("seqscan", "hashjoin", "mergejoin"):
        cursor.execute(f"SET LOCAL enable_{way} = off")
    cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
    ((found,),) = cursor.fetchall()
    cursor.execute("ROLLBACK TO SAVEPOINT explained")
    cursor.close()
    plans = json.loads(found) if isinstance(found, str) else found
    columns = _index_columns(connection)
    steps = {id(below) for node in _nodes(plans[0]["Plan"]) if node["Node Type"] == "Limit" for below in node["Plans"] if _is_step(below)}
    for node in _nodes(plans[0]["Plan"]):
        table = node.get("Relation Name")
        if table is None or table not in growing() or node["Node Type"] == "ModifyTable":
            continue
        if node["Node Type"] == "Bitmap Heap Scan" or id(node) in steps:
            continue  # what a bitmap finds, its index scans below it do
        yield from _node(table, node, columns)
    for table, node in _bitmaps(plans[0]["Plan"]):
        if table in growing():
            yield from _node(table, node, columns)


def _is_step(node: Mapping[str, Any]) -> bool:
    """Whether a node under a limit takes the first rows of an index as they come: the highest number, say."""
    return node["Node Type"].startswith("Index") and "Filter" not in node


def _node(table: str, node: Mapping[str, Any], columns: Mapping[str, tuple[str, ...]]) -> Iterator[tuple[str, str]]:
    index = node.get("Index Name")
    if _is_part(index):
        return
    condition = node.get("Index Cond")
    if index is None or condition is None:
        if "TID Cond" not in node:
            yield table, "scan"
        return
    named = set(_WORD.findall(_without_texts(condition)))
    # What comes behind a column that is not asked for narrows nothing: everything up to it is walked through.
    yield from _low(table, list(takewhile(named.__contains__, columns.get(index, ()))))


def _without_texts(condition: str) -> str:
    return re.sub(r"'[^']*'|::[a-z ]+", "", condition)


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for below in plan.get("Plans", ()):
        yield from _nodes(below)


def _bitmaps(plan: Mapping[str, Any], table: str | None = None) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The index scans of bitmaps, which do not say of which table they are."""
    table = plan.get("Relation Name", table)
    if plan["Node Type"] == "Bitmap Index Scan" and table is not None:
        yield table, plan
    for below in plan.get("Plans", ()):
        yield from _bitmaps(below, table)


_KNOWN_INDEXES: dict[str, dict[str, tuple[str, ...]]] = {}


def _index_columns(connection: Connection) -> Mapping[str, tuple[str, ...]]:
    url = str(connection.engine.url)
    if url not in _KNOWN_INDEXES:
        _KNOWN_INDEXES[url] = {}  # before asking: these statements are looked at too
        seen = inspect(connection)
        for table in seen.get_table_names():
            key = seen.get_pk_constraint(table)
            _KNOWN_INDEXES[url][str(key["name"])] = tuple(key["constrained_columns"])
            for index in seen.get_indexes(table):
                _KNOWN_INDEXES[url][str(index["name"])] = tuple(str(column) for column in index["column_names"])
    return _KNOWN_INDEXES[url]


# ── Both ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _low(table: str, columns: list[str]) -> Iterator[tuple[str, str]]:
    """The access where it finds by columns of few values alone."""
    if set(columns) <= LOW:
        yield table, "by " + ", ".join(sorted(set(columns)))


def _is_part(index: str | None) -> bool:
    """Whether an index holds a small part of its table."""
    return index in _parts() and index not in _GROWING_PARTS


def _parts() -> frozenset[str]:
    return frozenset(
        str(index.name)
        for table in metadata.tables.values()
        for index in table.indexes
        if index.dialect_options["sqlite"]["where"] is not None
    )


def _raw(connection: Connection) -> Any:
    return connection.connection.dbapi_connection


_ACCESSES: Mapping[str, Callable[[Connection, str, Any], Iterator[tuple[str, str]]]] = {"sqlite": _sqlite, "postgresql": _postgresql}
