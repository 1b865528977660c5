"""What people do in the CRMs of a sandbox company hour by hour: edits, calls, meetings. For a seed and an hour the same in any world."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from connector.model import ActivityKind, CrmName, Direction, Owner, Record
from tests.support.company import Company
from tests.support.reference.touches import SALES
from tests.support.sandbox_company import people_of

_EDITS: Mapping[str, Sequence[str | None]] = {
    "stage": ("subscriber", "lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity"),
    "status": ("NEW", "OPEN", "CONNECTED", "UNQUALIFIED"),
    "jobtitle": ("Director IT", "Head of Data", "Buyer", "VP Engineering", "Student", None),
    "rejection_reason": ("No need", "Unreachable", "because", None),
    "pain_point": ("manual invoices", None),
    "purchase_timeline": ("now", "this quarter", "later", None),
    "budget_amount": ("0", "25000", None),
    "competitor_in_use": ("Brightpath", None),
    "hs_buying_role": ("CHAMPION", "END_USER;DECISION_MAKER", None),
    "hs_analytics_num_page_views": ("0", "3", "40"),
    "country": ("Austria", "Germany", "France"),
}
_LEAD_EDITS: Mapping[str, Sequence[str | None]] = {
    "stage": ("Open - Not Contacted", "Working - Contacted", "Nurturing", "Qualified", "Closed - Not Converted"),
    "Rejection_Reason__c": ("No budget", "Unreachable", None),
    "Title": ("Director of Operations", "Consultant", "Working Student Marketing"),
}
_COMPANY_EDITS: Mapping[str, Sequence[str | None]] = {
    "industry": ("COMPUTER_SOFTWARE", "BANKING", None),
    "numberofemployees": ("12", "400", "9000", None),
}
#: HubSpot's stage and Salesforce's statuses of those whom sales works on.
_IN_HAND = ("marketingqualifiedlead", "Open - Not Contacted", "Working - Contacted")


class PeopleAtWork:
    """The people of a `sandbox_company` with these arguments. Most of what they do is about leads that sales has in hand."""

    def __init__(self, *, contacts: int, leads: int, seed: int = 7) -> None:
        self._seed = seed
        self._number = 0
        things = people_of(contacts, leads, seed)
        found = {crm: [thing for thing in things[crm] if isinstance(thing, Record)] for crm in things}
        self._contacts = [one.id for one in found["hubspot"] if one.object == "contacts"]
        self._leads = [one.id for one in found["salesforce"] if one.object == "Lead" and one.converted_to is None]
        self._companies = [one.id for one in found["hubspot"] if one.object == "companies"]
        shown = {one.id: one.properties.get("lifecyclestage") or one.properties.get("Status") for crm in found for one in found[crm]}
        self._in_hand = [number for number in (*self._contacts, *self._leads) if shown[number] in _IN_HAND]
        self._owners = {
            crm: [one.id for one in things[crm] if isinstance(one, Owner) and (one.email in SALES or one.queue)] for crm in things
        }

    def work(self, company: Company, hour: int, deeds: int) -> None:
        """So many things happen before this hour's pass."""
        draw = random.Random(f"{self._seed}/{hour}")
        self._number = 10_000_000 + hour * 1_000
        for _ in range(deeds):
            deed = draw.choices(_DEEDS, _WEIGHTS)[0]
            deed(self, company, draw)

    def _somebody(self, draw: random.Random) -> str:
        return draw.choice(self._in_hand if draw.random() < 0.6 else [*self._contacts, *self._leads])

    def _edit(self, company: Company, draw: random.Random) -> None:
        number = self._somebody(draw)
        edits = _LEAD_EDITS if number in self._leads else _EDITS
        name = draw.choice([*edits])
        company.edit(number, **{name: draw.choice(edits[name])})

    def _hand_over(self, company: Company, draw: random.Random) -> None:
        number = self._somebody(draw)
        owners = self._owners["salesforce" if number in self._leads else "hubspot"]
        company.edit(number, owner=draw.choice(owners))

    def _convert(self, company: Company, draw: random.Random) -> None:
        ago = timedelta(hours=draw.choice((0, 3, 40, 24 * 20)))
        company.edit(draw.choice(self._contacts), recent_conversion_date=(company.now - ago).isoformat())

    def _edit_company(self, company: Company, draw: random.Random) -> None:
        name = draw.choice([*_COMPANY_EDITS])
        company.hubspot.edit("companies", draw.choice(self._companies), **{name: draw.choice(_COMPANY_EDITS[name])})

    def _call(self, company: Company, draw: random.Random) -> None:
        """A call or mail, now or logged late; now and then tried again within minutes."""
        number = self._somebody(draw)
        crm: CrmName = "salesforce" if number in self._leads else "hubspot"
        at = company.now - timedelta(minutes=draw.choice((1, 2, 30, 50, 26 * 60)))
        direction = draw.choice((Direction.OUTGOING, Direction.OUTGOING, Direction.INCOMING))
        who = draw.choice(self._owners[crm])
        kind = draw.choice((ActivityKind.CALL, ActivityKind.EMAIL))
        for minutes in draw.choice(((0,), (0,), (0, 9, 18), (0, 5, 11))):
            self._log(company, number, at - timedelta(minutes=minutes), by=who, kind=kind, direction=direction)

    def _meet(self, company: Company, draw: random.Random) -> None:
        number = draw.choice(self._contacts)
        at = company.now + timedelta(hours=draw.choice((-2, 5, 40, -24 * 89)))
        self._log(company, number, at, by=draw.choice(self._owners["hubspot"]), kind=ActivityKind.MEETING, direction=None)

    def _log(self, company: Company, number: str, at: datetime, **more: Any) -> None:
        self._number += 1
        company.touch(at, on=number, id=str(self._number), **more)


_DEEDS: Sequence[Callable[[PeopleAtWork, Company, random.Random], Any]] = (
    PeopleAtWork._edit,
    PeopleAtWork._hand_over,
    PeopleAtWork._convert,
    PeopleAtWork._edit_company,
    PeopleAtWork._call,
    PeopleAtWork._meet,
)
_WEIGHTS = (8, 2, 2, 1, 6, 2)
