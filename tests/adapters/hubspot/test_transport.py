"""HubSpot's transport over a real socket: bytes out and bytes in, and what each way of failing tells of the request."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
import trustme

from connector.adapters.client import Unreachable
from connector.adapters.hubspot.transport import HubSpotTransport
from connector.adapters.hubspot.wire.requests import Api
from connector.errors import PassStopped

API = Api()
READ = API.list_page("contacts", ["email"], None)
CREATE = API.batch_create("tasks", [])


@contextmanager
def server(reply: Callable[[socket.socket], None], context: ssl.SSLContext | None = None) -> Iterator[tuple[str, list[bytes]]]:
    """Answers each connection by `reply`, after reading one request. Gives its address and the requests."""
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.05)
        stopped = threading.Event()

        def serve() -> None:
            while not stopped.is_set():
                try:
                    connection, _ = listening.accept()
                except TimeoutError:
                    continue
                try:
                    connection.settimeout(5)
                    if context is not None:
                        connection = context.wrap_socket(connection, server_side=True)
                    requests.append(_whole_request(connection))
                    reply(connection)
                except (ssl.SSLError, ConnectionError):
                    pass  # the other side hung up: that is what some tests are about
                finally:
                    connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"{'http' if context is None else 'https'}://127.0.0.1:{listening.getsockname()[1]}", requests
        finally:
            stopped.set()
            thread.join()


def _whole_request(connection: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        part = connection.recv(65536)
        if not part or part.startswith(b"\x16"):  # a TLS greeting, to a server that knows none
            return part
        received += part
    head, body = received.split(b"\r\n\r\n", 1)
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def sends(status: str, body: bytes, *headers: str, length: int | None = None) -> Callable[[socket.socket], None]:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", "Connection: close", *headers])
    return lambda connection: connection.sendall(head.encode() + b"\r\n\r\n" + body)


@contextmanager
def transport(
    base_url: str, *, token: str = "pat-eu1-secret", ca_bundle: str | None = None, timeout: float = 5.0
) -> Iterator[HubSpotTransport]:
    made = HubSpotTransport(base_url=base_url, token=token, ca_bundle=ca_bundle, timeout=timeout)
    try:
        yield made
    finally:
        made.close()


class TestTransport:
    def test_sends_what_was_built_and_brings_bytes(self) -> None:
        with server(sends("200 OK", b'{"results": []}', "X-HubSpot-Correlation-Id: c-9")) as (url, requests), transport(url + "/") as send:
            got = send(API.batch_read("contacts", ["1"], ["email"]))
        assert (got.status, got.body, got.headers["x-hubspot-correlation-id"]) == (200, b'{"results": []}', "c-9")
        head, body = requests[0].split(b"\r\n\r\n", 1)
        assert head.startswith(b"POST /crm/v3/objects/contacts/batch/read HTTP/1.1")
        assert b"Authorization: Bearer pat-eu1-secret\r\n" in head
        assert orjson.loads(body) == {"inputs": [{"id": "1"}], "properties": ["email"]}

    def test_query_is_encoded(self) -> None:
        with server(sends("200 OK", b"{}")) as (url, requests), transport(url) as send:
            send(API.list_page("emails", ["a", "b"], "7&x"))
        assert b"properties=a%2Cb" in requests[0]
        assert b"after=7%26x" in requests[0]
        assert b"associations=contacts" in requests[0]

    def test_understands_gzip(self) -> None:
        with server(sends("200 OK", gzip.compress(b'{"a": 1}'), "Content-Encoding: gzip")) as (url, _), transport(url) as send:
            assert send(READ).body == b'{"a": 1}'

    @pytest.mark.parametrize("status", ["404 Not Found", "401 Unauthorized", "403 Forbidden", "500 Error", "429 Too Many", "423 Locked"])
    def test_brings_errors_as_answers_whatever_their_bytes(self, status: str) -> None:
        """Error pages are ISO 8859-1 at times: the client would fail to decode them."""
        with server(sends(status, b"<html>\xfc\xff</html>", "Retry-After: 7")) as (url, _), transport(url) as send:
            got = send(READ)
        assert (str(got.status), got.body, got.headers["retry-after"]) == (status[:3], b"<html>\xfc\xff</html>", "7")

    def test_does_not_follow_a_redirection(self) -> None:
        """It would carry the token elsewhere."""
        with server(sends("302 Found", b"", "Location: /elsewhere")) as (url, requests), transport(url) as send:
            assert send(READ).status == 302
        assert len(requests) == 1

    def test_does_not_repeat_by_itself(self) -> None:
        with server(sends("503 Unavailable", b"", "Retry-After: 1")) as (url, requests), transport(url) as send:
            send(READ)
        assert len(requests) == 1

    @pytest.mark.parametrize("status", ["200 OK", "500 Server Error"])
    def test_a_cut_body_was_sent_and_not_answered(self, status: str) -> None:
        with server(sends(status, b'{"results": [', length=4000)) as (url, _), transport(url) as send, pytest.raises(Unreachable) as told:
            send(READ)
        assert told.value.sent

    def test_a_connection_closed_without_an_answer(self) -> None:
        with server(lambda connection: None) as (url, _), transport(url) as send, pytest.raises(Unreachable) as told:
            send(READ)
        assert told.value.sent

    def test_no_answer_in_time(self) -> None:
        hang = threading.Event()

        def never(connection: socket.socket) -> None:
            hang.wait(5)

        with server(never) as (url, _), transport(url, timeout=0.2) as send:
            with pytest.raises(Unreachable, match="in time") as told:
                send(READ)
            hang.set()
        assert told.value.sent

    def test_an_answer_that_trickles_for_ever_is_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Each piece comes in time; whoever sent it holds a lease that runs out."""
        looked, given_up, pieces, ticks = threading.Semaphore(0), threading.Event(), list[bytes](), count(step=1.0)

        def held_clock() -> float:
            looked.release()  # a piece was taken: the next may come
            return next(ticks)

        def trickle(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n")
            while looked.acquire(timeout=5) and not given_up.is_set():
                pieces.append(b" ")
                connection.sendall(b" ")

        with server(trickle) as (url, _), transport(url, timeout=5.0) as send:
            monkeypatch.setattr("connector.adapters.hubspot.transport.time", SimpleNamespace(monotonic=held_clock))
            with pytest.raises(Unreachable, match="in time") as told:
                send(READ)
            given_up.set()
            looked.release()
        assert 5 <= len(pieces) <= 7, "seven seconds went by, of five"
        assert told.value.sent

    def test_a_refused_connection_was_not_sent(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with transport(f"http://127.0.0.1:{port}") as send, pytest.raises(Unreachable, match="refused") as told:
            send(CREATE)
        assert not told.value.sent

    def test_a_certificate_that_is_not_trusted_stops_at_once(self, tmp_path: Path) -> None:
        authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        bundle = tmp_path / "ca.pem"
        authority.cert_pem.write_to_path(bundle)
        with server(sends("200 OK", b"{}"), context) as (url, _):
            with transport(url) as send, pytest.raises(PassStopped) as told:
                send(READ)
            assert "ca_bundle" in told.value.advice
            with transport(url, ca_bundle=str(bundle)) as send:
                assert send(READ).status == 200

    def test_https_to_a_server_without_tls(self) -> None:
        with server(sends("200 OK", b"{}")) as (url, _), transport(url.replace("http:", "https:")) as send, pytest.raises(PassStopped):
            send(READ)

    @pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "schlüssel"])
    def test_a_token_that_is_none_is_not_sent(self, token: str) -> None:
        with server(sends("200 OK", b"{}")) as (url, requests), transport(url, token=token) as send, pytest.raises(PassStopped) as told:
            send(READ)
        assert requests == []
        assert token not in told.value.message or not token

    def test_nothing_tells_the_token(self) -> None:
        with server(lambda connection: None) as (url, _), transport(url, token="pat-secret") as send, pytest.raises(Unreachable) as told:
            send(READ)
        assert "pat-secret" not in repr(told.value) + str(told.value.__cause__)
