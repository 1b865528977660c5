"""Activities with several people: WhoId names the first alone, a relation of the activity names all of them.

Only rows that say so (WhoCount) cost calls, some hundreds of them one; orgs without Shared Activities have none. Whoever is added to a Task
or Event, or taken away, is seen with the next change of the activity itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from connector.adapters.client import Caller
from connector.adapters.salesforce.client import rows_of
from connector.adapters.salesforce.wire import query as wire_query
from connector.adapters.salesforce.wire import records as wire_records
from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.salesforce.wire.requests import Row


def with_everyone(caller: Caller, object_name: str, rows: Sequence[Row]) -> Sequence[Row]:
    """The rows of an object; Tasks and Events of several people with all of them under `wire_records.PEOPLE`."""
    shared = [str(row.get("Id")) for row in rows if object_name in wire_records.RELATIONS and wire_records.is_shared(row)]
    if not shared:
        return rows
    people: defaultdict[str, list[str]] = defaultdict(list)
    for activity, person in _relations(caller, object_name, "activity", shared):
        people[wire.same(activity)].append(person)
    named = ((row, people.get(wire.same(str(row.get("Id"))))) for row in rows)
    return [{**row, wire_records.PEOPLE: persons} if persons else row for row, persons in named]


def activities_with(caller: Caller, object_name: str, people: Sequence[str]) -> list[str]:
    """The ids of Tasks or Events that these people have a part in, in whichever place."""
    return list(dict.fromkeys(activity for activity, _ in _relations(caller, object_name, "person", people)))


def _relations(caller: Caller, object_name: str, by: str, ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    relation = wire_records.RELATIONS[object_name]
    field = relation.activity if by == "activity" else relation.person
    for soql in wire_query.by_values(relation.object, ("Id", relation.activity, relation.person), field, ids):
        for row in rows_of(caller, soql, about=f"reading who has a part in {object_name}", all_rows=True):
            activity, person = row.get(relation.activity), row.get(relation.person)
            if isinstance(activity, str) and isinstance(person, str):
                yield activity, person
