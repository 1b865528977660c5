"""HubSpot's associations API: one record's links, batches of them, labels.

Source: developers.hubspot.com/docs/api-reference/crm-associations-v4/guide (at most 1,000 inputs a read, 2,000 a write).
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from connector.sandbox.hubspot.answers import answer, batch
from connector.sandbox.hubspot.associations import PAGE, Associations, type_named
from connector.sandbox.hubspot.catalogue import OBJECTS
from connector.sandbox.hubspot.objects import inputs_of, whole
from connector.sandbox.hubspot.records import Records
from connector.sandbox.state import HubSpotRow

_BATCH = 1000


class Links:
    """Handlers of requests about associations: (request, body) → answer. They raise `Refusal`."""

    def __init__(self, records: Records, associations: Associations) -> None:
        self._records = records
        self._associations = associations

    def batch_read(self, request: Request, body: Any) -> Response:
        """v4 batch/read: 207 where records have no association."""
        from_type, to_type = type_named(request.path_params["from"]), type_named(request.path_params["to"])
        results, errors = self._associations.batch_read(from_type, to_type, inputs_of(body, _BATCH))
        return batch(results, errors, self._records.now())

    def batch_create(self, request: Request, body: Any) -> Response:
        """v4 batch/create."""
        from_type, to_type = type_named(request.path_params["from"]), type_named(request.path_params["to"])
        results = []
        for link in inputs_of(body, 2 * _BATCH):
            from_id, to_id = str(link.get("from", {}).get("id", "")), str(link.get("to", {}).get("id", ""))
            self._associations.put((from_type, from_id), (to_type, to_id), _type_ids(link.get("types")))
            results.append({"fromObjectId": int(from_id), "toObjectId": int(to_id), "labels": []})
        return batch(results, [], self._records.now(), good=201)

    def batch_archive(self, request: Request, body: Any) -> Response:
        """v4 batch/archive: whole links."""
        from_type, to_type = type_named(request.path_params["from"]), type_named(request.path_params["to"])
        for link in inputs_of(body, 2 * _BATCH):
            for to in link.get("to") or []:
                self._associations.remove((from_type, str(link["from"]["id"])), (to_type, str(to["id"])))
        return Response(status_code=204)

    def labels_archive(self, request: Request, body: Any) -> Response:
        """v4 batch/labels/archive: single labels; without the unlabelled type nothing is left of a link."""
        from_type, to_type = type_named(request.path_params["from"]), type_named(request.path_params["to"])
        for link in inputs_of(body, 2 * _BATCH):
            record, other = (from_type, str(link["from"]["id"])), (to_type, str(link["to"]["id"]))
            self._associations.remove(record, other, _type_ids(link.get("types")))
        return Response(status_code=204)

    def of_record(self, request: Request, body: Any) -> Response:  # noqa: ARG002
        """One record's links, 500 a page."""
        name, row = self._addressed(request)
        query = request.query_params
        limit = min(whole(query.get("limit"), PAGE), PAGE)
        to_type, after = type_named(request.path_params["to"]), whole(query.get("after"), 0)
        shown, following = self._associations.page(name, row["id"], to_type, after, limit)
        content: dict[str, Any] = {"results": shown}
        if following is not None:
            content["paging"] = {"next": {"after": str(following)}}
        return answer(content)

    def associate_by_default(self, request: Request, body: Any) -> Response:  # noqa: ARG002
        """Links two records without a label."""
        name, row = self._addressed(request)
        to_type, to_id = type_named(request.path_params["to"]), request.path_params["to_id"]
        self._associations.put((name, row["id"]), (to_type, to_id))
        return batch([{"from": {"id": row["id"]}, "to": {"id": to_id}}], [], self._records.now())

    def associate(self, request: Request, body: Any) -> Response:
        """Links two records by the types of the body alone."""
        name, row = self._addressed(request)
        to_type, to_id = type_named(request.path_params["to"]), request.path_params["to_id"]
        self._associations.put((name, row["id"]), (to_type, to_id), _type_ids(body), replace=True)
        return answer({"fromObjectTypeId": OBJECTS[name][1], "fromObjectId": int(row["id"]), "toObjectTypeId": OBJECTS[to_type][1],
                       "toObjectId": int(to_id), "labels": []}, 201)  # fmt: skip

    def dissociate(self, request: Request, body: Any) -> Response:  # noqa: ARG002
        """Takes all links between two records away."""
        name, row = self._addressed(request)
        self._associations.remove((name, row["id"]), (type_named(request.path_params["to"]), request.path_params["to_id"]))
        return Response(status_code=204)

    def _addressed(self, request: Request) -> tuple[str, HubSpotRow]:
        name = type_named(request.path_params["type"])
        return name, self._records.find(name, request.path_params["id"], merged=True)


def _type_ids(types: Any) -> list[int]:
    return [int(type_["associationTypeId"]) for type_ in types or []]
