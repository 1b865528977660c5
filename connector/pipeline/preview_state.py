"""What a preview works on: copies of the contacts that a pass would judge, with all that is read for them, in a store of its own.

Cost follows change: of the rest nothing is copied but what those contacts' rules read of it. Where a pass would judge everybody (another
file, a new field), everybody is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, TableClause, and_, func, or_, select, tuple_

from connector.config.tables import Config
from connector.model import COMPANY_OBJECTS, CRM_FACTS, CRMS, PEOPLE_OBJECTS
from connector.pipeline.unify.linking import stored_id
from connector.store import numbers, shadow
from connector.store.bulk import chunks, plain
from connector.store.database import Store
from connector.store.fields import ensure_fields, set_state, stored_fields
from connector.store.mirror.keys import FullKey, by_crm_and_object
from connector.store.scratch import RowCopy, ScratchStore, scratch_store
from connector.store.tables import metadata

_T = metadata.tables
_CONTACT, _LEDGER, _PLAN, _VALUE, _DEAL_LINK = (_T[name] for name in ("contact", "ledger", "plan", "action_value", "deal_link"))
_RECORD, _EMAIL, _MERGED, _LINK, _DEAL = (plain(name) for name in ("record", "record_email", "merged", "activity_link", "deal"))

#: Tables that a record and a link name by contact, and are not a contact's.
_OF_RECORDS = ("record", "activity_link")
#: Every table of a contact, whatever it is.
BY_CONTACT = tuple(name for name, table in _T.items() if "contact_id" in table.c and name not in _OF_RECORDS)
#: Small, or grown with the file and the CRMs' set-up, not with their people.
WHOLE = (
    "meta", "owner", "turn", "property", "property_known", "drift", "cursor", "campaign", "pause", "standing", "rule_text", "rule_use",
)  # fmt: skip
#: Read with the records of the contacts, by CRM, object and id in these columns.
BY_RECORD = {
    "record_email": ("crm", "object", "id"),
    "activity_link": ("crm", "record_object", "record_id"),
    "deal_link": ("crm", "record_object", "record_id"),
    "campaign_member": ("crm", "record_object", "record_id"),
    "field_history": ("crm", "object", "record_id"),
    "history_due": ("crm", "object", "id"),
}
#: Copied in a way of their own.
APART = ("field", "contact", "record", "merged", "activity", "deal", "plan")
#: Read by no step of a pass after the pull: the pull's own, and what is kept to be looked at.
UNREAD = (
    "record_version", "deal_version", "activity_version", "link_change", "seen", "set_aside", "forgotten", "act", "run", "budget", "lease",
    "judging_slice",
)  # fmt: skip


@contextmanager
def preview_state(store: Store, config: Config, now: datetime, judges_everybody: Callable[[ScratchStore], bool]) -> Iterator[ScratchStore]:
    """A store as it is now, as far as a pass at that moment would look at it; gone afterwards. The other one is only read, at one moment.

    judges_everybody: asked of the store before anybody is in it: whether a pass would make all contacts anew.
    """
    columns = stored_fields(store)
    with scratch_store() as scratch:
        ensure_fields(scratch, list(columns))
        for state in sorted(set(columns.values())):
            set_state(scratch, [column.name for column, is_in in columns.items() if is_in == state], state)
        with store.read() as source:
            copy = RowCopy(source, scratch, list(columns))
            for name in WHOLE:
                copy.whole(name)
            scratch.write(lambda connection: numbers.go_on_from(connection, numbers.last(source)))
            if judges_everybody(scratch):
                for name in ("contact", *_OF_RECORDS, *BY_CONTACT, *BY_RECORD, "merged", "activity", "deal", "plan"):
                    copy.whole(name)
            else:
                _Neighbourhood(copy, scratch, config, now).take()
        yield scratch


class _Neighbourhood:
    """The contacts of a preview, and all that is read for them."""

    def __init__(self, copy: RowCopy, scratch: ScratchStore, config: Config, now: datetime) -> None:
        self._copy = copy
        self._scratch = scratch
        self._source: Connection = copy.source
        self._config = config
        self._now = now
        self._contacts: set[int] = set()
        self._keys: set[FullKey] = set()

    def take(self) -> None:
        """Finds them and copies them."""
        self._find()
        self._take_contacts()
        self._take_companies()
        self._take_related()
        self._take_plans()

    # ── Who ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _find(self) -> None:
        """Those who are due, those whose records changed, and all to whom an id or an address of those records leads."""
        due = and_(_CONTACT.c.due_at <= self._now, ~_CONTACT.c.gone)
        self._contacts |= set(self._source.scalars(select(_CONTACT.c.id).where(due)))
        if self._config.mode == "live":  # what was proposed in shadow is judged again
            self._contacts |= set(self._source.scalars(select(_LEDGER.c.contact_id).where(shadow.STANDS).distinct()))
        names = self._keys_where(_RECORD, and_(_RECORD.c.unify, _RECORD.c.object.in_(PEOPLE_OBJECTS)))
        while names:
            self._keys |= names
            names = {found for crm, of, ids in by_crm_and_object(names) for found in self._led_to(crm, of, ids)} - self._keys

    def _led_to(self, crm: str, object_name: str, ids: list[str]) -> set[FullKey]:
        """The records to which these lead."""
        columns = (_RECORD.c[name] for name in ("contact_id", "email", "linked_id", "converted_to", "properties"))
        rows = self._source.execute(select(*columns).where(_are(_RECORD, crm, object_name, ids))).all()
        self._contacts |= {row.contact_id for row in rows if row.contact_id is not None}
        found = self._named_by(crm, rows)
        emails = {row.email for row in rows if row.email is not None}
        emails |= set(self._source.scalars(select(_EMAIL.c.email).where(_are(_EMAIL, crm, object_name, ids))))
        for part in chunks(sorted(emails)):
            found |= self._keys_where(_RECORD, _RECORD.c.email.in_(part)) | self._keys_where(_EMAIL, _EMAIL.c.email.in_(part))
        found |= self._keys_where(_RECORD, _RECORD.c.linked_id.in_(ids)) | self._keys_where(_RECORD, _RECORD.c.converted_to.in_(ids))
        about = and_(_MERGED.c.crm == crm, _MERGED.c.object == object_name, or_(_MERGED.c.id.in_(ids), _MERGED.c.into_id.in_(ids)))
        merges = self._source.execute(select(_MERGED.c.id, _MERGED.c.into_id).where(about))
        found |= {(crm, object_name, row_id) for merge in merges for row_id in merge}
        siblings = sorted({row.contact_id for row in rows if row.contact_id is not None})
        return found | self._keys_where(_RECORD, _RECORD.c.contact_id.in_(siblings))

    def _named_by(self, crm: str, rows: Any) -> set[FullKey]:
        """The records whose ids these store, or into which they were converted."""
        salesforce = self._config.crm.salesforce
        field = None if salesforce is None else salesforce.hubspot_id_field
        linked = {row.linked_id for row in rows} | {stored_id(crm, row.properties, field) for row in rows}
        found = {(other, of, row_id) for other in CRMS if other != crm for of in CRM_FACTS[other].people for row_id in linked if row_id}
        return {*found, *(("salesforce", "Contact", row.converted_to) for row in rows if row.converted_to is not None)}

    def _keys_where(self, table: TableClause, which: ColumnElement[bool]) -> set[FullKey]:
        rows = self._source.execute(select(table.c.crm, table.c.object, table.c.id).where(which))
        return {(crm, object_name, row_id) for crm, object_name, row_id in rows}

    # ── What of them ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _take_contacts(self) -> None:
        copy = self._copy
        copy.by("contact", "id", self._contacts)
        copy.rows(_CONTACT, _CONTACT.c.id == select(func.max(_CONTACT.c.id)).scalar_subquery())  # new ones get numbers behind it
        for part in chunks(sorted(self._contacts)):
            self._keys |= self._keys_where(_RECORD, _RECORD.c.contact_id.in_(part))
        copy.by_keys("record", ("crm", "object", "id"), self._keys)
        for name in BY_CONTACT:
            copy.by(name, "contact_id", self._contacts)
        for name, columns in BY_RECORD.items():
            copy.by_keys(name, columns, self._keys)
        for column in ("id", "into_id"):
            copy.by_keys("merged", ("crm", "object", column), self._keys)

    def _take_companies(self) -> None:
        """The companies, and who owns others of them; those are not judged."""
        for crm, object_name, ids in by_crm_and_object(self._keys):
            named = and_(_are(_RECORD, crm, object_name, ids), _RECORD.c.company_id.is_not(None))
            for part in chunks(sorted(set(self._source.scalars(select(_RECORD.c.company_id).where(named))))):
                self._copy.rows(_RECORD, and_(_RECORD.c.crm == crm, _RECORD.c.object.in_(COMPANY_OBJECTS), _RECORD.c.id.in_(part)))
                others = and_(_RECORD.c.crm == crm, _RECORD.c.company_id.in_(part), _RECORD.c.role == "main")
                self._copy.rows(_RECORD, others)
                self._copy.by("contact", "id", self._source.scalars(select(_RECORD.c.contact_id).where(others)))
        judged = sorted(self._contacts)
        later = select(_CONTACT.c.id).where(_CONTACT.c.due_at <= self._now)
        with_them = set(self._scratch.connection.scalars(later)).difference(judged)
        for part in chunks(sorted(with_them)):
            self._scratch.connection.execute(_CONTACT.update().where(_CONTACT.c.id.in_(part)).values(due_at=None))

    def _take_related(self) -> None:
        """Activities and deals to which links of the records lead."""
        for crm, object_name, ids in by_crm_and_object(self._keys):
            about = and_(_LINK.c.crm == crm, _LINK.c.record_object == object_name, _LINK.c.record_id.in_(ids))
            rows = self._source.execute(select(_LINK.c.crm, _LINK.c.object, _LINK.c.id).where(about))
            self._copy.by_keys("activity", ("crm", "object", "id"), {(of, name, row_id) for of, name, row_id in rows})
            linked = and_(_DEAL_LINK.c.crm == crm, _DEAL_LINK.c.record_object == object_name, _DEAL_LINK.c.record_id.in_(ids))
            for part in chunks(sorted(set(self._source.scalars(select(_DEAL_LINK.c.deal_id).where(linked))))):
                self._copy.rows(_DEAL, and_(_DEAL.c.crm == crm, _DEAL.c.id.in_(part)))

    def _take_plans(self) -> None:
        """What stands in shadow of everybody, and what rules did within the guard's window: the plan shows and counts it."""
        self._copy.rows(_LEDGER, shadow.STANDS)
        standing = select(_LEDGER.c.contact_id, _LEDGER.c.id).where(shadow.STANDS)
        self._copy.rows(_VALUE, tuple_(_VALUE.c.contact_id, _VALUE.c.ledger).in_(standing))
        since = self._now - self._config.guard.window.elapsed
        recent = select(func.min(_PLAN.c.id)).where(_PLAN.c.created_at >= since).scalar_subquery()
        self._copy.rows(_LEDGER, and_(_LEDGER.c.plan >= recent, _LEDGER.c.planned_at >= since))
        self._copy.rows(_PLAN, _PLAN.c.id.in_(select(func.max(_PLAN.c.id)).group_by(_PLAN.c.mode)))


def _are(table: Table | TableClause, crm: str, object_name: str, ids: list[str]) -> ColumnElement[bool]:
    return and_(table.c.crm == crm, table.c.object == object_name, table.c.id.in_(ids))
