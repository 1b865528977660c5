"""Reads HubSpot's records and tasks by id, now: never by search, which lags behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connector.adapters.client import Caller
from connector.adapters.hubspot.associations import read_all_links
from connector.adapters.hubspot.wire.activities import read_task_back
from connector.adapters.hubspot.wire.errors import code_of
from connector.adapters.hubspot.wire.records import Listing, read_listing, read_record
from connector.adapters.hubspot.wire.requests import BATCH_LIMIT, TASK_READ_BACK, Api, batches, find_marker, properties_to_ask, task_marker
from connector.adapters.hubspot.wire.values import Unreadable, properties_of, record_id, text_of
from connector.errors import ObjectStopped
from connector.model import Record, TaskWrite


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


def read_records(api: Api, caller: Caller, object_name: str, ids: Sequence[str], properties: Sequence[str]) -> dict[str, Record]:
    """Records by id, with exactly these properties; without their company, which is an association."""
    raws = read_raw(api, caller, object_name, ids, properties_to_ask(object_name, properties))
    records = {found: read_record(object_name, raw, properties) for found, raw in raws.items()}
    return {found: record for found, record in records.items() if isinstance(record, Record)}


def find_tasks(api: Api, caller: Caller, writes: Sequence[TaskWrite]) -> dict[str, str]:
    """Key → id of the tasks that exist, looked for among the tasks of the records they were made for; of two the elder."""
    keys = {task_marker(write.key): write.key for write in writes}
    ids: list[str] = []
    for object_name in sorted({write.record.object for write in writes}):
        of_object = [write.record.id for write in writes if write.record.object == object_name]
        links = read_all_links(api, caller, object_name, "tasks", of_object)
        ids += [task for record in of_object for task in links.ids(record)]
    found: dict[str, str] = {}
    for task, raw in read_raw(api, caller, "tasks", ids, ["hs_task_body"]).items():
        key = keys.get(_marker_of(raw))
        if key is not None and (key not in found or int(task) < int(found[key])):
            found[key] = task
    return found


def _marker_of(raw: Any) -> str:
    try:
        return find_marker(text_of(properties_of(raw), "hs_task_body") or "")
    except Unreadable:  # somebody else's task: ours hold nothing that cannot be read
        return ""


def read_tasks(api: Api, caller: Caller, ids: Sequence[str]) -> dict[str, Mapping[str, str | None]]:
    """Tasks by id, as `port.Crm.read_tasks` says; one that cannot be read is left out."""
    raws = read_raw(api, caller, "tasks", ids, TASK_READ_BACK)
    links = read_all_links(api, caller, "tasks", "contacts", list(raws))
    found: dict[str, Mapping[str, str | None]] = {}
    for task, raw in raws.items():
        try:
            found[task] = read_task_back(raw, links.ids(task))
        except Unreadable:
            continue
    return found
