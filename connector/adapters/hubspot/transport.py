"""How requests reach HubSpot: over the one connection pool of HubSpot's own client, bytes out and bytes in.

The client's `ApiClient` is held once, since each new one opens connections of its own; it neither retries nor reads bodies here, since
its typed layer takes twenty times as long a page, and its retries know nothing of HubSpot's limits. `wire.errors` judges.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import orjson
import urllib3
from hubspot.crm.objects import ApiClient, ApiException, Configuration
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
)

from connector.adapters.client import Answer, Request, Unreachable
from connector.adapters.hubspot.wire.login import FORM
from connector.errors import PassStopped

#: Seconds until a connection must stand, whatever the whole timeout.
CONNECT_TIMEOUT = 10.0
#: Bytes of a body that are taken at once.
_PIECE = 1 << 16


class HubSpotTransport:
    """Sends requests. May be used by several threads at once; each takes a connection of the pool.

    token: the access token; None where requests bring credentials of their own (an OAuth app's). timeout: seconds until an answer begins,
    and again until it has ended.
    """

    def __init__(self, *, base_url: str, token: str | None, ca_bundle: str | None, timeout: float) -> None:
        configuration = Configuration(host=base_url.rstrip("/"), ssl_ca_cert=ca_bundle or DEFAULT_CA_BUNDLE_PATH)
        # False, not 0: then errors come as they are, and a redirection is an answer like others (it would carry the token elsewhere).
        configuration.retries = urllib3.Retry(False)
        self._host: str = configuration.host
        self._token = token
        self._timeout = (min(CONNECT_TIMEOUT, timeout), timeout)
        self._client = ApiClient(configuration)

    def __call__(self, request: Request) -> Answer:
        """The answer, whatever its status. Raises `Unreachable` where none came, `PassStopped` where none can come."""
        headers = self._headers(request)
        try:
            response = self._client.request(
                request.method,
                self._host + request.path,
                query_params=list(request.query.items()),
                headers=headers,
                **_content(request),
                _preload_content=False,
                _request_timeout=self._timeout,
            )
            body = _whole(response, time.monotonic() + self._timeout[1])
            return Answer(status=response.status, headers=_lower(response.headers), body=body)
        except ApiException as problem:
            if not problem.status:  # the client's way to tell of urllib3's SSLError
                raise self._untrusted() from problem
            return Answer(status=problem.status, headers=_lower(problem.headers or {}), body=problem.body or b"")
        except LocationValueError as problem:
            raise self._no_address() from problem
        except HTTPError as problem:
            raise _unreachable(problem) from problem

    def close(self) -> None:
        """Closes the connections."""
        self._client.rest_client.pool_manager.clear()
        self._client.close()

    def _headers(self, request: Request) -> dict[str, str]:
        # The scheme is case-sensitive and one space follows it (seen live); anything else in a header would be refused here or there.
        if self._token is not None and not _possible(self._token):
            raise PassStopped(
                "the HubSpot access token is empty, or has characters that no token has",
                crm="hubspot",
                advice="Look at what crm.hubspot.access_token points to: one line, the token alone.",
            )
        own = {} if self._token is None else {"Authorization": f"Bearer {self._token}"}
        return {
            **own,
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": "crm-handoff-connector",
            **request.headers,
        }

    def _untrusted(self) -> PassStopped:
        return PassStopped(
            f"the certificate of {self._host} is not trusted, or it does not speak TLS",
            crm="hubspot",
            advice="Behind a proxy that opens TLS, name its certificate: crm.hubspot.ca_bundle; else check crm.hubspot.base_url.",
        )

    def _no_address(self) -> PassStopped:
        return PassStopped("crm.hubspot.base_url is no address", crm="hubspot", advice="HubSpot's own is https://api.hubapi.com.")


def _whole(response: urllib3.HTTPResponse, deadline: float) -> bytes:
    """The body. The timeout is for each piece of it; an answer that trickles for ever is none. Raises `Unreachable`.

    A request, its wait for the first byte included, must end within half the lease of whoever writes.
    """
    pieces: list[bytes] = []
    while piece := response.read1(_PIECE):
        pieces.append(piece)
        if time.monotonic() > deadline:
            response.close()
            raise Unreachable("the answer did not end in time", sent=True)
    return b"".join(pieces)


def _unreachable(problem: HTTPError) -> Unreachable:
    """In words, without the address's query; and whether the request may have arrived."""
    if isinstance(problem, NameResolutionError):
        return Unreachable("its name is not known to the network", sent=False)
    if isinstance(problem, NewConnectionError | ProxyError):  # the first is a ConnectTimeoutError by descent
        return Unreachable("the connection was refused", sent=False)
    if isinstance(problem, ConnectTimeoutError):
        return Unreachable("no connection in time", sent=False)
    if isinstance(problem, ReadTimeoutError):
        return Unreachable("no answer in time", sent=True)
    return Unreachable(f"the connection broke: {type(problem).__name__}", sent=True)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _possible(token: str) -> bool:
    return bool(token) and token.isascii() and token.isprintable() and " " not in token


def _content(request: Request) -> dict[str, Any]:
    """The body as the client wants it: it writes JSON and forms itself."""
    if request.body is None:
        return {}
    if request.headers.get("Content-Type") == FORM:
        return {"post_params": dict(parse_qsl(request.body.decode(), keep_blank_values=True))}
    return {"body": orjson.loads(request.body)}
