"""Since when and until when an activity or a deal was about whom: links that began after their activity was first seen, and that ended.

The tables of links hold the present ones alone. What a first read brings is as old as its activity or deal and leaves no row here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, select

from connector.model import CRM_FACTS
from connector.store.bulk import chunks, find, plain, put
from connector.store.tables import metadata, to_micros

_CHANGE = metadata.tables["link_change"]
_COLUMNS = ("crm", "object", "id", "source", "record_object", "record_id", "number", "linked", "role", "at", "seen_at")
_KEY = _COLUMNS[1:6]


class Linked(NamedTuple):
    """One end of a link: what told so (see `deal_link`; "" of an activity), and the person's record."""

    source: str
    record_object: str
    record_id: str


#: The links of activities or deals of one object, by id, with the person's role.
Links = Mapping[str, Mapping[Linked, str | None]]


@dataclass(frozen=True, slots=True)
class LinkSpan:
    """since: None where it is as old as its activity or deal; until: None while it lasts. Moments by the CRM's word, else when seen."""

    linked: Linked
    role: str | None
    since: datetime | None
    until: datetime | None


def activity_links(connection: Connection, crm: str, object_name: str, ids: Collection[str]) -> dict[str, dict[Linked, str | None]]:
    """The present links of these activities."""
    links: dict[str, dict[Linked, str | None]] = {row_id: {} for row_id in ids}
    for row_id, *record in find(connection, "activity_link", ("id", "record_object", "record_id"), ids, crm=crm, object=object_name):
        links[row_id][Linked("", *record)] = None
    return links


def deal_links(connection: Connection, crm: str, ids: Collection[str]) -> dict[str, dict[Linked, str | None]]:
    """The present links of these deals."""
    links: dict[str, dict[Linked, str | None]] = {row_id: {} for row_id in ids}
    names = ("deal_id", "role", "source", "record_object", "record_id")
    for row_id, role, *linked in find(connection, "deal_link", names, ids, by="deal_id", crm=crm):
        links[row_id][Linked(*linked)] = role
    return links


@contextmanager
def deal_links_noted(
    connection: Connection, crm: str, ids: Iterable[str], now: datetime, moments: Mapping[str, int | None] | None = None
) -> Iterator[None]:
    """Notes what the block does to the links of these deals. moments: of the changes by the CRM's word, in microseconds, where it tells."""
    deals = sorted(set(ids))
    before = deal_links(connection, crm, deals)
    yield
    note(connection, crm, CRM_FACTS[crm].deals, (before, deal_links(connection, crm, deals)), now, moments)  # type: ignore[index]


def note(
    connection: Connection, crm: str, object_name: str, links: tuple[Links, Links], now: datetime, moments: Mapping[str, int | None] | None
) -> None:
    """Notes what differs between the links before and after; ids that are not among those before are new, and leave no row."""
    before, after = links
    told = moments if moments is not None and CRM_FACTS[crm].links_are_fields else {}  # type: ignore[index]
    changes: list[dict[str, Any]] = []
    for row_id, had in before.items():
        has = after.get(row_id, {})
        ended = [(linked, role, False) for linked, role in sorted(had.items(), key=itemgetter(0)) if (linked, role) not in has.items()]
        begun = [(linked, role, True) for linked, role in sorted(has.items(), key=itemgetter(0)) if (linked, role) not in had.items()]
        for linked, role, is_linked in (*ended, *begun):  # another role is another stay
            change = {"crm": crm, "object": object_name, "id": row_id, **linked._asdict(), "linked": is_linked, "role": role}
            changes.append({**change, "at": told.get(row_id), "seen_at": to_micros(now)})
    if not changes:
        return
    last = _last_numbers(connection, crm, object_name, {change["id"] for change in changes})
    for change in changes:
        key = tuple(change[name] for name in _KEY)
        change["number"] = last[key] = last.get(key, 0) + 1
    put(connection, "link_change", changes, _COLUMNS)


def _last_numbers(connection: Connection, crm: str, object_name: str, ids: Collection[str]) -> dict[tuple[str, ...], int]:
    table = plain("link_change")
    keys = [table.c[name] for name in _KEY]
    last: dict[tuple[str, ...], int] = {}
    for piece in chunks(sorted(ids)):
        numbers = select(*keys, func.max(table.c.number)).where(table.c.crm == crm, table.c.object == object_name, table.c.id.in_(piece))
        last |= {tuple(row[:-1]): row[-1] for row in connection.execute(numbers.group_by(*keys))}
    return last


def link_spans(connection: Connection, crm: str, object_name: str, ids: Collection[str]) -> dict[str, list[LinkSpan]]:
    """All links that these activities or deals have or had, each stay by itself, by id."""
    is_deal = object_name == CRM_FACTS[crm].deals  # type: ignore[index]
    present = deal_links(connection, crm, ids) if is_deal else activity_links(connection, crm, object_name, ids)
    changes: defaultdict[str, defaultdict[Linked, list[Any]]] = defaultdict(lambda: defaultdict(list))
    of_object = (_CHANGE.c.crm == crm, _CHANGE.c.object == object_name, _CHANGE.c.id.in_(sorted(ids)))
    for row in connection.execute(select(_CHANGE).where(*of_object).order_by(_CHANGE.c.id, _CHANGE.c.number)):
        changes[row.id][Linked(row.source, row.record_object, row.record_id)].append(row)
    return {
        row_id: [
            span for linked in sorted({*present[row_id], *changes[row_id]}) for span in _spans(linked, present, row_id, changes[row_id])
        ]
        for row_id in sorted(ids)
    }


def _spans(linked: Linked, present: Links, row_id: str, changes: Mapping[Linked, list[Any]]) -> Iterator[LinkSpan]:
    since: datetime | None = None
    begun = True  # as old as the activity, unless its first change says otherwise
    for place, row in enumerate(changes.get(linked, ())):
        at = row.at or row.seen_at
        if row.linked:
            since, begun = at, True
        elif begun or place == 0:
            yield LinkSpan(linked, row.role, since, at)
            begun = False
    if linked in present[row_id]:
        yield LinkSpan(linked, present[row_id][linked], since, None)
