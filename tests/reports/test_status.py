"""How it stands: runs, age, limits, and what waits for somebody."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import orjson
import pytest

from connector.errors import PassStopped
from connector.model import Actor, CrmName, Page, RecordRef, SetAside
from connector.reports.status import status
from connector.store import fields, pauses
from connector.store.budget import SharedBudget, hubspot_limits
from connector.store.mirror import pages
from tests.support.company import DIRECTOR, LEAD, NOW, Company, funnel, new_company

EMAIL = "dora@kunde.example"


@pytest.fixture
def company(either_url: str) -> Iterator[Company]:
    with new_company(either_url, funnel(), fields_read=False) as made:
        yield made


def test_nothing_happened_yet(company: Company) -> None:
    found = status(company.store, company.config, now=NOW)
    assert (found["runs"], found["lag_seconds"], found["contacts"], found["mode"]) == ([], None, 0, "live")
    assert found["held"] == {"count": 0, "plans": []}
    assert found["paused"] == []
    assert {one["state"] for one in found["suspended"]} == {"filling"}


def test_runs_and_the_mirrors_age(company: Company) -> None:
    company.run()
    company.run(timedelta(minutes=5))
    found = status(company.store, company.config, now=NOW + timedelta(minutes=12))
    assert [(run["command"], run["state"], run["started_at"]) for run in found["runs"]] == [
        ("run", "done", NOW + timedelta(minutes=5)),
        ("run", "done", NOW),
    ]
    assert found["lag_seconds"] == 7 * 60
    assert found["contacts"] == 5
    assert found["suspended"] == []
    orjson.dumps(found)


def test_a_failed_run_does_not_make_the_mirror_younger(company: Company) -> None:
    company.run()
    company.hubspot.fail("pull", PassStopped("no access", crm="hubspot"))
    company.run(timedelta(hours=1), errors=("no access",))
    found = status(company.store, company.config, now=NOW + timedelta(hours=1))
    assert (found["runs"][0]["state"], found["runs"][0]["problem"]) == ("failed", "no access.")
    assert found["lag_seconds"] == 3600


def test_what_is_held_says_when_it_lapses(company: Company) -> None:
    company.config = funnel(edit=(("stage_changes = 1000", "stage_changes = 0"),))
    company.person("151", EMAIL, **DIRECTOR)
    company.hubspot.person("companies", "7", industry="COMPUTER_SOFTWARE")
    company.lead(LEAD, EMAIL, Industry="Technology")
    company.run()
    held = status(company.store, company.config, now=NOW)["held"]
    assert held["count"] == 4
    assert held["plans"] == [
        {
            "plan": 1,
            "count": 4,
            "rules": {"qualified/set_stage": 2, "qualified/assign": 1, "qualified/create_task": 1},
            "since": NOW,
            "lapses_at": NOW + timedelta(days=2),
        }
    ]


def test_what_is_parked_says_what_would_help(company: Company) -> None:
    company.person("151", EMAIL, **DIRECTOR)
    company.lead(LEAD, EMAIL, Industry="Technology")
    company.hubspot.refuse("151", "an approval holds the record")
    company.run()
    found = status(company.store, company.config, now=NOW)
    parked = [(row["kind"], row["id"]) for row in found["parked"]["rows"]]
    assert found["parked"]["count"] == len(parked) == found["open"].get("parked", 0)
    assert all(row["next_step"] for row in found["parked"]["rows"])


def test_what_is_set_aside(company: Company) -> None:
    aside = [
        SetAside(record=RecordRef(crm="hubspot", object="contacts", id=str(number)), reason="a number beyond 64 bit", next_step="Mend it.")
        for number in range(60)
    ]
    pages.commit_page(
        company.store, Page(crm="hubspot", object="contacts", cursor={"after": 1}, seen=60, calls=1, set_aside=aside, last=True), now=NOW
    )
    found = status(company.store, company.config, now=NOW)["set_aside"]
    assert (found["count"], len(found["rows"])) == (60, 50)
    assert (found["rows"][0]["reason"], found["rows"][0]["next_step"]) == ("a number beyond 64 bit", "Mend it.")


def test_who_is_ambiguous_and_who_is_excluded(company: Company) -> None:
    company.person("11", "info@kunde.example")
    company.person("12", "sales@kunde.example")
    company.person("13", "student@uni.example", jobtitle="Student")
    company.run()
    found = status(company.store, company.config, now=NOW)
    assert found["ambiguous"] == {"count": 2, "reasons": {"a shared mailbox": 2}}
    assert found["excluded"] == 1


def test_stages_that_differed_at_adoption(company: Company) -> None:
    company.config = funnel(edit=(('salesforce = { lead_status = "Qualified" }\n', ""),))
    company.person("151", EMAIL, lifecyclestage="mql")
    company.lead(LEAD, EMAIL, Status="Nurturing")
    company.person("152", "one@kunde.example", lifecyclestage="sql")
    company.lead("00Q000000000002AAA", "one@kunde.example", Status="Nurturing")  # nothing there means sql: it agrees
    company.person("153", "two@kunde.example", lifecyclestage="lead")  # in one CRM alone
    company.run()
    assert status(company.store, company.config, now=NOW)["differences"] == {
        "count": 1,
        "stages": [{"stage": "mql", "hubspot": "mql", "salesforce": "lead", "n": 1}],
    }


def test_a_field_that_is_gone_suspends_its_rules(company: Company) -> None:
    company.run()
    fields.set_state(company.store, ["f_last_conversion_at", "h_lead_status"], "gone")
    assert status(company.store, company.config, now=NOW)["suspended"] == [
        {"field": "last_conversion_at", "state": "gone", "rules": ["conversion", "qualified"]},
        {"field": "hubspot.lead_status", "state": "gone", "rules": ["accepted", "rejection"]},
    ]


def test_pauses_tasks_and_limits(company: Company) -> None:
    company.person("151", EMAIL, **DIRECTOR)
    company.lead(LEAD, EMAIL, Industry="Technology")
    company.run()
    company.run()
    pauses.pause(company.store, "crm", "salesforce", now=NOW, by=Actor("ben"))
    take(company, "hubspot", 3)
    found = status(company.store, company.config, now=NOW)
    assert found["open_tasks"] == 1
    assert found["paused"] == [{"scope": "crm", "name": "salesforce", "since": NOW, "by": "ben"}]
    assert [(act["deed"], act["about"], act["name"], act["by"]) for act in found["acts"]] == [("paused", "crm", "salesforce", "ben")]
    assert found["file"] == {"version": company.config.version, "since": NOW, "by": "", "way": "command"}
    assert set(found["budget"]) == {"hubspot https://api.hubapi.com"}
    ten = found["budget"]["hubspot https://api.hubapi.com"]["10 seconds"]
    assert ten == {"used": 3, "of": 152, "seconds": 10}  # 190 a 10 seconds, less a fifth for others


def take(company: Company, crm: CrmName, requests: int) -> None:
    limits = hubspot_limits(requests_per_10_seconds=190, searches_per_second=5, daily_requests=650_000)
    budget = SharedBudget(
        company.store,
        "hubspot https://api.hubapi.com",
        limits,
        crm=crm,
        headroom=0.2,
        clock=NOW.timestamp,
        sleep=lambda _: pytest.fail("nothing to wait for"),
    )
    for _ in range(requests):
        budget.take("call")
    budget.close()
