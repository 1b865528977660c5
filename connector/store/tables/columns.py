"""What the tables are made of: their base, their columns' types, the moments of the store.

Moments are whole microseconds since 1970 (UTC) in a BIGINT, so that SQLite and PostgreSQL compute with them alike; `Moment` turns
them into aware datetimes for code that reads small rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, ClassVar, TypeVar

import orjson
from sqlalchemy import BigInteger, Column, Dialect, Integer, MetaData, String, Text, TypeDecorator
from sqlalchemy.types import TypeEngine
from sqlmodel import Field, SQLModel

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECONDS_A_DAY = 86_400


def to_micros(moment: datetime) -> int:
    """Whole microseconds since 1970 of an aware moment."""
    if moment.tzinfo is None:
        raise ValueError("a moment without a time zone")
    since = moment - EPOCH
    return (since.days * _SECONDS_A_DAY + since.seconds) * 1_000_000 + since.microseconds  # half the time of a division by timedelta


def from_micros(micros: int) -> datetime:
    """The aware moment (UTC) of whole microseconds since 1970."""
    return EPOCH + timedelta(microseconds=micros)


class Moment(TypeDecorator[datetime]):
    """An aware datetime, stored as microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:  # noqa: ARG002 - the signature is SQLAlchemy's
        return None if value is None else to_micros(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002 - the signature is SQLAlchemy's
        return None if value is None else from_micros(value)


class Json(TypeDecorator[Any]):
    """JSON as text, by orjson, in both databases alike."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002 - the signature is SQLAlchemy's
        return None if value is None else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:  # noqa: ARG002 - the signature is SQLAlchemy's
        return None if value is None else orjson.loads(value)


def serial() -> TypeEngine[int]:
    """A number given by the database; SQLite counts up only an INTEGER."""
    return BigInteger().with_variant(Integer(), "sqlite")


def exact() -> String:
    """Text compared byte by byte in both databases: ids, keys, folded twins."""
    return String().with_variant(String(collation="C"), "postgresql").with_variant(String(collation="BINARY"), "sqlite")


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


T = TypeVar("T")


class DataOf(StrEnum):
    """Whose data a column holds: every column of the store says so in its type, and a privacy deletion follows it."""

    CONTACT = "contact"
    EMPLOYEE = "employee"
    NOBODY = "nobody"


#: A person of the mirror: what tells who he is, what he wrote, did or was.
OfContact = Annotated[T, DataOf.CONTACT]
#: One who works for the company: an owner, an approver.
OfEmployee = Annotated[T, DataOf.EMPLOYEE]
#: Keys, rules, times, outcomes, states: figures rest on them, and they tell nobody's name.
OfNobody = Annotated[T, DataOf.NOBODY]


@dataclass(frozen=True, slots=True, kw_only=True)
class Privacy:
    """What a table's columns cannot say of a privacy deletion; what they can say, `connector.store.marks` reads from them.

    deletes_row: a row holds nothing but the person's data, and goes; else its columns of the contact are emptied, and the row stays.
    id_of: whose `id` it is where the key is (crm, object, id): "record", or what a table of links names, such as "activity".
    kept_unless_named: columns by which figures group: emptied only where their text names the person.
    unsearched: why texts about others are not searched for the addresses of one who is deleted.
    """

    deletes_row: bool = False
    id_of: str | None = None
    kept_unless_named: tuple[str, ...] = ()
    unsearched: str | None = None


class Table(SQLModel):
    """The base of every table. Each column bears its mark (`OfContact`, `OfEmployee`, `OfNobody`) in its type."""

    metadata = metadata
    privacy: ClassVar[Privacy] = Privacy()


def id_column(*, primary_key: bool = True, nullable: bool = False, index: bool = False) -> Any:
    """An id or another text compared byte by byte; a key unless said otherwise."""
    return Field(sa_column=Column(exact(), primary_key=primary_key, nullable=nullable and not primary_key, index=index or None))


def moment_column(*, nullable: bool = True, index: bool = False) -> Any:
    """A moment; NULL unless said otherwise."""
    return Field(default=None, sa_column=Column(Moment, nullable=nullable, index=index or None))


def json_column(*, nullable: bool = True) -> Any:
    """JSON; NULL unless said otherwise."""
    return Field(default=None, sa_column=Column(Json, nullable=nullable))
