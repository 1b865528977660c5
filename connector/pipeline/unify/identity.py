"""Who is who: which records are one person, and which of them stands for the contact. Pure; `unify` brings the records.

What decides, in this order: a merge or a conversion in the CRM; an id of the other CRM stored in a record; a normalised e-mail address,
further addresses included. Within a CRM the first candidate is the contact's record, the others are duplicates: read, never written to.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connector.model import CRM_FACTS, CRMS, CrmName
from connector.store.tables import EPOCH

#: Mailboxes that several people read.
SHARED_MAILBOXES = frozenset(
    {"info", "sales", "office", "contact", "kontakt", "hello", "mail", "support", "service", "admin", "team", "marketing", "billing"}
    | {"einkauf", "vertrieb", "buero", "post", "noreply", "no-reply", "webmaster", "hr", "jobs", "press", "presse"}
)
#: Which of a CRM's objects goes first where a person has several.
_KINDS = {name: number for facts in CRM_FACTS.values() for number, name in enumerate(reversed(facts.people))}

#: CRM, object, id.
Key = tuple[str, str, str]

# ── Who is one person ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Trace:
    """What a record tells of who it is.

    names: itself, what it became, and what it stores the id of, each as the record that stands for it after all merges. contact: what it
    belongs to already. emails: those by which it is found: none where it is deleted. claims: a record of the other CRM is alive whose id
    it stores.
    """

    key: Key
    names: tuple[Key, ...]
    emails: tuple[str, ...] = ()
    contact: int | None = None
    claims: bool = False


def one_person(traces: Iterable[Trace]) -> list[list[Trace]]:
    """The records that are one person, in groups; the order of the records does not matter.

    A stored id beats an e-mail address: a record that stores one is found by address only within its own CRM, and by records that store
    none. So where the id names one person and the address another, the two are not joined by that address. What was one contact stays
    one: where a stored id says otherwise later, the contact is ambiguous (`choose`), since its history cannot be told apart.
    """
    groups = _Groups()
    holders: dict[str, list[Trace]] = {}
    traces = list(traces)
    for trace in traces:
        for name in trace.names:
            groups.join(trace.key, ("name", *name))
        if trace.contact is not None:
            groups.join(trace.key, trace.contact)
        for email in trace.emails:
            holders.setdefault(email, []).append(trace)
    for some in holders.values():
        if len(some) > 1:
            _join_by_email(groups, some)
    found: dict[Hashable, list[Trace]] = {}
    for trace in traces:
        found.setdefault(groups.first(trace.key), []).append(trace)
    return list(found.values())


def _join_by_email(groups: _Groups, holders: Sequence[Trace]) -> None:
    free = [one for one in holders if not one.claims]
    for one in free[1:]:
        groups.join(free[0].key, one.key)
    beside = {one.key[0]: one for one in free}
    for one in holders:
        if one.claims and one.key[0] in beside:
            groups.join(one.key, beside[one.key[0]].key)


class _Groups:
    """Disjoint sets."""

    def __init__(self) -> None:
        self._parents: dict[Hashable, Hashable] = {}

    def first(self, one: Hashable) -> Hashable:
        """What stands for the set in which this one is."""
        parents = self._parents
        while (parent := parents.setdefault(one, one)) != one:
            parents[one] = one = parents[parent]
        return one

    def join(self, one: Hashable, other: Hashable) -> None:
        """The sets of these two are one."""
        first, second = self.first(one), self.first(other)
        if first != second:
            self._parents[second] = first


# ── Which record stands for the contact ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A live record of a person, as far as the choice needs it.

    owner: the e-mail of the person who owns it, None for nobody or a queue. stored: its id is stored in a record of the other CRM.
    active_at: the latest activity on it. emails: its addresses. claim: the record of the other CRM whose id it stores. became: what it was
    merged or converted into.
    """

    crm: CrmName
    object: str
    id: str
    owner: str | None
    converted: bool
    active_at: datetime | None = None
    stored: bool = False
    emails: tuple[str, ...] = ()
    claim: str | None = None
    became: str | None = None

    def order(self) -> tuple[bool, int, bool, bool, float, int, str]:
        """Sorts the best candidate first; ids that are numbers by their value."""
        age = 0.0 if self.active_at is None else -(self.active_at - EPOCH).total_seconds()
        return (not self.stored, _KINDS.get(self.object, 2), self.converted, self.owner is None, age, len(self.id), self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which record stands for the contact in each CRM, and why nothing may be written, if so."""

    main: Mapping[CrmName, Candidate]
    ambiguous: str | None


def choose(candidates: Sequence[Candidate], past: Sequence[Candidate] = ()) -> Choice:
    """The contact's records among all that are this person. past: those that live no more, and may be what joins the others.

    The order: its id is stored in the other CRM; Contact before Lead; unconverted; owned by a person; latest activity; lowest id.
    """
    main: dict[CrmName, Candidate] = {}
    for candidate in candidates if len(candidates) == 1 else sorted(candidates, key=Candidate.order):
        main.setdefault(candidate.crm, candidate)
    return Choice(main=main, ambiguous=_ambiguous(candidates, past))


def _ambiguous(candidates: Sequence[Candidate], past: Sequence[Candidate]) -> str | None:
    if any(email.partition("@")[0] in SHARED_MAILBOXES for one in candidates for email in one.emails):
        return "a shared mailbox"
    if len(candidates) == 1:
        return None
    for crm in CRMS:
        owners = {c.owner for c in candidates if c.crm == crm and not c.converted and c.owner is not None}
        if len(owners) > 1:
            return f"{len(owners)} open records in {crm} with different owners"
    contradiction = next((words for crm in CRMS if (words := _contradiction(candidates, crm)) is not None), None)
    return contradiction or _parted(candidates, past)


def _parted(candidates: Sequence[Candidate], past: Sequence[Candidate]) -> str | None:
    """Where nothing joins two records of one CRM any more: an address went from one person to another, and took records along."""
    several = [crm for crm in CRMS if sum(one.crm == crm for one in candidates) > 1]
    if not several:
        return None
    groups = _Groups()
    for one in (*candidates, *past):
        other = "salesforce" if one.crm == "hubspot" else "hubspot"
        joined = [(one.crm, one.became) if one.became else None, (other, one.claim) if one.claim else None, *one.emails]
        for name in joined:
            if name is not None:
                groups.join((one.crm, one.id), name)
    for crm in several:
        if len({groups.first((crm, one.id)) for one in candidates if one.crm == crm and one.emails}) > 1:
            return f"records in {crm} that share no address any more"
    return None


def _contradiction(candidates: Sequence[Candidate], crm: CrmName) -> str | None:
    """Where the ids that records of this CRM store name several people, or others than their addresses."""
    there = {one.id: one for one in candidates if one.crm != crm}
    telling = [one for one in candidates if one.crm == crm and one.claim in there]
    if not telling:
        return None
    other = "salesforce" if crm == "hubspot" else "hubspot"
    named = {_became(there[one.claim or ""], there).id for one in telling}
    if len(named) > 1:
        return f"records in {crm} store the ids of different records in {other}"
    tellers = {one.id for one in telling}
    meant = {one.id for one in there.values() if _became(one, there).id in named or one.claim in tellers}
    agreed = {email for one in meant for email in there[one].emails}
    said = {email for one in telling for email in one.emails} - agreed
    if any(said.intersection(one.emails) for one in there.values() if one.id not in meant):
        return f"an id stored in {crm} names another record in {other} than the e-mail address does"
    return None


def _became(one: Candidate, there: Mapping[str, Candidate]) -> Candidate:
    """The record into which it was converted, where that is here."""
    return there.get(one.became or "", one)


def stored_ids(live: Collection[Any]) -> set[str]:
    """The ids of a person's records that records of the other CRM store; of a Lead that was converted, also what it became."""
    ids = {row.linked_id for row in live if row.linked_id is not None}
    return ids | {row.converted_to for row in live if row.id in ids and row.converted_to is not None}
