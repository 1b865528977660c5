"""What people and other tools do in both CRMs, and what goes wrong there, as rules of a Hypothesis state machine.

Which record a rule means is a number, taken modulo what is there when it is its turn: most numbers stay good while Hypothesis shrinks.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from connector.sandbox.fault_injection import Fault
from connector.sandbox.hubspot.options import HubSpotOptions
from connector.sandbox.salesforce.errors import RowRefused
from connector.sandbox.salesforce.options import SalesforceOptions
from connector.sandbox.scenarios.catalogue import arm
from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world
from tests.system.support import NOW

CONTACTS, LEADS = 30, 15
#: How late HubSpot's index and Salesforce's commits are, in seconds, all the while.
LAG = 20.0
#: How far back a window begins before the last one's end, in seconds: what shows later than so much is found by a comparison alone.
OVERLAP = 600.0
#: What may go on in a pull, of the sandbox's scenarios. Left out: those that only disturb writes (lost-answers, locked-rows), slow (5 real
#: seconds each); day-limit, schema-drift and equal-timestamps are rules of their own here.
MEANWHILE = (
    "late-index", "late-commit", "merges", "conversions", "deleted", "privacy-delete", "expiring-tokens", "limits",
    "html-errors", "truncated",
)  # fmt: skip
_JSON = {"content-type": "application/json"}
_LIMIT = b'{"status":"error","message":"limit","errorType":"RATE_LIMIT","policyName":"TEN_SECONDLY_ROLLING"}'
_DAILY = _LIMIT.replace(b"TEN_SECONDLY_ROLLING", b"DAILY")
ANSWERS: tuple[dict[str, Any], ...] = (
    {"status": 500},
    {"status": 502, "headers": {"content-type": "text/html"}, "body": b"<html><body>Bad Gateway</body></html>"},
    {"status": 503, "headers": {"retry-after": "3"}},
    {"status": 429, "headers": _JSON | {"retry-after": "1"}, "body": _LIMIT},
    {"status": 401, "headers": _JSON, "body": b'[{"errorCode":"INVALID_SESSION_ID","message":"expired"}]'},
    {"status": 200, "headers": _JSON, "body": b""},
    {"status": 200, "headers": {"content-type": "text/html"}, "body": b"<html><body>Down for maintenance</body></html>"},
    {"kind": "truncate"},
    {"kind": "lost"},
)
ACTIVITIES = ("calls", "emails", "meetings", "tasks")
HUBSPOT_PEOPLE, SALESFORCE_PEOPLE = ("contacts", "companies"), ("Lead", "Contact", "Account")
#: Fields of the example's that come and go. Hidden ones are edited meanwhile.
DRIFTING = {
    "contacts": ("jobtitle", "competitor_in_use"),
    "companies": ("industry",),
    "Lead": ("Title", "Budget__c"),
    "Contact": ("Title",),
}

which = st.integers(0, 10_000)
text = st.sampled_from(["Head of Sales", "Head of IT", "Werkleitung", "CEO", "VP Logistics", ""])


@dataclass(slots=True)
class Known:
    """What was done that the books do not show afterwards.

    forgotten: the ids of contacts that were deleted for privacy, with every address they had; purged: the same of contacts that went
    without a trace, which looks no other, so that they are held back too; merged: contacts that were part of a merge; untold: (object, id)
    of HubSpot's older activities and deals with other links, which only a comparison finds; hidden: (object, field); undeleted: records of
    Salesforce's that came out of the bin: what had been merged into one of them went on to its survivor, and stays there.
    """

    forgotten: dict[str, set[str]] = field(default_factory=dict)
    purged: dict[str, set[str]] = field(default_factory=dict)
    merged: set[str] = field(default_factory=set)
    untold: set[tuple[str, str]] = field(default_factory=set)
    hidden: set[tuple[str, str]] = field(default_factory=set)
    undeleted: set[str] = field(default_factory=set)

    def addresses(self) -> set[str]:
        """Every address of those who were forgotten or purged, lower case."""
        return {each for known in (self.forgotten, self.purged) for emails in known.values() for each in emails}


class Actions(RuleBasedStateMachine):
    """seed: of the made-up people."""

    seed: ClassVar[int] = 7

    def __init__(self) -> None:
        super().__init__()
        self.opened = ExitStack()
        self.at = NOW
        self.made = 0
        self.known = Known()
        self.survivors: dict[str, str] = {}
        world = make_world(seed=self.seed, now=self.at, hubspot_contacts=CONTACTS, salesforce_leads=LEADS)
        # Small pages, so that a small account has many, and a kill, an edit or a fault falls between two of them.
        hubspot = HubSpotOptions(
            requests_per_10_seconds=10**6, searches_per_second=10**6, search_lag_seconds=LAG, search_page=10, short_pages=True
        )
        salesforce = SalesforceOptions(late_commits=LAG, page_size=10)
        self.box = self.opened.enter_context(Sandbox(world, now=lambda: self.at, hubspot=hubspot, salesforce=salesforce))
        self._take_notes()

    def _take_notes(self) -> None:
        """Whoever deletes for privacy, a rule or a scenario: whose addresses those were is noted first."""
        people, forget = self.box.hubspot, self.box.hubspot.forget

        def forgets(contact_id: str) -> None:
            with people.at_once():
                found = _addresses(self.box, contact_id)
                forget(contact_id)
                self.known.forgotten[contact_id] = found

        people.forget = forgets  # type: ignore[method-assign]  # the same, with a note

    # ── Whom ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _one(self, ids: Iterable[str], number: int) -> str | None:
        known = sorted(ids)
        return known[number % len(known)] if known else None

    def _contact(self, number: int) -> str | None:
        return self._one(self.box.hubspot.ids("contacts"), number)

    def _lead(self, number: int) -> str | None:
        return self._one([one for one, row in self.box.salesforce.live("Lead").items() if not row.get("IsConverted")], number)

    def _person(self, number: int) -> str | None:
        return self._one([one for name in ("Lead", "Contact") for one in self.box.salesforce.live(name)], number)

    def _new_email(self) -> str:
        self.made += 1
        return f"only-here-{self.made}@made-{self.made}.example"

    # ── Edits ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(number=which, title=text, what=st.sampled_from(["title", "owner", "email", "company", "lifecycle"]))
    def edit_in_hubspot(self, number: int, title: str, what: str) -> None:
        people, name = self.box.hubspot, "companies" if what == "company" else "contacts"
        owners = [None, *(one["id"] for one in self.box.world.hubspot_owners if not one["archived"])]
        values: dict[str, dict[str, Any]] = {
            "title": {"jobtitle": title},
            "owner": {"hubspot_owner_id": owners[number % len(owners)]},
            "email": {"email": self._new_email()},
            "company": {"industry": "COMPUTER_SOFTWARE", "numberofemployees": str(number)},
            "lifecycle": {"lifecyclestage": ("lead", "marketingqualifiedlead", "customer")[number % 3]},
        }
        if (one := self._one(people.ids(name), number)) is not None:
            people.edit(name, one, **values[what])

    @rule(number=which, title=text, name=st.sampled_from(SALESFORCE_PEOPLE), late=st.sampled_from([None, 0.0, 300.0]), owner=st.booleans())
    def edit_in_salesforce(self, number: int, title: str, name: str, late: float | None, owner: bool) -> None:
        if (one := self._one(self.box.salesforce.live(name), number)) is not None:
            user = self._one((each for each, row in self.box.salesforce.live("User").items() if row.get("IsActive")), number)
            values = {"Industry": "Technology"} if name == "Account" else {"OwnerId": user} if owner else {"Title": title}
            with suppress(RowRefused):
                self.box.salesforce.edit(name, one, late=late, **values)

    @rule(number=which, other=which, salesforce=st.booleans())
    def change_company(self, number: int, other: int, salesforce: bool) -> None:
        if salesforce:
            one, account = self._one(self.box.salesforce.live("Contact"), number), self._one(self.box.salesforce.live("Account"), other)
            if one is not None and account is not None:
                with suppress(RowRefused):
                    self.box.salesforce.edit("Contact", one, AccountId=account)
            return
        contact, company = self._contact(number), self._one(self.box.hubspot.ids("companies"), other)
        if contact is not None and company is not None:
            with self.box.hubspot.at_once():  # a property of the contact follows, whose change moves the date
                self.box.hubspot.associate("contacts", contact, "companies", company, 1)
                self.box.hubspot.stamp_alike("contacts", [contact], self.at)

    @rule(salesforce=st.booleans(), seen=st.booleans())
    def create(self, salesforce: bool, seen: bool) -> None:
        email = self._new_email()
        if salesforce:
            late = 0.0 if seen else None
            self.box.salesforce.create("Lead", late=late, LastName=f"Neu{self.made}", Company="Neu GmbH", Email=email)
        else:
            self.box.hubspot.create("contacts", email=email, lastname=f"Neu{self.made}", jobtitle="CEO")

    @rule(salesforce=st.booleans(), many=st.integers(2, 40), back=st.sampled_from([0.0, 300.0]))
    def stamp_many_alike(self, salesforce: bool, many: int, back: float) -> None:
        """A mass update: of now, or one that shows late. Dates never go back in a CRM, nor does one show later than any window reaches."""
        moment = self.at - timedelta(seconds=back)
        if salesforce:
            leads = {one for one, row in self.box.salesforce.live("Lead").items() if row["SystemModstamp"] <= moment}
            self.box.salesforce.stamp_alike("Lead", sorted(leads)[:many], moment)
        else:
            contacts = {one for one, row in self.box.hubspot.live("contacts").items() if row["modified"] <= moment}
            self.box.hubspot.stamp_alike("contacts", sorted(contacts)[:many], moment)

    # ── Deletions ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(number=which, name=st.sampled_from([*HUBSPOT_PEOPLE, "deals", *ACTIVITIES]), trace=st.sampled_from([True, True, True, False]))
    def delete_in_hubspot(self, number: int, name: str, trace: bool) -> None:
        if (one := self._one(self.box.hubspot.ids(name), number)) is None:
            return
        if name == "contacts" and not trace:
            self.known.purged[one] = _addresses(self.box, one)
        (self.box.hubspot.delete if trace else self.box.hubspot.purge)(name, one)

    @rule(number=which, name=st.sampled_from([*HUBSPOT_PEOPLE, "deals", *ACTIVITIES]))
    def restore_in_hubspot(self, number: int, name: str) -> None:
        """No modified date moves."""
        if (one := self._one(self.box.hubspot.archived(name), number)) is not None:
            self.box.hubspot.restore(name, one)

    @rule(
        number=which,
        name=st.sampled_from(["Lead", "Contact", "Account", "Task", "Event", "Opportunity", "Campaign", "CampaignMember"]),
        hard=st.booleans(),
    )
    def delete_in_salesforce(self, number: int, name: str, hard: bool) -> None:
        if (one := self._one(self.box.salesforce.live(name), number)) is not None:
            with suppress(RowRefused):
                (self.box.salesforce.hard_delete if hard else self.box.salesforce.delete)(name, one)

    @rule(number=which)
    def undelete_in_salesforce(self, number: int) -> None:
        wanted = (*SALESFORCE_PEOPLE, "Task", "Event", "Opportunity", "CampaignMember")
        bin_ = sorted((name, one) for name, one in self.box.salesforce.deleted_ids() if name in wanted)
        if bin_:
            self.at += timedelta(seconds=1)  # Salesforce's stamps are whole seconds: what a pull saw deleted comes back in a later one
            with suppress(RowRefused):
                self.box.salesforce.undelete(*bin_[number % len(bin_)])
                self.known.undeleted.add(bin_[number % len(bin_)][1])

    @rule(hours=st.sampled_from([None, 0, 1, 48]))
    def lose_traces(self, hours: int | None) -> None:
        """The bin is emptied; or the log of deletions is cut."""
        if hours is None:
            self.box.salesforce.empty_bin()
        else:
            self.box.salesforce.forget_deletions(self.at - timedelta(hours=hours))

    @rule(number=which, bin_=st.booleans())
    def forget(self, number: int, bin_: bool) -> None:
        if (one := self._one(self.box.hubspot.archived("contacts") if bin_ else self.box.hubspot.ids("contacts"), number)) is not None:
            self.box.hubspot.forget(one)

    # ── Who becomes whom ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(number=which, other=which, name=st.sampled_from((*HUBSPOT_PEOPLE, "deals")), chain=st.booleans())
    def merge_in_hubspot(self, number: int, other: int, name: str, chain: bool) -> None:
        keep, lose = self._two(self.box.hubspot.ids(name), number, other, name, chain)
        if keep is not None and lose is not None and keep != lose:
            self.survivors[name] = self.box.hubspot.merge(name, keep, lose)
            self.known.merged |= {keep, lose, self.survivors[name]} if name == "contacts" else set()

    @rule(number=which, other=which, name=st.sampled_from(SALESFORCE_PEOPLE), chain=st.booleans())
    def merge_in_salesforce(self, number: int, other: int, name: str, chain: bool) -> None:
        keep, lose = self._two(self.box.salesforce.live(name), number, other, name, chain)
        if keep is not None and lose is not None and keep != lose:
            with suppress(RowRefused):
                self.box.salesforce.merge(name, keep, lose)
                self.survivors[name] = keep

    def _two(self, ids: Iterable[str], number: int, other: int, name: str, chain: bool) -> tuple[str | None, str | None]:
        """Who is kept and who is lost; in a chain the winner of the last merge loses."""
        known, last = list(ids), self.survivors.get(name)
        return self._one(known, number), last if chain and last in known else self._one(known, other)

    @rule(number=which, opportunity=st.booleans(), late=st.sampled_from([None, 0.0, 300.0]))
    def convert(self, number: int, opportunity: bool, late: float | None) -> None:
        if (one := self._lead(number)) is not None:
            with suppress(RowRefused):
                self.box.salesforce.convert(one, opportunity=opportunity, late=late)

    # ── Activities, deals, campaigns ─────────────────────────────────────────────────────────────────────────────────────────────

    @rule(number=which, other=which, kind=st.sampled_from(["log_call", "log_email", "log_meeting", "log_task"]))
    def log_in_hubspot(self, number: int, other: int, kind: str) -> None:
        people = sorted({one for one in (self._contact(number), self._contact(other)) if one is not None})
        getattr(self.box.hubspot, kind)(people, at=self.at - timedelta(minutes=5))

    @rule(number=which, kind=st.sampled_from(["call", "event", "old"]))
    def log_in_salesforce(self, number: int, kind: str) -> None:
        """Also a call that is over for long: the service archives it, and no stamp tells so."""
        if (one := self._person(number)) is None:
            return
        with suppress(RowRefused):
            if kind == "old":
                day = (self.at - timedelta(days=400)).date()
                self.box.salesforce.task(one, Status="Completed", Type="Call", TaskSubtype="Call", ActivityDate=day)
                self.box.salesforce.archive()
            else:
                (self.box.salesforce.event if kind == "event" else self.box.salesforce.log_call)(one)

    @rule(number=which, kind=st.sampled_from(["task", "event", "call", "meeting"]))
    def change_activity(self, number: int, kind: str) -> None:
        people, here = self.box.salesforce, self.box.hubspot
        if kind in ("call", "meeting"):
            if (one := self._one(here.ids(f"{kind}s"), number)) is not None:
                here.edit(f"{kind}s", one, **({"hs_call_duration": "99000"} if kind == "call" else {"hs_meeting_outcome": "CANCELED"}))
        elif (one := self._one(people.live(kind.title()), number)) is not None:
            with suppress(RowRefused):
                news: dict[str, Any] = {"Status": "Completed"} if kind == "task" else {"Subject": "Moved"}
                people.edit(kind.title(), one, **news)

    @rule(number=which, other=which, name=st.sampled_from([*ACTIVITIES, "deals"]), add=st.booleans())
    def link(self, number: int, other: int, name: str, add: bool) -> None:
        """HubSpot tells of a changed link nowhere, and moves no date that one could count on: what happened (of deals: changed) in the last
        30 days is read again by every look; older ones only by a comparison."""
        one, contact = self._one(self.box.hubspot.ids(name), number), self._contact(other)
        if one is None or contact is None:
            return
        (self.box.hubspot.associate if add else self.box.hubspot.dissociate)(name, one, "contacts", contact)
        row = self.box.hubspot.live(name)[one]
        happened = row["modified"] if name == "deals" else datetime.fromisoformat(row["properties"]["hs_timestamp"])
        if happened < self.at - timedelta(days=20):
            self.known.untold.add((name, one))

    @rule(number=which, amount=st.integers(1, 9), stage=st.booleans())
    def change_deals(self, number: int, amount: int, stage: bool) -> None:
        if (one := self._one(self.box.hubspot.ids("deals"), number)) is not None:
            self.box.hubspot.edit("deals", one, **({"dealstage": "closedlost"} if stage else {"amount": str(amount * 500)}))
        if (two := self._one(self.box.salesforce.live("Opportunity"), number)) is not None:
            with suppress(RowRefused):
                self.box.salesforce.edit("Opportunity", two, **({"StageName": "Closed Lost"} if stage else {"Amount": amount * 500}))

    @rule(number=which, other=which, action=st.sampled_from(["role", "end role", "member", "status", "campaign"]))
    def change_parts(self, number: int, other: int, action: str) -> None:
        people = self.box.salesforce
        with suppress(RowRefused):
            if action == "role":
                deal, contact = self._one(people.live("Opportunity"), number), self._one(people.live("Contact"), other)
                if deal and contact:
                    people.create("OpportunityContactRole", OpportunityId=deal, ContactId=contact, Role="Influencer")
            elif action == "end role" and (one := self._one(people.live("OpportunityContactRole"), number)):
                people.delete("OpportunityContactRole", one)
            elif action == "member":
                campaign, lead = self._one(people.live("Campaign"), number), self._lead(other)
                if campaign and lead:
                    people.create("CampaignMember", CampaignId=campaign, LeadId=lead, Status="Sent")
            elif action == "status" and (one := self._one(people.live("CampaignMember"), number)):
                people.edit("CampaignMember", one, Status="Responded")
            elif action == "campaign" and (one := self._one(people.live("Campaign"), number)):
                people.edit("Campaign", one, Name=f"Campaign {other}", Status="Completed")

    @rule(seconds=st.sampled_from([0.5, 1.0, 15.0, 61.0, OVERLAP - 1, OVERLAP + 1, 3600.0, 86400.0]))
    def time_goes_by(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    # ── What goes wrong ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    @rule(answer=st.sampled_from(ANSWERS), salesforce=st.booleans(), after=st.integers(0, 30), times=st.integers(1, 7))
    def fail(self, answer: dict[str, Any], salesforce: bool, after: int, times: int) -> None:
        frame = self.box.salesforce_faults if salesforce else self.box.hubspot_faults
        frame.add(Fault(frame.crm, "", times, after=after, **answer))

    @rule(name=st.sampled_from(MEANWHILE), every=st.integers(1, 9), seed=st.integers(0, 99))
    def meanwhile(self, name: str, every: int, seed: int) -> None:
        arm(self.box, name, every=every, times=4, seed=seed)

    @rule(pages=st.sampled_from([1, 2, None]), logins=st.integers(0, 2))
    def bad_day(self, pages: int | None, logins: int) -> None:
        """Salesforce ends queries after so many pages, ends all sessions, and refuses the next logins."""
        self.box.salesforce.change_options(cursor_pages=pages)
        self.box.salesforce.expire_sessions()
        self.box.salesforce.refuse_logins(logins)

    @rule(place=st.sampled_from([(name, each) for name, fields in DRIFTING.items() for each in fields]))
    def drift(self, place: tuple[str, str]) -> None:
        """A field is hidden from the connector, or shown again; its values change all the while."""
        salesforce, hubspot = self.box.salesforce.schema, self.box.hubspot.schema
        back = place in self.known.hidden
        if place[0] in SALESFORCE_PEOPLE:
            (salesforce.show_field if back else salesforce.hide_field)(*place)
        else:
            (hubspot.show_property if back else hubspot.hide_property)(*place)
        self.known.hidden ^= {place}

    def spend_day(self, left: int) -> None:
        """The day's calls of both CRMs are spent but so many."""
        self.box.hubspot_faults.add(Fault("hubspot", "", 10**6, after=left, status=429, headers=_JSON, body=_DAILY))
        self.box.salesforce.spend_calls(leave=left)

    def calm(self) -> None:
        """Nothing goes wrong, nobody does anything, all lags are over."""
        for frame in (self.box.hubspot_faults, self.box.salesforce_faults):
            frame.clear()
            frame.before_call.clear()
        self.box.salesforce.change_options(session_calls=None, cursor_pages=None, late_commits=LAG)
        self.box.hubspot.change_options(search_lag_seconds=LAG)
        self.box.salesforce.refuse_logins(0)
        self.at += timedelta(hours=1)


def _addresses(box: Sandbox, contact_id: str) -> set[str]:
    """Every e-mail address that a contact has or had, lower case."""
    row = box.world.hubspot["contacts"].get(contact_id)
    own = {} if row is None else row["properties"]
    before = box.world.hubspot_history.get(("contacts", contact_id), {}).get("email", [])
    found = [own.get("email") or "", *(own.get("hs_additional_emails") or "").split(";"), *(entry.value or "" for entry in before)]
    return {each.lower() for each in found if each}
