"""What a plan is made of, and under which terms: the actions of all proposals in bundles, in their order, each with its key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from connector.config.tables import Guard, TaskLimits
from connector.model import BUNDLE_ORDER, Action, Kind, Proposal, State, bundle_name, key_part
from connector.store.ledger import NewEntry

#: Positions in a bundle: a hundred for each kind, so that a bundle planned in two goes keeps its order.
_KIND_SPACE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanTerms:
    """What a plan is made under.

    run: the number of the run that it belongs to. day_start, next_day: where the business's own day and the next begin, in UTC.
    undecided: ids of rules that could not be asked: what is held of them is as true as it was.
    """

    run: int
    mode: Literal["shadow", "live"]
    guard: Guard
    task_limits: TaskLimits
    day_start: datetime
    next_day: datetime
    config_version: str
    now: datetime
    undecided: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPart:
    """One action on its way into the plan. plan: the plan that it joins, where not the new one. new: not in the shadow plan before."""

    proposal: Proposal
    action: Action
    position: int
    key: str
    bundle: str
    state: State = State.PLANNED
    plan: int | None = None
    new: bool = True

    @classmethod
    def of(cls, proposal: Proposal, action: Action, position: int) -> PlanPart:
        """The part with its key: rule, contact, kind, CRM, target and cause."""
        rule, cause = key_part(proposal.rule), key_part(proposal.cause)
        return cls(
            proposal=proposal,
            action=action,
            position=position,
            key=f"{rule}|{proposal.contact}|{action.kind}|{action.record.crm}|{key_part(action.target)}|{cause}",
            bundle=bundle_name(proposal.rule, proposal.contact, proposal.cause),
        )

    @property
    def group(self) -> tuple[str, Kind]:
        """By which guard rails count: rule and kind."""
        return self.proposal.rule, self.action.kind

    @property
    def purpose(self) -> tuple[int, str]:
        """Contact and target: of a task, what it is for."""
        return self.proposal.contact, self.action.target

    @property
    def already_so(self) -> bool:
        """Whether the CRM holds the wanted value already."""
        return self.action.kind is not Kind.CREATE_TASK and (self.action.before or None) == (self.action.after or None)

    def entry(self) -> NewEntry:
        """The part as a row of the ledger."""
        action = self.action
        return NewEntry(
            plan=self.plan,
            bundle=self.bundle,
            position=self.position,
            key=self.key,
            kind=action.kind,
            rule=self.proposal.rule,
            contact=self.proposal.contact,
            record=action.record,
            target=action.target,
            state=self.state,
            before=action.before,
            after=action.after,
            backward=action.backward,
            new=self.new,
            urgency=self.proposal.urgency,
            why=self.proposal.why,
            task=action.task,
        )


def parts_of(proposals: Iterable[Proposal]) -> list[PlanPart]:
    """The actions of all proposals, bundle by bundle and each in its order; the same key once."""
    parts: dict[str, PlanPart] = {}
    for proposal in proposals:
        places: Counter[Kind] = Counter()
        for action in sorted(proposal.actions, key=lambda action: BUNDLE_ORDER.index(action.kind)):
            position = BUNDLE_ORDER.index(action.kind) * _KIND_SPACE + places[action.kind]
            places[action.kind] += 1
            part = PlanPart.of(proposal, action, position)
            parts.setdefault(part.key, part)
    return sorted(parts.values(), key=lambda part: (part.proposal.rule, part.proposal.contact, part.bundle, part.position))


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedContacts:
    """Contacts that were judged together, and all that is wanted for them: what is saved in one transaction."""

    contacts: Sequence[int]
    parts: Sequence[PlanPart]


def pieces(contacts: Sequence[int], proposals: Iterable[Proposal], *, parts: int, most: int) -> Iterator[JudgedContacts]:
    """The contacts and what is wanted for them in pieces of so many parts, or a contact's more, and at most so many contacts."""
    wanted: dict[int, list[Proposal]] = {}
    for proposal in proposals:
        wanted.setdefault(proposal.contact, []).append(proposal)
    chosen: list[int] = []
    bundles: list[Proposal] = []
    number = 0
    for contact in contacts:
        chosen.append(contact)
        bundles += wanted.get(contact, ())
        number += sum(len(proposal.actions) for proposal in wanted.get(contact, ()))
        if number >= parts or len(chosen) == most:
            yield JudgedContacts(contacts=chosen, parts=parts_of(bundles))
            chosen, bundles, number = [], [], 0
    if chosen:
        yield JudgedContacts(contacts=chosen, parts=parts_of(bundles))
