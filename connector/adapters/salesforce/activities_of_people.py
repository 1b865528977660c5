"""Every activity of a few people at once, by the WhoId of Tasks and Events: how the fast lane sees a touch.

Tasks and Events that move to another person change their SystemModstamp, so that the pull brings them
(https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_task.htm: WhoId is a field of
the record). Where an org shares activities among several people, those in which one of them has another place than the first are found too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from connector.adapters.client import Caller
from connector.adapters.salesforce.client import SalesforceClient, rows_of, without_lacking
from connector.adapters.salesforce.shared_activities import activities_with, with_everyone
from connector.adapters.salesforce.streams import Stream
from connector.adapters.salesforce.wire import query as wire_query
from connector.adapters.salesforce.wire import records as wire_records
from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.salesforce.wire.requests import Row
from connector.adapters.set_aside import Unreadable
from connector.model import Activity


def activities_of(
    client: SalesforceClient, streams: Sequence[Stream], ids: Sequence[str], lacking: Mapping[str, set[str]]
) -> list[Activity]:
    """The activities of these Leads and Contacts. streams: of Task and Event; lacking: fields the org has not, which grows."""
    people = list({wire.same(record_id): record_id for record_id in ids if wire.is_id(record_id)}.values())
    caller = client.caller("urgent")
    found: list[Activity] = []
    for stream in streams:
        known = lacking[stream.object]
        found.extend(without_lacking(partial(_read, caller, stream, people, known), stream.optional, known))
    return found


def _read(caller: Caller, stream: Stream, people: Sequence[str], lacking: set[str]) -> list[Activity]:
    instead = (stream.instead.get(name, "") if name in lacking else name for name in stream.fields)
    fields = list(dict.fromkeys(name for name in instead if name))
    rows = _rows(caller, stream, fields, "WhoId", people)
    if wire_records.SHARED not in lacking:
        known = {wire.same(str(row.get("Id"))) for row in rows}
        others = [activity for activity in activities_with(caller, stream.object, people) if wire.same(activity) not in known]
        rows += _rows(caller, stream, fields, "Id", others)
    found: list[Activity] = []
    for row in with_everyone(caller, stream.object, rows):
        try:
            value = stream.read(row)
        except Unreadable:
            continue  # the pull sets it aside, and says so
        if isinstance(value, Activity):
            found.append(value)
    return found


def _rows(caller: Caller, stream: Stream, fields: Sequence[str], field: str, values: Sequence[str]) -> list[Row]:
    queries = wire_query.by_values(stream.object, fields, field, values, where="IsDeleted = false")
    about = f"reading {stream.object} of people"
    return [row for soql in queries for row in rows_of(caller, soql, about=about, all_rows=True)]
