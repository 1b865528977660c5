"""Whether this account's HubSpot compares record ids as numbers, asked once an object.

Nothing of HubSpot's says whether `hs_object_id` is ordered as a number or as text (github.com/airbytehq/airbyte/pull/80744 supposes text),
and windows of ids are right in one case only. So nobody here believes either: a search proves it.
"""

from __future__ import annotations

from threading import Lock

from connector.adapters.client import Caller
from connector.adapters.hubspot.wire.records import read_total
from connector.adapters.hubspot.wire.requests import BEYOND, Api, Span


class Order:
    """Remembers what was proved. Threads may share it."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._proved: dict[str, bool] = {}
        self._lock = Lock()

    def numeric(self, object_name: str, caller: Caller) -> bool | None:
        """Whether ids are compared as numbers: two searches the first time. None while there is no record to prove it by.

        Proved where no record lies beyond every id, although there are records.
        """
        with self._lock:
            known = self._proved.get(object_name)
        if known is not None:
            return known
        if self._total(object_name, BEYOND, caller):
            proved = False
        elif self._total(object_name, Span(first=0), caller):
            proved = True
        else:
            return None
        with self._lock:
            self._proved[object_name] = proved
        return proved

    def count(self, object_name: str, first: int, last: int, caller: Caller) -> int:
        """How many records have ids from `first` to `last`, both included: one search, which is right where ids are `numeric`."""
        return self._total(object_name, Span(first=first, last=last), caller)

    def _total(self, object_name: str, span: Span, caller: Caller) -> int:
        return caller.ask(self._api.search(object_name, ["hs_object_id"], [span], limit=1), read_total)
