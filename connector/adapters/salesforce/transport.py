"""How requests reach Salesforce: over `requests`' sessions, one a thread, bytes out and bytes in; `wire.errors` judges.

Why not simple-salesforce's own calls: on a 401 they log in again and drop the request's headers, several threads each log in, some retry
for ever, and none has a timeout by default. Here the headers stay on the HTTP session, and nothing is retried.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, ProxyError

from connector.adapters.client import Answer, Request, Unreachable
from connector.adapters.salesforce.wire import login as wire_login
from connector.adapters.salesforce.wire import requests as wire
from connector.errors import PassStopped
from connector.model import SalesforceAccess


class BearerToken(requests.auth.AuthBase):
    """Sets the access token. As an `auth` it also keeps requests from taking credentials out of ~/.netrc."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class HttpConnections(requests.Session):
    """One thread's connections. user_id: of the last login.

    Logins, which simple-salesforce sends to https://….salesforce.com, go to the instance instead.
    """

    def __init__(self, base: str, *, timeout: float, verify: str | None, headers: dict[str, str]) -> None:
        super().__init__()
        self.user_id = ""
        self._base = base
        self._timeout = (min(10.0, timeout), timeout)
        self.headers.update(headers)
        self.auth = BearerToken(None)
        if verify is not None:
            self.verify = verify

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """As `requests` does, with a timeout and no redirects (which would turn a POST into a GET). Raises a login's refusal as ours."""
        kwargs.setdefault("timeout", self._timeout)
        kwargs.setdefault("allow_redirects", False)
        if self.verify is not True:
            kwargs.setdefault("verify", self.verify)  # else REQUESTS_CA_BUNDLE would win over ca_bundle
        path = urlsplit(url if isinstance(url, str) else url.decode()).path
        if not wire_login.is_login(path):
            return super().request(method, url, *args, **kwargs)
        response = super().request(method, self._base + path, *args, **kwargs)
        answer = answer_of(response, response.content)
        refusal = wire_login.judge(answer, path=path)
        if refusal is not None:
            raise refusal
        self.user_id = wire_login.user_of(answer, path=path)
        return response


class SalesforceTransport:
    """Sends requests. Safe for threads: each has connections of its own.

    timeout: seconds for a login, for each piece of an answer, and for all of an answer to a write once it began (of what is read, four
    times as many); patience: for each piece of an answer to a query, on the first of which Salesforce works. sent: how many requests went
    out, logins included.
    """

    def __init__(self, access: SalesforceAccess, *, timeout: float, patience: float) -> None:
        self.configured = access.instance_url.rstrip("/")
        self.sent = 0
        self._access = access
        self._timeout = timeout
        self._patience = max(timeout, patience)
        self._lock = threading.Lock()
        self._local = threading.local()
        self._open: weakref.WeakSet[HttpConnections] = weakref.WeakSet()

    def exchange(self, instance: str, request: Request, token: str) -> Answer:
        """The answer of the org at this address, whatever its status. Raises `Unreachable` where none came."""
        headers = dict(request.headers)
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        url, waits = instance + wire.target(request), self._waits(request)
        self.count()
        with self.network(login=False):
            response = self.connections().request(
                request.method, url, data=request.body, headers=headers, auth=BearerToken(token), stream=True, timeout=waits
            )
            # Once it began; the patience is for what Salesforce works on. Files of the Bulk API are long, answers to writes are not.
            deadline = time.monotonic() + (4 if request.method == "GET" else 1) * self._timeout
            with contextlib.closing(response):
                return answer_of(response, _body(response, deadline))

    def connections(self) -> HttpConnections:
        """This thread's."""
        http: HttpConnections | None = getattr(self._local, "http", None)
        if http is None:
            http = HttpConnections(
                self.configured,
                timeout=self._timeout,
                verify=self._access.ca_bundle,
                headers=wire.session_headers(run_assignment_rules=self._access.run_assignment_rules),
            )
            self._local.http = http
            with self._lock:
                self._open.add(http)
        return http

    def count(self) -> None:
        """One more request goes out."""
        with self._lock:
            self.sent += 1

    def close(self) -> None:
        """Gives back connections. The access token is left alone: others may share the session."""
        for http in list(self._open):
            http.close()

    @contextlib.contextmanager
    def network(self, *, login: bool) -> Iterator[None]:
        """`requests`' failures, as whether the request may have reached Salesforce, and those that no retry cures as `PassStopped`."""
        try:
            yield
        except requests.exceptions.SSLError as error:
            raise stopped(
                "the certificate of salesforce was not accepted", "Set crm.salesforce.ca_bundle to the authority that your network uses."
            ) from error
        except (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema, requests.exceptions.InvalidSchema) as error:
            raise stopped("crm.salesforce.instance_url is no address", "Write it as https://acme.my.salesforce.com.") from error
        except requests.exceptions.RequestException as error:
            raise Unreachable(type(error).__name__, sent=not login and not _never_sent(error)) from error
        except OSError as error:
            # Only a ca_bundle that cannot be read ends here; requests wraps what sockets do.
            raise stopped("crm.salesforce.ca_bundle cannot be read", "Check the path and who may read it.") from error

    def _waits(self, request: Request) -> tuple[float, float]:
        """Seconds until a connection stands, and for each piece of the answer."""
        return min(10.0, self._timeout), self._patience if wire.is_query(request) else self._timeout


def stopped(message: str, advice: str) -> PassStopped:
    """The error of an org that cannot be reached, or logged in to, as things are configured."""
    return PassStopped(message, crm="salesforce", code="UNREACHABLE", advice=advice)


def answer_of(response: requests.Response, body: bytes) -> Answer:
    """The answer as the wire modules read it."""
    return Answer(status=response.status_code, headers={name.lower(): value for name, value in response.headers.items()}, body=body)


def _body(response: requests.Response, deadline: float) -> bytes:
    """The whole body; an answer that trickles for ever is none."""
    pieces = []
    for piece in response.iter_content(1 << 16):
        pieces.append(piece)
        if time.monotonic() > deadline:
            raise Unreachable("the answer did not end in time", sent=True)
    return b"".join(pieces)


def _never_sent(error: requests.exceptions.RequestException) -> bool:
    """Whether no connection came about, so that the request certainly was not sent."""
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    return isinstance(reason, NewConnectionError | ConnectTimeoutError | ProxyError)
