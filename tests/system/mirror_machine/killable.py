"""A CRM that can be ended between any two pages, as a killed process would be, and that keeps account of what its pages bring."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from connector.model import Cursor, Page


class Killed(BaseException):
    """The process is gone."""


class Killable:
    """Passes everything on to a CRM. left: pages until the process is killed, None: never; seen: by stream."""

    def __init__(self, crm: Any) -> None:
        self._crm = crm
        self._lock = threading.Lock()
        self.left: int | None = None
        self.seen: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._crm, name)

    def _step(self) -> None:
        with self._lock:
            if self.left is not None:
                self.left -= 1
                if self.left < 0:
                    raise Killed

    def pull(self, stream: str, cursor: Cursor | None, **more: Any) -> Iterator[Page]:
        """The CRM's, page by page."""
        pages = self._crm.pull(stream, cursor, **more)
        try:
            for page in pages:
                self._step()
                self._note(stream, page)
                yield page
                self._step()
        finally:
            pages.close()

    def removals(self, object_name: str, cursor: Cursor | None, **more: Any) -> Iterator[Any]:
        """The CRM's, page by page."""
        for page in self._crm.removals(object_name, cursor, **more):
            self._step()
            yield page
            self._step()

    def _note(self, stream: str, page: Page) -> None:
        """The page's own account: what it says it saw is what it brings, and what it sets aside."""
        lists = (
            page.records, page.activities, page.owners, page.changes, page.deals, page.deal_contacts, page.campaigns,
            page.campaign_members, page.set_aside,
        )  # fmt: skip
        assert page.seen == sum(map(len, lists)), f"{page.crm} {stream}: {page.seen} seen, {[len(each) for each in lists]} brought"
        with self._lock:
            self.seen[stream] = self.seen.get(stream, 0) + page.seen
