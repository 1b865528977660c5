"""The least that a whole first pull could cost: the same pages of both CRMs, by an HTTP client, orjson and one upsert of the same columns.

No check, no fingerprint, no retry, no budget, no threads; one connection to the database, one transaction a page of the mirror's size.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import floor_connect
import orjson
import urllib3
from floor_connect import Put

from connector.adapters.client import Request
from connector.adapters.hubspot.wire import requests as wire
from connector.adapters.salesforce.streams import Columns, stream
from connector.adapters.salesforce.wire import bulk as wire_bulk
from connector.adapters.salesforce.wire import query as wire_query
from connector.adapters.salesforce.wire import requests as salesforce_wire
from connector.sandbox.configuration import SECRETS, Place

Row = tuple[Any, ...]
Raw = Mapping[str, Any]
T = TypeVar("T")

RECORD = (
    "crm", "object", "id", "properties", "fingerprint", "created_at", "modified_at", "seen_at", "owner_id", "company_id", "converted_to",
    "converted_deal", "merged_into", "email", "archived", "unify",
)  # fmt: skip
ACTIVITY = (
    "crm", "object", "id", "fingerprint", "kind", "at", "direction", "happened", "automatic", "channel", "owner_id", "outcome",
    "duration_seconds", "due_at", "done", "key", "created_at", "modified_at", "archived",
)  # fmt: skip
LINK = ("crm", "object", "id", "record_object", "record_id", "contact_id", "kind", "at", "counts")
_DEAL = (
    "crm", "object", "id", "fingerprint", "stage", "pipeline", "amount", "currency", "closed_at", "closed", "won", "owner_id", "company_id",
    "created_at", "modified_at", "archived",
)  # fmt: skip
_DEAL_LINK = ("crm", "deal_id", "source", "record_object", "record_id", "role", "main")
_HISTORY = ("crm", "id", "object", "record_id", "property", "before", "after", "at", "who")
_MEMBER = (
    "crm", "object", "id", "fingerprint", "campaign_id", "record_object", "record_id", "status", "responded", "joined_at", "modified_at",
    "archived",
)  # fmt: skip
KEYS: dict[str, Sequence[str]] = {
    "record": ("crm", "object", "id"), "activity": ("crm", "object", "id"), "deal": ("crm", "object", "id"),
    "activity_link": ("crm", "object", "id", "record_object", "record_id"),
    "deal_link": ("crm", "deal_id", "source", "record_object", "record_id"),
    "field_history": ("crm", "id"), "campaign_member": ("crm", "object", "id"),
}  # fmt: skip
#: Rows of one transaction.
_PIECE = 1_000
#: A digest's length, so that rows are as long as the connector's.
DIGEST = bytes(16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How the connector read: list pages of HubSpot's contacts and companies; Salesforce's streams that went by a bulk job.

    wanted: CRM → object → properties. objects: CRM → the streams to read.
    """

    lists: Mapping[str, int]
    jobs: Sequence[str]
    wanted: Mapping[str, Mapping[str, Sequence[str]]]


def pull(place: Place, ways: Ways, path: str) -> dict[str, dict[str, int]]:
    """Reads both CRMs into the database; CRM → stream → records."""
    database = floor_connect.opened(f"sqlite:///{path}", KEYS)
    hubspot = _HubSpot(place.hubspot_url, ways, database)
    salesforce = _Salesforce(place, ways, database)
    found = {
        "hubspot": {name: hubspot.read(name) for name in wire.STREAMS if name != "owners"},
        "salesforce": {name: salesforce.read(name) for name in ("Account", "Lead", "Contact", *_SALESFORCE)},
    }
    database.close()
    return found


def pull_hubspot(place: Place, ways: Ways, url: str, streams: Sequence[str]) -> dict[str, int]:
    """Reads these streams of HubSpot into the database at this URL; stream → records."""
    database = floor_connect.opened(url, KEYS)
    hubspot = _HubSpot(place.hubspot_url, ways, database)
    found = {name: hubspot.read(name) for name in streams}
    database.close()
    return found


# ── HubSpot ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


class _HubSpot:
    def __init__(self, base_url: str, ways: Ways, database: Put) -> None:
        self._http = urllib3.PoolManager()
        self._base, self._ways, self._database = base_url, ways, database
        self._headers = {"Authorization": f"Bearer {SECRETS['HUBSPOT_ACCESS_TOKEN']}", "Content-Type": "application/json"}
        self._api = wire.Api()

    def read(self, name: str) -> int:
        asked = wire.properties_to_ask(name, self._ways.wanted["hubspot"].get(name, ()))
        count = 0
        for raws in _pieces(self._records(name, asked)):
            count += len(raws)
            if name in ("contacts", "companies"):
                companies = self._companies("contacts", raws) if name == "contacts" else {}
                rows = [_hubspot_record(name, raw, self._ways.wanted["hubspot"][name], companies) for raw in raws]
                self._database.put(("record", RECORD, rows))
            elif name == "deals":
                companies = self._companies("deals", raws)
                rows, links = [_hubspot_deal(raw, companies) for raw in raws], [link for raw in raws for link in _deal_links(raw)]
                self._database.put(("deal", _DEAL, rows), ("deal_link", _DEAL_LINK, links))
            else:
                rows = [_hubspot_activity(name, raw) for raw in raws]
                links = [link for raw, row in zip(raws, rows, strict=True) for link in _activity_links(raw, row)]
                self._database.put(("activity", ACTIVITY, rows), ("activity_link", LINK, links))
        return count

    def _records(self, name: str, asked: Sequence[str]) -> Iterator[Raw]:
        """By list up to as many pages as the connector read so, the rest by search from above."""
        after, pages, most, high = None, 0, self._ways.lists.get(name), 0
        while most is None or pages < most:
            page = self._call(self._api.list_page(name, asked, after))
            yield from page["results"]
            pages, after = pages + 1, page.get("paging", {}).get("next", {}).get("after")
            if after is None:
                return
            high = int(page["results"][-1]["id"])
        spans: list[wire.SearchRange] = []
        while True:
            results = self._call(self._api.search(name, asked, spans, down=True))["results"]
            yield from (raw for raw in results if int(raw["id"]) > high)
            if not results or int(results[-1]["id"]) <= high:
                return
            spans = [wire.SearchRange(below=results[-1]["id"])]

    def _companies(self, name: str, raws: Sequence[Raw]) -> dict[str, str]:
        links = self._call(self._api.associations(name, "companies", [(raw["id"], None) for raw in raws]))["results"]
        return {link["from"]["id"]: str(link["to"][0]["toObjectId"]) for link in links if link["to"]}

    def _call(self, request: Request) -> Any:
        url, query = self._base + request.path, dict(request.query) or None
        answer = self._http.request(request.method, url, fields=query, body=request.body, headers=self._headers)
        return orjson.loads(answer.data)


def _hubspot_record(name: str, raw: Raw, wanted: Sequence[str], companies: Mapping[str, str]) -> Row:
    values = raw["properties"]
    kept = orjson.dumps({each: values.get(each) for each in wanted}).decode()
    email = values.get("email") if name == "contacts" else None
    moments = _micros(raw["createdAt"]), _micros(raw["updatedAt"])
    rest = (values.get("hubspot_owner_id"), companies.get(raw["id"]), None, None, None, email, 0, 1)
    return ("hubspot", name, raw["id"], kept, DIGEST, *moments, 0, *rest)


def _hubspot_activity(name: str, raw: Raw) -> Row:
    values = raw["properties"]
    moments = _micros(raw["createdAt"]), _micros(raw["updatedAt"])
    direction = values.get("hs_call_direction") or values.get("hs_email_direction")
    outcome, length = values.get("hs_call_disposition") or values.get("hs_email_status"), values.get("hs_call_duration")
    seconds = None if length is None else float(length) / 1000
    at, owner = _micros(values.get("hs_timestamp")), values.get("hubspot_owner_id")
    return ("hubspot", name, raw["id"], DIGEST, name[:-1], at, direction, 1, 0, None, owner, outcome, seconds, at, 0, "", *moments, 0)


def _activity_links(raw: Raw, row: Row) -> Iterator[Row]:
    ends = raw.get("associations", {}).get("contacts", {}).get("results", ())
    for contact in {end["id"] for end in ends}:
        yield ("hubspot", row[1], row[2], "contacts", contact, None, row[4], row[5], 1)


def _hubspot_deal(raw: Raw, companies: Mapping[str, str]) -> Row:
    values = raw["properties"]
    amount = values.get("amount")
    first = (values.get("dealstage"), values.get("pipeline"), None if amount is None else float(amount), values.get("deal_currency_code"))
    flags = (values.get("hs_is_closed") == "true", values.get("hs_is_closed_won") == "true")
    last = (values.get("hubspot_owner_id"), companies.get(raw["id"]), _micros(values.get("createdate")), _micros(raw["updatedAt"]), 0)
    return ("hubspot", "deals", raw["id"], DIGEST, *first, _micros(values.get("closedate")), *flags, *last)


def _deal_links(raw: Raw) -> Iterator[Row]:
    for contact in {end["id"] for end in raw.get("associations", {}).get("contacts", {}).get("results", ())}:
        yield ("hubspot", raw["id"], "", "contacts", contact, None, 0)


# ── Salesforce ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Salesforce:
    def __init__(self, place: Place, ways: Ways, database: Put) -> None:
        self._http = urllib3.PoolManager(ca_certs=place.ca_bundle)
        self._base, self._ways, self._database = place.salesforce_url, ways, database
        form = {
            "grant_type": "client_credentials",
            "client_id": SECRETS["SALESFORCE_CLIENT_ID"],
            "client_secret": SECRETS["SALESFORCE_CLIENT_SECRET"],
        }
        answer = self._http.request_encode_body("POST", f"{self._base}/services/oauth2/token", fields=form, encode_multipart=False)
        self._headers = {"Authorization": f"Bearer {orjson.loads(answer.data)['access_token']}", "Content-Type": "application/json"}

    def read(self, name: str) -> int:
        wanted = self._ways.wanted["salesforce"].get(name, ())
        one = stream(name, wanted=wanted, zone=UTC, key_field="Handoff_Key__c")
        fields = [each for each in Columns(one, set(), None, datetime.now(UTC)).everything() if each != "CurrencyIsoCode"]
        by_job = name in self._ways.jobs
        soql = wire_query.select(name, fields, where=one.where, order="" if by_job else f"{one.stamp}, Id")
        count = 0
        for rows in _pieces(self._by_job(soql) if by_job else self._by_rest(soql, all_rows=one.all_rows)):
            count += len(rows)
            if name in _SALESFORCE:
                self._database.put(*_SALESFORCE[name](rows))
            else:
                self._database.put(("record", RECORD, [_salesforce_record(name, row, wanted) for row in rows]))
        return count

    def _by_rest(self, soql: str, *, all_rows: bool) -> Iterator[Raw]:
        page = orjson.loads(self._call(salesforce_wire.query(soql, all_rows=all_rows, about="")).data)
        yield from page["records"]
        while not page["done"]:
            page = orjson.loads(self._call(salesforce_wire.more(page["nextRecordsUrl"], about="")).data)
            yield from page["records"]

    def _by_job(self, soql: str) -> Iterator[Raw]:
        job = orjson.loads(self._call(wire_bulk.create(soql, all_rows=True, about="")).data)["id"]
        while orjson.loads(self._call(wire_bulk.look(job, about="")).data)["state"] != "JobComplete":
            time.sleep(0.5)
        locator = ""
        while locator != "null":
            answer = self._call(wire_bulk.results(job, locator, about=""))
            yield from csv.DictReader(io.TextIOWrapper(io.BytesIO(answer.data), encoding="utf-8", newline=""))
            locator = answer.headers["Sforce-Locator"]

    def _call(self, request: Request) -> urllib3.BaseHTTPResponse:
        url = self._base + salesforce_wire.target(request)
        return self._http.request(request.method, url, body=request.body, headers={**self._headers, **request.headers})


def _salesforce_record(name: str, row: Raw, wanted: Sequence[str]) -> Row:
    kept = orjson.dumps({each: row.get(each) for each in wanted}).decode()
    moments = _micros(row["CreatedDate"]), _micros(row["SystemModstamp"])
    converted = (row.get("ConvertedContactId") or None, row.get("ConvertedOpportunityId") or None, row.get("MasterRecordId") or None)
    rest = (row.get("OwnerId"), row.get("AccountId") or None, *converted, row.get("Email") or None, 0, 1)
    return ("salesforce", name, row["Id"], kept, DIGEST, *moments, 0, *rest)


def _tasks(rows: Sequence[Raw]) -> Iterator[tuple[str, Sequence[str], Sequence[Row]]]:
    names = ("CompletedDateTime", "CallDisposition", "ActivityDate")
    return _activities(rows, [_activity(row, "Task", "call", *(row.get(name) for name in names)) for row in rows])


def _events(rows: Sequence[Raw]) -> Iterator[tuple[str, Sequence[str], Sequence[Row]]]:
    return _activities(rows, [_activity(row, "Event", "meeting", row.get("StartDateTime"), None, None) for row in rows])


def _activity(row: Raw, name: str, kind: str, at: str | None, outcome: str | None, due: str | None) -> Row:
    moments = _micros(row["CreatedDate"]), _micros(row["SystemModstamp"])
    length = row.get("CallDurationInSeconds") or row.get("DurationInMinutes") or None
    seconds, owner = None if length is None else float(length), row.get("OwnerId")
    first = (kind, _micros(at), "outgoing", 1, 0, row.get("TaskSubtype"), owner, outcome, seconds, _micros(due), 1, "")
    return ("salesforce", name, row["Id"], DIGEST, *first, *moments, 0)


def _activities(rows: Sequence[Raw], made: Sequence[Row]) -> Iterator[tuple[str, Sequence[str], Sequence[Row]]]:
    about = [(row["WhoId"], each) for row, each in zip(rows, made, strict=True) if row.get("WhoId")]
    kinds = {"00Q": "Lead", "003": "Contact"}
    links = [("salesforce", each[1], each[2], kinds.get(who[:3], ""), who, None, each[4], each[5], 1) for who, each in about]
    yield "activity", ACTIVITY, made
    yield "activity_link", LINK, links


def _history(rows: Sequence[Raw]) -> Iterator[tuple[str, Sequence[str], Sequence[Row]]]:
    names = ("LeadId", "Field", "OldValue", "NewValue")
    made = [("salesforce", row["Id"], "Lead", *(row[name] or None for name in names), *_when_and_who(row)) for row in rows]
    yield "field_history", _HISTORY, made


def _deal_history(rows: Sequence[Raw]) -> Iterator[tuple[str, Sequence[str], Sequence[Row]]]:
    stages = [("Opportunity", row["OpportunityId"], "StageName", None, row["StageName"]) for row in rows]
    yield "field_history", _HISTORY, [("salesforce", row["Id"], *told, *_when_and_who(row)) for row, told in zip(rows, stages, strict=True)]


def _when_and_who(row: Raw) -> tuple[int | None, str]:
    return _micros(row["CreatedDate"]), row["CreatedById"]


def _opportunities(rows: Sequence[Raw]) -> Iterator[tuple[str, Sequence[str], Sequence[Row]]]:
    names = ("StageName", "Amount", "CloseDate", "IsClosed", "IsWon", "OwnerId", "AccountId", "CreatedDate", "SystemModstamp")
    made = []
    for row in rows:
        stage, amount, close, closed, won, owner, account, created, changed = (row[name] for name in names)
        first = ("salesforce", "Opportunity", row["Id"], DIGEST, stage, None, amount, None, _micros(close))
        made.append((*first, closed, won, owner, account, _micros(created), _micros(changed), 0))
    yield "deal", _DEAL, made


def _roles(rows: Sequence[Raw]) -> Iterator[tuple[str, Sequence[str], Sequence[Row]]]:
    made = [("salesforce", row["OpportunityId"], row["Id"], "Contact", row["ContactId"], row["Role"], row["IsPrimary"]) for row in rows]
    yield "deal_link", _DEAL_LINK, made


def _members(rows: Sequence[Raw]) -> Iterator[tuple[str, Sequence[str], Sequence[Row]]]:
    made = []
    for row in rows:
        kind, person = ("Contact", row["ContactId"]) if row.get("ContactId") else ("Lead", row["LeadId"])
        first = ("salesforce", "CampaignMember", row["Id"], DIGEST, row["CampaignId"], kind, person, row["Status"])
        made.append((*first, row["HasResponded"] in (True, "true"), _micros(row["CreatedDate"]), _micros(row["SystemModstamp"]), 0))
    yield "campaign_member", _MEMBER, made


#: What is no person and no account, by its stream; the few campaigns, users and queues are left out.
_SALESFORCE: Mapping[str, Callable[[Sequence[Raw]], Iterator[tuple[str, Sequence[str], Sequence[Row]]]]] = {
    "Opportunity": _opportunities,
    "OpportunityContactRole": _roles,
    "CampaignMember": _members,
    "Task": _tasks,
    "Event": _events,
    "LeadHistory": _history,
    "OpportunityHistory": _deal_history,
}


# ── Both ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _pieces(items: Iterator[T]) -> Iterator[list[T]]:
    piece: list[T] = []
    for item in items:
        piece.append(item)
        if len(piece) == _PIECE:
            yield piece
            piece = []
    if piece:
        yield piece


def _micros(text: str | None) -> int | None:
    """Microseconds since 1970 of a moment or day, as both CRMs write them."""
    if not text:
        return None
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1_000_000)
