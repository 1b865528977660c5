"""What `explain` tells of a contact's past: owners, what its attempts looked like, by which files, and what people did."""

from __future__ import annotations

from functools import partial
from typing import Any

from connector.cli.explain_past import show_past
from connector.cli.output import Output
from connector.model import Actor, Deed
from connector.reports.explain import explain
from connector.store import acts, pauses
from tests.support.company import DIRECTOR, LEAD, Company, funnel, running_company

EMAIL = "dora@kunde.example"


def told(company: Company, who: str = EMAIL) -> dict[str, Any]:
    return explain(company.store, company.config, who, now=company.now)


def sold(company: Company) -> None:
    """Marketing wins her, a rule gives her to Anna, who calls; then Chiara takes her over, accepted."""
    company.person("1", EMAIL, **DIRECTOR)
    company.lead(LEAD, EMAIL, Industry="Technology")
    company.settle()
    company.later(hours=1)
    company.touch(by="anna", outcome="Talked")
    company.later(hours=1)
    company.edit(status="CONNECTED", stage="sql", owner="chiara")
    company.run()


def test_owners_attempts_and_files(either_url: str) -> None:
    with running_company(either_url, funnel()) as company:
        sold(company)
        first = company.config
        company.config = funnel(edit=(("points = 20", "points = 21"),))
        company.later(hours=1)
        company.run()
        found = told(company)
        owners = [(stay["crm"], stay["owner"], stay["rule"], stay["by"], stay["until"] is None) for stay in found["owners"]]
        assert owners == [
            ("hubspot", "anna@acme.example", "qualified", None, False),
            ("hubspot", "chiara@acme.example", None, None, True),
        ]
        (attempt,) = found["attempts"]
        begin, end = attempt["snapshots"]["begin"], attempt["snapshots"]["end"]
        assert (begin["score"], begin["criteria"], begin["config_version"]) == (60.0, ["industry", "role"], first.version)
        assert (end["outcome"], end["touch_count"], end["outcomes"], end["config_version"]) == ("accepted", 1, ["Talked"], first.version)
        assert {version: file["by"] for version, file in found["files"].items()} == {first.version: ""}
        assert [clock["config_version"] for clock in found["slas"]] == [first.version]
        changes = [(entry["by"], entry["before"], entry["after"]) for entry in found["history"] if entry["what"] == "owner in hubspot"]
        assert changes == [("qualified", None, "anna@acme.example"), ("hubspot", "anna@acme.example", "chiara@acme.example")]
        assert {entry["config_version"] for entry in found["history"] if entry.get("outcome") == "applied"} == {first.version}


def test_acts_that_concern_it(url: str) -> None:
    with running_company(url, funnel()) as company:
        sold(company)
        number, ben = str(company.contact().id), Actor("ben")
        pauses.pause(company.store, "rule", "qualified", now=company.now, by=ben)
        pauses.pause(company.store, "rule", "by hand", now=company.now, by=ben)
        for contact in (number, "4711"):
            company.store.write(partial(acts.note, deed=Deed.LOOKED, about="contact", name=contact, actor=Actor("chiara"), now=company.now))
        found = told(company)
        assert [(act["deed"], act["about"], act["name"], act["by"]) for act in found["acts"]] == [
            ("looked", "contact", number, "chiara"),
            ("paused", "rule", "qualified", "ben"),
        ]
        assert [(entry["what"], entry["by"]) for entry in found["history"] if entry["by"] == "ben"] == [("paused rule qualified", "ben")]


def test_the_page(url: str, capsys: Any) -> None:
    with running_company(url, funnel()) as company:
        sold(company)
        show_past(Output(as_json=False), told(company), "UTC")
    page = capsys.readouterr().out
    for words in ("Owners", "rule qualified", "chiara@acme.example", "What its attempts looked like", "industry, role", "accepted", "60"):
        assert words in page


def test_nobody_any_more_is_a_change_too(url: str) -> None:
    with running_company(url) as company:
        company.person(owner="anna", stage="lead")
        company.run()
        for owner in (None, "ben"):
            company.later(hours=1)
            company.edit(owner=owner)
            company.later(minutes=1)
            company.run()
        found = told(company, "1")
        changes = [(entry["before"], entry["after"]) for entry in found["history"] if entry["what"] == "owner in hubspot"]
        assert changes == [(None, "anna@acme.example"), ("anna@acme.example", None), (None, "ben@acme.example")]
