"""Identity: which records are one person, which contact is theirs, and which of them stands for it. Pure; `linking` brings the records.

What decides, in this order: a merge or a conversion in the CRM; an id of the other CRM stored in a record; a normalised e-mail address,
further addresses included. Within a CRM the first candidate is the contact's record, the others are duplicates: read, never written to.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from connector.model import CRM_FACTS, CRMS, CrmName
from connector.store.tables import EPOCH
from connector.store.tables.rows import PersonRecord

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
    sets = _DisjointSets()
    holders: dict[str, list[Trace]] = {}
    traces = list(traces)
    for trace in traces:
        for name in trace.names:
            sets.join(trace.key, ("name", *name))
        if trace.contact is not None:
            sets.join(trace.key, trace.contact)
        for email in trace.emails:
            holders.setdefault(email, []).append(trace)
    for group in holders.values():
        if len(group) > 1:
            _join_by_email(sets, group)
    persons: dict[Hashable, list[Trace]] = {}
    for trace in traces:
        persons.setdefault(sets.representative(trace.key), []).append(trace)
    return list(persons.values())


def _join_by_email(sets: _DisjointSets, holders: Sequence[Trace]) -> None:
    free = [trace for trace in holders if not trace.claims]
    for trace in free[1:]:
        sets.join(free[0].key, trace.key)
    free_of_crm = {trace.key[0]: trace for trace in free}
    for trace in holders:
        beside = free_of_crm.get(trace.key[0]) if trace.claims else None
        if beside is not None:
            sets.join(trace.key, beside.key)


class _DisjointSets:
    """Union-find: members that were joined, in whichever order, have one representative."""

    def __init__(self) -> None:
        self._parents: dict[Hashable, Hashable] = {}

    def representative(self, member: Hashable) -> Hashable:
        """What stands for the set in which a member is."""
        parents = self._parents
        while (parent := parents.setdefault(member, member)) != member:
            parents[member] = member = parents[parent]
        return member

    def join(self, member: Hashable, other: Hashable) -> None:
        """Makes one set of the sets of these two."""
        first, second = self.representative(member), self.representative(other)
        if first != second:
            self._parents[second] = first


# ── Which contact a record belongs to ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Which contact records belong to. merges: contacts that are one person, in groups; fresh: persons without a contact yet."""

    contacts: Mapping[Key, int]
    merges: Sequence[Sequence[int]]
    fresh: Sequence[Sequence[Key]]


def assign_contacts(persons: Iterable[Sequence[Trace]]) -> Assignment:
    """A person's records belong to the contact that one of them has already, of several to the one seen first (they are merged)."""
    contacts: dict[Key, int] = {}
    merges: list[list[int]] = []
    fresh: list[list[Key]] = []
    for traces in persons:
        keys = [trace.key for trace in traces]
        numbers = sorted({trace.contact for trace in traces if trace.contact is not None})
        if not numbers:
            fresh.append(keys)
            continue
        contacts |= dict.fromkeys(keys, numbers[0])
        if len(numbers) > 1:
            merges.append(numbers)
    return Assignment(contacts=contacts, merges=merges, fresh=fresh)


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


#: Why nothing is written to a contact with one of these addresses.
A_SHARED_MAILBOX = "a shared mailbox"


def is_shared_mailbox(email: str) -> bool:
    """Whether several people read what goes to a normalised address."""
    return email.partition("@")[0] in SHARED_MAILBOXES


def _ambiguous(candidates: Sequence[Candidate], past: Sequence[Candidate]) -> str | None:
    if any(is_shared_mailbox(email) for candidate in candidates for email in candidate.emails):
        return A_SHARED_MAILBOX
    if len(candidates) == 1:
        return None
    for crm in CRMS:
        owners = {c.owner for c in candidates if c.crm == crm and not c.converted and c.owner is not None}
        if len(owners) > 1:
            return f"{len(owners)} open records in {crm} with different owners"
    for crm in CRMS:
        contradiction = _contradiction(candidates, crm)
        if contradiction is not None:
            return contradiction
    return _parted(candidates, past)


def _parted(candidates: Sequence[Candidate], past: Sequence[Candidate]) -> str | None:
    """Where nothing joins two records of one CRM any more: an address went from one person to another, and took records along."""
    several = [crm for crm in CRMS if sum(candidate.crm == crm for candidate in candidates) > 1]
    if not several:
        return None
    sets = _DisjointSets()
    for candidate in (*candidates, *past):
        other = "salesforce" if candidate.crm == "hubspot" else "hubspot"
        became = (candidate.crm, candidate.became) if candidate.became else None
        claim = (other, candidate.claim) if candidate.claim else None
        for name in (became, claim, *candidate.emails):
            if name is not None:
                sets.join((candidate.crm, candidate.id), name)
    for crm in several:
        with_address = [candidate for candidate in candidates if candidate.crm == crm and candidate.emails]
        if len({sets.representative((crm, candidate.id)) for candidate in with_address}) > 1:
            return f"records in {crm} that share no address any more"
    return None


def _contradiction(candidates: Sequence[Candidate], crm: CrmName) -> str | None:
    """Where the ids that records of this CRM store name several people, or others than their addresses."""
    others = {candidate.id: candidate for candidate in candidates if candidate.crm != crm}
    telling = [candidate for candidate in candidates if candidate.crm == crm and candidate.claim in others]
    if not telling:
        return None
    other = "salesforce" if crm == "hubspot" else "hubspot"
    named = {_became(others[candidate.claim or ""], others).id for candidate in telling}
    if len(named) > 1:
        return f"records in {crm} store the ids of different records in {other}"
    tellers = {candidate.id for candidate in telling}
    meant = {candidate.id for candidate in others.values() if _became(candidate, others).id in named or candidate.claim in tellers}
    agreed = {email for record_id in meant for email in others[record_id].emails}
    disagreeing = {email for candidate in telling for email in candidate.emails} - agreed
    if any(disagreeing.intersection(candidate.emails) for candidate in others.values() if candidate.id not in meant):
        return f"an id stored in {crm} names another record in {other} than the e-mail address does"
    return None


def _became(candidate: Candidate, others: Mapping[str, Candidate]) -> Candidate:
    """The record into which it was converted, where that is here."""
    return others.get(candidate.became or "", candidate)


def stored_ids(live: Collection[PersonRecord]) -> set[str]:
    """The ids of a person's records that records of the other CRM store; of a Lead that was converted, also what it became."""
    ids = {row.linked_id for row in live if row.linked_id is not None}
    return ids | {row.converted_to for row in live if row.id in ids and row.converted_to is not None}
