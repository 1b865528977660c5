"""What the rules make of one case: the attempt, its clocks, its rejection, and the actions wanted. Pure.

In order: rejections and clocks end or go on, then at most one transition, then what the other CRM
still has to be told. Everything wanted is derived from what *is*, not from what just changed, so that a pass that crashed wants it
again; the ledger's keys see to it that it happens once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from connector.config.names import COMPUTED
from connector.config.tables import Config, RejectionRule, SlaRule, TaskRule, Then, Transition
from connector.model import CRM_FACTS, CRMS, Action, CrmName, FieldType, Kind, Proposal, RecordRef, bundle_name
from connector.pipeline.evaluate.cases import ContactState, Decision
from connector.pipeline.unify import stage_record
from connector.store.tables import from_micros
from connector.workflows import rejection, sla, task
from connector.workflows.assign import RoundRobin
from connector.workflows.attempts import AttemptState, end, let_time_pass, may_fire
from connector.workflows.fields import side_column
from connector.workflows.ignored import Patience
from connector.workflows.sla import ClockState
from connector.workflows.stages import MQL, StageMap, writes_for
from connector.workflows.suspension import NOTHING, Suspended, gives_to
from connector.workflows.touches import since

#: The rule's id under which a stage is written to the CRM that does not show it yet.
STAGES_RULE = "stages"


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionInputs:
    """What conclusions need beside the case.

    owner_ids: (crm, e-mail) → owner id of active people. companies: (crm, company id) → who owns others of it. url: a record's address.
    suspended: what says nothing now.
    """

    owner_ids: Mapping[tuple[CrmName, str], str]
    companies: Mapping[tuple[str, str], str]
    url: Callable[[CrmName, str, str], str]
    suspended: Suspended = NOTHING


class Decisions:
    """Concludes cases; made once a pass."""

    def __init__(
        self,
        config: Config,
        world: DecisionInputs,
        rota: RoundRobin,
        patience: Patience,
        *,
        now: datetime,
        run: int,
        live: bool,
        clocks_from: datetime,
    ) -> None:
        self._config = config
        self._stages = StageMap(config)
        self._patience = patience
        self._zone = ZoneInfo(config.timezone)
        self._world = world
        self._rota = rota
        self._now = now
        self._run = run
        self._live = live
        self._clocks_from = clocks_from
        self._suspended = world.suspended

    def conclude(self, case: ContactState) -> Decision:
        """Everything that follows for one contact."""
        found = Decision(case=case)
        if case.contact["gone"] or not case.records:
            return found
        attempt = self._attempt(case, found)
        if case.contact["ambiguous"] is not None or case.contact["excluded"]:
            return found
        if attempt is not None and attempt.found and attempt.open:
            return found
        self._clock_actions(case, attempt, found)
        if not self._rejection_actions(case, found) and not self._transition(case, found):
            self._taken_elsewhere(case, found)
            self._tell_the_other(case, found)
        return found

    # ── The attempt: rejected, ignored, or going on with its clock ───────────────────────────────────────────────────────────────

    def _attempt(self, case: ContactState, found: Decision) -> AttemptState | None:
        """The present attempt as it stands now; what differs from what is on record, and its clocks, go into `found`."""
        attempt = case.attempt
        if attempt is None:
            return None
        if case.contact["excluded"]:
            found.attempts = [end(attempt, "withdrawn", self._now)] if attempt.open else []
        else:
            found.rejection = self._reason(case)
            found.attempts = [] if attempt.found else self._went_on(case, attempt, found)
        attempt = found.attempts[-1] if found.attempts else attempt
        self._clocks(case, attempt, found)
        if attempt.open and attempt.ignored_at is not None and not since(case.touches, attempt.began_at):
            found.moments.append(attempt.ignored_at)
        return attempt

    def _went_on(self, case: ContactState, attempt: AttemptState, found: Decision) -> list[AttemptState]:
        """The attempts that differ: what happened first counts, whether or not anybody looked meanwhile."""
        rule, sign = None if self._suspended.rejection else self._config.rejection, self._sign(case)
        selling = case.contact["stage"] == MQL
        asked = attempt
        if rule is not None and attempt.open:
            asked = rejection.ask(attempt, sign, known_since=case.contact["first_seen_at"], before=case.was_rejecting)
        given_back = asked.open and sign.rejecting and bool(asked.rejectable)
        passed = let_time_pass(asked, case.touches, sign.at if given_back else self._now, selling=selling)
        last = passed[-1] if passed else asked
        states = {one.number: one for one in (asked, *passed)}
        if rule is not None and given_back and last.open:
            facts = self._facts(case, rule)
            calendar = self._patience.calendar(case.contact["owner"])
            last, found.rejection = rejection.reject(rule, last, sign, case.touches, facts, calendar, self._run)
            states[last.number] = last
        return [state for state in states.values() if state != attempt]

    def _facts(self, case: ContactState, rule: RejectionRule) -> dict[str, Any]:
        return {
            "reason": case.contact.get(f"f_{rule.reason}"),
            "owner": case.contact["owner"],
            "criteria_met": case.contact["criteria_met"],
            "score": case.contact["score"],
        }

    def _sign(self, case: ContactState) -> rejection.Sign:
        """The side whose value the rule names, and since when: Salesforce's history, else the record's last change."""
        rule = self._config.rejection
        text = "" if rule is None else rule.when.text.casefold()
        hubspot, salesforce = case.main("hubspot"), case.main("salesforce")
        shown = str(case.contact.get("h_lead_status") or "").casefold()
        by_hubspot = hubspot is not None and (salesforce is None or (shown != "" and f"'{shown}'" in text))
        row = hubspot if by_hubspot else salesforce
        moment: datetime | None = None
        if row is not None and not by_hubspot:
            name = CRM_FACTS["salesforce"].stage_property
            status = row.properties.get(name)
            told = (c.at for c in case.history if c.record_id == row.id and c.property == name and c.after == status)
            moment = max(told, default=None)
        moment = moment or (None if row is None else row.modified_at) or self._now
        return rejection.Sign(rejecting=bool(case.flags.get("rejecting")), at=min(moment, self._now), crm=None if row is None else row.crm)

    def _reason(self, case: ContactState) -> rejection.RejectionState | None:
        """A rejection on record, with the reason that the CRM shows by now."""
        rule, state = self._config.rejection, case.rejection
        if rule is None or state is None or self._suspended.rejection:
            return state
        state = rejection.with_reason(rule, state, case.contact.get(f"f_{rule.reason}"), self._now)
        below = rule.send_back_to is not None and self._stages.rank(case.contact["stage"]) <= self._stages.rank(rule.send_back_to)
        return replace(state, sent_back=True) if below and not state.sent_back else state

    # ── Clocks ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _clocks(self, case: ContactState, attempt: AttemptState, found: Decision) -> None:
        states = {**case.attempts, **{one.number: one for one in found.attempts}}
        running = []
        for clock in case.clocks:
            state, rule = states.get(clock.attempt), self._sla(clock.sla)
            if state is None or rule is None:
                continue
            if state.number == attempt.number and state.open:
                running.append(clock)
            else:
                self._close(clock, rule, case, state.ended_at or self._now, found)
        running = running or self._started(case, attempt)
        for clock, successor in pairwise(running):
            if (rule := self._sla(clock.sla)) is not None:
                self._close(clock, rule, case, successor.started_at, found)
        if running and (rule := self._sla(running[-1].sla)) is not None:
            self._run_on(running[-1], rule, case, attempt, found)
        found.clocks = [clock for clock in found.clocks if clock not in case.clocks]

    def _close(self, clock: ClockState, rule: SlaRule, case: ContactState, at: datetime, found: Decision) -> None:
        """A clock whose time is over: by the touches that were made till then."""
        made = [one for one in case.touches if one.at <= at]
        done, _ = sla.advance(clock, rule, made, min(self._now, at))
        found.clocks.append(sla.end_with_attempt(done, at))

    def _run_on(self, clock: ClockState, rule: SlaRule, case: ContactState, attempt: AttemptState, found: Decision) -> None:
        """The attempt's last clock: handed over to a new owner, or ticking on."""
        owner, calendar = case.contact["owner"], self._calendar(case)
        begun = sla.handed_over(clock, rule, attempt, owner, case.contact["assigned_at"])
        pair = None if begun is None else sla.restart(clock, rule, attempt, owner, begun, calendar, case.touches)
        if pair is not None:
            found.clocks.append(pair[0])
            clock = pair[1]
        self._tick(clock, rule, case, found)

    def _tick(self, clock: ClockState, rule: SlaRule, case: ContactState, found: Decision) -> None:
        stepped, _ = sla.advance(clock, rule, case.touches, self._now)
        found.clocks.append(stepped)
        moment = stepped.next_moment(self._now)
        if moment is not None:
            found.moments.append(moment)

    def _started(self, case: ContactState, attempt: AttemptState) -> list[ClockState]:
        if not attempt.open or attempt.found:
            return []
        waiting = {rule.kind for rule in self._config.slas if rule.id in self._suspended.slas}  # which of a kind it is, is not known
        asked = [(rule, bool(case.flags.get(f"sla_{number}"))) for number, rule in enumerate(self._config.slas)]
        rules = [(rule, met) for rule, met in asked if rule.kind not in waiting]
        clock = sla.start(rules, attempt, case.contact["owner"], case.contact["assigned_at"], self._calendar(case))
        return [] if clock is None else [clock]

    def _sla(self, rule_id: str) -> SlaRule | None:
        return next((rule for rule in self._config.slas if rule.id == rule_id), None)

    def _calendar(self, case: ContactState) -> Any:
        return self._patience.calendar(case.contact["owner"])

    def _clock_actions(self, case: ContactState, attempt: AttemptState | None, found: Decision) -> None:
        if attempt is None or not attempt.open:
            return
        states = {clock.number: clock for clock in [*case.clocks, *found.clocks] if clock.attempt == attempt.number}
        for clock in states.values():
            rule = self._sla(clock.sla)
            if rule is None or clock.state not in ("warned", "breached"):
                continue
            event = "warn" if clock.state == "warned" else "breach"
            extra = {
                "sla": rule.name,
                "due": task.shown(clock.due_at, self._zone),
                "touches": str(clock.touches),
                "needed": str(rule.touches),
            }
            why = {"sla": rule.name, "due_at": clock.due_at.isoformat(), "touches": clock.touches, "state": clock.state}
            cause = f"attempt:{attempt.number}/{clock.kind}.{clock.number}/{event}"
            self._propose(case, found, rule.id, cause, rule.on_warn if event == "warn" else rule.on_breach, why, extra)

    # ── Rejections ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _rejection_actions(self, case: ContactState, found: Decision) -> bool:
        """Whether a rejection keeps the contact: nothing else moves it until it was sent back."""
        rule, state = self._config.rejection, found.rejection
        if state == case.rejection:
            found.rejection = None
        if rule is None or state is None or state.sent_back:
            return False
        if self._suspended.rejection:
            return rule.send_back_to is not None
        why = {"kind": state.kind, "reason": state.reason, "touches": state.touches}
        if state.waits(self._now):
            found.moments += [] if state.reason_by is None else [state.reason_by]
            self._propose(case, found, rejection.RULE, f"attempt:{state.attempt}/reason", rule.missing_reason, why, {})
        if state.run == self._run:
            found.moments.append(self._now)
        elif state.due_back(self._run, self._now) and rule.send_back_to is not None:
            cause, actions = f"attempt:{state.attempt}", self._stage_actions(case, rule.send_back_to)
            if not actions and self._live:
                found.agreed = rule.send_back_to
            self._want(case, found, Proposal(rule=rejection.RULE, contact=case.id, cause=cause, actions=actions, why=why))
        return rule.send_back_to is not None

    # ── Transitions ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _transition(self, case: ContactState, found: Decision) -> bool:
        stage = case.contact["stage"]
        evidence = {one.rule: one for one in case.evidence}
        for number, rule in enumerate(self._config.transitions):
            if not case.flags.get(f"transition_{number}") or not leaves(rule, stage):
                continue
            known = evidence.get(rule.id)
            waits = may_fire(known, rule, case.basis, self._now)
            if waits is None:
                self._take(case, found, rule)
                return True
            if known is not None and known.again_at is not None and known.again_at > self._now:
                found.moments.append(known.again_at)
        return False

    def _take(self, case: ContactState, found: Decision, rule: Transition) -> None:
        why = self._why(case, rule)
        actions = self._stage_actions(case, rule.to)
        if not actions and self._live:
            found.agreed = rule.to
        self._propose(case, found, rule.id, f"spell:{case.contact['spell']}", rule.then, why, {}, before=actions)

    def _taken_elsewhere(self, case: ContactState, found: Decision) -> None:
        """A step that a person or another tool took: the first transition with that from and to counts as taken; its `then` runs, its
        `when` is not asked. A step of our own is in the ledger, unless there was nothing to write and the pass died before its plan."""
        state = found.rejection or case.rejection
        rejected = state is not None and state.sent_back
        if case.spell_by in (None, "found") or case.contact["stage_since"] < self._clocks_from or (rejected and case.spell_by != "crm"):
            return
        steps = {one.rule for one in case.evidence if one.spell == case.contact["spell"]}
        rules = [rule for rule in self._config.transitions if rule.id in steps]
        cause = f"spell:{case.contact['spell'] - 1}"
        ours = [rule for rule in rules if bundle_name(rule.id, case.id, cause) in case.bundles]
        for rule in (ours or rules)[:1]:
            why = {"rule": rule.name, "taken_by": case.spell_by}
            self._propose(case, found, rule.id, cause, rule.then, why, {})

    def _tell_the_other(self, case: ContactState, found: Decision) -> None:
        stage = case.contact["stage"]
        if stage is None or case.contact["stage_differs"]:
            return
        actions = self._stage_actions(case, stage, unmapped=False)
        if actions:
            cause = f"agreement:{case.contact['agreed_number']}"
            self._want(case, found, Proposal(rule=STAGES_RULE, contact=case.id, cause=cause, actions=actions, why={"stage": stage}))

    def _stage_actions(self, case: ContactState, stage: str, *, unmapped: bool = True) -> tuple[Action, ...]:
        """The writes after which both CRMs show a stage. unmapped: also over a value that no stage of the file names."""
        rows = {crm: row for crm in CRMS if (row := self._stage_row(case, crm)) is not None}
        raw = {crm: row.properties.get(CRM_FACTS[crm].stage_property) or None for crm, row in rows.items()}
        said = {crm: self._stages.name_of(crm, raw[crm]) for crm in rows}
        return tuple(
            Action(
                kind=Kind.SET_STAGE,
                record=_ref(rows[crm]),
                target=CRM_FACTS[crm].stage_property,
                before=raw[crm],
                after=value,
                backward=self._stages.rank(said[crm]) > self._stages.rank(stage),
            )
            for crm, value in writes_for(stage, said, self._stages).items()
            if unmapped or raw[crm] is None or said[crm] is not None
        )

    def _stage_row(self, case: ContactState, crm: CrmName) -> Any:
        """The record that carries the stage and may be written: a converted Lead may not."""
        mains = {one: row for one in CRMS if (row := case.main(one)) is not None}
        row = stage_record(crm, case.records, mains)
        return None if row is None or row.converted_to is not None or row.role != "main" else row

    # ── Actions ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _propose(
        self,
        case: ContactState,
        found: Decision,
        rule: str,
        cause: str,
        then: Sequence[Then],
        why: Mapping[str, Any],
        extra: Mapping[str, str],
        *,
        before: tuple[Action, ...] = (),
    ) -> None:
        """One bundle of a rule, unless the ledger has it already (one that is held is named again: it is still true)."""
        held = case.bundles.get(bundle_name(rule, case.id, cause))
        if held is False or gives_to(then, self._suspended.assigns):
            return
        actions = list(before)
        owner: str | None = case.contact["owner"]
        for one in then:
            if one.assign is not None and (given := self._assign(case, one.assign, peek=held is not None)) is not None:
                owner, action = given
                actions.append(action)
        tasks = [self._task(case, self._config.task(one.task), owner, why, extra) for one in then if one.task is not None]
        actions += [action for action in tasks if action is not None]
        urgency = float(case.contact["score"] or 0.0)
        self._want(case, found, Proposal(rule=rule, contact=case.id, cause=cause, actions=tuple(actions), why=why, urgency=urgency))

    def _want(self, case: ContactState, found: Decision, proposal: Proposal) -> None:
        known = case.bundles.get(bundle_name(proposal.rule, case.id, proposal.cause))
        if proposal.actions and known is not False:
            found.proposals.append(proposal)

    def _assign(self, case: ContactState, name: str, *, peek: bool) -> tuple[str, Action] | None:
        """The next owner and the write that makes him so; None where the rule is not asked, or nobody is there."""
        number, rule = next((n, one) for n, one in enumerate(self._config.assigns) if one.name == name)
        if not case.flags.get(f"assign_{number}"):
            return None
        works_in = self._config.team(rule.team).works_in
        row = case.main(works_in) or case.main("hubspot" if works_in == "salesforce" else "salesforce")
        if row is None:
            return None
        routes = [bool(case.flags.get(f"route_{number}_{place}")) for place in range(len(rule.routes))]
        rota = RoundRobin(self._config, self._rota.turns, self._world.owner_ids) if peek else self._rota
        companies = [(one.crm, one.company_id) for crm in CRMS if (one := case.main(crm)) is not None and one.company_id is not None]
        known = next((who for company in companies if (who := self._world.companies.get(company)) is not None), None)
        person = rota.next_owner(rule, row.crm, routes, [":".join(company) for company in companies], known)
        if person is None:
            return None
        after = self._world.owner_ids[row.crm, person]
        target = CRM_FACTS[row.crm].owner_property
        return person, Action(kind=Kind.ASSIGN, record=_ref(row), target=target, before=row.owner_id, after=after)

    def _task(
        self, case: ContactState, rule: TaskRule, owner: str | None, why: Mapping[str, Any], extra: Mapping[str, str]
    ) -> Action | None:
        person = task.assignee(rule, owner, self._config)
        at_hand = [crm for crm in CRMS if case.main(crm) is not None]
        crm = task.place(rule, person, self._config, at_hand)
        if crm is None:
            return None
        row = case.main(crm)
        context = task.TaskContext(values=self._values(case), extra={**self._extra(case, owner, why), **extra})
        owner_id = None if person is None else self._world.owner_ids.get((crm, person))
        calendar = self._patience.calendar(person)
        rendered = task.spec(rule, context, owner_id, calendar, self._config.task_limits, self._zone, self._now)
        return Action(kind=Kind.CREATE_TASK, record=_ref(row), target=rule.name, before=None, after=rule.name, task=rendered)

    def _values(self, case: ContactState) -> dict[str, Any]:
        """The contact's values by name, fields and computed ones; moments as moments."""
        types = self._config.condition_names()
        return {name: self._typed(case, name) for name in types if "." not in name}

    def _typed(self, case: ContactState, name: str) -> Any:
        value = case.contact.get(_column(name))
        if self._config.condition_names()[name] is FieldType.DATETIME and isinstance(value, int):
            return from_micros(value)
        return value

    def _why(self, case: ContactState, rule: Transition) -> dict[str, Any]:
        """The rule and the values that met it."""
        values = {name: self._typed(case, name) for name in sorted(rule.when.names)}
        return {"rule": rule.name} | {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}

    def _extra(self, case: ContactState, owner: str | None, why: Mapping[str, Any]) -> dict[str, str]:
        links = [self._world.url(row.crm, row.object, row.id) for row in case.records if row.role == "main"]
        recent = [
            " ".join(part for part in (f"{one.at.astimezone(self._zone):%Y-%m-%d}", one.direction, one.kind, one.who) if part)
            for one in case.recent
        ]
        names = self._config.condition_names()
        reasons = {name: self._typed(case, name) if name in names else value for name, value in why.items()}
        return {
            "links": "\n".join(link for link in links if link),
            "why": ", ".join(f"{name}: {task.shown(value, self._zone)}" for name, value in reasons.items() if value is not None),
            "recent": "; ".join(recent),
            "owner": owner or "nobody",
        }


def _column(name: str) -> str:
    """The column of the contact's row that holds what a name of conditions reads, as it came."""
    crm, dot, bare = name.partition(".")
    return name if name in COMPUTED else side_column(crm, bare) if dot else f"f_{name}"


def leaves(rule: Transition, stage: str | None) -> bool:
    """Whether a transition starts from this stage and leads elsewhere."""
    return rule.to != stage and (rule.from_ is None or (stage or "") in rule.from_)


def _ref(row: Any) -> RecordRef:
    return RecordRef(crm=row.crm, object=row.object, id=row.id)
