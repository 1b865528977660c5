"""What the rules make of one case: the attempt, its clocks, its rejection, and the actions wanted. Pure.

In order: rejections and clocks end or go on, then at most one transition, then what the other CRM
still has to be told. Everything wanted is derived from what *is*, not from what just changed, so that a pass that crashed wants it
again; the ledger's keys see to it that it happens once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from connector.cases import Case, Conclusion
from connector.config.tables import Config, SlaRule, TaskRule, Then, Transition
from connector.contacts import stage_record
from connector.model import CRMS, Action, CrmName, Kind, Proposal, RecordRef
from connector.workflows import rejection, sla, task
from connector.workflows.assign import Rota
from connector.workflows.attempts import AttemptState, end, may_fire
from connector.workflows.fields import OWNER_PROPERTY, STAGE_PROPERTY
from connector.workflows.ignored import Patience
from connector.workflows.sla import ClockState
from connector.workflows.stages import MQL, StageMap, writes_for
from connector.workflows.touches import since

#: The rule's id under which a stage is written to the CRM that does not show it yet.
STAGES_RULE = "stages"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What conclusions need beside the case.

    owner_ids: (crm, e-mail) → owner id of active people. companies: (crm, company id) → who owns others of it. url: a record's address.
    """

    owner_ids: Mapping[tuple[CrmName, str], str]
    companies: Mapping[tuple[str, str], str]
    url: Callable[[CrmName, str, str], str]


class Conclusions:
    """Concludes cases; made once a pass."""

    def __init__(
        self, config: Config, world: World, rota: Rota, patience: Patience, *, now: datetime, run: int, live: bool
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

    def conclude(self, case: Case) -> Conclusion:
        """Everything that follows for one contact."""
        found = Conclusion(case=case)
        if case.contact["excluded"] or case.contact["gone"] or not case.records:
            return found
        attempt = self._attempt(case, found)
        if case.contact["ambiguous"] is not None:
            return found
        if attempt is not None and attempt.found and attempt.open:
            return found
        self._clock_actions(case, attempt, found)
        if not self._rejection_actions(case, found) and not self._transition(case, found):
            self._taken_elsewhere(case, found)
            self._tell_the_other(case, found)
        return found

    # ── The attempt: rejected, ignored, or going on with its clock ───────────────────────────────────────────────────────────────

    def _attempt(self, case: Case, found: Conclusion) -> AttemptState | None:
        found.rejection = self._reason(case)
        attempt = case.attempt
        if attempt is None or attempt.found:
            return attempt
        if attempt.open:
            asked = self._asked(case, attempt, found)
            attempt = self._ignored(case, asked)
        else:
            attempt = self._late_touch(case, attempt)
        if attempt != case.attempt:
            found.attempt = attempt
        self._clocks(case, attempt, found)
        if attempt.open and attempt.ignored_at is not None and not since(case.touches, attempt.began_at):
            found.moments.append(attempt.ignored_at)
        return attempt

    def _asked(self, case: Case, attempt: AttemptState, found: Conclusion) -> AttemptState:
        rule = self._config.rejection
        if rule is None:
            return attempt
        sign = self._sign(case)
        attempt = rejection.ask(attempt, sign, known_since=case.contact["first_seen_at"])
        if not (sign.rejecting and attempt.rejectable):
            return attempt
        facts = {
            "reason": case.contact.get(f"f_{rule.reason}"),
            "owner": case.contact["owner"],
            "criteria_met": case.contact["criteria_met"],
            "score": case.contact["score"],
        }
        calendar = self._patience.calendar(case.contact["owner"])
        attempt, found.rejection = rejection.reject(rule, attempt, sign, case.touches, facts, calendar, self._run)
        return attempt

    def _sign(self, case: Case) -> rejection.Sign:
        """The side whose value the rule names, and since when: Salesforce's history, else the record's last change."""
        rule = self._config.rejection
        text = "" if rule is None else rule.when.text.casefold()
        hubspot, salesforce = case.main("hubspot"), case.main("salesforce")
        status = str(case.contact.get("h_lead_status") or "").casefold()
        by_hubspot = hubspot is not None and (salesforce is None or (status != "" and f"'{status}'" in text))
        row = hubspot if by_hubspot else salesforce
        moment: datetime | None = None
        if row is not None and not by_hubspot:
            moment = max((c.at for c in case.history if c.property == "Status" and c.after == row.properties.get("Status")), default=None)
        moment = moment or (None if row is None else row.modified_at) or self._now
        return rejection.Sign(rejecting=bool(case.flags.get("rejecting")), at=min(moment, self._now), crm=None if row is None else row.crm)

    def _reason(self, case: Case) -> rejection.RejectionState | None:
        """A rejection on record, with the reason that the CRM shows by now."""
        rule, state = self._config.rejection, case.rejection
        if rule is None or state is None:
            return state
        state = rejection.with_reason(rule, state, case.contact.get(f"f_{rule.reason}"), self._now)
        below = rule.send_back_to is not None and self._stages.rank(case.contact["stage"]) <= self._stages.rank(rule.send_back_to)
        return replace(state, sent_back=True) if below and not state.sent_back else state

    def _ignored(self, case: Case, attempt: AttemptState) -> AttemptState:
        if not attempt.open or attempt.ignored_at is None or attempt.ignored_at > self._now:
            return attempt
        if since(case.touches, attempt.began_at):
            return attempt
        return end(attempt, "ignored", attempt.ignored_at)

    def _late_touch(self, case: Case, attempt: AttemptState) -> AttemptState:
        """A touch after an attempt was ignored opens the next one, marked late, while the contact is still MQL."""
        if attempt.outcome != "ignored" or attempt.ended_at is None or case.contact["stage"] != MQL:
            return attempt
        later = since(case.touches, attempt.ended_at)
        if not later:
            return attempt
        return AttemptState(number=attempt.number + 1, spell=case.contact["spell"], began_at=later[0].at, late=True, rejectable=True)

    # ── Clocks ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _clocks(self, case: Case, attempt: AttemptState, found: Conclusion) -> None:
        same = [clock for clock in case.clocks if clock.attempt == attempt.number]
        clocks = same or self._started(case, attempt)
        for place, clock in enumerate(clocks):
            rule = self._sla(clock.sla)
            if rule is None:
                continue
            last = place == len(clocks) - 1
            if last and attempt.open:
                pair = sla.restart(clock, rule, attempt, case.contact["owner"], case.contact["assigned_at"], self._calendar(case))
                for one in pair or (clock,):
                    self._tick(one, rule, case, found)
            else:
                done, _ = sla.advance(clock, rule, case.touches, min(self._now, attempt.ended_at or self._now))
                found.clocks.append(sla.end_with_attempt(done, attempt.ended_at or self._now))
        found.clocks = [clock for clock in found.clocks if clock not in case.clocks]

    def _tick(self, clock: ClockState, rule: SlaRule, case: Case, found: Conclusion) -> None:
        stepped, _ = sla.advance(clock, rule, case.touches, self._now)
        found.clocks.append(stepped)
        moment = stepped.next_moment(self._now)
        if moment is not None:
            found.moments.append(moment)

    def _started(self, case: Case, attempt: AttemptState) -> list[ClockState]:
        if not attempt.open:
            return []
        rules = [(rule, bool(case.flags.get(f"sla_{number}"))) for number, rule in enumerate(self._config.slas)]
        clock = sla.start(rules, attempt, case.contact["owner"], case.contact["assigned_at"], self._calendar(case))
        return [] if clock is None else [clock]

    def _sla(self, rule_id: str) -> SlaRule | None:
        return next((rule for rule in self._config.slas if rule.id == rule_id), None)

    def _calendar(self, case: Case) -> Any:
        return self._patience.calendar(case.contact["owner"])

    def _clock_actions(self, case: Case, attempt: AttemptState | None, found: Conclusion) -> None:
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

    def _rejection_actions(self, case: Case, found: Conclusion) -> bool:
        """Whether a rejection keeps the contact: nothing else moves it until it was sent back."""
        rule, state = self._config.rejection, found.rejection
        if state == case.rejection:
            found.rejection = None
        if rule is None or state is None or state.sent_back:
            return False
        why = {"kind": state.kind, "reason": state.reason, "touches": state.touches}
        moment = state.next_moment(self._now)
        if moment is not None:
            found.moments.append(moment)
            self._propose(case, found, rejection.RULE, f"attempt:{state.attempt}/reason", rule.missing_reason, why, {})
        if state.run == self._run:
            found.moments.append(self._now)
        elif state.due_back(self._run, self._now) and rule.send_back_to is not None:
            cause, actions = f"attempt:{state.attempt}", self._stage_actions(case, rule.send_back_to)
            self._want(case, found, Proposal(rule=rejection.RULE, contact=case.id, cause=cause, actions=actions, why=why))
        return rule.send_back_to is not None

    # ── Transitions ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _transition(self, case: Case, found: Conclusion) -> bool:
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

    def _take(self, case: Case, found: Conclusion, rule: Transition) -> None:
        why = {"rule": rule.name} | {name: _plain(case.basis.get(name, case.contact.get(name))) for name in sorted(rule.when.names)}
        actions = self._stage_actions(case, rule.to)
        if not actions and self._live:
            found.agreed = rule.to
        self._propose(case, found, rule.id, f"spell:{case.contact['spell']}", rule.then, why, {}, before=actions)

    def _taken_elsewhere(self, case: Case, found: Conclusion) -> None:
        """A step that a person or another tool took: the transition's `then` runs, its `when` is not asked."""
        if case.spell_by in (None, "found"):
            return
        rules = {rule.id: rule for rule in self._config.transitions}
        for one in case.evidence:
            if one.spell == case.contact["spell"] and one.rule in rules and rules[one.rule].then:
                why = {"rule": rules[one.rule].name, "taken_by": case.spell_by}
                self._propose(case, found, one.rule, f"spell:{one.spell - 1}", rules[one.rule].then, why, {})

    def _tell_the_other(self, case: Case, found: Conclusion) -> None:
        stage = case.contact["stage"]
        if stage is None or case.contact["stage_differs"]:
            return
        actions = self._stage_actions(case, stage, unmapped=False)
        if actions:
            cause = f"agreement:{case.contact['agreed_number']}"
            self._want(case, found, Proposal(rule=STAGES_RULE, contact=case.id, cause=cause, actions=actions, why={"stage": stage}))

    def _stage_actions(self, case: Case, stage: str, *, unmapped: bool = True) -> tuple[Action, ...]:
        """The writes after which both CRMs show a stage. unmapped: also over a value that no stage of the file names."""
        rows = {crm: row for crm in CRMS if (row := self._stage_row(case, crm)) is not None}
        raw = {crm: row.properties.get(STAGE_PROPERTY[crm, row.object]) or None for crm, row in rows.items()}
        said = {crm: self._stages.name_of(crm, raw[crm]) for crm in rows}
        return tuple(
            Action(
                kind=Kind.SET_STAGE,
                record=_ref(rows[crm]),
                target=STAGE_PROPERTY[crm, rows[crm].object],
                before=raw[crm],
                after=value,
                backward=self._stages.rank(said[crm]) > self._stages.rank(stage),
            )
            for crm, value in writes_for(stage, said, self._stages).items()
            if unmapped or raw[crm] is None or said[crm] is not None
        )

    def _stage_row(self, case: Case, crm: CrmName) -> Any:
        """The record that carries the stage and may be written: a converted Lead may not."""
        mains = {one: row for one in CRMS if (row := case.main(one)) is not None}
        row = stage_record(crm, case.records, mains)
        return None if row is None or row.converted_to is not None or row.role != "main" else row

    # ── Actions ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _propose(
        self,
        case: Case,
        found: Conclusion,
        rule: str,
        cause: str,
        then: Sequence[Then],
        why: Mapping[str, Any],
        extra: Mapping[str, str],
        *,
        before: tuple[Action, ...] = (),
    ) -> None:
        """One bundle of a rule, unless the ledger has it already (one that is held is named again: it is still true)."""
        held = case.bundles.get(f"{rule}|{case.id}|{cause}")
        if held is False:
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

    def _want(self, case: Case, found: Conclusion, proposal: Proposal) -> None:
        known = case.bundles.get(f"{proposal.rule}|{case.id}|{proposal.cause}")
        if proposal.actions and known is not False:
            found.proposals.append(proposal)

    def _assign(self, case: Case, name: str, *, peek: bool) -> tuple[str, Action] | None:
        """The next owner and the write that makes him so; None where the rule is not asked, or nobody is there."""
        number, rule = next((n, one) for n, one in enumerate(self._config.assigns) if one.name == name)
        if not case.flags.get(f"assign_{number}"):
            return None
        works_in = self._config.team(rule.team).works_in
        row = case.main(works_in) or case.main("hubspot" if works_in == "salesforce" else "salesforce")
        if row is None:
            return None
        routes = [bool(case.flags.get(f"route_{number}_{place}")) for place in range(len(rule.routes))]
        rota = Rota(self._config, self._rota.turns, self._world.owner_ids) if peek else self._rota
        known = None if row.company_id is None else self._world.companies.get((row.crm, row.company_id))
        person = rota.next_owner(rule, row.crm, routes, row.company_id, known)
        if person is None:
            return None
        after = self._world.owner_ids[row.crm, person]
        return person, Action(kind=Kind.ASSIGN, record=_ref(row), target=OWNER_PROPERTY[row.crm], before=row.owner_id, after=after)

    def _task(self, case: Case, rule: TaskRule, owner: str | None, why: Mapping[str, Any], extra: Mapping[str, str]) -> Action | None:
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

    def _values(self, case: Case) -> dict[str, Any]:
        """The contact's fields by name, moments as moments."""
        return {rule.name: case.contact.get(f"f_{rule.name}") for rule in self._config.fields}

    def _extra(self, case: Case, owner: str | None, why: Mapping[str, Any]) -> dict[str, str]:
        links = [self._world.url(row.crm, row.object, row.id) for row in case.records if row.role == "main"]
        recent = [
            " ".join(part for part in (f"{one.at.astimezone(self._zone):%Y-%m-%d}", one.direction, one.kind, one.who) if part)
            for one in case.recent
        ]
        return {
            "links": "\n".join(links),
            "why": ", ".join(f"{name}: {value}" for name, value in why.items() if value is not None),
            "recent": "; ".join(recent),
            "owner": owner or "nobody",
            "stage": case.contact["stage"] or "",
            "score": task.shown(case.contact["score"], self._zone),
            "criteria_met": task.shown(case.contact["criteria_met"], self._zone),
        }


def leaves(rule: Transition, stage: str | None) -> bool:
    """Whether a transition starts from this stage and leads elsewhere."""
    return rule.to != stage and (rule.from_ is None or (stage or "") in rule.from_)


def _ref(row: Any) -> RecordRef:
    return RecordRef(crm=row.crm, object=row.object, id=row.id)


def _plain(value: Any) -> Any:
    """A value as JSON holds it."""
    return value.isoformat() if isinstance(value, datetime) else value
