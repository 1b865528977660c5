"""What HubSpot's account tells about itself: owners, properties, details, and whose token it is.

Sources: developers.hubspot.com/docs/api-reference/crm-crm-owners-v3/guide, /crm-properties-v3/guide, /account-account-info-v3,
/docs/api-reference/auth-oauth-v1.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from connector.sandbox.hubspot_answers import answer, invalid, refused
from connector.sandbox.hubspot_associations import type_named
from connector.sandbox.hubspot_catalogue import definition
from connector.sandbox.hubspot_limits import ZONE
from connector.sandbox.world import World

PORTAL = 4_711_001
REFRESH_TOKEN = "sandbox-refresh-token"  # noqa: S105 - opens nothing but this sandbox
SCOPES = (
    "crm.objects.companies.read", "crm.objects.contacts.read", "crm.objects.contacts.write", "crm.objects.owners.read",
    "crm.schemas.companies.read", "crm.schemas.contacts.read", "crm.schemas.contacts.write", "oauth", "sales-email-read",
)  # fmt: skip


class Account:
    """Handlers: (request, body) → answer. They raise `Refusal`."""

    def __init__(self, world: World, now: Callable[[], datetime], *, token: str) -> None:
        self._world = world
        self._now = now
        self._token = token

    def owners(self, request: Request, body: Any) -> Response:  # noqa: ARG002 - one signature for all handlers
        """Owners, active or archived, a page at a time (default 100, at most 500)."""
        query = request.query_params
        archived = (query.get("archived") or "").lower() == "true"
        found = [owner for owner in self._world.hubspot_owners if owner["archived"] is archived]
        if query.get("email"):
            found = [owner for owner in found if owner["email"] == query["email"]]
        limit, start = min(int(query.get("limit") or 100), 500), int(query.get("after") or 0)
        content: dict[str, Any] = {"results": [self._owner(owner) for owner in found[start : start + limit]]}
        if start + limit < len(found):
            content["paging"] = {"next": {"after": str(start + limit)}}
        return answer(content)

    def owner(self, request: Request, body: Any) -> Response:  # noqa: ARG002
        """One owner by id."""
        archived = (request.query_params.get("archived") or "").lower() == "true"
        for owner in self._world.hubspot_owners:
            if owner["id"] == request.path_params["id"] and owner["archived"] is archived:
                return answer(self._owner(owner))
        raise refused("OBJECT_NOT_FOUND", "No owner has this id", status=404)

    def _owner(self, owner: dict[str, Any]) -> dict[str, Any]:
        """An archived owner has no userId; the one he had stands beside it."""
        known = self._world.now
        inactive = owner["userId"] or 5_200_900 + int(owner["id"]) % 97
        return {**owner, "type": "PERSON", "createdAt": known, "updatedAt": known, "teams": [], "userIdIncludingInactive": inactive}

    def properties(self, request: Request, body: Any) -> Response:  # noqa: ARG002
        """All properties of an object; this one is not paged."""
        definitions = self._world.hubspot_properties[type_named(request.path_params["type"])]
        return answer({"results": list(definitions.values())})

    def property(self, request: Request, body: Any) -> Response:  # noqa: ARG002
        """One property."""
        name = request.path_params["name"]
        found = self._world.hubspot_properties[type_named(request.path_params["type"])].get(name)
        if found is None:
            raise refused("OBJECT_NOT_FOUND", f'Property "{name}" does not exist', status=404)
        return answer(found)

    def create_property(self, request: Request, body: Any) -> Response:
        """A property of the account's own."""
        definitions = self._world.hubspot_properties[type_named(request.path_params["type"])]
        missing = [each for each in ("name", "label", "type", "fieldType", "groupName") if not body.get(each)]
        if missing:
            raise invalid(f"Some required fields were not set: {missing}")
        name = body["name"]
        if name in definitions:
            raise refused("OBJECT_ALREADY_EXISTS", f'A property named "{name}" already exists.', status=409,
                          subCategory="Properties.PROPERTY_WITH_NAME_EXISTS")  # fmt: skip
        options = [option["value"] for option in body.get("options") or []]
        labels = [option["label"] for option in body.get("options") or []]
        made = definition(
            name, body["type"], body["fieldType"], options=options, labels=labels, unique=bool(body.get("hasUniqueValue")), own=False
        )
        definitions[name] = {**made, "label": body["label"], "groupName": body["groupName"]}
        return answer(definitions[name], 201)

    def details(self, request: Request, body: Any) -> Response:  # noqa: ARG002
        """The account; its time zone rules when the day's limit ends."""
        local = self._now().astimezone(ZoneInfo(ZONE))
        offset = local.utcoffset()
        return answer(
            {
                "portalId": PORTAL,
                "accountType": "SANDBOX",
                "timeZone": ZONE,
                "companyCurrency": "EUR",
                "additionalCurrencies": [],
                "utcOffset": f"{local:%z}"[:3] + ":00",
                "utcOffsetMilliseconds": 0 if offset is None else int(offset.total_seconds() * 1000),
                "uiDomain": "app-eu1.hubspot.com",
                "dataHostingLocation": "eu1",
            }
        )

    def token_info(self, request: Request, body: Any) -> Response:  # noqa: ARG002
        """Whose token it is and what it may do."""
        if not isinstance(body, dict) or body.get("tokenKey") != self._token:
            raise refused("INVALID_AUTHENTICATION", "The access token is invalid, expired or was revoked.", status=401)
        return answer({"userId": 5_200_050, "hubId": PORTAL, "appId": 990_001, "scopes": list(SCOPES)})

    def refresh_token(self, request: Request, body: Any) -> Response:  # noqa: ARG002
        """A new access token for the refresh token; it is the same one here."""
        form = parse_qs(body.decode()) if isinstance(body, bytes) else {}
        if form.get("grant_type") != ["refresh_token"] or form.get("refresh_token") != [REFRESH_TOKEN]:
            text = "refresh token is invalid, expired or revoked"
            content = {"error": "invalid_grant", "error_description": text, "status": "BAD_REFRESH_TOKEN", "message": text}
            return answer(content, 400)
        return answer({"token_type": "bearer", "access_token": self._token, "refresh_token": REFRESH_TOKEN, "expires_in": 1800})
