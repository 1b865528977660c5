"""HubSpot's good answers as plain values: pages, records, owners, links; what cannot be read is set aside with its reason.

All property values are text or null (https://developers.hubspot.com/docs/guides/api/crm/using-object-apis). A property that was asked for
and is missing counts as null: the guides contradict each other on which of the two comes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from connector.adapters.client import Answer
from connector.adapters.hubspot.wire.errors import code_of, dicts, http_date
from connector.adapters.hubspot.wire.requests import modified_property, to_millis
from connector.adapters.hubspot.wire.values import id_of, moment_of, properties_of, record_id, set_aside, text_of, texts_of
from connector.adapters.set_aside import Unreadable
from connector.errors import ObjectStopped, Retriable
from connector.model import FieldType, Owner, PropertyFacts, Record, SetAside


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A page as it came. after: where the next one begins, None on the last; total: of the whole search, where told; date: the header."""

    results: Sequence[Any]
    after: str | None
    total: int | None
    errors: Sequence[Mapping[str, Any]] = ()
    date: str = ""

    def closed(self, until: int) -> int:
        """`until`, or when HubSpot answered where that is before it: what HubSpot stamps from then on was not looked for here.

        Milliseconds since 1970. A clock of ours that is ahead would else have a pull begin behind what it has not seen. The header has
        whole seconds, of which the last millisecond counts.
        """
        sent = http_date(self.date)
        return until if sent is None else min(until, to_millis(sent) + 999)


@dataclass(slots=True, kw_only=True)
class AssociatedIds:
    """What records are linked to. to: from id → [(to id, association type ids)]; unfinished: (from id, where its next page begins)."""

    to: dict[str, list[tuple[str, frozenset[int]]]] = field(default_factory=dict)
    unfinished: list[tuple[str, str | None]] = field(default_factory=list)

    def ids(self, from_id: str) -> list[str]:
        """The ids linked to, each once: one id may come once for each type (seen in github.com/airbytehq/airbyte, expected_records)."""
        return list(dict.fromkeys(to_id for to_id, _ in self.to.get(from_id, ())))

    def primary(self, from_id: str, kind: int = 1) -> str | None:
        """A contact's primary company, by kind 1; 279 is the unlabelled link that stands beside it. A deal's: 5 and 341.

        https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide#association-type-id-values
        """
        return next((to_id for to_id, types in self.to.get(from_id, ()) if kind in types), None)


def decode(answer: Answer) -> dict[str, Any]:
    """The JSON object of a good answer. Raises `Retriable` where there is none: a proxy's page, a body that was cut."""
    try:
        body = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        body = _decode_leniently(answer.body)
    if not isinstance(body, dict):
        raise Retriable(
            f"HubSpot answered {answer.status} with a body that is no JSON object ({len(answer.body)} bytes)",
            crm="hubspot",
            status=answer.status,
            code="UNREADABLE",
            correlation_id=answer.headers.get("x-hubspot-correlation-id", "")[:64],
            advice="If it lasts, look for a proxy that changes answers, and check crm.hubspot.base_url.",
        )
    return body


def _decode_leniently(body: bytes) -> Any:
    """JSON with half a surrogate pair, which orjson refuses: so that one such record does not hide its whole page."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def read_listing(answer: Answer) -> Listing:
    """A page of records, owners or properties. Raises `Retriable` where its shape is not that of a page."""
    body = decode(answer)
    results = body.get("results")
    if not isinstance(results, list):
        raise Retriable(
            f"HubSpot answered {answer.status} with a page that has no results",
            crm="hubspot",
            status=answer.status,
            code="UNREADABLE",
            advice="If it lasts, check crm.hubspot.base_url.",
        )
    total = body.get("total")
    return Listing(
        results=results,
        after=_after(body),
        total=total if isinstance(total, int) else None,
        errors=dicts(body.get("errors")),
        date=answer.headers.get("date", ""),
    )


def read_total(answer: Answer) -> int:
    """How many records a search found. Raises `Retriable` where it does not say."""
    total = read_listing(answer).total
    if total is None:
        raise Retriable(
            f"HubSpot answered {answer.status} with a search that has no total",
            crm="hubspot",
            status=answer.status,
            code="UNREADABLE",
            advice="If it lasts, check crm.hubspot.base_url.",
        )
    return total


def _after(body: Mapping[str, Any]) -> str | None:
    """paging.next.after; a page without it is the last, however short others are (github.com/airbytehq/airbyte/pull/80744)."""
    paging = body.get("paging")
    following = paging.get("next") if isinstance(paging, dict) else None
    after = following.get("after") if isinstance(following, dict) else None
    return str(after) if isinstance(after, str | int) and str(after) else None


def read_links(answer: Answer) -> AssociatedIds:
    """v4 batch/read: `toObjectId` is a number there, ids are text elsewhere. Raises `ObjectStopped` where links could not be read."""
    listing = read_listing(answer)
    links = AssociatedIds()
    for result in dicts(listing.results):
        from_id = record_id(result.get("from"))
        if not from_id:
            continue
        links.to.setdefault(from_id, []).extend(_link(end) for end in dicts(result.get("to")) if end.get("toObjectId") is not None)
        after = _after(result)
        if after is not None:
            links.unfinished.append((from_id, after))
    for error in listing.errors:
        # A record without any link comes as an error: category OBJECT_NOT_FOUND, subCategory crm.associations.NO_ASSOCIATIONS_FOUND.
        if code_of(error) != "OBJECT_NOT_FOUND" and "NO_ASSOCIATIONS" not in str(error.get("subCategory")):
            raise ObjectStopped(
                f"HubSpot could not read some associations ({code_of(error) or 'no category'})",
                crm="hubspot",
                status=answer.status,
                code=code_of(error),
                advice="The next pass tries again; if it lasts, contact HubSpot's support.",
            )
    return links


def _link(end: Mapping[str, Any]) -> tuple[str, frozenset[int]]:
    """Labels of the account's own (USER_DEFINED) have numbers of their own, which could be 1 as well."""
    types = set()
    for kind in dicts(end.get("associationTypes")):
        number = kind.get("typeId")
        if isinstance(number, int) and kind.get("category") != "USER_DEFINED":
            types.add(number)
    return str(end["toObjectId"]), frozenset(types)


def inline_contacts(raw: Any) -> tuple[list[str], bool]:
    """The contacts that a listed engagement names, each once, and whether there are more than fit."""
    associations = raw.get("associations") if isinstance(raw, dict) else None
    found = associations.get("contacts") if isinstance(associations, dict) else None
    if not isinstance(found, dict):
        return [], False
    ids = [end_id for end in dicts(found.get("results")) if (end_id := record_id(end))]
    more = "paging" in found and _after(found) is not None
    return (list(dict.fromkeys(ids)) if len(ids) > 1 else ids), more


def modified_millis(object_name: str, raw: Any) -> int | None:
    """When a found record was last modified, in milliseconds since 1970, as the search sorts it; None where that cannot be read."""
    try:
        moment = moment_of(properties_of(raw), modified_property(object_name))
    except Unreadable:
        return None
    return None if moment is None else to_millis(moment)


def merged_ids(raw: Any) -> tuple[str, ...]:
    """The records that were merged into this one: "id;id", hs_merged_object_ids (HubSpot's own properties of contacts and companies)."""
    properties = raw.get("properties") if isinstance(raw, dict) else None
    value = properties.get("hs_merged_object_ids") if isinstance(properties, dict) else None
    parts = [part.strip() for part in value.split(";")] if isinstance(value, str) else []
    return tuple(dict.fromkeys(part for part in parts if part.isascii() and part.isdecimal()))


def absent(raws: Sequence[Any], asked: Collection[str]) -> frozenset[str]:
    """What was asked for and no record has, not even empty: perhaps the account has no such property any more. Nothing of no records."""
    left = set(asked) if raws else set()
    for raw in raws:
        properties = raw.get("properties") if isinstance(raw, dict) else None
        left.difference_update(properties if isinstance(properties, dict) else ())
        if not left:
            break
    return frozenset(left)


def read_record(object_name: str, raw: Any, wanted: Collection[str], company_id: str | None = None) -> Record | SetAside:
    """A contact or company with exactly the wanted properties."""
    try:
        properties = properties_of(raw)
        return Record(
            crm="hubspot",
            object=object_name,
            id=id_of(raw),
            properties=texts_of(properties, wanted),
            created_at=moment_of(raw, "createdAt"),
            modified_at=moment_of(raw, "updatedAt"),
            owner_id=text_of(properties, "hubspot_owner_id") or None,
            company_id=company_id,
            merged_ids=merged_ids(raw) if properties.get("hs_merged_object_ids") else (),
            emails=_several(properties, "hs_additional_emails") if properties.get("hs_additional_emails") else (),
            archived=raw.get("archived") is True,
        )
    except Unreadable as problem:
        return set_aside(object_name, raw, str(problem))


def _several(properties: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """A property that holds several texts, "a;b": each once."""
    parts = (text_of(properties, name) or "").split(";")
    return tuple(dict.fromkeys(stripped for part in parts if (stripped := part.strip())))


def read_owner(raw: Any, *, archived: bool) -> Owner | SetAside:
    """An owner. `id` is what hubspot_owner_id holds, not `userId`; deactivated users are archived; `type` is PERSON or QUEUE; `teams` are
    {id, name, primary}.

    https://developers.hubspot.com/docs/api-reference/crm-crm-owners-v3/guide
    """
    try:
        owner_id = id_of(raw)
        first, last, email = (text_of(raw, name) or "" for name in ("firstName", "lastName", "email"))
        return Owner(
            crm="hubspot",
            id=owner_id,
            email=email or None,
            name=f"{first} {last}".strip() or email,
            active=not archived and raw.get("archived") is not True,
            queue=raw.get("type") == "QUEUE",
            teams=tuple(dict.fromkeys(name for team in dicts(raw.get("teams")) if (name := text_of(team, "name")))),
            user_id=_user_id(raw),
        )
    except Unreadable as problem:
        return set_aside("owners", raw, str(problem))


def _user_id(raw: Mapping[str, Any]) -> str | None:
    """The user's id, a number, which histories name; an archived owner has it under another name (the guide of owners)."""
    found = next((raw[name] for name in ("userId", "userIdIncludingInactive") if raw.get(name) is not None), None)
    return str(found) if isinstance(found, int | str) and str(found) else None


def read_property(object_name: str, raw: Any) -> PropertyFacts | None:
    """A property's definition; None where it has no name, or is archived.

    https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide: `calculated`, or a field type "calculation_…" (equation,
    rollup, score); modificationMetadata.readOnlyValue: HubSpot's own. An enumeration with externalOptions (owners) lists none itself.
    """
    name = raw.get("name") if isinstance(raw, dict) else None
    if not isinstance(name, str) or not name or raw.get("archived") is True:
        return None
    kind, metadata = str(raw.get("type") or ""), raw.get("modificationMetadata")
    options = _options(raw) if kind == "enumeration" and raw.get("externalOptions") is not True else None
    return PropertyFacts(
        object=object_name,
        name=name,
        label=str(raw.get("label") or name),
        type=kind,
        options=None if options is None else tuple(options),
        labels=() if options is None else tuple(str(option.get("label") or value) for value, option in options.items()),
        hidden=frozenset(value for value, option in (options or {}).items() if option.get("hidden") is True),
        means=FieldType.CHOICES if kind == "enumeration" and raw.get("fieldType") == "checkbox" else _MEANS.get(kind),
        calculated=raw.get("calculated") is True or str(raw.get("fieldType") or "").startswith("calculation_"),
        writable=not (isinstance(metadata, dict) and metadata.get("readOnlyValue") is True),
    )


#: Types of properties as the file writes them (https://developers.hubspot.com/docs/api-reference/crm-properties-v3/guide#property-type-and-
#: fieldtype-values); an enumeration shown as check boxes holds several values, "a;b".
_MEANS = {
    "string": FieldType.TEXT, "phone_number": FieldType.TEXT, "number": FieldType.NUMBER, "enumeration": FieldType.CHOICE,
    "bool": FieldType.BOOLEAN, "date": FieldType.DATETIME, "datetime": FieldType.DATETIME,
}  # fmt: skip


def _options(raw: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Value → option in displayOrder, hidden ones too; -1 comes after all others (the same page)."""

    def order(option: Mapping[str, Any]) -> tuple[bool, int]:
        place = option.get("displayOrder")
        return (True, 0) if not isinstance(place, int) or place < 0 else (False, place)

    options = [option for option in dicts(raw.get("options")) if option.get("value") is not None]
    return {str(option["value"]): option for option in sorted(options, key=order)}
