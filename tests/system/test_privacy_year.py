"""A person is deleted for privacy after a year of passes: address, name and every text of theirs are gone, down to the bytes of the
file, and no figure of the year changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from connector.jobs.mirror_jobs import look_for_removals
from connector.model import Campaign, CampaignMember, Deal, RecordRef
from connector.store.mirror import privacy_forget
from connector.store.tables import metadata
from tests.support.company import EVERYTHING, Company, new_company

START = datetime(2025, 11, 19, 10, 0, tzinfo=UTC)
MONTH = timedelta(days=30)
HER = RecordRef(crm="hubspot", object="contacts", id="77")
LEAD = RecordRef(crm="salesforce", object="Lead", id="00Q77")
#: What nobody may find afterwards, in whatever case: addresses, names, numbers, and what was written of her.
WORDS = (
    "zora.quux@geheim.example", "zora.altmann@frueher.example", "Zorabella", "Quuxington", "Altmannova", "+49 30 7654321",
    "Chief Tea Officer", "fetches her twins at four", "moved to her aunt", "Herrnhut-Strahwalde",
)  # fmt: skip


@pytest.fixture
def company(either_url: str) -> Iterator[Company]:
    with new_company(either_url, EVERYTHING, start=START) as made:
        yield made


def live_through_a_year(company: Company) -> None:
    """She comes, qualifies, is called, given back, comes again and buys; others live on beside her."""
    company.hubspot.person("companies", "9", name="Acme")
    first = {"firstname": "Zorabella", "lastname": "Altmannova", "phone": "+49 30 7654321", "city": "Herrnhut-Strahwalde"}
    company.person("77", "zora.altmann@frueher.example", stage="lead", jobtitle="Chief Tea Officer", **first)
    company.lead("00Q77", "zora.altmann@frueher.example", stage="Nurturing", LastName="Altmannova", FirstName="Zorabella")
    company.person("1", stage="lead", interest="20", lastname="Other")
    company.lead("00Q1", stage="Nurturing")
    company.settle()
    months: list[Any] = [
        lambda: company.edit("77", interest="20"),
        lambda: company.touch(on="77", outcome="Quuxington: fetches her twins at four"),
        lambda: company.edit("77", email="Zora.Quux@Geheim.example", lastname="Quuxington", status="UNQUALIFIED"),
        lambda: company.edit("77", rejection_reason="Quuxington moved to her aunt"),
        lambda: company.hubspot.put(Deal(crm="hubspot", object="deals", id="7", stage="s", contacts=[HER], amount=900.0)),
        lambda: company.salesforce.put(
            Campaign(crm="salesforce", object="Campaign", id="701", name="Fair"),
            CampaignMember(crm="salesforce", object="CampaignMember", id="00v", campaign_id="701", record=LEAD, status="Sent"),
        ),
        lambda: company.edit("77", stage="lead", status=None, interest="30"),
        lambda: company.edit("00Q77", Email="ZORA.QUUX@geheim.example", LastName="Quuxington"),
        lambda: company.salesforce.refuse("00Q77", "zora.quux@geheim.example is taken by Quuxington"),
        lambda: company.edit("77", stage="mql"),
        lambda: company.touch(on="00Q77", outcome="Altmannova, now Quuxington, signs"),
        lambda: company.edit("77", stage="customer"),
    ]
    for happens in months:
        company.later(days=1)
        happens()
        company.run()
        company.later(hours=6)
        company.run()
        company.now += MONTH - timedelta(days=1, hours=6)
        company.run()


def figures(company: Company) -> dict[str, Counter[tuple[Any, ...]]]:
    """What reports count, of everybody, without anybody's values."""
    counted = {
        "attempt": "contact_id, number, spell, began_at, ended_at, outcome, skipped, late, found",
        "spell": "contact_id, number, stage, entered_at, left_at, by",
        "rejection": "contact_id, attempt, at, kind, touches, channels, criteria_met, score, owner, crm, sent_back",
        "clock": "contact_id, attempt, kind, number, sla, owner, started_at, due_at, state, met_at, touches, channels",
        "touch": "contact_id, at, person, channel",
        "ledger": "id, plan, bundle, key, kind, rule, contact_id, record_id, target, state, planned_at, settled_at, code, config_version",
        "plan": "id, run, mode, guard",
        "run": "id, command, state, started_at",
    }
    return {name: Counter(map(tuple, company.rows(f"SELECT {columns} FROM {name}"))) for name, columns in counted.items()}


def where(company: Company) -> dict[str, set[str]]:
    """Which words stand in which tables."""
    found: dict[str, set[str]] = {}
    with company.store.read() as connection:
        for name in metadata.tables:
            content = "\n".join(repr(tuple(row)) for row in connection.execute(text(f"SELECT * FROM {name}"))).casefold()
            if here := {word for word in WORDS if word.casefold() in content}:
                found[name] = here
    return found


def in_files(company: Company) -> set[str]:
    """The same of all bytes of SQLite's file and log."""
    content = b"".join(file.read_bytes() for file in company.store.files()).lower()
    return {word for word in WORDS if word.lower().encode() in content}


def test_nothing_of_her_is_left_and_no_figure_changed(company: Company) -> None:
    live_through_a_year(company)
    everywhere = where(company)
    assert set().union(*everywhere.values()) == set(WORDS)
    assert {"record", "record_version", "contact", "activity", "action_value", "ledger", "rejection"} <= everywhere.keys()
    open_ones = "SELECT count(*) FROM attempt a JOIN record r ON r.contact_id = a.contact_id WHERE r.id = '77' AND a.outcome = 'open'"
    assert company.rows(open_ones) == [(0,)]
    before = figures(company)
    company.hubspot.purge("contacts", "77")
    result = look_for_removals(company.context())
    assert result.errors == []
    assert result.removed is not None
    assert result.removed["hubspot"]["contacts"].purged == 1
    after = figures(company)
    assert {name: rows - before[name] for name, rows in after.items() if name != "run"} == {
        name: Counter() for name in after if name != "run"
    }
    assert {name: before[name] - rows for name, rows in after.items()} == {name: Counter() for name in after}
    assert where(company) == {}
    if company.store.dialect == "sqlite":
        assert in_files(company) == set()
    assert privacy_forget.finish(company.store) is True


def test_she_stays_away_through_the_passes_that_follow(company: Company) -> None:
    """Her Lead still stands in Salesforce, is edited there, and a rep logs a call."""
    live_through_a_year(company)
    company.hubspot.purge("contacts", "77")
    look_for_removals(company.context())
    company.later(days=1)
    company.edit("00Q77", stage="Working", LastName="Quuxington")
    company.touch(on="00Q77", outcome="Quuxington again")
    company.run()
    company.run()
    assert where(company) == {}
    if company.store.dialect == "sqlite":
        assert in_files(company) == set()
