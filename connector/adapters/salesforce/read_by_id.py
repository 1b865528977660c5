"""Records by id, as they are now, and the fields of rows for which a query had no room."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from connector.adapters.client import Caller, Lane
from connector.adapters.salesforce.client import SalesforceClient, batches, without_lacking
from connector.adapters.salesforce.wire import records as wire_records
from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.salesforce.wire.requests import Row
from connector.model import Record


def read_records(
    client: SalesforceClient, object_name: str, ids: Sequence[str], properties: Sequence[str], *, lacking: set[str], lane: Lane
) -> dict[str, Record]:
    """Records by the ids asked for; deleted and unknown ones are left out. lacking: fields that the org has not, which grows."""

    def ask() -> dict[str, Row]:
        own = (*wire_records.RECORD_FIELDS, *wire_records.OWN_FIELDS.get(object_name, ()))
        fields = list(dict.fromkeys((*(name for name in own if name not in lacking), *properties)))
        return rows_by_id(client.caller(lane), object_name, ids, fields)

    rows = without_lacking(ask, wire_records.RECORD_OPTIONAL, lacking)
    return {asked: wire_records.record(object_name, row, properties) for asked, row in rows.items()}


def rows_by_id(caller: Caller, object_name: str, ids: Sequence[str], fields: Sequence[str]) -> dict[str, Row]:
    """Rows that exist, by the ids asked for, of whichever length they were."""
    asked = {wire.same(record_id): record_id for record_id in ids if wire.is_id(record_id)}
    rows = read_rows(caller, object_name, list(asked.values()), fields)
    named = ((wire.same(str(row.get("Id"))), row) for row in rows if row.get("IsDeleted") is not True)
    return {asked[name]: row for name, row in named if name in asked}


def read_rows(caller: Caller, object_name: str, ids: Sequence[str], fields: Sequence[str]) -> Iterator[Row]:
    """The rows that exist, as many to a request as it takes."""
    for batch in batches(ids, wire.READ_BATCH):
        request = wire.retrieve(object_name, batch, fields)
        yield from wire.retrieved(caller.call(request), request.about)


def completed(caller: Caller, object_name: str, rows: Sequence[Row], parts: Sequence[Sequence[str]]) -> Sequence[Row]:
    """Rows with the fields of these parts, read by id. What is deleted has these no more."""
    ids = [row["Id"] for row in rows if isinstance(row.get("Id"), str) and row.get("IsDeleted") is not True]
    if not parts or not ids:
        return rows
    more: defaultdict[str, dict[str, object]] = defaultdict(dict)
    for batch in batches(ids, wire.READ_BATCH):
        for part in parts:
            for row in read_rows(caller, object_name, batch, ["Id", *part]):
                more[str(row.get("Id"))].update(row)
    return [{**more.get(str(row.get("Id")), {}), **row} for row in rows]
