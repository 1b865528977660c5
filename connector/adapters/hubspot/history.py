"""The history of properties by id: 50 records a request, since that is all that HubSpot takes with histories."""

from __future__ import annotations

from collections.abc import Sequence

from connector.adapters.client import Lane
from connector.adapters.hubspot.client import HubSpotClient
from connector.adapters.hubspot.read_by_id import only_missing
from connector.adapters.hubspot.wire.histories import read_history
from connector.adapters.hubspot.wire.records import read_listing
from connector.adapters.hubspot.wire.requests import HISTORY_LIMIT, batches
from connector.model import FieldChange, Page, SetAside


def history(client: HubSpotClient, object_name: str, ids: Sequence[str], properties: Sequence[str], *, lane: Lane) -> Page:
    """All that is told of these properties. What cannot be read of one record is set aside, the others go on."""
    caller = client.caller(lane)
    changes: list[FieldChange] = []
    aside: list[SetAside] = []
    for batch in batches(ids, HISTORY_LIMIT):
        listing = caller.ask(client.api.histories(object_name, batch, properties), read_listing)
        only_missing(listing)
        for raw in listing.results:
            found = read_history(object_name, raw, properties)
            if isinstance(found, SetAside):
                aside.append(found)
            else:
                changes += found
    return Page(
        crm="hubspot",
        object=object_name,
        cursor={},
        seen=len(changes) + len(aside),
        calls=caller.count,
        changes=changes,
        set_aside=aside,
    )
