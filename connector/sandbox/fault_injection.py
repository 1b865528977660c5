"""Fault injection between the network and a sandbox server: it counts requests, and disturbs those that a fault is meant for.

A `FaultInjector` wraps an ASGI application. A `Fault` says which requests fare how: another answer, half an answer, a slow one, or none at
all although the request took effect.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Literal
from urllib.parse import unquote_plus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]
FaultKind = Literal["answer", "truncate", "slow", "lost"]

#: The ASGI extension by which the injector closes a connection; `ClosableProtocol` gives it.
CLOSE = "sandbox.close"


class ClosableProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which also lets the application close the connection without an answer."""

    def on_message_begin(self) -> None:
        """Adds the extension to each request's scope."""
        super().on_message_begin()
        extensions = self.scope.setdefault("extensions", {})
        if extensions is not None:
            extensions[CLOSE] = {"close": self.transport.close}

    def shutdown(self) -> None:
        """The server stops: an idle connection goes at once, since TLS would wait for the other side's farewell."""
        super().shutdown()
        cycle = getattr(self, "cycle", None)  # none before the first request
        if cycle is None or cycle.response_complete:
            self.transport.abort()


@dataclass(frozen=True)
class Fault:
    """What happens to some requests.

    crm: "hubspot" or "salesforce". match: part of "METHOD /path?query" (decoded), "" for all requests. times: how many requests it hits;
    after: how many it lets through first.
    kind: "answer": status, headers and body instead of the real answer, and nothing takes effect; "truncate": the real answer, cut in half
    under its full length; "slow": waits `seconds` first; "lost": the request takes effect, the connection closes without an answer.
    """

    crm: str
    match: str
    times: int
    after: int = 0
    kind: FaultKind = "answer"
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.0


class FaultInjector:
    """Counts and disturbs the requests of one CRM's server. May be used from any thread.

    calls: requests so far. before_call: called with that number before each request is served, in the server's thread. log: (method, path)
    of the last 10,000. latency: seconds added to every answer. faults: what was added and not cleared, used up ones too.
    """

    def __init__(self, crm: str) -> None:
        self.crm = crm
        self.calls = 0
        self.latency = 0.0
        self.before_call: list[Callable[[int], None]] = []
        self.log: deque[tuple[str, str]] = deque(maxlen=10_000)
        self.faults: list[Fault] = []
        self._lock = Lock()
        self._seen: list[tuple[Fault, list[int]]] = []  # with the number of matching requests that each has met

    def add(self, *faults: Fault) -> None:
        """Adds faults; where several fit a request, the first added wins. Raises ValueError for the other CRM's."""
        for fault in faults:
            if fault.crm != self.crm:
                raise ValueError(f"a fault of {fault.crm} was added to those of {self.crm}")
        with self._lock:
            self.faults.extend(faults)

    def clear(self) -> None:
        """Takes all faults away, and forgets how often each hit."""
        with self._lock:
            self.faults.clear()
            self._seen.clear()

    def wrap(self, app: Application) -> Application:
        """The application, with faults before it."""

        async def disturbed(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            fault = self._meet(scope)
            for action in list(self.before_call):
                action(self.calls)
            if self.latency:
                await asyncio.sleep(self.latency)
            await _serve(app, fault, scope, receive, send)

        return disturbed

    def _meet(self, scope: Scope) -> Fault | None:
        query = unquote_plus(scope["query_string"].decode("latin-1"))
        line = f"{scope['method']} {scope['path']}" + (f"?{query}" if query else "")
        with self._lock:
            self.calls += 1
            self.log.append((scope["method"], scope["path"]))
            known = {id(fault): (fault, seen) for fault, seen in self._seen}
            self._seen = [known.get(id(fault), (fault, [0])) for fault in self.faults]
            for fault, seen in self._seen:
                if fault.match in line and seen[0] < fault.after + fault.times:
                    seen[0] += 1
                    if seen[0] > fault.after:
                        return fault
        return None


async def _serve(app: Application, fault: Fault | None, scope: Scope, receive: Receive, send: Send) -> None:
    if fault is None:
        await app(scope, receive, send)
    elif fault.kind == "answer":
        await _drain(receive)
        await _answer(send, fault.status, [(name.lower().encode(), value.encode()) for name, value in fault.headers.items()], fault.body)
    elif fault.kind == "slow":
        await asyncio.sleep(fault.seconds)
        await app(scope, receive, send)
    else:
        await _cut(app, fault.kind, scope, receive, send)


async def _cut(app: Application, kind: FaultKind, scope: Scope, receive: Receive, send: Send) -> None:
    """Runs the application, then sends half of its answer or nothing, and closes the connection."""
    start: Message = {}
    chunks: list[bytes] = []

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            chunks.append(message.get("body", b""))

    await app(scope, receive, keep)
    if kind == "truncate":
        body = b"".join(chunks)
        headers = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
        await send({**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    extension = scope.get("extensions", {}).get(CLOSE)
    if extension is None:
        raise RuntimeError("this server cannot close a connection without an answer; run it with ClosableProtocol")
    extension["close"]()
    await _drain(receive, until="http.disconnect")


async def _drain(receive: Receive, until: str = "") -> None:
    """Takes the request's body, so that the connection can go on; or waits until the connection is gone."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect" or (not until and not message.get("more_body", False)):
            return


async def _answer(send: Send, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
