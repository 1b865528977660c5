"""HubSpot's client, through which every part of the adapter asks: requests signed, counted and judged, each in its lane."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from threading import Lock

from connector.adapters.client import Answer, Budget, Caller, Lane, Request
from connector.adapters.hubspot.login import HubSpotLogin
from connector.adapters.hubspot.transport import HubSpotTransport
from connector.adapters.hubspot.wire.account import AccountDetails, read_account
from connector.adapters.hubspot.wire.errors import judge
from connector.adapters.hubspot.wire.limits import told_limits
from connector.adapters.hubspot.wire.requests import Api
from connector.errors import CrmError
from connector.model import HubSpotAccess


class HubSpotClient:
    """Threads may share it. api: builds requests; sent: how many went out, repeated ones counted each time.

    sleep: how to wait, in seconds, between retries; clock: seconds, for the age of an OAuth token. timeout: seconds without an answer.
    send: how requests go out, in place of HTTP.
    """

    def __init__(
        self,
        access: HubSpotAccess,
        *,
        budget: Budget,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
        timeout: float,
        send: Callable[[Request], Answer] | None = None,
    ) -> None:
        self.api = Api(access.api_version)
        self.sent = 0
        self._access_token = access.access_token.read() if access.access_token is not None else None
        self._transport = HubSpotTransport(
            base_url=access.base_url, token=self._access_token, ca_bundle=access.ca_bundle, timeout=timeout
        )
        self._exchange = send or self._transport
        self._budget = budget
        self._sleep = sleep
        self._lock = Lock()
        self._login: HubSpotLogin | None = None
        if self._access_token is None:
            self._login = HubSpotLogin(access, send=self._send, budget=budget, sleep=sleep, clock=clock)
        self._account: AccountDetails | None = None
        self._account_lock = Lock()

    @property
    def oauth(self) -> bool:
        """Whether the access token is an OAuth app's, which the connector renews."""
        return self._login is not None

    @property
    def unkept(self) -> str:
        """Why a newer refresh token is lost when this process ends; "" where none is."""
        return self._login.unkept if self._login is not None else ""

    def caller(self, lane: Lane = "normal") -> Caller:
        """A caller of its own each time: its count is then that of one pull, whatever other threads send."""
        send: Callable[[Request], Answer] = self._send if self._login is None else partial(self._login.send, lane=lane)
        return Caller(crm="hubspot", send=send, judge=self._judge, budget=self._budget, sleep=self._sleep, lane=lane)

    def token_info(self) -> Request:
        """Asks what the access token may do."""
        return self._login.introspection() if self._login is not None else self.api.token_info(self._access_token or "")

    def account(self) -> AccountDetails:
        """The account's number, the host of its user interface (it differs by region) and its time zone: asked for once."""
        with self._account_lock:
            if self._account is None:
                self._account = self.caller().ask(self.api.account(), read_account)
            return self._account

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def _send(self, request: Request) -> Answer:
        """The answer; the budget learns what it says of HubSpot's limits."""
        with self._lock:
            self.sent += 1
        answer = self._exchange(request)
        for limit in told_limits(answer):
            self._budget.learn(limit.name, limit.used, limit.of)
        return answer

    def _judge(self, request: Request, answer: Answer) -> CrmError | None:
        return judge(request, answer, self._account.zone if self._account is not None else None)
