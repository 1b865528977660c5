"""The mirror's past answers: what the store says of a moment is what the sandbox's own log of edits says, from the day of completeness on.

Months go by in the sandbox over real HTTP: people edit, some edits come between two passes, both CRMs show some of them late. What the
store does not know it says.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from connector import engine
from connector.app import App
from connector.sandbox.serve import Sandbox
from connector.store.mirror.as_of import RecordAsOf, records_as_of
from tests.system.support import NOW, config_for, running, small_sandbox

STATUSES = ("NEW", "OPEN", "IN_PROGRESS", "CONNECTED", "UNQUALIFIED")
STAGES = ("lead", "marketingqualifiedlead", "salesqualifiedlead", "opportunity")
LEAD_STATUSES = ("Open - Not Contacted", "Working - Contacted", "Nurturing", "Closed - Not Converted")
#: What is edited, and compared: by object, the stage's and the owner's property first.
COMPARED = {
    "contacts": ("lifecyclestage", "hubspot_owner_id", "hs_lead_status", "rejection_reason", "jobtitle", "pain_point"),
    "Lead": ("Status", "OwnerId", "Title", "Rejection_Reason__c"),
}
#: Those of which a CRM's own history tells each moment.
EXACT = {"contacts": ("lifecyclestage", "hubspot_owner_id", "hs_lead_status", "rejection_reason"), "Lead": ("Status", "OwnerId")}


@dataclass
class Months:
    """A sandbox in which time goes by. first: every value as it was before the first edit."""

    box: Sandbox
    now: datetime = NOW
    draw: random.Random = field(default_factory=lambda: random.Random(11))
    first: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)

    def remember(self) -> None:
        for record_id, row in self.box.world.hubspot["contacts"].items():
            self.first["hubspot", "contacts", record_id] = dict(row["properties"])
        for record_id, row in self.box.world.salesforce["Lead"].items():
            self.first["salesforce", "Lead", record_id] = dict(row)

    def edit(self) -> None:
        """A person edits a record of one of the CRMs."""
        words = f"Head of {self.draw.randint(1, 99)}"
        who = self.draw.choice(("anna@acme.example", "ben@acme.example"))
        if self.draw.random() < 0.6:
            self.box.hubspot.act_as(who)
            owners = [owner["id"] for owner in self.box.world.hubspot_owners if not owner["archived"]]
            choices: dict[str, Any] = {
                "lifecyclestage": STAGES, "hubspot_owner_id": [*owners, None], "hs_lead_status": STATUSES,
                "rejection_reason": ("No budget", "Bad timing", None), "jobtitle": (words,), "pain_point": (words, None),
            }  # fmt: skip
            names = self.draw.sample(sorted(choices), self.draw.randint(1, 2))
            contact = self.draw.choice(sorted(self.box.hubspot.ids("contacts")))
            self.box.hubspot.edit("contacts", contact, **{name: self.draw.choice(choices[name]) for name in names})
        else:
            self.box.salesforce.act_as(who)
            users = [one for one, row in self.box.world.salesforce["User"].items() if row["IsActive"]]
            fields: dict[str, Any] = {
                "Status": LEAD_STATUSES, "OwnerId": users, "Title": (words, None), "Rejection_Reason__c": ("No budget", "Bad timing", None)
            }  # fmt: skip
            names = self.draw.sample(sorted(fields), self.draw.randint(1, 2))
            leads = sorted(one for one, row in self.box.salesforce.live("Lead").items() if not row["IsConverted"])
            self.box.salesforce.edit("Lead", self.draw.choice(leads), **{name: self.draw.choice(fields[name]) for name in names})

    def truth(self, key: tuple[str, str, str], name: str, at: datetime) -> Any:
        """What the sandbox's log says of a value at a moment."""
        value = self.first[key].get(name)
        for edit in self.box.world.edits:
            if (edit.crm, edit.object, edit.id, edit.property) == (*key, name) and edit.at <= at:
                value = edit.after
        return value or None


@pytest.fixture
def months() -> Iterator[Months]:
    clock: list[Months] = []
    with small_sandbox(now=lambda: clock[0].now if clock else NOW, contacts=110, leads=60) as box:
        clock.append(Months(box))
        box.hubspot.change_options(search_lag_seconds=90.0)
        box.salesforce.change_options(late_commits=40.0)
        yield clock[0]


def live(app: App, months: Months, *, steps: int) -> None:
    """So many spells of some days, with edits of which several may lie between two passes."""
    for _ in range(steps):
        for _ in range(months.draw.choice((0, 1, 3, 6))):
            months.now += timedelta(minutes=months.draw.randint(1, 900), seconds=months.draw.randint(0, 59))
            months.edit()
        if months.draw.random() < 0.7:
            months.now += timedelta(minutes=months.draw.choice((0, 1, 240)))
            assert engine.run_pass(app.context()).errors == []
    months.now += timedelta(hours=1)
    assert engine.run_pass(app.context()).errors == []
    months.now += timedelta(hours=1)
    assert engine.run_pass(app.context()).errors == []


def test_what_the_store_says_of_a_moment_is_what_was(months: Months, database_url: str) -> None:
    months.remember()
    with running(config_for(months.box, database_url, mode="shadow"), now=lambda: months.now) as app:
        assert engine.run_pass(app.context()).errors == []
        complete = months.now
        live(app, months, steps=30)
        with app.store.read() as connection:
            contacts = list(connection.exec_driver_sql("SELECT DISTINCT contact_id FROM record WHERE contact_id IS NOT NULL").scalars())
            told: Counter[tuple[str, bool]] = Counter()
            for _ in range(200):
                at = complete + (months.now - timedelta(minutes=90) - complete) * months.draw.random()
                for record in records_as_of(connection, months.draw.choice(contacts), at):
                    compare(months, record, at, told)
    assert told["exact", False] == 0, "owner and stage are known at every moment"
    assert told["exact", True] > 400
    assert told["seen", True] > 4 * told["seen", False] > 0, "what was seen too late is said, and is little"


def compare(months: Months, record: RecordAsOf, at: datetime, told: Counter[tuple[str, bool]]) -> None:
    """A value that is known is the true one; how many are."""
    key = (record.crm, record.object, record.id)
    if key not in months.first or record.object not in COMPARED:
        return
    for name in COMPARED[record.object]:
        found = record.properties[name]
        told["exact" if name in EXACT[record.object] else "seen", found.known] += 1
        since = record.complete_from[name]
        assert since is not None
        assert since <= at
        if found.known:
            assert (found.value or None) == months.truth(key, name, at), (key, name, at)
    if record.object == "Lead":
        assert (record.stage, record.owner) == (record.properties["Status"], record.properties["OwnerId"])
