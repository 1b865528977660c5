"""What HubSpot's account tells about itself: owners and their teams, properties, pipelines, details.

Sources: developers.hubspot.com/docs/api-reference/crm-crm-owners-v3/guide, /crm-properties-v3/guide, /crm-pipelines-v3/guide,
/account-account-info-v3.
"""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from connector.sandbox.hubspot.answers import answer, invalid, refused
from connector.sandbox.hubspot.associations import type_named
from connector.sandbox.hubspot.catalogue import PIPELINES, Property
from connector.sandbox.hubspot.limits import ZONE
from connector.sandbox.hubspot.records import Records
from connector.sandbox.hubspot.tokens import PORTAL


class Account:
    """Handlers of requests about the account: (request, body) → answer. They raise `Refusal`."""

    def __init__(self, records: Records) -> None:
        self._world = records.world
        self._records = records

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
        return {"teams": [], **owner, "type": "PERSON", "createdAt": known, "updatedAt": known, "userIdIncludingInactive": inactive}

    def custom_objects(self, request: Request, body: Any) -> Response:  # noqa: ARG002
        """Objects of the account's own (developers.hubspot.com/docs/guides/api/crm/objects/custom-objects): it has none."""
        return answer({"results": []})

    def properties(self, request: Request, body: Any) -> Response:  # noqa: ARG002
        """All properties of an object that the token sees, or those that were removed; this one is not paged."""
        name = type_named(request.path_params["type"])
        archived = (request.query_params.get("archived") or "").lower() == "true"
        definitions = self._world.hubspot_archived_properties.get(name, {}) if archived else self._records.known(name)
        return answer({"results": list(definitions.values())})

    def property(self, request: Request, body: Any) -> Response:  # noqa: ARG002
        """One property."""
        name = request.path_params["name"]
        found = self._records.known(type_named(request.path_params["type"])).get(name)
        if found is None:
            raise refused("OBJECT_NOT_FOUND", f'Property "{name}" does not exist', status=404)
        return answer(found)

    def pipelines(self, request: Request, body: Any) -> Response:  # noqa: ARG002
        """The pipelines of an object with their stages; of these objects only deals have any."""
        return answer({"results": list(PIPELINES) if type_named(request.path_params["type"]) == "deals" else []})

    def pipeline(self, request: Request, body: Any) -> Response:  # noqa: ARG002
        """One pipeline."""
        found = PIPELINES if type_named(request.path_params["type"]) == "deals" else ()
        for pipeline in found:
            if pipeline["id"] == request.path_params["id"]:
                return answer(pipeline)
        raise refused("OBJECT_NOT_FOUND", "No pipeline has this id", status=404)

    def create_property(self, request: Request, body: Any) -> Response:
        """A property of the account's own; one that was removed comes back with the values that records had."""
        object_name = type_named(request.path_params["type"])
        definitions = self._world.hubspot_properties[object_name]
        missing = [field for field in ("name", "label", "type", "fieldType", "groupName") if not body.get(field)]
        if missing:
            raise invalid(f"Some required fields were not set: {missing}")
        name = body["name"]
        if name in definitions:
            raise refused("OBJECT_ALREADY_EXISTS", f'A property named "{name}" already exists.', status=409,
                          subCategory="Properties.PROPERTY_WITH_NAME_EXISTS")  # fmt: skip
        options = [option["value"] for option in body.get("options") or []]
        labels = [option["label"] for option in body.get("options") or []]
        unique = bool(body.get("hasUniqueValue"))
        made = Property(
            name=name, type=body["type"], field_type=body["fieldType"], options=options, labels=labels, unique=unique, own=False
        ).definition()
        self._world.hubspot_archived_properties.get(object_name, {}).pop(name, None)
        definitions[name] = {**made, "label": body["label"], "groupName": body["groupName"]}
        return answer(definitions[name], 201)

    def details(self, request: Request, body: Any) -> Response:  # noqa: ARG002
        """The account; its time zone rules when the day's limit ends."""
        local = self._records.now().astimezone(ZoneInfo(ZONE))
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
