"""How many calls a first read needs at least, each stream in the way in which it is read.

HubSpot. A list brings 100 records a call, a search 200; the associations of 1,000 records come in one. Contacts and companies are read from
both ends, by list and by search, so that the formula takes as given how many list pages there were: the search has to bring the rest.
Beside them stand: one probe that the search goes by number, one count where the two meet, one look at the stream's end by either. Where a
stream has fewer than 2,000 records, the list reads all of it, after one search that told so. Activities name their contacts in the list; a
deal's companies are read apart, its stages once. Owners: one list of those who are there and one of those who were. Histories of contacts
come 50 a call, for those in which something watched changed; of a first read, for those that come rejected into a running sale.

Salesforce. REST brings 2,000 rows a call; a bulk job needs `wire_bulk.calls`, after the one page of REST that tells how many rows there
are. Each stream takes what costs less.
"""

from __future__ import annotations

from collections.abc import Mapping

from connector.adapters.hubspot.wire import requests as hubspot
from connector.adapters.salesforce.streams import STREAMS
from connector.adapters.salesforce.wire import bulk as wire_bulk

#: Rows of one page of REST.
REST_PAGE = 2_000
_WORTH_TWO_CHAINS = 2_000
#: The probe, and the count at the meeting.
_PROOFS = 2


def ceil(count: int, size: int) -> int:
    """How many pieces of this size."""
    return -(-count // size)


def needed(sizes: Mapping[str, Mapping[str, int]], lists: Mapping[str, int], *, watched: int = 0) -> dict[str, dict[str, int]]:
    """CRM → stream → calls. sizes: records by CRM and object; lists: how many list pages of HubSpot's contacts and companies there were;
    watched: how many contacts' histories are read.
    """
    hubspots = {stream: _hubspot(stream, sizes["hubspot"][stream], lists.get(stream, 0)) for stream in hubspot.STREAMS}
    hubspots["contacts"] += ceil(watched, hubspot.HISTORY_LIMIT)
    return {
        "hubspot": hubspots,
        "salesforce": {stream: salesforce(stream, sizes["salesforce"][stream]) for stream in STREAMS},
    }


def _hubspot(stream: str, count: int, listed: int) -> int:
    if stream == "owners":
        return 2
    if stream in ("contacts", "companies"):
        companies = ceil(count, hubspot.ASSOCIATION_LIMIT) if stream == "contacts" else 0
        return _two_chains(count, listed) + companies
    pages = max(1, ceil(count, hubspot.LIST_LIMIT))
    return pages + (1 + ceil(count, hubspot.ASSOCIATION_LIMIT) if stream == "deals" else 0)


def _two_chains(count: int, listed: int) -> int:
    if count <= hubspot.LIST_LIMIT:
        return 1
    if count < _WORTH_TWO_CHAINS:
        return ceil(count, hubspot.LIST_LIMIT) + 1
    rest = max(0, count - listed * hubspot.LIST_LIMIT)
    return listed + ceil(rest, hubspot.SEARCH_LIMIT) + _PROOFS


def salesforce(stream: str, count: int) -> int:
    """One stream of Salesforce."""
    if stream == "Group":
        return 1
    by_rest = max(1, ceil(count, REST_PAGE))
    return min(by_rest, 1 + wire_bulk.calls(count - REST_PAGE)) if count > REST_PAGE else by_rest


def by_job(count: int) -> bool:
    """Whether a stream of Salesforce with so many rows is read by a bulk job."""
    return count > REST_PAGE and ceil(count - REST_PAGE, REST_PAGE) > wire_bulk.calls(count - REST_PAGE)
