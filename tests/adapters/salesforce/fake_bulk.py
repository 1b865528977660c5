"""An org of one object in memory, behind `Caller.send`: REST queries by the pull's own windows, and bulk jobs, with what can go wrong."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import orjson

from connector.adapters.client import Answer, Caller, NoBudget, Request
from connector.adapters.salesforce.pull import Pull
from connector.adapters.salesforce.streams import stream
from connector.adapters.salesforce.wire import bulk as wire_bulk
from connector.adapters.salesforce.wire import requests as wire
from connector.model import Cursor, Page, long_id

NOW = datetime(2026, 12, 2, 9, 0, tzinfo=UTC)
TYPES = {"IsDeleted": "boolean", "CreatedDate": "datetime", "SystemModstamp": "datetime", "Budget__c": "currency", "Text__c": "textarea"}
WANTED = ("Email", "Budget__c", "Text__c")
TRICKY = 'Zoë said "no",\nthen\r\nleft\u2028; true'


def lead(number: int, stamp: datetime, **values: Any) -> dict[str, Any]:
    """A Lead, by field, as REST has it."""
    text = f"{stamp:%Y-%m-%dT%H:%M:%S}.000+0000"
    return {
        "Id": long_id(f"00QWx{number:010d}"), "IsDeleted": number % 7 == 0, "OwnerId": "005Wx000000001AAAA", "CreatedDate": text,
        "SystemModstamp": text, "ConvertedContactId": None, "ConvertedOpportunityId": None, "MasterRecordId": None,
        "Email": f"{number}@kunde.example", "Budget__c": number / 2 if number % 3 else None, "Text__c": TRICKY if number % 5 == 0 else None,
        **values,
    }  # fmt: skip


class BulkOrg:
    """rows: of Lead. page: rows of REST's pages; most: rows of a bulk page, whatever is asked for.

    ends_as: the state that jobs come to, after `looks` looks. loses: so many rows are missing from results. refuse: path part → answer.
    """

    def __init__(self, rows: list[dict[str, Any]], *, page: int = 50, most: int = 300) -> None:
        self.rows = rows
        self.page = page
        self.most = most
        self.looks = 2
        self.ends_as = "JobComplete"
        self.loses = 0
        self.refuse: dict[str, tuple[int, Any]] = {}
        self.columns = set(lead(1, NOW))
        self.jobs: dict[str, dict[str, Any]] = {}
        self.cursors: dict[str, list[dict[str, Any]]] = {}
        self.sent: list[Request] = []
        self.slept: list[float] = []

    def pull(self, cursor: Cursor | None = None, *, now: datetime = NOW) -> Iterator[Page]:
        """A pull of Lead."""
        caller = Caller(crm="salesforce", send=self.send, judge=wire_bulk.judge, budget=NoBudget(), sleep=self.slept.append)
        asked = stream("Lead", wanted=WANTED, zone=UTC, key_field="K__c")
        return Pull(stream=asked, caller=caller, cursor=cursor, now=now, overlap=timedelta(minutes=10)).pages()

    def count(self, method: str, part: str) -> int:
        """How many requests of this kind came."""
        return sum(request.method == method and part in request.path for request in self.sent)

    def send(self, request: Request) -> Answer:
        """The org's answer."""
        self.sent.append(request)
        for part, (status, body) in self.refuse.items():
            if part in f"{request.method} {request.path}":
                return _json(body, status)
        path = urlsplit(request.path).path.removeprefix(wire.BASE)
        if path.startswith("/jobs/query"):
            return self._bulk(request, path.removeprefix("/jobs/query").strip("/"))
        if path.endswith("/describe"):
            return _json({"fields": [{"name": name, "type": TYPES.get(name, "string")} for name in self.columns]})
        if path.startswith("/queryAll") and request.query:
            return self._first(request.query["q"])
        return self._more(path.rpartition("/")[2])

    def _first(self, soql: str) -> Answer:
        asked = re.findall(r"[\w.]+", soql[len("SELECT ") : soql.index(" FROM ")])
        missing = [name for name in asked if name not in self.columns]
        if missing:
            return _json([{"errorCode": "INVALID_FIELD", "message": f"No such column '{missing[0]}' on entity 'Lead'. If"}], 400)
        found = [{name: row[name] for name in asked} for row in self._where(soql)]
        found.sort(key=lambda row: (row["SystemModstamp"], row["Id"]))
        locator = f"c{len(self.cursors)}"
        self.cursors[locator] = found
        return self._more(f"{locator}-0")

    def _more(self, name: str) -> Answer:
        locator, _, start = name.partition("-")
        if locator not in self.cursors:
            return _json([{"errorCode": "INVALID_QUERY_LOCATOR", "message": "invalid query locator"}], 400)
        rows, end = self.cursors[locator], int(start) + self.page
        page: dict[str, Any] = {"totalSize": len(rows), "done": end >= len(rows), "records": rows[int(start) : end]}
        if not page["done"]:
            page["nextRecordsUrl"] = f"{wire.BASE}/query/{locator}-{end}"
        return _json(page)

    def _where(self, soql: str) -> list[dict[str, Any]]:
        def at(pattern: str) -> list[str]:
            return [f"{found[:19]}.000+0000" for found in re.findall(pattern, soql)]

        upper, lower = at(r"SystemModstamp <= (\S+?)\b(?:Z| |$)"), at(r"SystemModstamp >= (\S+?)Z")
        key = re.search(r"SystemModstamp = (\S+?)Z AND Id > '(\w+)'", soql)
        rows = [row for row in self.rows if row["SystemModstamp"] <= upper[0] and all(row["SystemModstamp"] >= one for one in lower)]
        if key is None:
            return rows
        return [row for row in rows if (row["SystemModstamp"], row["Id"]) > (f"{key[1][:19]}.000+0000", key[2])]

    # ── Jobs ──

    def _bulk(self, request: Request, path: str) -> Answer:
        if request.method == "POST":
            body = orjson.loads(request.body or b"")
            assert (body["operation"], "ORDER BY" in body["query"]) == ("queryAll", False)
            job = {
                "id": f"750{len(self.jobs)}",
                "state": "UploadComplete",
                "rows": self._where(body["query"]),
                "looks": 0,
                "soql": body["query"],
            }
            self.jobs[str(job["id"])] = job
            return self._job(job)
        name, _, what = path.partition("/")
        found = self.jobs.get(name)
        if found is None:
            return _json([{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}], 404)
        if request.method == "DELETE":
            del self.jobs[name]
            return Answer(status=204, headers={}, body=b"")
        if request.method == "PATCH":
            found["state"] = "Aborted"
        if what:
            return self._results(found, request)
        found["looks"] += 1
        if found["looks"] >= self.looks and found["state"] != "Aborted":
            found["state"] = self.ends_as
        return self._job(found)

    def _job(self, job: dict[str, Any]) -> Answer:
        failed = {"errorMessage": "InternalServerError: a@b.example"} if job["state"] == "Failed" else {}
        return _json({"id": job["id"], "state": job["state"], "numberRecordsProcessed": len(job["rows"]), **failed})

    def _results(self, job: dict[str, Any], request: Request) -> Answer:
        start = int(request.query.get("locator", "0"))
        size = min(self.most, int(request.query["maxRecords"]))
        names = re.findall(r"[\w.]+", job["soql"][len("SELECT ") : job["soql"].index(" FROM ")])
        rows = job["rows"][: len(job["rows"]) - self.loses]
        text = io.StringIO(newline="")
        writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(names)
        writer.writerows([_cell(row[name]) for name in names] for row in rows[start : start + size])
        headers = {
            "content-type": "text/csv",
            "sforce-numberofrecords": str(len(rows[start : start + size])),
            "sforce-locator": str(start + size) if start + size < len(rows) else "null",
        }
        return Answer(status=200, headers=headers, body=text.getvalue().encode())


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = "" if value is None else str(value)
    return text.replace(".000+0000", ".000Z")


def _json(value: Any, status: int = 200) -> Answer:
    return wire.opened(Answer(status=status, headers={"content-type": "application/json"}, body=orjson.dumps(value)))
