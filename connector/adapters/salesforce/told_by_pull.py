"""The parts of the port that Salesforce needs not: its pull tells by itself what is restored, linked anew or changed by whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from connector.adapters.client import Lane
from connector.adapters.salesforce.pages import empty_page
from connector.model import Page, RecordRef


class ToldByPull:
    """The plain answers."""

    #: None: LeadHistory and OpportunityHistory are streams of the pull.
    histories: frozenset[str] = frozenset()

    def history(self, object_name: str, ids: Sequence[str], properties: Sequence[str], *, lane: Lane = "normal") -> Page:  # noqa: ARG002
        """An empty page; see `histories`."""
        return empty_page(object_name, {}, 0)

    def tells_restored(self, object_name: str) -> bool:  # noqa: ARG002 - of every object
        """True: SystemModstamp moves when a record is undeleted, so that the pull brings it."""
        return True

    def bring(self, object_name: str, ids: Sequence[str]) -> Page:  # noqa: ARG002 - nothing is read
        """An empty page; see `tells_restored`."""
        return empty_page(object_name, {}, 0)

    def countable(self, object_name: str) -> bool:  # noqa: ARG002 - of no object
        """False: ids are no numbers."""
        return False

    def count(self, object_name: str, first: int, last: int) -> int:  # noqa: ARG002 - nothing to count by
        """0: nobody asks, see `countable`."""
        return 0

    def relink(self, object_name: str, ids: Sequence[str]) -> Mapping[str, Sequence[RecordRef]]:  # noqa: ARG002 - nothing is read
        """{}: the pull brings every new WhoId; see `shared_activities` for the others who have a part in an activity."""
        return {}
