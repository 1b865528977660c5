"""From rows to pages of the mirror: each row as a value of the model, the unreadable ones set aside."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from connector.adapters.salesforce.streams import Value
from connector.adapters.salesforce.wire.requests import Row
from connector.adapters.set_aside import Unreadable, set_aside
from connector.model import (
    Activity,
    Campaign,
    CampaignMember,
    Cursor,
    Deal,
    DealContact,
    FieldChange,
    Owner,
    Page,
    Record,
    SetAside,
)

_NEXT_STEP = (
    "Look at the record in Salesforce; give the connector's user access to the field, and it is read with its next change."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageBuilder:
    """The pages of one object. read: a row's value; None for a row that says nothing of its own."""

    stream: str
    read: Callable[[Row], Value]

    def page(
        self,
        rows: Sequence[Row],
        cursor: Cursor,
        *,
        strange: int,
        calls: int,
        last: bool,
        full: bool,
        total: int | None = None,
        absent: Iterable[str] = (),
    ) -> Page:
        """The page. strange: how many things came that are no rows; calls: what it cost."""
        aside = [self._set_aside("", "it is no record")] * strange
        values: defaultdict[type, list[Any]] = defaultdict(list)
        for row in rows:
            try:
                value = self.read(row)
            except Unreadable as problem:
                aside.append(self._set_aside(row.get("Id"), str(problem)))
                continue
            if value is not None:
                values[type(value)].append(value)
        return Page(
            crm="salesforce",
            object=self.stream,
            cursor=cursor,
            seen=sum(map(len, values.values())) + len(aside),
            calls=calls,
            records=values[Record],
            activities=values[Activity],
            owners=values[Owner],
            changes=values[FieldChange],
            deals=values[Deal],
            deal_contacts=values[DealContact],
            campaigns=values[Campaign],
            campaign_members=values[CampaignMember],
            set_aside=aside,
            total=total,
            last=last,
            full=full,
            absent=frozenset(absent),
        )

    def _set_aside(self, record_id: Any, reason: str) -> SetAside:
        why = f"salesforce sent a {self.stream} that cannot be read: {reason}"
        name = record_id if isinstance(record_id, str) else ""
        return set_aside("salesforce", self.stream, name, reason=why, next_step=_NEXT_STEP)


def empty_page(object_name: str, cursor: Cursor, calls: int) -> Page:
    """The one page of an object of which nothing is read."""
    return Page(crm="salesforce", object=object_name, cursor=cursor, seen=0, calls=calls, last=True)
