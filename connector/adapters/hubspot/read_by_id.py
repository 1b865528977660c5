"""Records by id, as they are now: never by search, which lags behind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connector.adapters.client import Caller, Lane
from connector.adapters.hubspot.client import HubSpotClient
from connector.adapters.hubspot.pages import PageBuilder, RawRecords
from connector.adapters.hubspot.wire.errors import code_of
from connector.adapters.hubspot.wire.records import Listing, read_listing, read_record
from connector.adapters.hubspot.wire.requests import BATCH_LIMIT, Api, batches, properties_to_ask
from connector.adapters.hubspot.wire.values import record_id
from connector.errors import ObjectStopped
from connector.model import Page, Record


def read_raw(api: Api, caller: Caller, object_name: str, ids: Sequence[str], properties: Sequence[str]) -> dict[str, Any]:
    """Records as they come, by id. Those that do not exist are left out: batch/read answers 207 and names them as errors."""
    found: dict[str, Any] = {}
    for batch in batches(ids, BATCH_LIMIT):
        listing = caller.ask(api.batch_read(object_name, batch, properties), read_listing)
        only_missing(listing)
        # A record merged into another is answered with the survivor's id: of that nobody asked here.
        found |= {record_id(raw): raw for raw in listing.results if record_id(raw) in batch}
    return found


def only_missing(listing: Listing) -> None:
    """Raises `ObjectStopped` where some records could not be read for another reason than that they are not there."""
    other = next((code_of(error) for error in listing.errors if code_of(error) != "OBJECT_NOT_FOUND"), None)
    if other is not None:
        raise ObjectStopped(
            f"HubSpot could not read some records by id ({other or 'no category'})",
            crm="hubspot",
            code=other,
            advice="The next pass tries again; if it lasts, contact HubSpot's support.",
        )


def read_records(
    client: HubSpotClient, object_name: str, ids: Sequence[str], properties: Sequence[str], *, lane: Lane
) -> dict[str, Record]:
    """Records by id, with exactly these properties; without their company, which is an association."""
    raws = read_raw(client.api, client.caller(lane), object_name, ids, properties_to_ask(object_name, properties))
    records = {found: read_record(object_name, raw, properties) for found, raw in raws.items()}
    return {found: record for found, record in records.items() if isinstance(record, Record)}


def bring(client: HubSpotClient, object_name: str, ids: Sequence[str], wanted: Sequence[str]) -> Page:
    """Records by id, as the pull brings them: a request for 100 ids, and one for 1,000 links."""
    caller = client.caller("backfill")
    records = RawRecords()
    records.add(list(read_raw(client.api, caller, object_name, ids, properties_to_ask(object_name, wanted)).values()))
    pages = PageBuilder(api=client.api, caller=caller, stream=object_name, wanted=wanted)
    return pages.page(records, {}, calls=caller.count, last=False, full=False)
