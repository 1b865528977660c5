"""What records are linked to, read apart from them: whole, however many links one record has."""

from __future__ import annotations

from collections.abc import Sequence

from connector.adapters.client import Caller
from connector.adapters.hubspot.wire.records import AssociatedIds, read_links
from connector.adapters.hubspot.wire.requests import ASSOCIATION_LIMIT, Api, batches
from connector.errors import ObjectStopped


def read_all_links(api: Api, caller: Caller, from_object: str, to_object: str, ids: Sequence[str]) -> AssociatedIds:
    """The links of any number of records."""
    whole = AssociatedIds()
    for batch in batches(ids, ASSOCIATION_LIMIT):
        starts: list[tuple[str, str | None]] = [(record, None) for record in batch]
        while starts:
            part = caller.ask(api.associations(from_object, to_object, starts), read_links)
            for from_id, ends in part.to.items():
                whole.to.setdefault(from_id, []).extend(ends)
            if part.unfinished == starts:
                raise stuck(f"the associations of {from_object}")
            starts = part.unfinished
    return whole


def stuck(name: str) -> ObjectStopped:
    """The error of an answer that comes again and again, so that a pull would never end."""
    return ObjectStopped(
        f"HubSpot answers the same page of {name} again and again",
        crm="hubspot",
        code="STUCK",
        advice="The next pass tries again from here; if it lasts, contact HubSpot's support.",
    )
