"""What is wanted of the CRMs for one contact, as bundles of actions: stages written, owners set, tasks rendered."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from connector.config.business_time import TeamCalendars
from connector.config.columns import column_of
from connector.config.tables import Assign, Config, TaskRule, Then
from connector.model import CRM_FACTS, CRMS, Action, CrmName, FieldType, Kind, Proposal, RecordRef, bundle_name
from connector.pipeline.evaluate.cases import ContactState
from connector.pipeline.unify import stage_record
from connector.store.tables import from_micros
from connector.store.tables.rows import Engagement, PersonRecord
from connector.workflows import task
from connector.workflows.assign import RoundRobin
from connector.workflows.stages import StageMap, writes_for
from connector.workflows.suspension import NOTHING, Suspended, gives_to


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionInputs:
    """What holds for every decision of a slice.

    owner_ids: (crm, e-mail) → owner id of active people. companies: (crm, company id) → who owns others of it. url: a record's address.
    suspended: what says nothing now. clocks_from: attempts begun before are found. live_since: the first live pass; None in shadow.
    """

    config: Config
    stages: StageMap
    calendars: TeamCalendars
    zone: ZoneInfo
    now: datetime
    run: int
    live: bool
    clocks_from: datetime
    owner_ids: Mapping[tuple[CrmName, str], str]
    companies: Mapping[tuple[str, str], str]
    url: Callable[[CrmName, str, str], str]
    suspended: Suspended = NOTHING
    live_since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Why a bundle is wanted: the rule's id, what it is keyed by, and the values behind it. texts: placeholders of tasks."""

    rule: str
    key: str
    why: Mapping[str, Any]
    texts: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Proposer:
    """Makes the bundles of one contact. turns moves on with each lead that is given away."""

    state: ContactState
    inputs: DecisionInputs
    turns: RoundRobin

    def bundle(self, cause: Cause, then: Sequence[Then], before: Sequence[Action] = ()) -> list[Proposal]:
        """What a rule wants, unless the ledger has it already (one that is held is named again: it is still true)."""
        contact, config = self.state.contact, self.inputs.config
        held = self._held(cause)
        if held is False or gives_to(then, self.inputs.suspended.assigns):
            return []
        actions, owner = list(before), contact.owner
        for name in (part.assign for part in then if part.assign is not None):
            given = self._assign(config.assign(name), cause, peek=held is not None)
            if given is not None:
                owner, action = given
                actions.append(action)
        tasks = [self._task(config.task(part.task), owner, cause) for part in then if part.task is not None]
        actions += [action for action in tasks if action is not None]
        return self.proposal(cause, actions, urgency=float(contact.score or 0.0))

    def proposal(self, cause: Cause, actions: Sequence[Action], *, urgency: float = 0.0) -> list[Proposal]:
        """These actions as one bundle, unless there are none or the ledger has it already."""
        if not actions or self._held(cause) is False:
            return []
        made = Proposal(
            rule=cause.rule, contact=self.state.contact.id, cause=cause.key, actions=tuple(actions), why=cause.why, urgency=urgency
        )
        return [made]

    def in_ledger(self, rule: str, key: str) -> bool:
        """Whether the ledger has a bundle."""
        return bundle_name(rule, self.state.contact.id, key) in self.state.bundles

    def _held(self, cause: Cause) -> bool | None:
        """Whether the ledger holds the bundle back; None where it does not have it."""
        return self.state.bundles.get(bundle_name(cause.rule, self.state.contact.id, cause.key))

    # ── Stages ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def stage_writes(self, stage: str, *, unmapped: bool = True) -> list[Action]:
        """The writes after which both CRMs show a stage. unmapped: also over a value that no stage of the file names."""
        stages = self.inputs.stages
        rows = {crm: row for crm in CRMS if (row := self._stage_record(crm)) is not None}
        raw = {crm: row.properties.get(CRM_FACTS[crm].stage_property) or None for crm, row in rows.items()}
        shown = {crm: stages.name_of(crm, raw[crm]) for crm in rows}
        return [
            Action(
                kind=Kind.SET_STAGE,
                record=_ref(rows[crm]),
                target=CRM_FACTS[crm].stage_property,
                before=raw[crm],
                after=value,
                backward=stages.rank(shown[crm]) > stages.rank(stage),
            )
            for crm, value in writes_for(stage, shown, stages).items()
            if unmapped or raw[crm] is None or shown[crm] is not None
        ]

    def _stage_record(self, crm: CrmName) -> PersonRecord | None:
        """The record that carries the stage and may be written: a converted Lead may not."""
        row: PersonRecord | None = stage_record(crm, self.state.records, self.state.main)
        return None if row is None or row.converted_to is not None or row.role != "main" else row

    # ── Owners ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _assign(self, rule: Assign, cause: Cause, *, peek: bool) -> tuple[str, Action] | None:
        """The next owner and the write that makes him so; None where the rule is not asked, or nobody is there."""
        inputs, state = self.inputs, self.state
        number = inputs.config.assigns.index(rule)
        works_in = inputs.config.team(rule.team).works_in
        row = state.main.get(works_in) or state.main.get("hubspot" if works_in == "salesforce" else "salesforce")
        if row is None or not state.answers.assigns[number]:
            return None
        mains = [state.main[crm] for crm in CRMS if crm in state.main]
        companies = [(main.crm, main.company_id) for main in mains if main.company_id is not None]
        known = next((owner for company in companies if (owner := inputs.companies.get(company)) is not None), None)
        turns = self.turns.peek() if peek else self.turns
        names = [":".join(company) for company in companies]
        proposed = state.proposed.get(bundle_name(cause.rule, state.contact.id, cause.key))
        before = next((email for (crm, email), number_ in inputs.owner_ids.items() if (crm, number_) == (row.crm, proposed)), None)
        person = turns.next_owner(rule, row.crm, state.answers.routes[number], names, known, before)
        if person is None:
            return None
        after = inputs.owner_ids[row.crm, person]
        target = CRM_FACTS[row.crm].owner_property
        return person, Action(kind=Kind.ASSIGN, record=_ref(row), target=target, before=row.owner_id, after=after)

    # ── Tasks ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _task(self, rule: TaskRule, owner: str | None, cause: Cause) -> Action | None:
        inputs, config = self.inputs, self.inputs.config
        person = task.assignee(rule, owner, config)
        crm = task.place(rule, person, config, [crm for crm in CRMS if crm in self.state.main])
        if crm is None:
            return None
        context = task.TaskContext(values=self._values(), extra={**self._texts(owner, cause), **cause.texts})
        owner_id = None if person is None else inputs.owner_ids.get((crm, person))
        calendar = inputs.calendars.of(person)
        rendered = task.spec(rule, context, owner_id, calendar, config.task_limits, inputs.zone, inputs.now)
        record = _ref(self.state.main[crm])
        return Action(kind=Kind.CREATE_TASK, record=record, target=rule.name, before=None, after=rule.name, task=rendered)

    def _values(self) -> dict[str, Any]:
        """The contact's values by name, fields and computed ones; moments as moments."""
        types = self.inputs.config.condition_names()
        return {name: value_of(self.state, name, kind) for name, kind in types.items() if "." not in name}

    def _texts(self, owner: str | None, cause: Cause) -> dict[str, str]:
        zone, types = self.inputs.zone, self.inputs.config.condition_names()
        links = [self.inputs.url(row.crm, row.object, row.id) for row in self.state.records if row.role == "main"]
        why = {name: value_of(self.state, name, types[name]) if name in types else value for name, value in cause.why.items()}
        return {
            "links": "\n".join(link for link in links if link),
            "why": ", ".join(f"{name}: {task.shown(value, zone)}" for name, value in why.items() if value is not None),
            "recent": "; ".join(_engagement(engagement, zone) for engagement in self.state.recent),
            "owner": owner or "nobody",
        }


def value_of(state: ContactState, name: str, kind: FieldType) -> Any:
    """A contact's value by the name of the file; moments as datetimes (UTC)."""
    value = state.contact.values.get(column_of(name))
    return from_micros(value) if kind is FieldType.DATETIME and isinstance(value, int) else value


def _engagement(engagement: Engagement, zone: ZoneInfo) -> str:
    day = f"{engagement.at.astimezone(zone):%Y-%m-%d}"
    return " ".join(part for part in (day, engagement.direction, engagement.kind, engagement.who) if part)


def _ref(row: PersonRecord) -> RecordRef:
    return RecordRef(crm=row.crm, object=row.object, id=row.id)
