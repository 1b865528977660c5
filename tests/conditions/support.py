"""What conditions are tried on: one table of people with a field of every type, their activities and touches, on either database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Double,
    Engine,
    MetaData,
    String,
    Table,
    bindparam,
    create_engine,
    func,
    insert,
    select,
)

from connector import conditions
from connector.conditions import Condition, Env, fold
from connector.model import FieldType

ZONE = "Europe/Berlin"
#: 2026-11-20 09:00:00 UTC, in microseconds.
NOW = 1_795_165_200_000_000
SECOND = 1_000_000
DAY = 86_400 * SECOND

TYPES: dict[str, FieldType] = {
    "industry": FieldType.CHOICE,
    "job_title": FieldType.TEXT,
    "email": FieldType.TEXT,
    "hubspot.lead_status": FieldType.TEXT,
    "roles": FieldType.CHOICES,
    "employees": FieldType.INTEGER,
    "page_views": FieldType.INTEGER,
    "budget": FieldType.NUMBER,
    "score": FieldType.NUMBER,
    "qualified": FieldType.BOOLEAN,
    "in_hubspot": FieldType.BOOLEAN,
    "stage_since": FieldType.DATETIME,
    "last_touch_at": FieldType.DATETIME,
    # Declared, but of a CRM that is not there: no column.
    "salesforce.lead_status": FieldType.TEXT,
    "salesforce.roles": FieldType.CHOICES,
    "salesforce.seats": FieldType.INTEGER,
    "salesforce.amount": FieldType.NUMBER,
    "salesforce.active": FieldType.BOOLEAN,
    "salesforce.converted_at": FieldType.DATETIME,
}
COLUMNS = [name for name in TYPES if not name.startswith("salesforce.")]


def _type(kind: FieldType) -> Any:
    if kind.textual:
        return String().with_variant(String(collation="C"), "postgresql")
    return {FieldType.INTEGER: BigInteger, FieldType.NUMBER: Double, FieldType.BOOLEAN: Boolean, FieldType.DATETIME: BigInteger}[kind]()


metadata = MetaData()
people = Table(
    "person",
    metadata,
    Column("id", BigInteger, primary_key=True),
    *(Column(name.replace(".", "_"), _type(TYPES[name])) for name in COLUMNS),
)
activities = Table("activity", metadata, Column("person", BigInteger), Column("kind", String), Column("at", BigInteger))
touches = Table("touch", metadata, Column("person", BigInteger), Column("at", BigInteger))


@dataclass
class Person:
    """Values by name (text as a person typed it), activities as (kind, at), touches as moments."""

    values: dict[str, Any] = field(default_factory=dict)
    activities: list[tuple[str, int]] = field(default_factory=list)
    touches: list[int] = field(default_factory=list)

    def stored(self, name: str) -> Any:
        """A value as the store would write it: folded, choices between semicolons, empty as NULL."""
        value = self.values.get(name)
        if TYPES[name] is FieldType.CHOICES:
            return f";{';'.join(fold(choice) for choice in value)};" if value else None
        return (fold(value) or None) if isinstance(value, str) else value


def env(**changes: Any) -> Env:
    now: ColumnElement[int] = bindparam("now", type_=BigInteger)

    def counted(kind: str | None, since: ColumnElement[int], value: Any) -> Any:
        where = [activities.c.person == people.c.id, activities.c.at >= since, activities.c.at <= now]
        where += [] if kind is None else [activities.c.kind == kind]
        return select(value).where(*where).correlate(people).scalar_subquery()

    def touched(since: ColumnElement[int], value: Any) -> Any:
        where = (touches.c.person == people.c.id, touches.c.at >= since, touches.c.at <= now)
        return select(value).where(*where).correlate(people).scalar_subquery()

    def following(kind: str | None) -> Any:
        where = [activities.c.person == people.c.id, activities.c.at > now]
        where += [] if kind is None else [activities.c.kind == kind]
        return select(func.min(activities.c.at)).where(*where).correlate(people).scalar_subquery()

    def next_touch() -> Any:
        where = (touches.c.person == people.c.id, touches.c.at > now)
        return select(func.min(touches.c.at)).where(*where).correlate(people).scalar_subquery()

    given: dict[str, Any] = {
        "columns": {name: people.c[name.replace(".", "_")] for name in COLUMNS},
        "types": TYPES,
        "now": now,
        "timezone": ZONE,
        "count_activities": lambda kind, since: counted(kind, since, func.count()),
        "count_touches": lambda since: touched(since, func.count()),
        "oldest_activity": lambda kind, since: counted(kind, since, func.min(activities.c.at)),
        "oldest_touch": lambda since: touched(since, func.min(touches.c.at)),
        "next_activity": following,
        "next_touch": next_touch,
    }
    return Env(**(given | changes))


class PersonTables:
    """The tables on one database. Each `of` is a transaction that is rolled back."""

    def __init__(self, url: str) -> None:
        self.engine: Engine = create_engine(url)
        metadata.create_all(self.engine)

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def of(self, crowd: Sequence[Person]) -> Iterator[Connection]:
        with self.engine.connect() as connection:
            rows = [{"id": i, **{name.replace(".", "_"): person.stored(name) for name in COLUMNS}} for i, person in enumerate(crowd)]
            connection.execute(insert(people), rows)
            done = [{"person": i, "kind": kind, "at": at} for i, person in enumerate(crowd) for kind, at in person.activities]
            if done:
                connection.execute(insert(activities), done)
            touched = [{"person": i, "at": at} for i, person in enumerate(crowd) for at in person.touches]
            if touched:
                connection.execute(insert(touches), touched)
            yield connection
            connection.rollback()

    def ask(self, connection: Connection, expression: ColumnElement[Any], now: int = NOW) -> list[Any]:
        return list(connection.scalars(select(expression).select_from(people).order_by(people.c.id), {"now": now}))

    def met(self, condition: Condition, crowd: Sequence[Person], now: int = NOW, **changes: Any) -> list[bool | None]:
        with self.of(crowd) as connection:
            return self.ask(connection, conditions.compile(condition, env(**changes)), now)

    def changes(self, condition: Condition, crowd: Sequence[Person], now: int = NOW) -> list[int | None]:
        moment = conditions.next_change(condition, env())
        if moment is None:
            return [None] * len(crowd)
        with self.of(crowd) as connection:
            return self.ask(connection, moment, now)
