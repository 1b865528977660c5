"""The stages that the CRMs say a contact was in, apart from spells: by history, by HubSpot's dates, by what pulls saw."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

from connector.model import Deal
from connector.workflows.stage_past import deal_stage_entries, stage_entries
from tests.support.company import QUALIFY, Company, new_company, running_company

UTC = ZoneInfo("UTC")


def told(company: Company, record_id: str = "1") -> list[tuple[str, str | None, timedelta, str | None, str]]:
    """Object, value, how long ago, who, how it is known."""
    with company.store.read() as connection:
        (contact,) = company.rows("SELECT contact_id FROM record WHERE id = :id", id=record_id)
        entries = stage_entries(connection, [contact.contact_id], UTC)[contact.contact_id]
    return [(entry.object, entry.value, company.now - entry.at, entry.by, entry.told_by) for entry in entries]


def test_from_before_the_connector_came_by_hubspots_dates(either_url: str) -> None:
    with new_company(either_url, QUALIFY) as company:
        company.person(stage="subscriber")
        company.later(days=30)
        company.edit(stage="lead")
        company.later(days=30)
        company.run()
        assert told(company) == [
            ("contacts", "subscriber", timedelta(days=60), None, "date"),
            ("contacts", "lead", timedelta(days=30), None, "date"),
        ]
        assert [row.stage for row in company.rows("SELECT stage FROM spell JOIN record USING (contact_id) WHERE id = '1'")] == ["lead"]


def test_afterwards_by_both_histories_with_who(either_url: str) -> None:
    with running_company(either_url, QUALIFY) as company:
        company.person(stage="lead")
        company.lead(stage="Nurturing")
        company.run()
        company.later(days=1)
        company.hubspot.user, company.salesforce.user = "ben", "anna"
        company.edit(stage="mql")
        company.edit("00Q1", stage="Open")
        company.later(days=1)
        company.run()
        spells = company.rows("SELECT * FROM spell")
        day = timedelta(days=1)
        assert told(company) == [
            ("contacts", "lead", 2 * day, None, "history"),
            ("contacts", "mql", day, "ben@acme.example", "history"),
            ("Lead", "Open", day, "anna@acme.example", "history"),
        ]
        assert company.rows("SELECT * FROM spell") == spells


def test_without_a_history_what_a_pull_saw_is_said_to_be_seen(url: str) -> None:
    with running_company(url, QUALIFY) as company:
        company.hubspot.person("contacts", "1", email="p1@kunde.example", lifecyclestage="lead")
        company.run()
        company.later(days=1)
        company.hubspot.edit("contacts", "1", lifecyclestage="mql")
        company.hubspot._past.clear()
        company.later(days=1)
        company.run()
        assert told(company) == [("contacts", "mql", timedelta(0), None, "seen")]


def test_of_deals_by_what_pulls_saw(url: str) -> None:
    with running_company(url, QUALIFY) as company:
        company.hubspot.put(Deal(crm="hubspot", object="deals", id="5", stage="open", contacts=(), modified_at=company.now))
        company.run()
        company.later(days=1)
        company.hubspot.put(Deal(crm="hubspot", object="deals", id="5", stage="won", contacts=(), modified_at=company.now))
        company.later(days=1)
        company.run()
        with company.store.read() as connection:
            (entry,) = deal_stage_entries(connection, "hubspot", ["5"])["5"]
        assert (entry.value, company.now - entry.at, entry.told_by) == ("won", timedelta(days=1), "seen")
