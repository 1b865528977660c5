"""What is on record of a contact's past: who owned it, what its attempts looked like, by which files it was judged, and what people did."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from connector.model import Deed
from connector.store import acts, rule_texts, snapshots
from connector.store.acts import About, Done
from connector.store.among import among
from connector.store.tables import metadata

_OWNERSHIP = metadata.tables["ownership"]

#: Acts that are shown at most.
_ACTS = 50

Document = dict[str, Any]


class OwnerStay(NamedTuple):
    """Who owned a contact in a CRM. owner: the e-mail, else the CRM's id of a queue or of somebody unknown. stated: since is no guess."""

    contact_id: int
    crm: str
    owner: str | None
    owner_id: str
    since: datetime
    stated: bool
    until: datetime | None
    rule: str | None
    by: str | None


def owner_stays(connection: Connection, contacts: Sequence[int]) -> list[OwnerStay]:
    """Every stay of these contacts, the oldest first."""
    columns = [_OWNERSHIP.c[name] for name in OwnerStay._fields]
    order = (_OWNERSHIP.c.since, _OWNERSHIP.c.crm, _OWNERSHIP.c.number)
    rows = connection.execute(select(*columns).where(among(_OWNERSHIP.c.contact_id, contacts)).order_by(*order))
    return [OwnerStay._make(row) for row in rows]


def owners_document(stays: Iterable[OwnerStay]) -> list[Document]:
    """As `explain --json` prints them."""
    names = ("crm", "owner_id", "since", "stated", "until", "rule", "by")
    return [{"owner": stay.owner, **{name: getattr(stay, name) for name in names}} for stay in stays]


def owner_entries(stays: Iterable[OwnerStay]) -> Iterator[Document]:
    """As entries of the history: each change of owner, by the rule or person that made it, else by the CRM."""
    before: dict[tuple[int, str], OwnerStay] = {}
    for stay in stays:
        key = (stay.contact_id, stay.crm)
        last = before.get(key)
        if last is not None and last.until is not None and last.until < stay.since:
            yield _entry(last.until, stay.crm, stay.crm, last.owner or last.owner_id, None)
            last = None
        earlier = None if last is None else last.owner or last.owner_id
        yield _entry(stay.since, stay.crm, stay.rule or stay.by or stay.crm, earlier, stay.owner or stay.owner_id)
        before[key] = stay
    for stay in before.values():
        if stay.until is not None:
            yield _entry(stay.until, stay.crm, stay.crm, stay.owner or stay.owner_id, None)


def _entry(at: datetime, crm: str, by: str, before: str | None, after: str | None) -> Document:
    return {"at": at, "what": f"owner in {crm}", "by": by, "before": before, "after": after}


def with_snapshots(connection: Connection, attempts: Iterable[tuple[int, Document]]) -> list[Document]:
    """Attempts, (contact, attempt), each with what it looked like: {"begin", "end"}, as far as that was kept."""
    listed = list(attempts)
    kept = snapshots.snapshots_of(connection, sorted({contact for contact, _ in listed}))
    return [attempt | {"snapshots": kept.get((contact, attempt["number"]), {})} for contact, attempt in listed]


def files(connection: Connection, versions: Iterable[str | None]) -> dict[str, Document]:
    """The versions of the file that are referred to: since when each was in force first, and who applied it."""
    uses = rule_texts.uses_of(connection, sorted({version for version in versions if version}))
    return {version: {"since": use.since, "by": use.by} for version, use in sorted(uses.items(), key=lambda item: item[1].since)}


def acts_about(connection: Connection, contacts: Sequence[int], written: Sequence[Mapping[str, Any]]) -> list[Done]:
    """What people did that concerns these contacts: looks at them, and what was done to plans and rules of their actions; newest first."""
    subjects: list[tuple[About, str]] = [("contact", str(contact)) for contact in contacts]
    subjects += [("plan", str(plan)) for plan in sorted({row["plan"] for row in written})]
    rules = sorted({row["rule"] for row in written})
    subjects += [("rule", rule) for rule in rules]
    subjects += [("all", "")] if rules else []
    return acts.concerning(connection, subjects, _ACTS)


def act_entries(done: Iterable[Done]) -> Iterator[Document]:
    """As entries of the history; who only looked changed nothing."""
    for act in done:
        if act.deed != Deed.LOOKED:
            what = f"{act.deed} {act.about} {act.name}".strip()
            yield {"at": act.at, "what": what, "by": act.by, "before": None, "after": None}
