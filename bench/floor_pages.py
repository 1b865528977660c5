"""The least that committing pages could cost: the same records and activities as rows, one upsert of the same columns a page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import floor_connect
import floor_pull
import orjson
from bases import Base
from floor_connect import Put, Row
from world import NOW

from connector.model import Activity, Page, Record
from connector.store.tables import to_micros

_EMAIL = {"contacts": "email", "Lead": "Email"}


class PlainPages:
    """A database into which pages go as they are: no check, no fingerprint, no comparison, no cursor."""

    def __init__(self, base: Base) -> None:
        self._database: Put = floor_connect.opened(base.url, floor_pull.KEYS)

    def put(self, page: Page) -> None:
        """The page in one transaction."""
        if page.records:
            self._database.put(("record", floor_pull.RECORD, [_record(each) for each in page.records]))
        if page.activities:
            rows = [_activity(each) for each in page.activities]
            links = [link for each in page.activities for link in _links(each)]
            self._database.put(("activity", floor_pull.ACTIVITY, rows), ("activity_link", floor_pull.LINK, links))

    def close(self) -> None:
        """Closes it."""
        self._database.close()


def _record(each: Record) -> Row:
    email = each.properties.get(_EMAIL.get(each.object, ""))
    first = (each.crm, each.object, each.id, orjson.dumps(each.properties).decode(), floor_pull.DIGEST)
    moments = (_micros(each.created_at), _micros(each.modified_at), to_micros(NOW))
    return (*first, *moments, each.owner_id, each.company_id, None, None, None, email, 0, 1)


def _activity(each: Activity) -> Row:
    first = (each.crm, each.object, each.id, floor_pull.DIGEST, each.kind.value, _micros(each.at), each.direction, each.happened)
    second = (each.automatic, each.channel, each.owner_id, each.outcome, each.duration_seconds, _micros(each.due_at), each.done, each.key)
    return (*first, *second, _micros(each.created_at), _micros(each.modified_at), each.archived)


def _links(each: Activity) -> Iterator[Row]:
    for about in each.contacts:
        yield (each.crm, each.object, each.id, about.object, about.id, None, each.kind.value, _micros(each.at), 1)


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else to_micros(moment)

