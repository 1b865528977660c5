"""Whether this account's HubSpot compares record ids as numbers, asked once an object.

Nothing of HubSpot's says whether `hs_object_id` is ordered as a number or as text (github.com/airbytehq/airbyte/pull/80744 supposes text),
and windows of ids are right in one case only. So neither is believed: a search proves it.
"""

from __future__ import annotations

from threading import Lock

from connector.adapters.hubspot.client import HubSpotClient
from connector.adapters.hubspot.wire.records import read_total
from connector.adapters.hubspot.wire.requests import BEYOND, SearchRange


class IdOrder:
    """What was proved of each object's ids. Threads may share it."""

    def __init__(self, client: HubSpotClient) -> None:
        self._client = client
        self._proved: dict[str, bool] = {}
        self._lock = Lock()

    def numeric(self, object_name: str) -> bool | None:
        """Whether ids are compared as numbers: two searches the first time. None while there is no record to prove it by.

        Proved where no record lies beyond every id, although there are records.
        """
        with self._lock:
            known = self._proved.get(object_name)
        if known is not None:
            return known
        if self._total(object_name, BEYOND):
            proved = False
        elif self._total(object_name, SearchRange(first=0)):
            proved = True
        else:
            return None
        with self._lock:
            self._proved[object_name] = proved
        return proved

    def count(self, object_name: str, first: int, last: int) -> int:
        """How many records have ids from `first` to `last`, both included: one search, which is right where ids are `numeric`."""
        return self._total(object_name, SearchRange(first=first, last=last))

    def _total(self, object_name: str, span: SearchRange) -> int:
        return self._client.caller("backfill").ask(self._client.api.search(object_name, ["hs_object_id"], [span], limit=1), read_total)
