"""The mirror against the sandbox's own books, record by record: what is missing, too much or different, as sentences.

The books are read past the API (`live`), so that nothing the adapters get wrong can be wrong on both sides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import orjson
from sqlalchemy import text

from connector.app import App
from connector.model import CRMS, CrmName
from connector.sandbox.serve import Sandbox
from connector.store import intake, privacy
from connector.store.tables import to_micros
from connector.workflows.fields import properties_wanted

#: HubSpot's association types of a person's and a deal's primary company.
_PRIMARY = {"contacts": 1, "deals": 5}
_ACTIVITIES = {"hubspot": ("calls", "emails", "meetings", "tasks"), "salesforce": ("Task", "Event")}
_PEOPLE = ("contacts", "Lead", "Contact")


@dataclass(slots=True)
class Truth:
    """A mirror and the sandbox it is of. held_back: who is kept away, since the person was deleted for privacy in one of the CRMs."""

    app: App
    box: Sandbox
    held_back: set[tuple[str, str]] = field(default_factory=set)

    def differences(self) -> list[str]:
        """Everything in which the mirror differs from the CRMs; [] where they are equal."""
        self.held_back = {key for crm in CRMS for key in self._forgotten(crm)}
        return [
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
        wanted = properties_wanted(self.app.config, crm)
        for name in {"hubspot": ("contacts",), "salesforce": ("Lead", "Contact")}[crm]:
            missing = self._there(crm, name).keys() - self._table("record", crm, name).keys()
            read = self.app.crms[crm].read(name, sorted(missing), wanted[name]) if missing else {}
            taken = intake.record_rows(read.values(), now=self.app.now()).rows
            held = self.app.store.write(partial(privacy.hold_back, brought=intake.Brought(records=taken))).set_aside
            yield from ((name, one.record.id) for one in held)

    def _there(self, crm: str, name: str) -> dict[str, dict[str, Any]]:
        """What lives in a CRM and may be here."""
        live = self.box.hubspot.live(name) if crm == "hubspot" else self.box.salesforce.live(name)
        return {one: row for one, row in live.items() if (name, one) not in self.held_back}

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
        wanted = properties_wanted(self.app.config, "hubspot")
        companies = set(self.box.hubspot.ids("companies"))  # a deleted one stays beside its people: nothing is read from it
        for name in ("companies", "contacts"):
            here, there = self._table("record", "hubspot", name), self._there("hubspot", name)
            yield from same_ids(f"hubspot {name}", there, here)
            for one in here.keys() & there.keys():
                row, true = here[one], there[one]
                yield from same(
                    f"hubspot {name} {one}",
                    {
                        "properties": {each: true["properties"].get(each) for each in wanted[name]},
                        "owner": true["properties"].get("hubspot_owner_id") or None,
                        "company": primary(true, "companies", _PRIMARY["contacts"]) if name == "contacts" else None,
                        "modified": to_micros(true["modified"]),
                        "merged_into": None,
                    },
                    {
                        "properties": orjson.loads(row.properties),
                        "owner": row.owner_id,
                        "company": row.company_id if row.company_id in companies else None,
                        "modified": row.modified_at,
                        "merged_into": row.merged_into,
                    },
                )

    def _salesforce_records(self) -> Iterator[str]:
        wanted = properties_wanted(self.app.config, "salesforce")
        for name in ("Account", "Lead", "Contact"):
            here, there = self._table("record", "salesforce", name), self._there("salesforce", name)
            yield from same_ids(f"salesforce {name}", there, here)
            for one in here.keys() & there.keys():
                row, true = here[one], there[one]
                own = [each for each in wanted.get(name, ()) if "." not in each]
                yield from same(
                    f"salesforce {name} {one}",
                    {
                        "properties": {each: plain(true.get(each)) for each in own},
                        "owner": true.get("OwnerId"),
                        "company": true.get("AccountId"),
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
            here, there, links = self._table("activity", "hubspot", name), self._there("hubspot", name), self._links("hubspot", name)
            yield from same_ids(f"hubspot {name}", there, here)
            for one in here.keys() & there.keys():
                true = there[one]
                yield from same(
                    f"hubspot {name} {one}",
                    {
                        "owner": true["properties"].get("hubspot_owner_id") or None,
                        "modified": to_micros(true["modified"]),
                        "links": {("contacts", to) for to, _ in true["links"].get("contacts", [])} & people,
                    },
                    {"owner": here[one].owner_id, "modified": here[one].modified_at, "links": links.get(one, set()) & people},
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
        here, there, links = self._table("deal", "hubspot", "deals"), self.box.hubspot.live("deals"), self._deal_links("hubspot", "")
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
                    "links": {("contacts", to) for to, _ in true["links"].get("contacts", [])} & people,
                },
                {
                    "stage": here[one].stage,
                    "amount": here[one].amount,
                    "owner": here[one].owner_id,
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
                },
                {"stage": row.stage, "amount": row.amount, "owner": row.owner_id, "company": row.company_id},
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
        here, there = self._table("campaign_member", "salesforce", "CampaignMember"), self.box.salesforce.live("CampaignMember")
        away = {one for _, one in self.held_back}
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
        for name in ("Lead", "Contact", "Account"):
            rows = self.box.salesforce.live(name, deleted=True)
            pairs |= {("salesforce", name, one, end(rows, one)) for one, row in rows.items() if row.get("MasterRecordId")}
        names = {"hubspot": ("contacts", "companies"), "salesforce": ("Lead", "Contact", "Account")}
        live = {crm: {name: set(self._there(crm, name)) for name in objects} for crm, objects in names.items()}
        for crm, name, lost, into in sorted(pairs):
            if into in live[crm][name] and lost != into and self._standing(crm, name, lost) != into:
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
