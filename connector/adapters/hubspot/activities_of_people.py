"""Who an activity or deal is about, and all that happened with a person: read through links, never by search, which lags behind."""

from __future__ import annotations

from collections.abc import Sequence

from connector.adapters.client import Caller
from connector.adapters.hubspot.associations import read_all_links
from connector.adapters.hubspot.client import HubSpotClient
from connector.adapters.hubspot.read_by_id import read_raw
from connector.adapters.hubspot.wire.activities import read_activity
from connector.adapters.hubspot.wire.requests import ENGAGEMENTS, Api, properties_to_ask
from connector.errors import ObjectStopped
from connector.model import Activity, RecordRef

_LINKED_TO_PEOPLE = frozenset({*ENGAGEMENTS, "deals"})


def relink(client: HubSpotClient, object_name: str, ids: Sequence[str]) -> dict[str, Sequence[RecordRef]]:
    """Every id with the contacts it is linked to now, none included. {} for objects that are about nobody."""
    if object_name not in _LINKED_TO_PEOPLE:
        return {}
    links = read_all_links(client.api, client.caller(), object_name, "contacts", ids)
    return {
        record_id: tuple(RecordRef(crm="hubspot", object="contacts", id=contact) for contact in links.ids(record_id)) for record_id in ids
    }


def activities_of(client: HubSpotClient, object_name: str, ids: Sequence[str]) -> list[Activity]:
    """Every call, e-mail, meeting and task of these contacts, each with all the contacts that it is about; contacts alone are people here.

    A kind that the token may not read is left out: the pull of that kind says so. So is one that cannot be read: the pull sets it aside.
    """
    activities: list[Activity] = []
    caller = client.caller("urgent")
    for kind in ENGAGEMENTS if object_name == "contacts" else ():
        try:
            activities += _of_kind(client.api, caller, kind, ids)
        except ObjectStopped as error:
            if error.status != 403:
                raise
    return activities


def _of_kind(api: Api, caller: Caller, kind: str, ids: Sequence[str]) -> list[Activity]:
    links = read_all_links(api, caller, "contacts", kind, ids)
    linked = list(dict.fromkeys(activity for contact in ids for activity in links.ids(contact)))
    raws = read_raw(api, caller, kind, linked, properties_to_ask(kind, ()))
    about = read_all_links(api, caller, kind, "contacts", list(raws))
    read = [read_activity(kind, raw, about.ids(activity)) for activity, raw in raws.items()]
    return [activity for activity in read if isinstance(activity, Activity)]
