"""Who an activity or deal is about, and all that happened with a person: read through links, never by search, which lags behind."""

from __future__ import annotations

from collections.abc import Sequence

from connector.adapters.client import Caller
from connector.adapters.hubspot.associations import read_all_links
from connector.adapters.hubspot.read_by_id import read_raw
from connector.adapters.hubspot.wire.activities import read_activity
from connector.adapters.hubspot.wire.requests import ENGAGEMENTS, Api, properties_to_ask
from connector.errors import ObjectStopped
from connector.model import Activity, RecordRef

_LINKED_TO_PEOPLE = frozenset({*ENGAGEMENTS, "deals"})


def relink(api: Api, caller: Caller, object_name: str, ids: Sequence[str]) -> dict[str, Sequence[RecordRef]]:
    """Every id with the contacts it is linked to now, none included. {} for objects that are about nobody."""
    if object_name not in _LINKED_TO_PEOPLE:
        return {}
    links = read_all_links(api, caller, object_name, "contacts", ids)
    return {each: tuple(RecordRef(crm="hubspot", object="contacts", id=contact) for contact in links.ids(each)) for each in ids}


def activities_of(api: Api, caller: Caller, ids: Sequence[str]) -> list[Activity]:
    """Every call, e-mail, meeting and task of these contacts, each with all the contacts that it is about.

    A kind that the token may not read is left out: the pull of that kind says so. So is one that cannot be read: the pull sets it aside.
    """
    found: list[Activity] = []
    for kind in ENGAGEMENTS:
        try:
            found += _of_kind(api, caller, kind, ids)
        except ObjectStopped as error:
            if error.status != 403:
                raise
    return found


def _of_kind(api: Api, caller: Caller, kind: str, ids: Sequence[str]) -> list[Activity]:
    links = read_all_links(api, caller, "contacts", kind, ids)
    linked = list(dict.fromkeys(activity for contact in ids for activity in links.ids(contact)))
    raws = read_raw(api, caller, kind, linked, properties_to_ask(kind, ()))
    about = read_all_links(api, caller, kind, "contacts", list(raws))
    read = [read_activity(kind, raw, about.ids(activity)) for activity, raw in raws.items()]
    return [each for each in read if isinstance(each, Activity)]
