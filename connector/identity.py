"""Who is who: which records are one person, and which of them stands for the contact. Pure; `connector.unify` brings the records.

Records are one person by an id stored in one of the CRMs, then by normalised e-mail. Within a CRM the first candidate is the
contact's record: its id is stored in the other CRM; Contact before Lead; unconverted; owned by a person; latest change; lowest id. The
others are duplicates: read, never written to. A shared mailbox, and two open records with different owners, are ambiguous: nothing is
written to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connector.model import CrmName
from connector.store.tables import EPOCH

#: Mailboxes that several people read.
SHARED_MAILBOXES = frozenset(
    {"info", "sales", "office", "contact", "kontakt", "hello", "mail", "support", "service", "admin", "team", "marketing", "billing"}
    | {"einkauf", "vertrieb", "buero", "post", "noreply", "no-reply", "webmaster", "hr", "jobs", "press", "presse"}
)
_KINDS = {"Contact": 0, "contacts": 0, "Lead": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A live record of a person, as far as the choice needs it.

    owner: the e-mail of the person who owns it, None for nobody or a queue. stored: its id is stored in a record of the other CRM.
    """

    crm: CrmName
    object: str
    id: str
    owner: str | None
    converted: bool
    modified_at: datetime | None
    stored: bool = False

    def order(self) -> tuple[bool, int, bool, bool, float, int, str]:
        """Sorts the best candidate first; ids that are numbers by their value."""
        age = -((self.modified_at or EPOCH) - EPOCH).total_seconds()
        return (not self.stored, _KINDS.get(self.object, 2), self.converted, self.owner is None, age, len(self.id), self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which record stands for the contact in each CRM, and why nothing may be written, if so."""

    main: Mapping[CrmName, Candidate]
    ambiguous: str | None


def choose(candidates: Sequence[Candidate], emails: Sequence[str]) -> Choice:
    """The contact's records among all that are this person. emails: their addresses, normalised."""
    main: dict[CrmName, Candidate] = {}
    for candidate in sorted(candidates, key=Candidate.order):
        main.setdefault(candidate.crm, candidate)
    return Choice(main=main, ambiguous=_ambiguous(candidates, emails))


def stored_ids(live: Sequence[Any]) -> set[str]:
    """The ids that HubSpot stores of a person's Salesforce records; of a Lead that was converted, also what it became."""
    ids = {row.linked_id for row in live if row.crm == "hubspot" and row.linked_id is not None}
    return ids | {row.converted_to for row in live if row.id in ids and row.converted_to is not None}


def _ambiguous(candidates: Sequence[Candidate], emails: Sequence[str]) -> str | None:
    if any(email.partition("@")[0] in SHARED_MAILBOXES for email in emails):
        return "a shared mailbox"
    for crm in ("hubspot", "salesforce"):
        owners = {c.owner for c in candidates if c.crm == crm and not c.converted and c.owner is not None}
        if len(owners) > 1:
            return f"{len(owners)} open records in {crm} with different owners"
    return None
