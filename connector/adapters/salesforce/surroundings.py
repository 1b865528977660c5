"""What an org's own set-up means for rules, and how many records it holds."""

from __future__ import annotations

from collections.abc import Callable

from connector.adapters.salesforce.client import SalesforceClient, rows_of
from connector.adapters.salesforce.wire import query as wire_query
from connector.adapters.salesforce.wire import requests as wire
from connector.model import Surroundings

#: Objects whose records people open.
_OPENED = ("Lead", "Contact", "Account", "Task", "Event")


def surroundings(client: SalesforceClient, record_url: Callable[[str, str], str]) -> Surroundings:
    """The status that a new Lead has by itself, those that only a conversion gives, the connector's user, where records are opened.

    Which statuses mean "converted" is data of the org
    (https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/sforce_api_objects_leadstatus.htm).
    """
    soql = wire_query.select("LeadStatus", ("Id", "ApiName", "MasterLabel", "IsDefault", "IsConverted"))
    rows = rows_of(client.caller(), soql, about="reading LeadStatus", all_rows=False)
    named = [(row, status) for row in rows if isinstance(status := row.get("ApiName") or row.get("MasterLabel"), str)]
    default = [status for row, status in named if row.get("IsDefault") is True]
    return Surroundings(
        defaults={"Status": default[0]} if default else {},
        locked={"Status": tuple(status for row, status in named if row.get("IsConverted") is True)},
        own_users=(client.user_id,) if client.user_id else (),
        links={name: record_url(name, "{id}") for name in _OPENED},
    )


def how_many(client: SalesforceClient, object_name: str, name: str | None, value: str | None) -> int | None:
    """Live records of an object, or those that have this value of a field: a COUNT() query."""
    soql = wire_query.count(object_name, where="" if name is None else f"{name} = {wire_query.quoted(value or '')}")
    about = f"counting {object_name}"
    return wire.query_page(client.caller().call(wire.query(soql, all_rows=False, about=about)), about).total
