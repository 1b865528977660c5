"""A tiny Salesforce world, a clock, and a client that calls the sandbox's application without a network."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote, urlencode

import orjson
from starlette.applications import Starlette

from connector.sandbox.salesforce.schema import long_id
from connector.sandbox.state import World

BASE = "/services/data/v60.0"
NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
MORNING = datetime(2026, 12, 1, 8, tzinfo=UTC)


def make_id(prefix: str, number: int) -> str:
    return long_id(f"{prefix}Aa{number:010d}")


ANNA, BEN, GONE, BOT = (make_id("005", number) for number in range(4))
QUEUE = make_id("00G", 0)
ACME, BIG = make_id("001", 0), make_id("001", 1)
CONTACT = make_id("003", 0)
LEADS = [make_id("00Q", number) for number in range(8)]
CONVERTED, DELETED = LEADS[6], LEADS[7]


def tiny_world() -> World:
    world = World(now=NOON, connector_user_id=BOT)

    def put(name: str, row_id: str, at: datetime = MORNING, **fields: Any) -> None:
        row = {"Id": row_id, "CreatedDate": at, "LastModifiedDate": at, "SystemModstamp": at, "IsDeleted": False, **fields}
        world.salesforce[name][row_id] = row

    for user_id, name, active in ((ANNA, "anna", True), (BEN, "ben", True), (GONE, "gone", False), (BOT, "bot", True)):
        email = f"{name}@acme.example"
        put("User", user_id, Name=name.title(), LastName=name.title(), Email=email, Username=email, IsActive=active)
    put("Group", QUEUE, Name="Inbound", Type="Queue", Email="inbound@acme.example")
    put("Account", ACME, Name="Acme", Industry="Technology", OwnerId=ANNA)
    put("Account", BIG, Name="Big", Industry=None, OwnerId=ANNA)
    put("Contact", CONTACT, LastName="Cox", Name="Cox", AccountId=ACME, OwnerId=BEN)
    for number, row_id in enumerate(LEADS):
        put(
            "Lead",
            row_id,
            MORNING + timedelta(minutes=number // 2),
            LastName=f"Müller {number}",
            FirstName="Zoë",
            Name=f"Zoë Müller {number}",
            Company="Kunde",
            Email=f"z{number}@Kunde.example",
            Status="Open - Not Contacted" if number < 4 else "Nurturing",
            OwnerId=QUEUE if number == 0 else ANNA,
            IsConverted=row_id == CONVERTED,
            ConvertedDate=date(2026, 11, 30) if row_id == CONVERTED else None,
            NumberOfEmployees=None if number == 1 else number * 10,
            Wild__c="custom",
        )
    world.salesforce["Lead"][DELETED]["IsDeleted"] = True
    for number, label in enumerate(("Open - Not Contacted", "Nurturing", "Qualified", "Closed - Converted")):
        row_id = make_id("01J", number)
        put("LeadStatus", row_id, ApiName=label, MasterLabel=label, SortOrder=number, IsDefault=number == 0, IsConverted=number == 3)
    put("Task", make_id("00T", 0), WhoId=LEADS[1], Subject="Call", Status="Completed", IsClosed=True, OwnerId=ANNA)
    put("Task", make_id("00T", 1), WhoId=CONTACT, Subject="Old", Status="Completed", IsClosed=True, IsArchived=True, OwnerId=ANNA)
    return world


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json[0]["errorCode"])


@dataclass
class Client:
    """Calls the application as a server would."""

    app: Starlette
    token: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, method: str, target: str, body: bytes = b"", /, **headers: str) -> Reply:
        path, _, query = target.partition("?")
        named = {"host": "crm.example:8443", "authorization": f"Bearer {self.token}", "content-type": "application/json"}
        named |= {name.replace("_", "-"): value for name, value in {**self.headers, **headers}.items()}
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "https", "root_path": "",
            "path": unquote(path), "raw_path": path.encode(), "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in named.items()], "server": ("crm.example", 8443),
        }  # fmt: skip
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self.app(scope, receive, send))
        replied = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Reply(sent[0]["status"], replied, b"".join(message.get("body", b"") for message in sent[1:]))

    def get(self, path: str, **headers: str) -> Reply:
        return self.send("GET", BASE + path, **headers)

    def write(self, method: str, path: str, content: Any, **headers: str) -> Reply:
        return self.send(method, BASE + path, orjson.dumps(content), **headers)

    def query(self, soql: str, verb: str = "query", **headers: str) -> Reply:
        return self.get(f"/{verb}?q={quote(soql)}", **headers)

    def found(self, where: str, verb: str = "query") -> list[int]:
        """The numbers of the Leads that a condition finds."""
        reply = self.query(f"SELECT Id FROM Lead WHERE {where}", verb)
        assert reply.status == 200, reply.body
        return [LEADS.index(record["Id"]) for record in reply.json["records"]]

    def sign_in(self, form: dict[str, str] | None = None, **headers: str) -> Reply:
        asked = form or {"grant_type": "client_credentials", "client_id": "sandbox-client", "client_secret": "sandbox-secret"}
        reply = self.send("POST", "/services/oauth2/token", urlencode(asked).encode(), authorization="", **headers)
        if reply.status == 200:
            self.token = reply.json["access_token"]
        return reply


class Clock:
    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> datetime:
        return self.at
