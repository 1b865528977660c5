"""Stores what came of a slice: contacts of which something differs, roles, spells, attempts, evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Table, and_, bindparam, or_, update
from sqlalchemy.engine.default import DefaultDialect

from connector.pipeline.unify.contact_values import ContactRows
from connector.store import tables as t
from connector.store.bulk import change, put
from connector.workflows.sla import TICKING

spell = t.metadata.tables["spell"]
attempt = t.metadata.tables["attempt"]
evidence = t.metadata.tables["evidence"]
clock = t.metadata.tables["clock"]
_NO_DIALECT = DefaultDialect()  # these types are stored alike in both databases


def store(connection: Connection, table: Table, before: Mapping[int, Mapping[str, Any]], out: ContactRows) -> None:
    """Stores the rows. table: contacts with the file's columns; before: those that are stored now."""
    _store_contacts(connection, table, before, out.contacts)
    change(connection, "record", out.roles, ("role",), keys=("crm", "object", "id"))
    for into, rows in ((spell, out.spells), (attempt, out.attempts), (evidence, out.evidence)):
        if rows:
            keys = tuple(key.name for key in into.primary_key)
            last = {tuple(row[name] for name in keys): row for row in rows}  # a contact that moved twice has the same row twice
            put(connection, into.name, _plain(into, list(last.values())), tuple(rows[0]), keys=keys)
    change(connection, "spell", _plain(spell, out.left), ("left_at",), keys=("contact_id", "number"))
    withdraw = [row for row in out.attempts if row["outcome"] == "withdrawn"]
    if withdraw:  # nobody judges such a contact any more: its clocks end here
        ticking = or_(*(clock.c.state == state for state in TICKING))  # no IN: it takes one row alone
        here = and_(clock.c.contact_id == bindparam("b_contact"), clock.c.attempt == bindparam("b_attempt"), ticking)
        statement = update(clock).where(here).values(state="ended", ended_at=bindparam("b_ended"))
        connection.execute(
            statement, [{"b_contact": row["contact_id"], "b_attempt": row["number"], "b_ended": row["ended_at"]} for row in withdraw]
        )


def _store_contacts(
    connection: Connection, table: Table, before: Mapping[int, Mapping[str, Any]], contacts: Sequence[Mapping[str, Any]]
) -> None:
    """Writes the columns in which any of the contacts differs, of those contacts that differ."""
    columns: set[str] = set()
    rows = []
    for row in contacts:
        old = before[row["id"]]
        differing = [name for name, value in row.items() if old[name] != value]
        if differing:
            columns.update(differing)
            rows.append(row)
    if rows:
        named = tuple(sorted(columns))
        change(connection, "contact", _plain(table, rows, (*named, "id")), named, keys=("id",), table=table)


def _plain(table: Table, rows: Sequence[Mapping[str, Any]], names: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Rows as the driver stores them: moments as microseconds, JSON as text. names: the columns wanted; None: those the rows have."""
    if not rows:
        return []
    plain = [{name: row[name] for name in names or row} for row in rows]
    for name in plain[0]:
        kind = table.c[name].type
        if isinstance(kind, t.Moment | t.Json):
            for one in plain:
                one[name] = kind.process_bind_param(one[name], _NO_DIALECT)
    return plain
