"""HubSpot's deals, and what their pipelines say of a stage: won, lost or open.

https://developers.hubspot.com/docs/guides/api/crm/objects/deals, /docs/guides/api/crm/pipelines: a deal stage's `metadata` has
`probability` and `isClosed`, both as text; "1.0" is won, "0.0" lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from connector.adapters.client import Answer
from connector.adapters.hubspot.wire.errors import dicts
from connector.adapters.hubspot.wire.records import merged_ids, read_listing
from connector.adapters.hubspot.wire.values import id_of, moment_of, number_of, properties_of, set_aside, text_of
from connector.adapters.set_aside import Unreadable
from connector.errors import CrmError
from connector.model import Deal, RecordRef, SetAside

#: The association type of a deal's primary company; 341 is the unlabelled link (the guide of associations v4).
PRIMARY_COMPANY = 5

#: (pipeline, stage) → (closed, won).
Stages = Mapping[tuple[str, str], tuple[bool, bool]]


def lacks_scope(error: CrmError) -> bool:
    """Whether an object may not be read with this token at all."""
    return error.status == 403 and error.code == "MISSING_SCOPES"


def read_stages(answer: Answer) -> Stages:
    """All pipelines of an object: (pipeline, stage) → (closed, won)."""
    stages: dict[tuple[str, str], tuple[bool, bool]] = {}
    for pipeline in dicts(read_listing(answer).results):
        for stage in dicts(pipeline.get("stages")):
            metadata = stage.get("metadata")
            stages[str(pipeline.get("id")), str(stage.get("id"))] = _meaning(metadata if isinstance(metadata, dict) else {})
    return stages


def _meaning(metadata: Mapping[str, Any]) -> tuple[bool, bool]:
    try:
        probability = number_of(metadata, "probability")
    except Unreadable:
        probability = None
    won = probability == 1.0
    return won or probability == 0.0 or str(metadata.get("isClosed")).lower() == "true", won


def read_deal(raw: Any, contacts: Sequence[str], company_id: str | None, stages: Callable[[], Stages]) -> Deal | SetAside:
    """A deal. stages: asked only where the deal itself does not tell whether it is closed and won."""
    try:
        properties = properties_of(raw)
        stage, pipeline = text_of(properties, "dealstage") or None, text_of(properties, "pipeline") or None
        closed, won = _flag(properties, "hs_is_closed"), _flag(properties, "hs_is_closed_won")
        if closed is None or won is None:
            of_stage = stages().get((pipeline or "", stage), (False, False)) if stage else (False, False)
            closed, won = (stated if stated is not None else by for stated, by in zip((closed, won), of_stage, strict=True))
        return Deal(
            crm="hubspot",
            object="deals",
            id=id_of(raw),
            stage=stage,
            amount=number_of(properties, "amount"),
            currency=text_of(properties, "deal_currency_code") or None,
            pipeline=pipeline,
            closed_at=moment_of(properties, "closedate"),
            closed=closed or won,
            won=won,
            owner_id=text_of(properties, "hubspot_owner_id") or None,
            company_id=company_id,
            merged_ids=merged_ids(raw) if properties.get("hs_merged_object_ids") else (),
            contacts=tuple(RecordRef(crm="hubspot", object="contacts", id=contact) for contact in contacts),
            created_at=moment_of(properties, "createdate") or moment_of(raw, "createdAt"),
            modified_at=moment_of(raw, "updatedAt"),
            archived=raw.get("archived") is True,
        )
    except Unreadable as problem:
        return set_aside("deals", raw, str(problem))


def _flag(properties: Mapping[str, Any], name: str) -> bool | None:
    """True or False, as text in HubSpot; None where it is empty."""
    value = text_of(properties, name)
    return None if not value else value.lower() == "true"
