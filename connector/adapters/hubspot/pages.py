"""From what came to a page of the mirror: records, activities or deals with what they are linked to, the unreadable ones set aside."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from connector.adapters.client import Caller
from connector.adapters.hubspot.associations import read_all_links
from connector.adapters.hubspot.wire.activities import read_activity
from connector.adapters.hubspot.wire.deals import PRIMARY_COMPANY, Stages, read_deal, read_stages
from connector.adapters.hubspot.wire.records import AssociatedIds, absent, inline_contacts, read_record
from connector.adapters.hubspot.wire.requests import ENGAGEMENTS, Api
from connector.adapters.hubspot.wire.values import record_id
from connector.model import Activity, Deal, Page, Record, SetAside

T = TypeVar("T")


@dataclass(slots=True)
class RawRecords:
    """Records as they came, by id: the last of two wins. `nameless` have no id."""

    by_id: dict[str, Any] = field(default_factory=dict)
    nameless: list[Any] = field(default_factory=list)

    def add(self, results: Sequence[Any]) -> None:
        """Takes a page of the API in."""
        for raw in results:
            found = record_id(raw)
            if found:
                self.by_id[found] = raw
            else:
                self.nameless.append(raw)

    def all(self) -> list[Any]:
        """All of them."""
        return [*self.by_id.values(), *self.nameless]

    def named(self) -> Iterator[tuple[str, Any]]:
        """All of them with their ids, "" where there is none."""
        yield from self.by_id.items()
        yield from (("", raw) for raw in self.nameless)

    def __len__(self) -> int:
        return len(self.by_id) + len(self.nameless)


@dataclass(slots=True, kw_only=True)
class PageBuilder:
    """The pages of one stream. caller: for what is read beside the records. wanted: the properties that records carry."""

    api: Api
    caller: Caller
    stream: str
    wanted: Sequence[str]
    _stages: Stages | None = field(default=None, init=False)

    def page(self, records: RawRecords, cursor: Mapping[str, Any], *, calls: int, last: bool, full: bool, total: int | None = None) -> Page:
        """The page; `calls` and those made here together are what it cost. full: from list pages, which name contacts themselves."""
        counted = self.caller.count
        raws = records.all()
        kept: list[Record] = []
        activities: list[Activity] = []
        deals: list[Deal] = []
        aside: list[SetAside] = []
        if self.stream in ENGAGEMENTS:
            contacts = self._contacts(raws, inline=full)
            _sort((read_activity(self.stream, raw, contacts(raw)) for raw in raws), activities, aside)
        elif self.stream == "deals":
            contacts, companies = self._contacts(raws, inline=full), self._links("companies", list(records.by_id))
            primary = partial(companies.primary, kind=PRIMARY_COMPANY)
            _sort((read_deal(raw, contacts(raw), primary(found), self._all_stages) for found, raw in records.named()), deals, aside)
        else:
            links = self._links("companies", list(records.by_id)) if self.stream == "contacts" else AssociatedIds()
            _sort((read_record(self.stream, raw, self.wanted, links.primary(found)) for found, raw in records.named()), kept, aside)
        return Page(
            crm="hubspot",
            object=self.stream,
            cursor=cursor,
            seen=len(raws),
            calls=calls + self.caller.count - counted,
            records=kept,
            activities=activities,
            deals=deals,
            set_aside=aside,
            total=total,
            last=last,
            full=full,
            absent=absent(raws, self.wanted),
        )

    def _contacts(self, raws: Sequence[Any], *, inline: bool) -> Callable[[Any], list[str]]:
        """Which contacts a record is about: named in a list page, unless there are more than fit; read apart after a search."""
        named = {record_id(raw): inline_contacts(raw) for raw in raws}
        to_read = [found for found, (_, more) in named.items() if found and (more or not inline)]
        if not to_read:
            return lambda raw: named[record_id(raw)][0]
        links = self._links("contacts", to_read)
        apart = set(to_read)
        return lambda raw: links.ids(record_id(raw)) if record_id(raw) in apart else named[record_id(raw)][0]

    def _links(self, to_object: str, ids: Sequence[str]) -> AssociatedIds:
        return read_all_links(self.api, self.caller, self.stream, to_object, ids)

    def _all_stages(self) -> Stages:
        if self._stages is None:
            self._stages = self.caller.ask(self.api.pipelines(self.stream), read_stages)
        return self._stages


def _sort(values: Iterable[T | SetAside], good: list[T], aside: list[SetAside]) -> None:
    for value in values:
        if isinstance(value, SetAside):
            aside.append(value)
        else:
            good.append(value)
