"""Signing in to the sandbox's Salesforce: the OAuth token endpoint's four grants, the old SOAP login, and who one is.

Errors of OAuth are an object `{error, error_description}`; an answer never says how long a token lives
(https://help.salesforce.com/s/articleView?id=sf.remoteaccess_oauth_endpoints.htm).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from html import escape
from urllib.parse import parse_qsl, unquote_plus

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from connector.sandbox.salesforce.http import answer, org_of
from connector.sandbox.salesforce.org import ORG_ID, Org

_JWT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
#: The first version without SOAP login (https://help.salesforce.com/s/articleView?id=005132110): the older ones have it until Summer '27.
_NO_SOAP_LOGIN = 65
_SOAP = (
    '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"'
    ' xmlns="urn:partner.soap.sforce.com" xmlns:sf="urn:fault.partner.soap.sforce.com"><soapenv:Body>{}</soapenv:Body></soapenv:Envelope>'
)


def _refuse(error: str, description: str) -> Response:
    return answer({"error": error, "error_description": description}, 400)


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _credentials(request: Request, form: dict[str, str]) -> tuple[str, str]:
    """Client id and secret, from the Basic header or the body."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return unquote_plus(user), unquote_plus(password)
    return form.get("client_id", ""), form.get("client_secret", "")


def _issuer(assertion: str) -> str | None:
    """A well-formed JWT's `iss`; None for anything else. Its signature cannot be checked here: no certificate was uploaded."""
    parts = assertion.split(".")
    try:
        header, claims = (orjson.loads(_decoded(part)) for part in parts[:2])
    except (ValueError, binascii.Error):
        return None
    if len(parts) != 3 or not parts[2] or not isinstance(header, dict) or not isinstance(claims, dict):
        return None
    complete = header.get("alg") == "RS256" and all(claims.get(name) for name in ("iss", "sub", "aud", "exp"))
    return str(claims["iss"]) if complete else None


def _judge(org: Org, request: Request, form: dict[str, str]) -> Response | None:
    """The refusal, or None where the grant is good."""
    grant = form.get("grant_type", "")
    if org.closed:
        org.closed -= 1
        return _refuse("invalid_grant", "expired access/refresh token" if grant == "refresh_token" else "authentication failure")
    if grant == _JWT:
        issuer = _issuer(form.get("assertion", ""))
        if issuer is None:
            return _refuse("invalid_grant", "invalid assertion")
        return None if issuer == org.options.client_id else _refuse("invalid_client", "invalid client identifier")
    if grant not in ("client_credentials", "refresh_token", "password"):
        return _refuse("unsupported_grant_type", "grant type not supported")
    client, secret = _credentials(request, form)
    if not hmac.compare_digest(client.encode(), org.options.client_id.encode()):
        return _refuse("invalid_client", "invalid client identifier" if client else "client identifier is missing")
    public = grant == "refresh_token" and not secret  # an app may be set not to ask for the secret here
    if not public and not hmac.compare_digest(secret.encode(), org.options.client_secret.encode()):
        return _refuse("invalid_client", "invalid client credentials")
    if grant == "refresh_token" and (not form.get("refresh_token") or form["refresh_token"] in org.spent_refresh_tokens):
        return _refuse("invalid_grant", "expired access/refresh token")
    if grant == "password" and not (form.get("username") and form.get("password")):
        return _refuse("invalid_grant", "authentication failure")
    return None


async def token(request: Request) -> Response:
    """POST /services/oauth2/token."""
    org = org_of(request)
    form = dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))
    form = {**dict(request.query_params), **form}
    refusal = _judge(org, request, form)
    if refusal is not None:
        return refusal
    rotated = {}
    if form["grant_type"] == "refresh_token" and org.options.rotate_refresh_tokens:
        org.spent_refresh_tokens.add(form["refresh_token"])
        rotated["refresh_token"] = f"5Aep861{secrets.token_urlsafe(32)}"
    host = f"{request.url.scheme}://{request.url.netloc}"
    identity = f"{host}/id/{ORG_ID}/{org.world.connector_user_id}"
    issued = str(int(org.now().timestamp() * 1000))
    signature = hmac.new(org.options.client_secret.encode(), (identity + issued).encode(), hashlib.sha256).digest()
    return answer(
        {
            "access_token": org.sign_in(),
            "signature": base64.b64encode(signature).decode(),
            "scope": "api",
            "instance_url": host,
            "id": identity,
            "token_type": "Bearer",
            "issued_at": issued,
            **rotated,
        }
    )


async def soap(request: Request) -> Response:
    """POST /services/Soap/u/{version}: `login` with user name and password, closed from version 65 on."""
    org, body = org_of(request), (await request.body()).decode("utf-8", "replace")
    version = request.path_params["version"]
    given = {name: re.search(rf"<(?:\w+:)?{name}>([^<]*)</", body) for name in ("username", "password")}
    if not version.replace(".", "", 1).isdigit() or float(version) >= _NO_SOAP_LOGIN or not org.options.soap_login:
        return _fault("UNSUPPORTED_API_VERSION", f"SOAP API login() is disabled in version {version}")
    if org.closed or not all(found and found[1] for found in given.values()):
        org.closed = max(0, org.closed - 1)
        return _fault("INVALID_LOGIN", "Invalid username, password, security token; or user locked out.")
    url = f"{request.url.scheme}://{request.url.netloc}/services/Soap/u/{version}/{ORG_ID[:15]}"
    result = f"<serverUrl>{escape(url)}</serverUrl><sessionId>{org.sign_in()}</sessionId><userId>{org.world.connector_user_id}</userId>"
    return _xml(f"<loginResponse><result>{result}</result></loginResponse>", 200)


def _fault(code: str, message: str) -> Response:
    shown = f"<faultcode>sf:{code}</faultcode><faultstring>{code}: {message}</faultstring>"
    detail = f"<sf:exceptionCode>{code}</sf:exceptionCode><sf:exceptionMessage>{message}</sf:exceptionMessage>"
    return _xml(f"<soapenv:Fault>{shown}<detail><sf:LoginFault>{detail}</sf:LoginFault></detail></soapenv:Fault>", 500)


def _xml(content: str, status: int) -> Response:
    return Response(_SOAP.format(content), status, media_type="text/xml;charset=UTF-8")


async def userinfo(request: Request) -> Response:
    """GET /services/oauth2/userinfo."""
    org = org_of(request)
    if not org.signed_in(request.headers.get("authorization", "")):
        return PlainTextResponse("Bad_OAuth_Token", 403)
    user_id = org.world.connector_user_id
    user = org.world.salesforce["User"].get(user_id, {})
    host = f"{request.url.scheme}://{request.url.netloc}"
    return answer(
        {
            "sub": f"{host}/id/{ORG_ID}/{user_id}",
            "user_id": user_id,
            "organization_id": ORG_ID,
            "preferred_username": user.get("Username"),
            "name": user.get("Name"),
            "email": user.get("Email"),
            "active": user.get("IsActive", True),
            "urls": {"rest": f"{host}/services/data/v{{version}}/", "custom_domain": host},
        }
    )
