"""Stores what came of a slice: contacts of which something differs, roles, spells, attempts, evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Connection, Table, and_, bindparam, or_, update
from sqlalchemy.engine.default import DefaultDialect

from connector.pipeline.unify.contact_values import ContactRows
from connector.pipeline.unify.owner_history import STAY, STAY_KEYS
from connector.pipeline.unify.plain_contacts import ATTEMPT, EVIDENCE, SPELL, PlainRecord, PlainRows
from connector.store import shadow
from connector.store import tables as t
from connector.store.bulk import change, change_values, put, put_values
from connector.store.tables.rows import ContactValue, StoredContact
from connector.workflows.sla import TICKING

spell = t.metadata.tables["spell"]
attempt = t.metadata.tables["attempt"]
evidence = t.metadata.tables["evidence"]
clock = t.metadata.tables["clock"]
_NO_DIALECT = DefaultDialect()  # these types are stored alike in both databases


def store(connection: Connection, table: Table, before: Mapping[int, StoredContact], rows: ContactRows) -> None:
    """Stores the rows. table: contacts with the file's columns; before: those that are stored now."""
    _store_contacts(connection, table, before, rows.contacts)
    change(connection, "record", rows.roles, ("role",), keys=("crm", "object", "id"))
    for into, news in ((spell, rows.spells), (attempt, rows.attempts), (evidence, rows.evidence)):
        if news:
            keys = tuple(key.name for key in into.primary_key)
            last = {tuple(row[name] for name in keys): row for row in news}  # a contact that moved twice has the same row twice
            put(connection, into.name, _plain(into, list(last.values())), tuple(news[0]), keys=keys)
    change(connection, "spell", _plain(spell, rows.left), ("left_at",), keys=("contact_id", "number"))
    _end_clocks(connection, [row for row in rows.attempts if row["outcome"] == "withdrawn"])


def store_plain(connection: Connection, table: Table, columns: tuple[str, ...], rows: PlainRows, due: list[tuple[int | None, int]]) -> None:
    """Stores the rows of contacts that were never made before. columns: of the contacts' rows; due: `due_at` of those where it differs."""
    change_values(connection, "contact", rows.contacts, columns, keys=("id",), table=table)
    change_values(connection, "contact", due, ("due_at",), keys=("id",))
    put_values(connection, "spell", rows.spells, SPELL, keys=("contact_id", "number"))
    put_values(connection, "attempt", rows.attempts, ATTEMPT, keys=("contact_id", "number"))
    put_values(connection, "evidence", rows.evidence, EVIDENCE, keys=("contact_id", "rule"))
    put_values(connection, "ownership", rows.stays, STAY, keys=STAY_KEYS)


def settle_records(connection: Connection, records: Sequence[PlainRecord], *, settled: bool) -> None:
    """These records stand for their contacts. settled: nothing of them is left to unify."""
    keys = ("crm", "object", "id")
    if settled:
        change_values(connection, "record", [("main", False, row.crm, row.object, row.id) for row in records], ("role", "unify"), keys=keys)
        return
    others = [("main", row.crm, row.object, row.id) for row in records if row.role != "main"]
    change_values(connection, "record", others, ("role",), keys=keys)


def _end_clocks(connection: Connection, withdrawn: Sequence[Mapping[str, object]]) -> None:
    """Nobody judges a contact whose attempt was withdrawn any more: its clocks end here."""
    if not withdrawn:
        return
    ticking = or_(*(clock.c.state == state for state in TICKING))  # no IN: it takes one row alone
    of_attempt = and_(clock.c.contact_id == bindparam("b_contact"), clock.c.attempt == bindparam("b_attempt"), ticking)
    statement = update(clock).where(of_attempt).values(state="ended", ended_at=bindparam("b_ended"))
    values = [{"b_contact": row["contact_id"], "b_attempt": row["number"], "b_ended": row["ended_at"]} for row in withdrawn]
    connection.execute(statement, values)


def _store_contacts(
    connection: Connection, table: Table, before: Mapping[int, StoredContact], contacts: Sequence[Mapping[str, ContactValue]]
) -> None:
    """Writes the columns in which any of the contacts differs, of those contacts that differ."""
    stored = cast(Mapping[ContactValue, Mapping[str, ContactValue]], before)
    shadow.drop(connection, [contact_id for contact_id in _gone(contacts) if not before[contact_id]["gone"]])
    columns: set[str] = set()
    rows = []
    for row in contacts:
        old = stored[row["id"]]
        differing = [name for name, value in row.items() if old[name] != value]
        if differing:
            columns.update(differing)
            rows.append(row)
    if rows:
        named = tuple(sorted(columns))
        change(connection, "contact", _plain(table, rows, (*named, "id")), named, keys=("id",), table=table)


def _gone(contacts: Sequence[Mapping[str, ContactValue]]) -> list[int]:
    return [cast(int, row["id"]) for row in contacts if row.get("gone")]


def _plain(table: Table, rows: Sequence[Mapping[str, object]], names: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Rows as the driver stores them: moments as microseconds, JSON as text. names: the columns wanted; None: those the rows have."""
    if not rows:
        return []
    plain: list[dict[str, Any]] = [{name: row[name] for name in names or row} for row in rows]
    for name in plain[0]:
        kind = table.c[name].type
        if isinstance(kind, t.Moment | t.Json):
            for values in plain:
                values[name] = kind.process_bind_param(values[name], _NO_DIALECT)
    return plain
