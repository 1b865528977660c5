"""The login to Salesforce: simple-salesforce fetches the access token, one login serves all threads.

A 401 leads to one login (by one thread, the others wait for it), and its refusal is the refusal of all who wait.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit
from xml.parsers.expat import ExpatError

import jwt
import requests
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceError

from connector.adapters.client import Budget, Lane
from connector.adapters.refresh_token import KeptToken
from connector.adapters.salesforce.transport import SalesforceTransport, stopped
from connector.adapters.salesforce.wire import login as wire_login
from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.shared_token import SharedToken
from connector.errors import PassStopped
from connector.model import SalesforceAccess, SecretReference


class SalesforceLogin:
    """The access token in use. Threads may share it.

    instance: the org's address, as the login told it; before it the configured one. user_id: the user that the connector is, once it is
    logged in; "" where the login did not tell.
    """

    def __init__(self, access: SalesforceAccess, transport: SalesforceTransport, budget: Budget) -> None:
        self.instance = transport.configured
        self.user_id = ""
        self._access = access
        self._transport = transport
        self._budget = budget
        self._token = SharedToken()
        self._refresh_token = KeptToken(access.refresh_token) if access.refresh_token is not None else None

    @property
    def unkept(self) -> str:
        """Why the refresh token that the org handed out last is lost when this process ends; "" where it is kept, or none was."""
        return self._refresh_token.unkept if self._refresh_token is not None else ""

    @property
    def moved(self) -> bool:
        """Whether the last login named another instance than the configured one."""
        return self.instance != self._transport.configured

    def token(self, lane: Lane) -> str:
        """The token in use, by a login where there is none yet.

        Raises `Unreachable`; `PassStopped` where the login is refused; `Retriable` where logging in may work later.
        """
        return self._token.value or self.renewed(None, lane)

    def renewed(self, refused: str | None, lane: Lane) -> str:
        """A token other than the refused one. Raises as `token`."""
        return self._token.other_than(refused, lambda: self._log_in(lane))

    def _log_in(self, lane: Lane) -> str:
        self._token.value = None  # whoever sends meanwhile waits for this login
        token = self._granted_token(lane)
        self.user_id = self._transport.connections().user_id
        return token

    def _granted_token(self, lane: Lane) -> str:
        access, configured = self._access, urlsplit(self._transport.configured)
        if configured.scheme != "https" and not (configured.scheme == "http" and configured.hostname in ("127.0.0.1", "localhost", "::1")):
            raise stopped("crm.salesforce.instance_url is not https", "Write it as https://acme.my.salesforce.com.")
        missing = [name for name in wire_login.NEEDED[access.auth] if getattr(access, name) is None]
        if missing:
            raise wire_login.incomplete(access.auth, missing)
        self._budget.take("login", lane)
        self._transport.count()
        with self._transport.network(login=True):
            if access.auth == "refresh-token":
                return self._refreshed(lane)
            return self._by_library(self._credentials())

    def _by_library(self, credentials: dict[str, Any]) -> str:
        try:
            sf = Salesforce(session=self._transport.connections(), version=wire.API_VERSION, **credentials)
        except requests.exceptions.RequestException:
            raise  # some are ValueErrors too; the network's own words are found for them further out
        except ExpatError as error:
            raise wire_login.cut_off() from error
        except SalesforceError as error:
            raise stopped("salesforce refused the login", "Check the credentials in crm.salesforce.") from error
        except (jwt.exceptions.PyJWTError, ValueError, TypeError) as error:
            advice = "Give the key whose certificate the External Client App holds."
            raise stopped("crm.salesforce.private_key is no RSA key in PEM form", advice) from error
        # The library strips every "-api" from the host that a SOAP login names.
        if not (_by_soap(credentials) and "-api" in self._transport.configured):
            self.instance = f"{urlsplit(self._transport.configured).scheme}://{sf.sf_instance.rstrip('/')}"
        return str(sf.session_id)

    def _credentials(self) -> dict[str, Any]:
        """The arguments by which simple-salesforce recognises the flow."""
        access, domain = self._access, wire_login.domain_of(self._transport.configured)
        if access.auth == "client-credentials":
            return {"consumer_key": _value(access.client_id), "consumer_secret": _value(access.client_secret), "domain": domain}
        who = {"username": access.username or ""}
        if access.auth == "jwt":
            key = {"consumer_key": _value(access.client_id), "privatekey": _value(access.private_key, whole=True)}
            return {**who, **key, "domain": wire_login.audience_of(self._transport.configured), "instance_url": domain}
        who["password"] = _value(access.password)
        if access.security_token is None and access.client_id is not None and access.client_secret is not None:
            return {**who, "consumer_key": _value(access.client_id), "consumer_secret": _value(access.client_secret), "domain": domain}
        return {**who, "security_token": _value(access.security_token), "domain": domain}

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
                self._transport.count()
                token, granted = newer, self._granted(newer)
            handed_out = granted.get("refresh_token")
            if isinstance(handed_out, str) and handed_out != token:
                kept.keep(handed_out)
        return self._by_library({"session_id": granted["access_token"], "instance_url": granted["instance_url"]})

    def _granted(self, refresh_token: str) -> dict[str, Any]:
        form = {"grant_type": "refresh_token", "client_id": _value(self._access.client_id), "refresh_token": refresh_token}
        if self._access.client_secret is not None:
            form["client_secret"] = _value(self._access.client_secret)
        url = self._transport.configured + wire_login.TOKEN_PATH
        granted: dict[str, Any] = self._transport.connections().post(url, data=form).json()
        return granted


def _value(secret: SecretReference | None, *, whole: bool = False) -> str:
    """The secret; "" where there is none. whole: all of its lines, which a key in PEM has."""
    if secret is None:
        return ""
    return secret.read_all() if whole else secret.read()


def _by_soap(credentials: dict[str, Any]) -> bool:
    """Whether these lead simple-salesforce to the SOAP login."""
    return "security_token" in credentials
