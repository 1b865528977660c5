"""HubSpot on the wire, without I/O: which requests there are. Every path stands behind one table of versions.

Answers are judged in `errors`, read in `records`; writes are in `writes`. Each fact has its source beside it: a page of
developers.hubspot.com, HubSpot's OpenAPI files (github.com/HubSpot/HubSpot-public-api-spec-collection), or the thread where it was seen.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote

import orjson

from connector.adapters.client import Bucket, Request

#: What is pulled, owners and companies before those that refer to them.
STREAMS = ("owners", "companies", "contacts", "deals", "calls", "emails", "meetings", "tasks")
ENGAGEMENTS = ("calls", "emails", "meetings", "tasks")
#: What has several contacts, named in its list pages.
WITH_CONTACTS = (*ENGAGEMENTS, "deals")

# https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/basic/get-crm-v3-objects-contacts: `limit` is at most 100.
LIST_LIMIT = 100
# https://developers.hubspot.com/docs/api-reference/search/guide: at most 200 a page. Deeper than 10,000 results is 400: nobody here goes
# there, each page begins at the moment where the last one ended.
SEARCH_LIMIT = 200
# https://developers.hubspot.com/docs/guides/api/crm/using-object-apis: 100 inputs in a batch of create, read or update.
BATCH_LIMIT = 100
# With property histories 50: "The maximum number of inputs supported in a batch request for property histories is 50" (a 400, seen in
# github.com/PipedreamHQ/pipedream/pull/8462).
HISTORY_LIMIT = 50
# https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide: batch/read takes 1,000 inputs.
ASSOCIATION_LIMIT = 1000
# https://developers.hubspot.com/docs/api-reference/crm-crm-owners-v3/guide: default 100.
OWNERS_LIMIT = 100

# https://developers.hubspot.com/docs/guides/api/crm/understanding-the-crm#object-type-ids, for addresses of the user interface.
OBJECT_TYPE_IDS = {
    "contacts": "0-1", "companies": "0-2", "deals": "0-3", "tasks": "0-27", "meetings": "0-47", "calls": "0-48", "emails": "0-49",
}  # fmt: skip

# The wrong name gives no rows and no error (github.com/airbytehq/airbyte/pull/85019): contacts alone go by `lastmodifieddate`.
_MODIFIED = {"contacts": "lastmodifieddate"}
_OWNER = "hubspot_owner_id"

# hs_merged_object_ids: what was merged into this record, "id;id" (HubSpot's own property of contacts, companies and deals:
# https://knowledge.hubspot.com/properties/hubspots-default-deal-properties, "Merged Deal IDs");
# hs_additional_emails: a contact's further addresses, "a;b". Deals: https://developers.hubspot.com/docs/guides/api/crm/objects/deals;
# hs_is_closed and hs_is_closed_won are calculated from the stage.
_RECORD_PROPERTIES: Mapping[str, tuple[str, ...]] = {
    "contacts": ("hs_merged_object_ids", "hs_additional_emails"),
    "companies": ("hs_merged_object_ids",),
    "deals": (
        "dealstage", "pipeline", "amount", "deal_currency_code", "createdate", "closedate", "hs_is_closed", "hs_is_closed_won",
        "hs_merged_object_ids",
    ),
}  # fmt: skip
# https://developers.hubspot.com/docs/guides/api/crm/engagements/engagement-details and the guides of calls, email, meetings and tasks
# beside it. Names that an account does not have are ignored when reading.
_ENGAGEMENT_PROPERTIES: Mapping[str, tuple[str, ...]] = {
    "calls": ("hs_timestamp", "hs_call_direction", "hs_call_disposition", "hs_call_duration", "hs_call_status"),
    "emails": ("hs_timestamp", "hs_email_direction", "hs_email_status", "hs_sequence_id", "hs_object_source"),
    "meetings": ("hs_timestamp", "hs_meeting_start_time", "hs_meeting_end_time", "hs_meeting_outcome"),
    "tasks": ("hs_timestamp", "hs_task_body", "hs_task_status", "hs_task_type", "hs_task_completion_date"),
}
#: The recycle bin of these cannot be listed: 400 "Paging through deleted objects is not yet supported for object type 0-47 (MEETING_EVENT)"
#: (seen live). Other objects are found out when they answer so.
NO_ARCHIVED_LISTING = frozenset({"meetings"})
#: Objects whose records can be merged (HubSpot's OpenAPI files: POST …/{object}/merge): the survivor answers to the old ids.
MERGEABLE = frozenset({"companies", "contacts", "deals"})
#: What the read-back of a task looks at.
TASK_READ_BACK = ("hs_task_subject", "hs_task_body", "hs_timestamp", _OWNER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Where each family of the API lies in one version."""

    objects: str
    properties: str
    associations: str
    owners: str
    account: str
    pipelines: str
    token: str = "/oauth/v2/private-apps/get/access-token-info"  # noqa: S105 - a path


# The dated segment comes after the family, so that it is no prefix to swap (HubSpot's OpenAPI files of 2026-09; 2026-03: HubSpot's SDKs of
# that version, github.com/HubSpot/hubspot-sdk-typescript). v1 to v4 end in 2027 (https://developers.hubspot.com/changelog); the official
# client 12 speaks v3 and v4 only. What a private app's token or a service key may do lies outside the versions.
def _dated(version: str) -> Paths:
    return Paths(
        objects=f"/crm/objects/{version}",
        properties=f"/crm/properties/{version}",
        associations=f"/crm/associations/{version}",
        owners=f"/crm/owners/{version}",
        account=f"/account-info/{version}/details",
        pipelines=f"/crm/pipelines/{version}",
    )


VERSIONS: Mapping[str, Paths] = {
    "v3": Paths(
        objects="/crm/v3/objects",
        properties="/crm/v3/properties",
        associations="/crm/v4/associations",
        owners="/crm/v3/owners",
        account="/account-info/v3/details",
        pipelines="/crm/v3/pipelines",
    ),
    "2026-03": _dated("2026-03"),
    "2026-09": _dated("2026-09"),
}


def modified_property(object_name: str) -> str:
    """The property that holds when a record of this object was last modified."""
    return _MODIFIED.get(object_name, "hs_lastmodifieddate")


def properties_to_ask(object_name: str, wanted: Sequence[str]) -> list[str]:
    """`wanted` and what the adapter itself needs, each once."""
    own = _ENGAGEMENT_PROPERTIES.get(object_name) or _RECORD_PROPERTIES.get(object_name, ())
    return list(dict.fromkeys([*wanted, *own, _OWNER, modified_property(object_name)]))


def fits_an_address(properties: Sequence[str]) -> bool:
    """Whether so many names may stand in a query: 414 comes from about 15,000 characters on (github.com/airbytehq/airbyte)."""
    return len(quote(",".join(properties))) <= _LONGEST_QUERY


_LONGEST_QUERY = 12_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_millis(moment: datetime) -> int:
    """Whole milliseconds since 1970, rounded down: HubSpot's clock."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def from_millis(millis: int) -> datetime:
    """The moment, UTC."""
    return _EPOCH + timedelta(milliseconds=millis)


def task_marker(key: str) -> str:
    """The mark that a task with this key carries in its body: HubSpot has no external ids on tasks. 34 characters."""
    return f"connector/{hashlib.blake2b(key.encode(), digest_size=12).hexdigest()}"


_MARKER = re.compile(r"\bconnector/[0-9a-f]{24}\b")


def find_marker(body: str) -> str:
    """The mark in a task's body, wherever people moved it and whatever HTML stands around it; "" where there is none."""
    found = _MARKER.findall(body)
    return found[-1] if found else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRange:
    """What a search looks at. since, until: last modified, in milliseconds since 1970; first, last: ids; all included. above, below: ids,
    not included. None: no bound.
    """

    since: int | None = None
    until: int | None = None
    first: int | str | None = None
    last: int | str | None = None
    above: int | str | None = None
    below: int | str | None = None


#: Beyond every id that HubSpot has given out, within 64 bit. As text nearly every id lies between the two.
BEYOND = SearchRange(first=10**15, last=10**18 - 1)


def batches(ids: Sequence[str], size: int) -> list[list[str]]:
    """The ids, each once, in their order, at most `size` together."""
    once = list(dict.fromkeys(ids))
    return [once[start : start + size] for start in range(0, len(once), size)]


class Api:
    """Builds every request of one version."""

    def __init__(self, version: str = "v3") -> None:
        self.paths = VERSIONS[version]

    def list_page(self, object_name: str, properties: Sequence[str], after: str | None) -> Request:
        """One page of all records, in the order of their ids; engagements and deals with their contacts."""
        query = {"limit": str(LIST_LIMIT), "properties": ",".join(properties), "archived": "false"}
        if object_name in WITH_CONTACTS:
            query["associations"] = "contacts"
        if after is not None:
            query["after"] = after
        return Request(method="GET", path=f"{self.paths.objects}/{object_name}", query=query, about=f"reading {object_name}")

    def search(
        self,
        object_name: str,
        properties: Sequence[str],
        spans: Sequence[SearchRange],
        *,
        by: Literal["modified", "id"] = "id",
        down: bool = False,
        limit: int = SEARCH_LIMIT,
    ) -> Request:
        """The first records of any of these spans (none: of all), in the order of their last modification or of their ids.

        https://developers.hubspot.com/docs/api-reference/search/guide: dates are compared as epoch milliseconds in text; one sort rule.
        Offsets are not used: a record edited meanwhile leaves the span, and those behind it would move up unread.
        """
        modified = modified_property(object_name)
        sort = modified if by == "modified" else "hs_object_id"
        body = {
            **({"filterGroups": [{"filters": _filters(span, modified)} for span in spans]} if spans else {}),
            "sorts": [{"propertyName": sort, "direction": "DESCENDING" if down else "ASCENDING"}],
            "properties": properties,
            "limit": limit,
        }
        path = f"{self.paths.objects}/{object_name}/search"
        return _post(path, body, about=f"looking for {'changed ' if by == 'modified' else ''}{object_name}", bucket="search")

    def pipelines(self, object_name: str) -> Request:
        """All pipelines of an object with their stages; not paged."""
        return Request(method="GET", path=f"{self.paths.pipelines}/{object_name}", about=f"reading the pipelines of {object_name}")

    def archived_page(self, object_name: str, after: str | None) -> Request:
        """One page of what lies in the recycle bin, at most 90 days back, in the order of ids; no filter by date exists.

        https://developers.hubspot.com/docs/guides/api/crm/using-object-apis#restore
        """
        query = {"limit": str(LIST_LIMIT), "properties": "hs_object_id", "archived": "true"} | ({} if after is None else {"after": after})
        return Request(method="GET", path=f"{self.paths.objects}/{object_name}", query=query, about=f"reading archived {object_name}")

    def plain_page(self, object_name: str, properties: Sequence[str], after: str | None) -> Request:
        """One page of all records with these properties and nothing else, in the order of their ids."""
        query = {"limit": str(LIST_LIMIT), "properties": ",".join(properties), "archived": "false"}
        query |= {} if after is None else {"after": after}
        return Request(method="GET", path=f"{self.paths.objects}/{object_name}", query=query, about=f"reading properties of {object_name}")

    def batch_read(self, object_name: str, ids: Sequence[str], properties: Sequence[str], *, archived: bool = False) -> Request:
        """Records by id, at most `BATCH_LIMIT`, each id once; archived: only those in the recycle bin, else only live ones."""
        body = {"inputs": [{"id": record_id} for record_id in ids], "properties": list(properties)}
        request = _post(f"{self.paths.objects}/{object_name}/batch/read", body, about=f"reading {object_name} by id")
        return replace(request, query={"archived": "true"}) if archived else request

    def histories(self, object_name: str, ids: Sequence[str], properties: Sequence[str]) -> Request:
        """The history of these properties of records, by id, at most `HISTORY_LIMIT`, each id once."""
        body = {"inputs": [{"id": record_id} for record_id in ids], "properties": [], "propertiesWithHistory": list(properties)}
        return _post(f"{self.paths.objects}/{object_name}/batch/read", body, about=f"reading the history of {object_name}")

    def single(self, object_name: str, record_id: str, *, archived: bool = False) -> Request:
        """One live record, or one in the recycle bin; the id of one merged away is answered by its survivor, under that one's id.

        https://developers.hubspot.com/changelog/updated-merge-functionality-for-contacts-and-companies
        """
        path = f"{self.paths.objects}/{object_name}/{record_id}"
        query = {"properties": "hs_object_id", **({"archived": "true"} if archived else {})}
        return Request(method="GET", path=path, query=query, about=f"looking for one of {object_name}")

    def batch_update(self, object_name: str, inputs: Sequence[Mapping[str, Any]]) -> Request:
        """Sets properties of records; the same request twice does no harm."""
        return _post(f"{self.paths.objects}/{object_name}/batch/update", {"inputs": inputs}, about=f"writing {object_name}")

    def batch_create(self, object_name: str, inputs: Sequence[Mapping[str, Any]]) -> Request:
        """Creates records. HubSpot knows no idempotency key: never sent twice."""
        path = f"{self.paths.objects}/{object_name}/batch/create"
        return _post(path, {"inputs": inputs}, about=f"creating {object_name}", safe=False)

    def associations(self, from_object: str, to_object: str, starts: Sequence[tuple[str, str | None]]) -> Request:
        """What records are linked to: (id, where its last page ended), at most `ASSOCIATION_LIMIT`."""
        inputs = [{"id": record_id} if after is None else {"id": record_id, "after": after} for record_id, after in starts]
        path = f"{self.paths.associations}/{from_object}/{to_object}/batch/read"
        return _post(path, {"inputs": inputs}, about=f"reading which {to_object} belong to {from_object}")

    def owners(self, after: str | None, *, archived: bool) -> Request:
        """One page of owners; the deactivated ones are a list of their own."""
        query = {"limit": str(OWNERS_LIMIT), "archived": "true" if archived else "false"}
        if after is not None:
            query["after"] = after
        return Request(method="GET", path=self.paths.owners, query=query, about="reading owners")

    def properties(self, object_name: str) -> Request:
        """All properties of an object with their types and options; not paged."""
        return Request(method="GET", path=f"{self.paths.properties}/{object_name}", about=f"reading the properties of {object_name}")

    def probe(self, object_name: str) -> Request:
        """The smallest request that shows whether an object may be read."""
        if object_name == "owners":
            return Request(method="GET", path=self.paths.owners, query={"limit": "1"}, about="trying to read owners")
        path = f"{self.paths.objects}/{object_name}"
        return Request(method="GET", path=path, query={"limit": "1"}, about=f"trying to read {object_name}")

    def account(self) -> Request:
        """Number, kind, time zone and addresses of the account."""
        return Request(method="GET", path=self.paths.account, about="reading the account's details")

    def token_info(self, token: str) -> Request:
        """What a private app's token or a service key may do. HubSpot's OpenAPI file of oauth: the token goes in the body."""
        return _post(self.paths.token, {"tokenKey": token}, about="reading what the access token may do")


def _filters(span: SearchRange, modified: str) -> list[dict[str, str]]:
    bounds = [
        (modified, "GTE", span.since), (modified, "LTE", span.until), ("hs_object_id", "GTE", span.first),
        ("hs_object_id", "LTE", span.last), ("hs_object_id", "GT", span.above), ("hs_object_id", "LT", span.below),
    ]  # fmt: skip
    return [_filter(name, operator, str(value)) for name, operator, value in bounds if value is not None]


def _filter(name: str, operator: str, value: str) -> dict[str, str]:
    return {"propertyName": name, "operator": operator, "value": value}


def _post(path: str, body: Mapping[str, Any], *, about: str, bucket: Bucket = "call", safe: bool = True) -> Request:
    return Request(method="POST", path=path, body=orjson.dumps(body), about=about, bucket=bucket, safe=safe)
