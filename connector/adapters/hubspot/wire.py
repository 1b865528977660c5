"""HubSpot on the wire, without I/O: which requests there are. Every path stands behind one table of versions.

Answers are judged in `wire_errors`, read in `wire_records`; writes are in `wire_writes`. Each fact has its source beside it: a page of
developers.hubspot.com, HubSpot's OpenAPI files (github.com/HubSpot/HubSpot-public-api-spec-collection), or the thread where it was seen.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from connector.adapters.calling import Bucket, Request

#: What is pulled, owners and companies before those that refer to them.
STREAMS = ("owners", "companies", "contacts", "calls", "emails", "meetings", "tasks")
ENGAGEMENTS = ("calls", "emails", "meetings", "tasks")

# https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/basic/get-crm-v3-objects-contacts: `limit` is at most 100.
LIST_LIMIT = 100
# https://developers.hubspot.com/docs/api-reference/search/guide: at most 200 a page. Deeper than 10,000 results is 400: nobody here goes
# there, each page begins at the moment where the last one ended.
SEARCH_LIMIT = 200
# https://developers.hubspot.com/docs/guides/api/crm/using-object-apis: 100 inputs in a batch of create, read or update.
BATCH_LIMIT = 100
# https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide: batch/read takes 1,000 inputs.
ASSOCIATION_LIMIT = 1000
# https://developers.hubspot.com/docs/api-reference/crm-crm-owners-v3/guide: default 100.
OWNERS_LIMIT = 100

# https://developers.hubspot.com/docs/guides/api/crm/understanding-the-crm#object-type-ids, for addresses of the user interface.
OBJECT_TYPE_IDS = {
    "contacts": "0-1", "companies": "0-2", "tasks": "0-27", "meetings": "0-47", "calls": "0-48", "emails": "0-49",
}  # fmt: skip

# The wrong name gives no rows and no error (github.com/airbytehq/airbyte/pull/85019): contacts alone go by `lastmodifieddate`.
_MODIFIED = {"contacts": "lastmodifieddate"}
_OWNER = "hubspot_owner_id"

# https://developers.hubspot.com/docs/guides/api/crm/engagements/engagement-details and the guides of calls, email, meetings and tasks
# beside it. Names that an account does not have are ignored when reading.
_ENGAGEMENT_PROPERTIES: Mapping[str, tuple[str, ...]] = {
    "calls": ("hs_timestamp", "hs_call_direction", "hs_call_disposition", "hs_call_duration", "hs_call_status"),
    "emails": ("hs_timestamp", "hs_email_direction", "hs_email_status", "hs_sequence_id", "hs_object_source"),
    "meetings": ("hs_timestamp", "hs_meeting_start_time", "hs_meeting_end_time", "hs_meeting_outcome"),
    "tasks": ("hs_timestamp", "hs_task_body", "hs_task_status", "hs_task_type", "hs_task_completion_date"),
}
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
    token: str = "/oauth/v2/private-apps/get/access-token-info"  # noqa: S105 - a path


# The dated segment comes after the family, so that it is no prefix to swap (HubSpot's OpenAPI files of 2026-09; owners: seen in public
# code). v1 to v4 end in 2027 (https://developers.hubspot.com/changelog); the official client 12 speaks v3 and v4 only.
VERSIONS: Mapping[str, Paths] = {
    "v3": Paths(
        objects="/crm/v3/objects",
        properties="/crm/v3/properties",
        associations="/crm/v4/associations",
        owners="/crm/v3/owners",
        account="/account-info/v3/details",
    ),
    "2026-09": Paths(
        objects="/crm/objects/2026-09",
        properties="/crm/properties/2026-09",
        associations="/crm/associations/2026-09",
        owners="/crm/owners/2026-09",
        account="/account-info/2026-09/details",
    ),
}


def modified_property(object_name: str) -> str:
    """The property that holds when a record of this object was last modified."""
    return _MODIFIED.get(object_name, "hs_lastmodifieddate")


def properties_to_ask(object_name: str, wanted: Sequence[str]) -> list[str]:
    """`wanted` and what the adapter itself needs, each once."""
    own = _ENGAGEMENT_PROPERTIES.get(object_name, ())
    return list(dict.fromkeys([*wanted, *own, _OWNER, modified_property(object_name)]))


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_millis(moment: datetime) -> int:
    """Whole milliseconds since 1970, rounded down: HubSpot's clock."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def task_marker(key: str) -> str:
    """The mark that a task with this key carries in its body: HubSpot has no external ids on tasks. 34 characters."""
    return f"connector/{hashlib.blake2b(key.encode(), digest_size=12).hexdigest()}"


_MARKER = re.compile(r"\bconnector/[0-9a-f]{24}\b")


def find_marker(body: str) -> str:
    """The mark in a task's body, wherever people moved it and whatever HTML stands around it; "" where there is none."""
    found = _MARKER.findall(body)
    return found[-1] if found else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A closed stretch of last-modified moments, in milliseconds since 1970, of which the search has reached `low`.

    after_id: set while the records of the one millisecond `low` are gone through by id, since there are more of them than a page holds.
    """

    low: int
    high: int
    after_id: str | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing is left to ask for."""
        return self.low > self.high


def batches(ids: Sequence[str], size: int) -> list[list[str]]:
    """The ids, each once, in their order, at most `size` together."""
    once = list(dict.fromkeys(ids))
    return [once[start : start + size] for start in range(0, len(once), size)]


class Api:
    """Builds every request of one version."""

    def __init__(self, version: str = "v3") -> None:
        self.paths = VERSIONS[version]

    def list_page(self, object_name: str, properties: Sequence[str], after: str | None) -> Request:
        """One page of all records, in the order of their ids; engagements with the contacts that they are about."""
        query = {"limit": str(LIST_LIMIT), "properties": ",".join(properties), "archived": "false"}
        if object_name in ENGAGEMENTS:
            query["associations"] = "contacts"
        if after is not None:
            query["after"] = after
        return Request(method="GET", path=f"{self.paths.objects}/{object_name}", query=query, about=f"reading {object_name}")

    def changes(self, object_name: str, properties: Sequence[str], window: Window) -> Request:
        """The next records of the window, oldest change first; within one millisecond by id.

        https://developers.hubspot.com/docs/api-reference/search/guide: dates are compared as epoch milliseconds in text; one sort rule.
        Offsets are not used: a record edited meanwhile leaves the window, and those behind it would move up unread.
        """
        modified = modified_property(object_name)
        high = window.high if window.after_id is None else window.low
        filters = [_filter(modified, "GTE", str(window.low)), _filter(modified, "LTE", str(high))]
        sort = modified
        if window.after_id is not None:
            filters.append(_filter("hs_object_id", "GT", window.after_id))
            sort = "hs_object_id"
        body = {
            "filterGroups": [{"filters": filters}],
            "sorts": [{"propertyName": sort, "direction": "ASCENDING"}],
            "properties": properties,
            "limit": SEARCH_LIMIT,
        }
        path = f"{self.paths.objects}/{object_name}/search"
        return _post(path, body, about=f"looking for changed {object_name}", bucket="search")

    def batch_read(self, object_name: str, ids: Sequence[str], properties: Sequence[str]) -> Request:
        """Records by id, at most `BATCH_LIMIT`, each id once."""
        body = {"inputs": [{"id": record_id} for record_id in ids], "properties": list(properties)}
        return _post(f"{self.paths.objects}/{object_name}/batch/read", body, about=f"reading {object_name} by id")

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


def _filter(name: str, operator: str, value: str) -> dict[str, str]:
    return {"propertyName": name, "operator": operator, "value": value}


def _post(path: str, body: Mapping[str, Any], *, about: str, bucket: Bucket = "call", safe: bool = True) -> Request:
    return Request(method="POST", path=path, body=orjson.dumps(body), about=about, bucket=bucket, safe=safe)
