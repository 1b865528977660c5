"""What `connector check` must know of HubSpot: scopes, the searches that count, the marks of its own Salesforce integration. No I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from connector.adapters.client import Answer, Request
from connector.adapters.hubspot.wire.errors import dicts
from connector.adapters.hubspot.wire.records import read_listing, read_total
from connector.adapters.hubspot.wire.requests import ENGAGEMENTS, Api, from_millis
from connector.model import Permission, Uses

#: Scope → what it opens. Calls, meetings and tasks have none of their own: they go with contacts; e-mails need one besides
#: (HubSpot's OpenAPI files; https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/scopes).
_READ: Mapping[str, str] = {
    "crm.objects.contacts.read": "contacts, and calls, meetings and tasks with them",
    "crm.objects.companies.read": "the contact's primary company",
    "crm.objects.deals.read": "deals and their pipelines",
    "crm.objects.owners.read": "who owns what",
    "crm.schemas.contacts.read": "whether the properties and options of the file exist",
    "crm.schemas.companies.read": "the same, of companies",
    "sales-email-read": "e-mails",
}
WRITE_CONTACTS = "crm.objects.contacts.write"

#: The moment at which HubSpot's own Salesforce integration last touched a contact, in milliseconds since 1970: a property that exists
#: where it is installed (seen in public code that reads exports of HubSpot).
LAST_SYNC = "salesforcelastsynctime"


def permissions(uses: Uses) -> tuple[Permission, ...]:
    """The scopes that this configuration needs; whether the token has them is not known yet."""
    needed = [Permission(name=name, why=why) for name, why in _READ.items()]
    written = [*uses.written.get("contacts", ()), *(["tasks"] if uses.tasks else [])]
    if written:
        needed.append(Permission(name=WRITE_CONTACTS, why=f"to write {', '.join(written)}", to_write=True))
    return tuple(needed)


def count(api: Api, object_name: str, name: str | None = None, value: str | None = None) -> Request:
    """A search of which the total alone is of interest; with a property and a value, of the records that have it."""
    filters = [] if name is None else [{"propertyName": name, "operator": "EQ", "value": value}]
    return _search(api, object_name, filters, [], about=f"counting {object_name}")


def last_synced(api: Api) -> Request:
    """The contact that HubSpot's own integration touched last."""
    filters = [{"propertyName": LAST_SYNC, "operator": "HAS_PROPERTY"}]
    sorts = [{"propertyName": LAST_SYNC, "direction": "DESCENDING"}]
    return _search(api, "contacts", filters, sorts, about="looking for HubSpot's own Salesforce integration")


def _search(
    api: Api, object_name: str, filters: Sequence[Mapping[str, str | None]], sorts: Sequence[Mapping[str, str]], *, about: str
) -> Request:
    """https://developers.hubspot.com/docs/api-reference/search/guide: without filters it finds all."""
    body = {
        "filterGroups": [{"filters": filters}] if filters else [],
        "sorts": sorts,
        "properties": [LAST_SYNC] if sorts else [],
        "limit": 1,
    }
    path = f"{api.paths.objects}/{object_name}/search"
    return Request(method="POST", path=path, body=orjson.dumps(body), about=about, bucket="search")


@dataclass(frozen=True, slots=True)
class Synced:
    """How many contacts HubSpot's own integration has touched, and the last time it did; None: HubSpot does not say."""

    contacts: int
    last: str | None


def read_synced(answer: Answer) -> Synced:
    """Raises `Retriable` where it is no page of a search."""
    newest = next(iter(dicts(read_listing(answer).results)), {})
    properties = newest.get("properties")
    raw = properties.get(LAST_SYNC) if isinstance(properties, dict) else None
    text = str(raw or "")
    moment = from_millis(int(text)).isoformat() if text.isdecimal() and len(text) < 15 else text or None
    return Synced(read_total(answer), moment)


def first_calls(object_name: str, records: int) -> int:
    """What reading all of these takes: list pages of 100, and 1,000 associations a call where a page does not bring them."""
    pages = math.ceil(records / 100)
    if object_name in (*ENGAGEMENTS, "companies"):
        return pages
    return pages + math.ceil(records / 1000)
