"""How the contract reads and writes through a subject: a pull to its end, a pull gone on with, the writes of a test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from connector.adapters.port import Crm
from connector.errors import CrmError
from connector.model import Cursor, FieldWrite, Page, TaskSpec, TaskWrite
from tests.contract.subjects import SalesforceSubject, Subject

T = TypeVar("T")


@dataclass(slots=True)
class Read:
    """What pages brought, in their order."""

    pages: list[Page]

    @property
    def ids(self) -> list[str]:
        return [one.id for page in self.pages for one in things(page)]

    @property
    def live(self) -> set[str]:
        """What lives, as it was brought last."""
        last = {one.id: one for page in self.pages for one in things(page)}
        return {one.id for one in last.values() if not getattr(one, "archived", False)}

    @property
    def cursor(self) -> Cursor:
        return self.pages[-1].cursor

    @property
    def calls(self) -> int:
        return sum(page.calls for page in self.pages)


def things(page: Page) -> list[Any]:
    lists = (
        page.records,
        page.activities,
        page.owners,
        page.changes,
        page.deals,
        page.deal_contacts,
        page.campaigns,
        page.campaign_members,
    )
    return [one for each in lists for one in each]


def read(crm: Crm, stream: str, cursor: Cursor | None, now: Any) -> Read:
    """One pull to its end; the pages add up."""
    pages = list(crm.pull(stream, cursor, now=now))
    add_up(crm, stream, pages)
    assert [page.last for page in pages] == [False] * (len(pages) - 1) + [True]
    return Read(pages)


def add_up(crm: Crm, stream: str, pages: Sequence[Page]) -> None:
    for page in pages:
        assert (page.crm, page.object) == (crm.name, stream)
        assert page.seen == len(things(page)) + len(page.set_aside)


def read_on(crm: Crm, stream: str, cursor: Cursor | None, now: Any, *, tries: int = 40) -> Read:
    """Pulls again and again, each from the last page's cursor, until one comes to its end."""
    pages: list[Page] = []
    for _ in range(tries):
        try:
            for page in crm.pull(stream, cursor, now=now):
                pages.append(page)
                cursor = page.cursor
            add_up(crm, stream, pages)
            assert pages[-1].last
            return Read(pages)
        except CrmError:
            continue
    raise AssertionError(f"{tries} pulls did not come to their end")


def whole(subject: Subject) -> Cursor:
    """The cursor after a first read of the people, and what it said of itself."""
    return read(subject.crm, subject.people, None, subject.now).cursor


def changed(subject: Subject, cursor: Cursor) -> Read:
    """The next pull, once the lags are over."""
    subject.later()
    return read(subject.crm, subject.people, cursor, subject.now)


def some(subject: Subject, count: int, *, first: int = 0) -> list[str]:
    """People that may be changed: no converted Leads among them."""
    if isinstance(subject, SalesforceSubject):
        return sorted(one for one, row in subject.box.salesforce.live("Lead").items() if not row.get("IsConverted"))[first : first + count]
    return sorted(subject.live(subject.people))[first : first + count]


def again(ask: Callable[[], T]) -> T:
    """Asks until it is answered: in memory nothing tries again by itself."""
    for _ in range(3):
        with suppress(CrmError):
            return ask()
    return ask()


def field_writes(subject: Subject, ids: Sequence[str], words: str) -> list[FieldWrite]:
    return [FieldWrite(record=subject.ref(one), properties={subject.words: words}) for one in ids]


def task_write(subject: Subject, one: str, key: str) -> TaskWrite:
    due = subject.now + timedelta(days=1)
    task = TaskSpec(purpose="call", subject=key, body="Bitte anrufen", due_at=due, priority="high", type="call", owner_id=None)
    return TaskWrite(key=key, record=subject.ref(one), task=task)
