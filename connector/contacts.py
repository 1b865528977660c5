"""One contact out of its records: fields as rules believe them, owner, stage, and what a change of stage means.

The second half of `connector.unify`: reads a slice's records, computes in Python, stores in sets. Everything of a slice is one transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Table, and_, bindparam, select, update

from connector.conditions import fold
from connector.config.tables import Config
from connector.identity import Candidate, choose, stored_ids
from connector.model import CRMS, CrmName
from connector.store import tables as t
from connector.store.bulk import upsert
from connector.store.fields import FieldColumn
from connector.store.tables import from_micros
from connector.workflows import attempts, touches
from connector.workflows.attempts import AttemptState, EvidenceState, History, StageChange
from connector.workflows.fields import OWNER_PROPERTY, STAGE_PROPERTY, FieldReader, Sides, date_entered, moment_micros
from connector.workflows.ignored import Patience
from connector.workflows.on_record import Written, attempt_row, attempts_of, basis_of, evidence_of, rejected_with_reason, written_stages
from connector.workflows.sla import TICKING
from connector.workflows.stages import Resolution, Said, StageMap, resolve

record = t.metadata.tables["record"]
spell = t.metadata.tables["spell"]
attempt = t.metadata.tables["attempt"]
evidence = t.metadata.tables["evidence"]
history = t.metadata.tables["field_history"]
owner = t.metadata.tables["owner"]
clock = t.metadata.tables["clock"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What holds for a whole pass.

    adopting: what is there now was there before the connector came. clocks_from: attempts begun before are found.
    defaults: the value that a CRM puts on every new record, by the property that carries the stage. own_users: the connector's users.
    """

    adopting: bool
    clocks_from: datetime
    defaults: Mapping[CrmName, str] = field(default_factory=dict)
    own_users: frozenset[tuple[str, str]] = frozenset()


@dataclass(slots=True, kw_only=True)
class _Slice:
    """All that is known of the contacts of a slice."""

    contacts: dict[int, Mapping[str, Any]]
    records: dict[int, list[Any]]
    companies: dict[tuple[str, str], Mapping[str, Any]]
    history: dict[str, list[Any]]
    attempts: dict[int, AttemptState]
    evidence: dict[int, list[EvidenceState]]
    touches: Mapping[int, Sequence[touches.Touched]]
    written: dict[tuple[int, str], Written]  # (contact, crm) → the stage that the connector wrote last
    rejected: set[int]  # contacts whose last attempt sales rejected with an accepted reason


@dataclass(slots=True)
class _Out:
    """The rows that a slice stores."""

    contacts: list[dict[str, Any]] = field(default_factory=list)
    roles: list[dict[str, Any]] = field(default_factory=list)
    spells: list[dict[str, Any]] = field(default_factory=list)
    left: list[dict[str, Any]] = field(default_factory=list)
    attempts: list[dict[str, Any]] = field(default_factory=list)
    evidence: list[dict[str, Any]] = field(default_factory=list)


class ContactWriter:
    """Makes contacts out of their records; made once a pass."""

    def __init__(self, config: Config, columns: Sequence[FieldColumn], table: Table, setting: Setting) -> None:
        self._config = config
        self._reader = FieldReader(config)
        self._stages = StageMap(config)
        self._table = table
        self._columns = list(columns)
        self._textual = [column.name for column in columns if column.type.textual]
        self._setting = setting
        self._zone = ZoneInfo(config.timezone)
        self._patience = Patience(config)
        self._owner_side: CrmName = config.field("owner").read or "salesforce"

    @property
    def clocks_from(self) -> datetime:
        """Attempts that began before are found."""
        return self._setting.clocks_from

    def write_slice(self, connection: Connection, now: datetime, size: int) -> int:
        """Makes the next contacts anew; how many of their records, 0 at the end."""
        ids = connection.execute(
            select(record.c.contact_id)
            .where(record.c.unify, record.c.contact_id.is_not(None))
            .group_by(record.c.contact_id)
            .order_by(record.c.contact_id)
            .limit(size)
        ).scalars().all()  # fmt: skip
        if not ids:
            return 0
        touches.refresh(connection, ids, self._config.sales_members, now)
        loaded = self._load(connection, ids)
        owners = {(row.crm, row.id): row for row in connection.execute(select(owner))}
        out = _Out()
        for contact_id in ids:
            self._make(contact_id, loaded, owners, now, out)
        self._store(connection, out)
        connection.execute(update(record).where(record.c.contact_id.in_(ids)).values(unify=False))
        return sum(len(records) for records in loaded.records.values())

    # ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _load(self, connection: Connection, ids: Sequence[int]) -> _Slice:
        records: dict[int, list[Any]] = {contact_id: [] for contact_id in ids}
        in_order = (record.c.crm, record.c.object, record.c.id)
        for row in connection.execute(select(record).where(record.c.contact_id.in_(ids)).order_by(*in_order)):
            records[row.contact_id].append(row)
        people = [row for rows in records.values() for row in rows]
        company_ids = sorted({row.company_id for row in people if row.company_id is not None})
        companies = connection.execute(
            select(record.c.crm, record.c.id, record.c.properties).where(
                record.c.object.in_(("companies", "Account")), record.c.id.in_(company_ids), ~record.c.archived
            )
        )
        lead_ids = sorted({row.id for row in people if row.crm == "salesforce"})
        past: dict[str, list[Any]] = {}
        for row in connection.execute(select(history).where(history.c.record_id.in_(lead_ids)).order_by(history.c.at)):
            past.setdefault(row.record_id, []).append(row)
        contacts = connection.execute(select(self._table).where(self._table.c.id.in_(ids))).mappings()
        return _Slice(
            contacts={row["id"]: dict(row) for row in contacts},
            records=records,
            companies={(row.crm, row.id): row.properties for row in companies},
            history=past,
            attempts={number: states[max(states)] for number, states in attempts_of(connection, ids).items()},
            evidence=evidence_of(connection, ids),
            touches=touches.by_contact(connection, ids),
            written=written_stages(connection, ids),
            rejected=rejected_with_reason(connection, ids),
        )

    # ── Deciding ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _make(self, contact_id: int, loaded: _Slice, owners: Mapping[tuple[str, str], Any], now: datetime, out: _Out) -> None:
        before = loaded.contacts[contact_id]
        live = [row for row in loaded.records[contact_id] if not row.archived]
        stored = stored_ids(live)
        choice = choose([self._candidate(row, owners, stored) for row in live], [row.email for row in live if row.email is not None])
        main = {crm: next(row for row in live if row.id == best.id and row.object == best.object) for crm, best in choice.main.items()}
        for row in loaded.records[contact_id]:
            role = "main" if any(row is one for one in main.values()) else "duplicate"
            out.roles.append({"b_crm": row.crm, "b_object": row.object, "b_id": row.id, "b_role": role})
        values = self._fields(main, loaded, owners)
        changes = {
            **values,
            **self._ownership(before, main, owners, loaded, now),
            "gone": not live,
            "ambiguous": choice.ambiguous,
            "in_hubspot": "hubspot" in main,
            "in_salesforce": "salesforce" in main,
            "due_at": now,
        }
        shown = self._shown(live, main)
        ours = {crm: one for crm in CRMS if (one := self._ours(before, crm, loaded)) is not None}
        before = self._moved_on_from(before, changes, shown, ours, loaded, out)
        resolution = self._stage(before, live, main, shown, ours)
        changes |= {
            "stage_hubspot": shown["hubspot"],
            "stage_salesforce": shown["salesforce"],
            "agreed_hubspot": resolution.agreed_hubspot,
            "agreed_salesforce": resolution.agreed_salesforce,
            "agreed_number": resolution.number,
            "stage_differs": resolution.differs,
        }
        if resolution.stage != before["stage"]:
            changes |= self._moved(before, changes, resolution, main, ours, loaded, now, out)
        elif (state := loaded.attempts.get(contact_id)) is not None and state.open:
            self._attempt_goes_on(contact_id, before, changes, state, now, out)
        out.contacts.append({"b_id": contact_id, **before, **changes})

    def _candidate(self, row: Any, owners: Mapping[tuple[str, str], Any], stored: Collection[str]) -> Candidate:
        return Candidate(
            crm=row.crm,
            object=row.object,
            id=row.id,
            owner=self._person(row, owners),
            converted=row.converted_to is not None or row.properties.get("IsConverted") is True,
            modified_at=row.modified_at,
            stored=row.crm == "salesforce" and row.id in stored,
        )

    def _person(self, row: Any, owners: Mapping[tuple[str, str], Any]) -> str | None:
        """The e-mail of the person who owns a record: not a queue, not ourselves, nobody deactivated."""
        if row.owner_id is None or (row.crm, row.owner_id) in self._setting.own_users:
            return None
        found = owners.get((row.crm, row.owner_id))
        return None if found is None or found.queue or not found.active else found.email

    def _fields(self, main: Mapping[CrmName, Any], loaded: _Slice, owners: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
        values = self._reader.read(sides_of(main, loaded.companies))
        for crm in CRMS:
            if (column := f"{crm[0]}_owner") in self._table.c:
                values[column] = None if crm not in main else self._person(main[crm], owners)
        for name in self._textual:
            values[f"{name}_folded"] = None if values.get(name) is None else fold(values[name])
        return values

    def _ownership(
        self, before: Mapping[str, Any], main: Mapping[CrmName, Any], owners: Mapping[tuple[str, str], Any], loaded: _Slice, now: datetime
    ) -> dict[str, Any]:
        order: tuple[CrmName, ...] = (self._owner_side, "hubspot" if self._owner_side == "salesforce" else "salesforce")
        at_queue = next(
            (owner for crm in order if crm in main and (owner := owners.get((crm, main[crm].owner_id))) is not None and owner.queue), None
        )
        for crm in order:
            person = self._person(main[crm], owners) if crm in main else None
            if person is not None:
                assigned = before["assigned_at"] if person == before["owner"] else self._assigned_at(main[crm], loaded, before, now)
                return {"owner": person, "owner_queue": None, "assigned_at": assigned}
        queue = None if at_queue is None else fold(at_queue.name)  # conditions compare it as it stands
        return {"owner": None, "owner_queue": queue, "assigned_at": None}

    def _assigned_at(self, row: Any, loaded: _Slice, before: Mapping[str, Any], now: datetime) -> datetime:
        """When the present owner was set, by the CRM's word: its own date, its history, else the change that brought it."""
        if row.crm == "hubspot":
            stated = moment_micros(row.properties.get("hubspot_owner_assigneddate") or "", self._zone)
            if stated is not None:
                return from_micros(stated)
        told: list[datetime] = [change.at for change in loaded.history.get(row.id, ()) if change.property == OWNER_PROPERTY["salesforce"]]
        if told:
            return max(told)
        first_sight = before["judged_at"] is None
        moment: datetime | None = row.created_at if first_sight else row.modified_at
        return moment or now

    # ── Stage ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _shown(self, live: Sequence[Any], main: Mapping[CrmName, Any]) -> dict[CrmName, str | None]:
        """What each CRM says, by the file's names."""
        return {crm: self._stages.name_of(crm, self._raw_stage(crm, live, main)) for crm in CRMS}

    def _stage(
        self,
        before: Mapping[str, Any],
        live: Sequence[Any],
        main: Mapping[CrmName, Any],
        shown: Mapping[CrmName, str | None],
        ours: Mapping[CrmName, Written],
    ) -> Resolution:
        by_default: set[CrmName] = set()
        linked: set[CrmName] = set()
        for crm in CRMS:
            raw = self._raw_stage(crm, live, main)
            if raw is not None and raw == self._setting.defaults.get(crm) and self._stages.at_least(shown[crm], "mql"):
                by_default.add(crm)
            if (row := stage_record(crm, live, main)) is not None and _is_new_to(before, row):
                linked.add(crm)
        said = Said(
            hubspot=shown["hubspot"],
            salesforce=shown["salesforce"],
            agreed_hubspot=before["agreed_hubspot"],
            agreed_salesforce=before["agreed_salesforce"],
            number=before["agreed_number"],
            stage=before["stage"],
            differs=before["stage_differs"],
            by_default=frozenset(by_default),
            linked=frozenset(linked),
            ours=frozenset(crm for crm, one in ours.items() if one.value == self._raw_stage(crm, live, main)),
            at_hand=frozenset(main),
        )
        return resolve(said, self._stages, adopting=self._setting.adopting, adopt=self._config.adopt.stage)

    def _ours(self, before: Mapping[str, Any], crm: CrmName, loaded: _Slice) -> Written | None:
        """What we wrote to a CRM last, where it was for a cause that still stands: seen again, it is nobody else's change."""
        one = loaded.written.get((before["id"], crm))
        standing = (f"spell:{before['spell']}", f"attempt:{before['attempt']}", f"agreement:{before['agreed_number']}")
        return one if one is not None and one.cause in standing else None

    def _moved_on_from(
        self,
        before: Mapping[str, Any],
        changes: Mapping[str, Any],
        shown: Mapping[CrmName, str | None],
        ours: Mapping[CrmName, Written],
        loaded: _Slice,
        out: _Out,
    ) -> Mapping[str, Any]:
        """The contact with a step of our own that somebody moved on from before we saw it: it was taken, and what we wrote was agreed."""
        for crm, one in ours.items():
            stage = self._stages.name_of(crm, one.value)
            if stage is None or not one.applied or shown[crm] in (None, stage):
                continue
            before = {**before, f"agreed_{crm}": stage}
            if stage != before["stage"] and not one.cause.startswith("agreement:"):
                at = max(one.at or before["stage_since"], before["stage_since"] or t.EPOCH)
                before |= self._book(before["id"], before, changes, stage, at, "connector", loaded, out)
        return before

    def _moved(
        self,
        before: Mapping[str, Any],
        changes: Mapping[str, Any],
        resolution: Resolution,
        main: Mapping[CrmName, Any],
        ours: Mapping[CrmName, Written],
        loaded: _Slice,
        now: datetime,
        out: _Out,
    ) -> dict[str, Any]:
        contact_id = before["id"]
        at = self._entered_at(before, resolution, loaded.records[contact_id], main, loaded, now)
        by: attempts.By = "crm"
        if self._setting.adopting and before["agreed_number"] == 0:
            by = "found"
        elif resolution.side is not None and (one := ours.get(resolution.side)) is not None:
            by = "connector" if self._raw_stage(resolution.side, loaded.records[contact_id], main) == one.value else "crm"
        return self._book(contact_id, before, changes, resolution.stage, at, by, loaded, out)

    def _book(
        self,
        contact_id: int,
        before: Mapping[str, Any],
        changes: Mapping[str, Any],
        stage: str | None,
        at: datetime,
        by: attempts.By,
        loaded: _Slice,
        out: _Out,
    ) -> dict[str, Any]:
        """The rows of a change of stage, and what stands beside the contact then."""
        moved = attempts.move(
            History(
                stage=before["stage"],
                spell=before["spell"],
                attempt=loaded.attempts.get(contact_id),
                evidence=loaded.evidence.get(contact_id, ()),
                touches=loaded.touches.get(contact_id, ()),
                rejected=contact_id in loaded.rejected,
            ),
            StageChange(stage=stage, at=at, by=by, basis=basis_of({**before, **changes})),
            self._stages,
            self._config.transitions,
            self._setting.clocks_from,
        )
        if before["spell"]:
            out.left.append({"b_contact": contact_id, "b_number": before["spell"], "b_left": at})
        stay = {"contact_id": contact_id, "number": moved.spell, "stage": stage, "entered_at": at, "left_at": None, "by": by}
        out.spells.append(stay)
        for state in moved.attempts:
            out.attempts.append(attempt_row(contact_id, self._patience.with_ignored_at(state, changes["owner"])))
        out.evidence += [{"contact_id": contact_id, **asdict(state)} for state in moved.evidence]
        if moved.attempts:
            loaded.attempts[contact_id] = moved.attempts[-1]
        known = {one.rule: one for one in loaded.evidence.get(contact_id, ())}
        loaded.evidence[contact_id] = list((known | {one.rule: one for one in moved.evidence}).values())
        number = moved.attempts[-1].number if moved.attempts else before["attempt"]
        return {"stage": stage, "stage_since": at, "spell": moved.spell, "attempt": number}

    def _raw_stage(self, crm: CrmName | None, records: Sequence[Any], main: Mapping[CrmName, Any]) -> str | None:
        row = None if crm is None else stage_record(crm, [one for one in records if not one.archived], main)
        if row is None:
            return None
        raw: str | None = row.properties.get(STAGE_PROPERTY[row.crm, row.object])
        return raw

    def _entered_at(
        self,
        before: Mapping[str, Any],
        resolution: Resolution,
        records: Sequence[Any],
        main: Mapping[CrmName, Any],
        loaded: _Slice,
        now: datetime,
    ) -> datetime:
        """When the stage was entered, by the CRM's word; never before the stay that it ends."""
        row = None if resolution.side is None else stage_record(resolution.side, [one for one in records if not one.archived], main)
        moment: datetime | None = None
        if row is not None and row.crm == "hubspot":
            stated = moment_micros(row.properties.get(date_entered(row.properties.get("lifecyclestage") or "")) or "", self._zone)
            moment = None if stated is None else from_micros(stated)
        elif row is not None:
            raw = row.properties.get("Status")
            told = [c.at for c in loaded.history.get(row.id, ()) if c.property == "Status" and c.after == raw]
            moment = max(told, default=None)
        if moment is None and row is not None:
            moment = row.created_at if before["agreed_number"] == 0 else row.modified_at
        earliest: datetime | None = before["stage_since"]
        entered: datetime = min(moment or now, now)
        return entered if earliest is None else max(entered, earliest)

    def _attempt_goes_on(
        self, contact_id: int, before: Mapping[str, Any], changes: Mapping[str, Any], state: AttemptState, now: datetime, out: _Out
    ) -> None:
        """A record that vanished withdraws the attempt; a found attempt is taken up once somebody touched its lead status."""
        if changes["gone"]:
            out.attempts.append(attempt_row(contact_id, attempts.end(state, "withdrawn", now)))
            return
        status = ("h_lead_status", "s_lead_status")
        seen_before = before["judged_at"] is not None and now >= self._setting.clocks_from
        if state.found and seen_before and any(before.get(name) != changes.get(name) for name in status):
            taken_up = self._patience.with_ignored_at(replace(state, found=False), changes["owner"])
            out.attempts.append(attempt_row(contact_id, taken_up))

    def agree(self, connection: Connection, agreed: Sequence[tuple[int, str]], now: datetime) -> None:
        """Puts contacts into a stage that their CRMs show already, where nothing was agreed before: a step without a write."""
        if not agreed:
            return
        loaded = self._load(connection, [contact_id for contact_id, _ in agreed])
        out = _Out()
        for contact_id, stage in agreed:
            before = loaded.contacts[contact_id]
            changes = {
                "agreed_hubspot": before["stage_hubspot"],
                "agreed_salesforce": before["stage_salesforce"],
                "agreed_number": before["agreed_number"] + 1,
                "stage_differs": False,
                "due_at": now,
            }
            changes |= self._book(contact_id, before, before, stage, now, "connector", loaded, out)
            out.contacts.append({"b_id": contact_id, **before, **changes})
        self._store(connection, out)

    # ── Storing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _store(self, connection: Connection, out: _Out) -> None:
        columns = [name for name in out.contacts[0] if name not in ("b_id", "id")]
        connection.execute(
            update(self._table).where(self._table.c.id == bindparam("b_id")).values({name: bindparam(name) for name in columns}),
            [{name: value for name, value in row.items() if name != "id"} for row in out.contacts],
        )
        if out.roles:
            self._store_roles(connection, out.roles)
        if out.left:
            same = (spell.c.contact_id == bindparam("b_contact"), spell.c.number == bindparam("b_number"))
            connection.execute(update(spell).where(*same).values(left_at=bindparam("b_left")), out.left)
        upsert(connection, spell, out.spells)
        upsert(connection, attempt, out.attempts)
        upsert(connection, evidence, out.evidence)
        withdraw = [row for row in out.attempts if row["outcome"] == "withdrawn"]
        if withdraw:  # nobody judges such a contact any more: its clocks end here
            here = and_(clock.c.contact_id == bindparam("b_contact"), clock.c.attempt == bindparam("b_attempt"), clock.c.state.in_(TICKING))
            statement = update(clock).where(here).values(state="ended", ended_at=bindparam("b_ended"))
            connection.execute(
                statement, [{"b_contact": row["contact_id"], "b_attempt": row["number"], "b_ended": row["ended_at"]} for row in withdraw]
            )

    def _store_roles(self, connection: Connection, roles: Sequence[dict[str, Any]]) -> None:
        connection.execute(
            update(record)
            .where(record.c.crm == bindparam("b_crm"), record.c.object == bindparam("b_object"), record.c.id == bindparam("b_id"))
            .values(role=bindparam("b_role")),
            list(roles),
        )


def sides_of(main: Mapping[CrmName, Any], companies: Mapping[tuple[str, str], Mapping[str, Any]]) -> Sides:
    """What a contact's fields are read from: its own records, and those of its companies by (crm, id)."""
    hubspot, salesforce = main.get("hubspot"), main.get("salesforce")
    nothing: Mapping[str, Any] = {}
    return Sides(
        hubspot=nothing if hubspot is None else hubspot.properties,
        hubspot_company=nothing if hubspot is None else companies.get(("hubspot", hubspot.company_id or ""), nothing),
        lead=salesforce.properties if salesforce is not None and salesforce.object == "Lead" else None,
        contact=salesforce.properties if salesforce is not None and salesforce.object == "Contact" else None,
        account=nothing if salesforce is None else companies.get(("salesforce", salesforce.company_id or ""), nothing),
    )


def stage_record(crm: CrmName, live: Sequence[Any], main: Mapping[CrmName, Any]) -> Any:
    """The record that tells (and is told) the stage in a CRM: the contact's own; for a Salesforce Contact, the Lead it came from."""
    row = main.get(crm)
    if row is None or row.object != "Contact":
        return row
    return next((one for one in live if one.object == "Lead" and one.converted_to == row.id), None)


def _is_new_to(before: Mapping[str, Any], row: Any) -> bool:
    """Whether a record did not tell the contact's stage before: it was linked, or chosen among several, since. `role` is the old one."""
    return not before[f"in_{row.crm}"] or row.role is None or (row.role != "main" and row.converted_to is None)
