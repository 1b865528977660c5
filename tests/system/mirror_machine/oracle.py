"""The mirror against the sandbox's own books, record by record: what is missing, too much or different, as sentences.

The books are read past the API (`live`), so that nothing the adapters get wrong can be wrong on both sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import orjson
from sqlalchemy import text

from connector.app import App
from connector.model import CRMS, CrmName
from connector.sandbox.serve import Sandbox
from connector.store.tables import to_micros
from connector.workflows.fields import properties_wanted
from tests.system.mirror_machine.actions import Known

#: HubSpot's association types of a person's and a deal's primary company.
_PRIMARY = {"contacts": 1, "deals": 5}
_ACTIVITIES = {"hubspot": ("calls", "emails", "meetings", "tasks"), "salesforce": ("Task", "Event")}
_PEOPLE = ("contacts", "Lead", "Contact")


@dataclass(slots=True)
class Oracle:
    """A mirror, the sandbox it is of, and what was done that the sandbox's books do not show.

    held_back: who is kept away, since the person was deleted for privacy in one of the CRMs. but: (object, id) not to be compared.
    """

    app: App
    box: Sandbox
    done: Known = field(default_factory=Known)
    held_back: set[tuple[str, str]] = field(default_factory=set)
    but: Set[tuple[str, str]] = frozenset()

    def differences(self, but: Set[tuple[str, str]] = frozenset()) -> list[str]:
        """Everything in which the mirror differs from the CRMs; [] where they are equal. but: not these activities and deals of HubSpot."""
        self.held_back, self.but = {key for crm in CRMS for key in self._forgotten(crm)}, set(but)
        return [
            *self._aside(),
            *self._hubspot_records(),
            *self._salesforce_records(),
            *self._hubspot_activities(),
            *self._salesforce_activities(),
            *self._hubspot_deals(),
            *self._salesforce_deals(),
            *self._members(),
            *self._merges(),
            *self._conversions(),
            *self._contacts(),
        ]

    def _forgotten(self, crm: CrmName) -> Iterator[tuple[str, str]]:
        """Who lives, is missing here, and has an address of somebody who was deleted for privacy."""
        away = self.done.addresses()
        for name, emails in {"hubspot": {"contacts": _hubspot_emails}, "salesforce": dict.fromkeys(("Lead", "Contact"), _email)}[
            crm
        ].items():
            here = self._table("record", crm, name)
            for one, row in self._live_rows(crm, name).items():
                if one not in here and away & set(emails(row)):
                    yield name, one

    def _aside(self) -> Iterator[str]:
        """Nobody is set aside for any other reason."""
        for row in self.rows("SELECT crm, object, id, reason FROM set_aside"):
            if (row.object, row.id) not in self.held_back:
                yield f"{row.crm} {row.object} {row.id} is set aside: {row.reason}"

    def _live_rows(self, crm: str, name: str) -> dict[str, dict[str, Any]]:
        return self.box.hubspot.live(name) if crm == "hubspot" else self.box.salesforce.live(name)

    def _there(self, crm: str, name: str) -> dict[str, dict[str, Any]]:
        """What lives in a CRM and may be here."""
        return {one: row for one, row in self._live_rows(crm, name).items() if (name, one) not in self.held_back}

    def _wanted(self, crm: CrmName, name: str) -> list[str]:
        """The properties of an object that the file reads and the connector may see."""
        return [each for each in properties_wanted(self.app.config, crm).get(name, ()) if (name, each) not in self.done.hidden]

    def _compared(self, name: str, rows: Mapping[str, Any]) -> dict[str, Any]:
        return {one: row for one, row in rows.items() if (name, one) not in self.but}

    # ── Reading both ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def rows(self, statement: str, **values: Any) -> list[Any]:
        with self.app.store.read() as connection:
            return list(connection.execute(text(statement), values).all())

    def _table(self, table: str, crm: str, name: str) -> dict[str, Any]:
        found = self.rows(f"SELECT * FROM {table} WHERE crm = :crm AND object = :name AND NOT archived", crm=crm, name=name)
        return {row.id: row for row in found}

    def _links(self, crm: str, name: str) -> dict[str, set[tuple[str, str]]]:
        """Whom activities are about, losers of merges by who stands for them."""
        links: dict[str, set[tuple[str, str]]] = {}
        for row in self.rows("SELECT * FROM activity_link WHERE crm = :crm AND object = :name", crm=crm, name=name):
            links.setdefault(row.id, set()).add((row.record_object, self._standing(crm, row.record_object, row.record_id)))
        return links

    def _standing(self, crm: str, name: str, record_id: str) -> str:
        found = self.rows("SELECT into_id FROM merged WHERE crm = :crm AND object = :name AND id = :id", crm=crm, name=name, id=record_id)
        return str(found[0].into_id) if found else record_id

    def _live(self, crm: str) -> set[tuple[str, str]]:
        names = ("contacts",) if crm == "hubspot" else ("Lead", "Contact")
        return {(name, one) for name in names for one in self._there(crm, name)}

    # ── Records ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _hubspot_records(self) -> Iterator[str]:
        companies = set(self.box.hubspot.ids("companies"))  # a deleted one stays beside its people: nothing is read from it
        for name in ("companies", "contacts"):
            here, there, wanted = self._table("record", "hubspot", name), self._there("hubspot", name), self._wanted("hubspot", name)
            yield from same_ids(f"hubspot {name}", there, here)
            for one in here.keys() & there.keys():
                row, true = here[one], there[one]
                yield from same(
                    f"hubspot {name} {one}",
                    {
                        "properties": {each: true["properties"].get(each) for each in wanted},
                        "owner": true["properties"].get("hubspot_owner_id") or None,
                        "company": primary(true, "companies", _PRIMARY["contacts"]) if name == "contacts" else None,
                        "modified": to_micros(true["modified"]),
                        "merged_into": None,
                    },
                    {
                        "properties": {each: orjson.loads(row.properties).get(each) for each in wanted},
                        "owner": row.owner_id,
                        "company": row.company_id if row.company_id in companies else None,
                        "modified": row.modified_at,
                        "merged_into": row.merged_into,
                    },
                )

    def _salesforce_records(self) -> Iterator[str]:
        # a Contact that was made while its Account was being merged away belongs to the one that stands for it
        accounts = self.box.salesforce.live("Account", deleted=True)
        for name in ("Account", "Lead", "Contact"):
            here, there = self._table("record", "salesforce", name), self._there("salesforce", name)
            yield from same_ids(f"salesforce {name}", there, here)
            for one in here.keys() & there.keys():
                row, true = here[one], there[one]
                own = [each for each in self._wanted("salesforce", name) if "." not in each]
                yield from same(
                    f"salesforce {name} {one}",
                    {
                        "properties": {each: plain(true.get(each)) for each in own},
                        "owner": true.get("OwnerId"),
                        "company": end(accounts, true.get("AccountId") or "") or None,
                        "converted": (true.get("ConvertedContactId"), true.get("ConvertedOpportunityId")),
                        "modified": to_micros(true["SystemModstamp"]),
                    },
                    {
                        "properties": {each: plain(orjson.loads(row.properties).get(each)) for each in own},
                        "owner": row.owner_id,
                        "company": row.company_id,
                        "converted": (row.converted_to, row.converted_deal),
                        "modified": row.modified_at,
                    },
                )

    # ── Activities ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _hubspot_activities(self) -> Iterator[str]:
        people = self._live("hubspot")
        for name in _ACTIVITIES["hubspot"]:
            here, there = (self._compared(name, each) for each in (self._table("activity", "hubspot", name), self._there("hubspot", name)))
            links = self._links("hubspot", name)
            yield from same_ids(f"hubspot {name}", there, here)
            for one in here.keys() & there.keys():
                true, row = there[one], here[one]
                values = true["properties"]
                yield from same(
                    f"hubspot {name} {one}",
                    {
                        "owner": values.get("hubspot_owner_id") or None,
                        "at": plain(values["hs_timestamp"]),
                        "duration": float(values["hs_call_duration"]) / 1000 if values.get("hs_call_duration") else None,
                        "done": name == "tasks" and values.get("hs_task_status") == "COMPLETED",
                        "modified": to_micros(true["modified"]),
                        "links": {("contacts", to) for to, _ in true["links"].get("contacts", [])} & people,
                    },
                    {
                        "owner": row.owner_id,
                        "at": row.due_at if name == "tasks" else row.at,
                        "duration": row.duration_seconds if name == "calls" else None,
                        "done": name == "tasks" and bool(row.done),
                        "modified": row.modified_at,
                        "links": links.get(one, set()) & people,
                    },
                )

    def _salesforce_activities(self) -> Iterator[str]:
        people = self._live("salesforce")
        # a late commit may leave an activity with a Lead that was merged away meanwhile: it is the survivor's
        every = {**self.box.salesforce.live("Lead", deleted=True), **self.box.salesforce.live("Contact", deleted=True)}
        for name in _ACTIVITIES["salesforce"]:
            here, there, links = (
                self._table("activity", "salesforce", name),
                self._there("salesforce", name),
                self._links("salesforce", name),
            )
            yield from same_ids(f"salesforce {name}", there, here)
            for one in here.keys() & there.keys():
                true = there[one]
                yield from same(
                    f"salesforce {name} {one}",
                    {
                        "owner": true.get("OwnerId"),
                        "modified": to_micros(true["SystemModstamp"]),
                        "links": {ref for ref in people if ref[1] == end(every, true.get("WhoId") or "")},
                    },
                    {"owner": here[one].owner_id, "modified": here[one].modified_at, "links": links.get(one, set()) & people},
                )

    # ── Deals and campaigns ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _deal_links(self, crm: str, source: str) -> dict[str, set[tuple[str, str]]]:
        links: dict[str, set[tuple[str, str]]] = {}
        where = "source = ''" if source == "" else "source NOT IN ('', 'conversion')" if source == "role" else "source = 'conversion'"
        for row in self.rows(f"SELECT * FROM deal_link WHERE crm = :crm AND {where}", crm=crm):
            links.setdefault(row.deal_id, set()).add((row.record_object, self._standing(crm, row.record_object, row.record_id)))
        return links

    def _hubspot_deals(self) -> Iterator[str]:
        here, there = (self._compared("deals", each) for each in (self._table("deal", "hubspot", "deals"), self.box.hubspot.live("deals")))
        links = self._deal_links("hubspot", "")
        people = self._live("hubspot")
        yield from same_ids("hubspot deals", there, here)
        for one in here.keys() & there.keys():
            true, values = there[one], there[one]["properties"]
            yield from same(
                f"hubspot deals {one}",
                {
                    "stage": values.get("dealstage"),
                    "amount": None if values.get("amount") in (None, "") else float(values["amount"]),
                    "owner": values.get("hubspot_owner_id") or None,
                    "currency": values.get("deal_currency_code"),
                    "closed": (values.get("hs_is_closed") == "true", values.get("hs_is_closed_won") == "true"),
                    "links": {("contacts", to) for to, _ in true["links"].get("contacts", [])} & people,
                },
                {
                    "stage": here[one].stage,
                    "amount": here[one].amount,
                    "owner": here[one].owner_id,
                    "currency": here[one].currency,
                    "closed": (bool(here[one].closed), bool(here[one].won)),
                    "links": links.get(one, set()) & people,
                },
            )

    def _salesforce_deals(self) -> Iterator[str]:
        here, there = self._table("deal", "salesforce", "Opportunity"), self.box.salesforce.live("Opportunity")
        yield from same_ids("salesforce Opportunity", there, here)
        for one in here.keys() & there.keys():
            true, row = there[one], here[one]
            yield from same(
                f"salesforce Opportunity {one}",
                {
                    "stage": true.get("StageName"),
                    "amount": true.get("Amount"),
                    "owner": true.get("OwnerId"),
                    "company": true.get("AccountId"),
                    "closed": (true["IsClosed"], true["IsWon"]),
                },
                {
                    "stage": row.stage,
                    "amount": row.amount,
                    "owner": row.owner_id,
                    "company": row.company_id,
                    "closed": (bool(row.closed), bool(row.won)),
                },
            )
        people = self._live("salesforce")
        roles = {
            row["Id"]: row
            for row in self.box.salesforce.live("OpportunityContactRole").values()
            if row["OpportunityId"] in there and ("Contact", row["ContactId"]) in people
        }
        told = self.rows("SELECT * FROM deal_link WHERE crm = 'salesforce' AND source NOT IN ('', 'conversion')")
        held = {row.source: row for row in told if row.deal_id in there and (row.record_object, row.record_id) in people}
        yield from same_ids("salesforce OpportunityContactRole", roles, held)
        for one in roles.keys() & held.keys():
            true, row = roles[one], held[one]
            yield from same(
                f"salesforce OpportunityContactRole {one}",
                {"deal": true["OpportunityId"], "contact": true["ContactId"], "role": true.get("Role")},
                {"deal": row.deal_id, "contact": row.record_id, "role": row.role},
            )

    def _members(self) -> Iterator[str]:
        campaigns, known = self._table("campaign", "salesforce", "Campaign"), self.box.salesforce.live("Campaign")
        yield from same_ids("salesforce Campaign", known, campaigns)
        for one in campaigns.keys() & known.keys():
            true, row = known[one], campaigns[one]
            yield from same(
                f"salesforce Campaign {one}",
                {"name": true["Name"], "status": true["Status"], "modified": to_micros(true["SystemModstamp"])},
                {"name": row.name, "status": row.status, "modified": row.modified_at},
            )
        here, there = self._table("campaign_member", "salesforce", "CampaignMember"), self.box.salesforce.live("CampaignMember")
        away = {one for _, one in self.held_back}  # which campaigns such a person is in may be here: it names nobody
        here = {one: row for one, row in here.items() if row.record_id not in away}
        there = {one: row for one, row in there.items() if not away & {row.get("LeadId"), row.get("ContactId")}}
        yield from same_ids("salesforce CampaignMember", there, here)
        for one in here.keys() & there.keys():
            true, row = there[one], here[one]
            yield from same(
                f"salesforce CampaignMember {one}",
                {"campaign": true["CampaignId"], "who": true.get("ContactId") or true.get("LeadId"), "status": true.get("Status")},
                {"campaign": row.campaign_id, "who": row.record_id, "status": row.status},
            )

    # ── Who became whom ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _merges(self) -> Iterator[str]:
        pairs = {
            ("hubspot", name, lost, into) for name in ("contacts", "companies") for lost, into in self.box.hubspot.merged(name).items()
        }
        away = self.done.addresses()
        for name in ("Lead", "Contact", "Account"):
            # a loser with an address of somebody who was deleted for privacy leaves no trace here
            rows = {one: row for one, row in self.box.salesforce.live(name, deleted=True).items() if not away & set(_email(row))}
            pairs |= {("salesforce", name, one, end(rows, one)) for one, row in rows.items() if row.get("MasterRecordId")}
        names = {"hubspot": ("contacts", "companies"), "salesforce": ("Lead", "Contact", "Account")}
        live = {crm: {name: set(self._there(crm, name)) for name in objects} for crm, objects in names.items()}
        for crm, name, lost, into in sorted(pairs):
            if into in live[crm][name] and lost != into and into not in self.done.undeleted and self._standing(crm, name, lost) != into:
                yield f"{crm} {name} {lost} was merged into {into}; here it stands for {self._standing(crm, name, lost)}"
        for row in self.rows("SELECT crm, object, id, into_id FROM merged"):
            if row.id in live[row.crm].get(row.object, ()):
                yield f"{row.crm} {row.object} {row.id} lives; here it was merged into {row.into_id}"

    def _conversions(self) -> Iterator[str]:
        links = self._deal_links("salesforce", "conversion")
        for one, row in self._there("salesforce", "Lead").items():
            deal = row.get("ConvertedOpportunityId")
            if deal and ("Lead", one) not in links.get(deal, set()):
                yield f"salesforce Lead {one} became {deal}; no link tells so"

    def _contacts(self) -> Iterator[str]:
        contacts = {row.id: row for row in self.rows("SELECT id, gone, merged_into FROM contact")}
        people = self.rows("SELECT crm, object, id, contact_id, archived, merged_into, converted_to FROM record")
        known = {(row.crm, row.object, row.id): row for row in people if row.object in _PEOPLE}
        for key, row in known.items():
            name = " ".join(key)
            contact = contacts.get(row.contact_id)
            if not row.archived and (contact is None or contact.gone or contact.merged_into is not None):
                yield f"{name} lives and has no live contact ({row.contact_id})"
            into = known.get((row.crm, row.object, row.merged_into)) if row.merged_into else None
            if into is not None and not into.archived and into.contact_id != row.contact_id:
                yield f"{name} has contact {row.contact_id}, its survivor {into.id} has {into.contact_id}"
            became = known.get((row.crm, "Contact", row.converted_to)) if row.converted_to else None
            if became is not None and not became.archived and not row.archived and became.contact_id != row.contact_id:
                yield f"{name} has contact {row.contact_id}, the Contact it became has {became.contact_id}"
        for link in self.rows("SELECT * FROM activity_link"):
            about = known.get((link.crm, link.record_object, self._standing(link.crm, link.record_object, link.record_id)))
            if about is not None and not about.archived and about.contact_id != link.contact_id:
                yield f"{link.crm} {link.object} {link.id} is with contact {link.contact_id}, its person has {about.contact_id}"


def same_ids(what: str, there: Iterable[str], here: Iterable[str]) -> Iterator[str]:
    missing, surplus = set(there) - set(here), set(here) - set(there)
    if missing:
        yield f"{what}: missing {sorted(missing)}"
    if surplus:
        yield f"{what}: live here alone {sorted(surplus)}"


def same(what: str, true: Mapping[str, Any], held: Mapping[str, Any]) -> Iterator[str]:
    for name, value in true.items():
        if value != held[name]:
            yield f"{what}: {name} is {value!r}, here {held[name]!r}"


def _hubspot_emails(row: Mapping[str, Any]) -> list[str]:
    values = row["properties"]
    return [each.lower() for each in (values.get("email") or "", *(values.get("hs_additional_emails") or "").split(";")) if each]


def _email(row: Mapping[str, Any]) -> list[str]:
    return [row["Email"].lower()] if row.get("Email") else []


def primary(row: Mapping[str, Any], name: str, kind: int) -> str | None:
    return next((to for to, type_id in row["links"].get(name, []) if type_id == kind), None)


def end(rows: Mapping[str, Mapping[str, Any]], one: str) -> str:
    while rows.get(one, {}).get("MasterRecordId"):
        one = rows[one]["MasterRecordId"]
    return one


def plain(value: Any) -> Any:
    """A value of either side in one form: moments as micros, days as text, whole numbers as such."""
    if isinstance(value, datetime):
        return to_micros(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str) and len(value) >= 19 and value[4:5] == "-" and value[10:11] == "T":
        return to_micros(datetime.fromisoformat(value).astimezone(UTC))
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
