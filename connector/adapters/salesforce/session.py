"""The session with Salesforce: simple-salesforce logs in, its `requests.Session` carries every request, and one login serves all threads.

Why not simple-salesforce's own calls: on a 401 they log in again and drop the request's headers, several threads each log in, some retry
for ever, and none has a timeout by default. Here the headers stay on the HTTP session, a 401 leads to one login (by one thread, the others
wait for it) and one replay, and a second 401 stops.
"""

from __future__ import annotations

import contextlib
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any, Protocol
from urllib.parse import urlsplit
from xml.parsers.expat import ExpatError

import jwt
import requests
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceError
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, ProxyError

from connector.adapters.client import Answer, Budget, Lane, Request, Unreachable
from connector.adapters.refresh_token import KeptToken
from connector.adapters.salesforce.wire import login as wire_login
from connector.adapters.salesforce.wire import requests as wire
from connector.errors import PassStopped


class Settings(Protocol):
    """[crm.salesforce], as far as it matters here. Secrets are objects with `read() -> str`, or None."""

    @property
    def auth(self) -> str: ...
    @property
    def instance_url(self) -> str: ...
    @property
    def client_id(self) -> Any: ...
    @property
    def client_secret(self) -> Any: ...
    @property
    def username(self) -> str | None: ...
    @property
    def private_key(self) -> Any: ...
    @property
    def password(self) -> Any: ...
    @property
    def security_token(self) -> Any: ...
    @property
    def refresh_token(self) -> Any: ...
    @property
    def ca_bundle(self) -> str | None: ...
    @property
    def daily_requests(self) -> int: ...
    @property
    def headroom(self) -> float: ...
    @property
    def run_assignment_rules(self) -> bool: ...
    @property
    def task_key_field(self) -> str: ...


class _Bearer(requests.auth.AuthBase):
    """Sets the access token. As an `auth` it also keeps requests from taking credentials out of ~/.netrc."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class _Http(requests.Session):
    """One thread's connections. Logins, which simple-salesforce sends to https://….salesforce.com, go to the instance instead."""

    def __init__(self, base: str, *, timeout: float, verify: str | None, headers: dict[str, str]) -> None:
        super().__init__()
        self.user_id = ""
        self._base = base
        self._timeout = (min(10.0, timeout), timeout)
        self.headers.update(headers)
        self.auth = _Bearer(None)
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
        answer = _answer(response, response.content)
        refusal = wire_login.judge(answer, path=path)
        if refusal is not None:
            raise refusal
        self.user_id = wire_login.user_of(answer, path=path)
        return response


class SalesforceSession:
    """Logs in when it must and sends. Safe for threads: each has its own connections, all share one access token."""

    def __init__(self, settings: Settings, *, budget: Budget, timeout: float, patience: float) -> None:
        self._settings = settings
        self._budget = budget
        self._timeout = timeout
        self._patience = max(timeout, patience)
        self._configured = settings.instance_url.rstrip("/")
        self._scheme = urlsplit(self._configured).scheme
        self._instance = self._configured
        self._token: str | None = None
        self._refresh_token = KeptToken(settings.refresh_token) if settings.refresh_token is not None else None
        self._login_lock = threading.Lock()
        self._logins = 0
        self._failure: Exception | None = None
        self._count_lock = threading.Lock()
        self._sent = 0
        self._local = threading.local()
        self._open: weakref.WeakSet[_Http] = weakref.WeakSet()
        #: The user that the connector is, once it is logged in; "" where the login did not tell.
        self.user_id = ""

    @property
    def instance(self) -> str:
        """The org's address: the one that the login told, before it the configured one."""
        return self._instance

    @property
    def sent(self) -> int:
        """How many requests went out, logins included."""
        return self._sent

    @property
    def unkept(self) -> str:
        """Why the refresh token that the org handed out last is lost when this process ends; "" where it is kept, or none was."""
        return self._refresh_token.unkept if self._refresh_token is not None else ""

    def send(self, request: Request, lane: Lane = "normal") -> Answer:
        """The answer, with a fresh login and one replay where the session had ended, or the org has moved from the instance that the last
        login named; both wait in the request's lane.

        Raises `Unreachable`; `PassStopped` where a login is refused; `Retriable` where logging in may work later.
        """
        token = self._token or self._login(None, lane)
        try:
            answer = self._exchange(request, token)
        except Unreachable as problem:
            if problem.sent or self._instance == self._configured:
                raise
        else:
            moved = answer.status in wire.MOVED and self._instance != self._configured
            if answer.status != 401 and not moved:
                return answer
        token = self._login(token, lane)  # whichever it was, nothing was done, so a create may be replayed too
        self._budget.take(request.bucket, lane)
        return self._exchange(request, token)

    def close(self) -> None:
        """Gives back connections. The access token is left alone: others may share the session."""
        for http in list(self._open):
            http.close()

    # ── Sending ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _waits(self, request: Request) -> tuple[float, float]:
        """Seconds until a connection stands, and for each piece of the answer."""
        return min(10.0, self._timeout), self._patience if wire.is_query(request) else self._timeout

    def _exchange(self, request: Request, token: str) -> Answer:
        url = self._instance + wire.target(request)
        headers = dict(request.headers)
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        self._count()
        with self._network(login=False):
            response = self._http().request(
                request.method, url, data=request.body, headers=headers, auth=_Bearer(token), stream=True, timeout=self._waits(request)
            )
            # Once it began; the patience is for what Salesforce works on. Files of the Bulk API are long, answers to writes are not.
            deadline = time.monotonic() + (4 if request.method == "GET" else 1) * self._timeout
            with contextlib.closing(response):
                answer = _answer(response, _body(response, deadline))
        self._learn(answer)
        return answer

    def _learn(self, answer: Answer) -> None:
        """Tells the budget the org's own count of calls, by all integrations, which is on every answer."""
        usage = wire.api_usage(answer.headers)
        if usage is not None:
            self._budget.learn("day", *usage)

    def _http(self) -> _Http:
        http: _Http | None = getattr(self._local, "http", None)
        if http is None:
            http = _Http(
                self._configured,
                timeout=self._timeout,
                verify=self._settings.ca_bundle,
                headers=wire.session_headers(run_assignment_rules=self._settings.run_assignment_rules),
            )
            self._local.http = http
            with self._count_lock:
                self._open.add(http)
        return http

    def _count(self) -> None:
        with self._count_lock:
            self._sent += 1

    @contextlib.contextmanager
    def _network(self, *, login: bool) -> Iterator[None]:
        """`requests`' failures, as whether the request may have reached Salesforce, and those that no retry cures as `PassStopped`."""
        try:
            yield
        except requests.exceptions.SSLError as error:
            raise self._stopped(
                "the certificate of salesforce was not accepted", "Set crm.salesforce.ca_bundle to the authority that your network uses."
            ) from error
        except (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema, requests.exceptions.InvalidSchema) as error:
            raise self._stopped("crm.salesforce.instance_url is no address", "Write it as https://acme.my.salesforce.com.") from error
        except requests.exceptions.RequestException as error:
            raise Unreachable(type(error).__name__, sent=not login and not _never_sent(error)) from error
        except OSError as error:
            # Only a ca_bundle that cannot be read ends here; requests wraps what sockets do.
            raise self._stopped("crm.salesforce.ca_bundle cannot be read", "Check the path and who may read it.") from error

    @staticmethod
    def _stopped(message: str, advice: str) -> PassStopped:
        return PassStopped(message, crm="salesforce", code="UNREACHABLE", advice=advice)

    # ── Logging in ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _login(self, stale: str | None, lane: Lane) -> str:
        """A token other than `stale`. Of several threads that ask at once, one logs in; the others take what it got, also its refusal."""
        seen = self._logins
        with self._login_lock:
            if self._token is not None and self._token != stale:
                return self._token
            if self._logins != seen and self._failure is not None:
                raise self._failure
            self._token, self._failure = None, None
            try:
                self._token = self._logged_in(lane)
                self.user_id = self._http().user_id
            except Exception as error:
                self._failure = error
                raise
            finally:
                self._logins += 1  # now, so that whoever asked while it went on takes what came of it
            return self._token

    def _logged_in(self, lane: Lane) -> str:
        settings = self._settings
        host = urlsplit(self._configured).hostname or ""
        if self._scheme != "https" and not (self._scheme == "http" and host in ("127.0.0.1", "localhost", "::1")):
            raise self._stopped("crm.salesforce.instance_url is not https", "Write it as https://acme.my.salesforce.com.")
        missing = [name for name in wire_login.NEEDED[settings.auth] if getattr(settings, name) is None]
        if missing:
            raise wire_login.incomplete(settings.auth, missing)
        self._budget.take("login", lane)
        self._count()
        with self._network(login=True):
            if settings.auth == "refresh-token":
                return self._refreshed(lane)
            return self._by_library(self._credentials())

    def _by_library(self, credentials: dict[str, Any]) -> str:
        try:
            sf = Salesforce(session=self._http(), version=wire.API_VERSION, **credentials)
        except requests.exceptions.RequestException:
            raise  # some are ValueErrors too; the network's own words are found for them further out
        except ExpatError as error:
            raise wire_login.cut_off() from error
        except SalesforceError as error:
            raise self._stopped("salesforce refused the login", "Check the credentials in crm.salesforce.") from error
        except (jwt.exceptions.PyJWTError, ValueError, TypeError) as error:
            advice = "Give the key whose certificate the External Client App holds."
            raise self._stopped("crm.salesforce.private_key is no RSA key in PEM form", advice) from error
        # The library strips every "-api" from the host that a SOAP login names.
        if not (_by_soap(credentials) and "-api" in self._configured):
            self._instance = f"{self._scheme}://{sf.sf_instance.rstrip('/')}"
        return str(sf.session_id)

    def _credentials(self) -> dict[str, Any]:
        """The arguments by which simple-salesforce recognises the flow."""
        settings, domain = self._settings, wire_login.domain_of(self._configured)
        if settings.auth == "client-credentials":
            return {"consumer_key": settings.client_id.read(), "consumer_secret": settings.client_secret.read(), "domain": domain}
        who = {"username": settings.username or ""}
        if settings.auth == "jwt":
            secret = settings.private_key  # a key in PEM has several lines, of which a plain `read` may give the first alone
            key = {"consumer_key": settings.client_id.read(), "privatekey": getattr(secret, "read_all", secret.read)()}
            return {**who, **key, "domain": wire_login.audience_of(self._configured), "instance_url": domain}
        who["password"] = settings.password.read()
        if settings.security_token is None and settings.client_id is not None and settings.client_secret is not None:
            return {**who, "consumer_key": settings.client_id.read(), "consumer_secret": settings.client_secret.read(), "domain": domain}
        return {**who, "security_token": settings.security_token.read() if settings.security_token is not None else "", "domain": domain}

    def _refreshed(self, lane: Lane) -> str:
        """The refresh-token flow, which simple-salesforce has not: the access token is fetched here."""
        kept = self._refresh_token
        if kept is None:
            raise wire_login.incomplete("refresh-token", ["refresh_token"])
        with kept.renewing():  # of several processes one at a time: a token that rotates is good once
            token = kept.current()
            try:
                granted = self._granted(token)
            except PassStopped as refusal:
                newer = kept.current()
                if refusal.code != "invalid_grant" or newer == token:
                    raise
                self._budget.take("login", lane)  # another process renewed meanwhile, where no lock holds it
                self._count()
                token, granted = newer, self._granted(newer)
            handed_out = granted.get("refresh_token")
            if isinstance(handed_out, str) and handed_out != token:
                kept.keep(handed_out)
        return self._by_library({"session_id": granted["access_token"], "instance_url": granted["instance_url"]})

    def _granted(self, refresh_token: str) -> dict[str, Any]:
        form = {"grant_type": "refresh_token", "client_id": self._settings.client_id.read(), "refresh_token": refresh_token}
        if self._settings.client_secret is not None:
            form["client_secret"] = self._settings.client_secret.read()
        granted: dict[str, Any] = self._http().post(self._configured + wire_login.TOKEN_PATH, data=form).json()
        return granted


def _by_soap(credentials: dict[str, Any]) -> bool:
    """Whether these lead simple-salesforce to the SOAP login."""
    return "security_token" in credentials


def _answer(response: requests.Response, body: bytes) -> Answer:
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
