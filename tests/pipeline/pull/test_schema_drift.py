"""Schema drift: what a CRM loses is reported, its rules say nothing meanwhile, and the sync of all else goes on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from connector.errors import ObjectStopped
from connector.model import FieldType, PropertyFacts
from connector.pipeline.pull.schema_drift import reads_as
from connector.reports.checks.check import check
from connector.reports.explain import explain
from connector.reports.status import status
from tests.support.company import DIRECTOR, LEAD, Company, funnel, new_company

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
EMAIL = "dora@kunde.example"
#: A transition that fires where a field is empty: what a vanished property would look like.
EMPTY = """
[fields.budget]
type = "integer"
hubspot = "budget"

[[transition]]
name = "no budget"
from = ["lead"]
to = "sql"
when = "budget IS NULL"

[[transition]]
name = "back again"
from = ["sql"]
to = "lead"
when = "job_title = 'Intern'"
"""


@pytest.fixture
def company(url: str) -> Iterator[Company]:
    with new_company(url, funnel(), fields_read=False) as made:
        yield made


@pytest.fixture
def spending(url: str) -> Iterator[Company]:
    with new_company(url, funnel(EMPTY), fields_read=False) as made:
        made.hubspot.make_property(facts("contacts", "budget", "number", FieldType.NUMBER))
        made.person("1", EMAIL, stage="lead", budget="500")
        yield made


def facts(object_name: str, name: str, type_: str, means: FieldType, **more: Any) -> PropertyFacts:
    return PropertyFacts(object=object_name, name=name, label=name, type=type_, means=means, **more)


def told(company: Company) -> list[tuple[str, str, str, str | None, str | None]]:
    found = status(company.store, company.config, now=company.now)["drift"]
    return sorted((row["object"], row["property"], row["what"], row["before"], row["after"]) for row in found)


def suspended(company: Company) -> dict[str, tuple[str, list[str]]]:
    found = status(company.store, company.config, now=company.now)["suspended"]
    return {row["field"]: (row["state"], row["rules"]) for row in found}


def stages(company: Company) -> dict[str, str | None]:
    return dict(company.rows("SELECT record.id, stage FROM record JOIN contact ON contact.id = contact_id WHERE crm = 'hubspot'"))


class TestAPropertyThatVanishes:
    def test_fires_nothing_from_its_emptiness_and_the_others_go_on(self, spending: Company) -> None:
        spending.person("2", "rich@kunde.example", budget="900", lifecyclestage="sql")
        spending.run()
        spending.hubspot.drop_property("contacts", "budget")
        spending.hubspot.edit("contacts", "1", firstname="Dora")
        spending.hubspot.edit("contacts", "2", jobtitle="Intern")
        result = spending.run(MINUTE)
        assert {action.rule for action in result.plan.actions} == {"back again"} if result.plan else False
        assert result.suspended == [{"field": "budget", "state": "gone", "rules": ["no budget"]}]
        assert stages(spending)["1"] == "lead"
        assert told(spending) == [("contacts", "budget", "vanished", "number", None)]
        warned = [
            one.message for one in check(spending.config, spending.crms, spending.store, now=spending.now) if one.topic == "suspended"
        ]
        assert warned == ["the field budget is gone; suspended: no budget"]
        assert spending.rows("SELECT f_budget FROM contact JOIN record ON contact_id = contact.id WHERE record.id = '1'") == [(500,)]

    def test_is_filled_and_judged_anew_when_it_comes_back(self, spending: Company) -> None:
        spending.person("2", "poor@kunde.example", stage="lead", budget="1")
        spending.run()
        spending.hubspot.drop_property("contacts", "budget")
        spending.hubspot.edit("contacts", "1", firstname="Dora")
        spending.run(MINUTE)
        spending.hubspot.make_property(facts("contacts", "budget", "number", FieldType.NUMBER))
        spending.hubspot._stored["contacts"]["2"][1].properties["budget"] = None  # type: ignore[index, union-attr]  # no modified date tells
        assert spending.run(HOUR).suspended == []
        assert (told(spending), suspended(spending)) == ([], {})
        assert stages(spending)["1"] == "lead"
        assert [row.what for row in spending.rows("SELECT what FROM drift ORDER BY id")] == ["vanished", "appeared"]
        spending.run(MINUTE)
        assert stages(spending)["2"] == "sql"

    def test_is_found_within_the_hour_only_where_a_record_shows_it(self, spending: Company) -> None:
        spending.run()
        asked = spending.hubspot.requests["schema"]
        spending.run(MINUTE)
        assert spending.hubspot.requests["schema"] == asked
        spending.hubspot.drop_property("contacts", "budget")
        spending.run(MINUTE)  # nothing changed: nothing shows it, and nothing is concluded from it
        assert suspended(spending) == {}
        spending.run(HOUR)
        assert suspended(spending)["budget"][0] == "gone"

    def test_is_looked_for_by_the_next_pass_where_this_one_dies(self, spending: Company, monkeypatch: pytest.MonkeyPatch) -> None:
        """The page that lacks the property is stored, and its cursor: the next pull shows nothing of it any more."""
        spending.run()
        spending.hubspot.drop_property("contacts", "budget")
        spending.hubspot.edit("contacts", "1", firstname="Dora")
        with monkeypatch.context() as patch:
            patch.setattr("connector.pipeline.installation.catch_up", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                spending.run(MINUTE)
        result = spending.run(MINUTE)
        assert (result.planned, suspended(spending)["budget"][0]) == (0, "gone")
        assert stages(spending)["1"] == "lead"

    def test_that_never_was_is_reported_and_stops_nothing_else(self, company: Company) -> None:
        company.hubspot.drop_property("contacts", "recent_conversion_date")
        company.person("151", EMAIL, lifecyclestage="mql", hs_lead_status="NEW")
        company.run()
        company.hubspot.edit("contacts", "151", hs_lead_status="CONNECTED")
        company.run(MINUTE)
        company.run(MINUTE)
        assert stages(company)["151"] == "sql"
        assert told(company) == [("contacts", "recent_conversion_date", "vanished", None, None)]
        assert suspended(company) == {"last_conversion_at": ("gone", ["conversion", "qualified"])}

    def test_suspends_what_builds_on_it_and_keeps_what_was_said(self, company: Company) -> None:
        company.config = funnel(edit=(('mode = "live"', 'mode = "shadow"'),))
        company.person("151", EMAIL, **DIRECTOR)
        company.lead(LEAD, EMAIL, Industry="Technology")
        company.run()
        before = company.rows("SELECT criteria, criteria_met, qualified, score FROM contact ORDER BY id")
        assert any(row.criteria_met == 2 for row in before)
        company.salesforce.drop_property("Lead", "Industry")
        company.salesforce.edit("Lead", LEAD, FirstName="Dora")
        company.hubspot.edit("contacts", "151", jobtitle="Nobody")
        assert company.run(MINUTE).planned == 0
        assert suspended(company) == {"industry": ("gone", ["industry", "qualified", "by hand"])}
        after = company.rows("SELECT criteria, criteria_met, qualified, score FROM contact ORDER BY id")
        assert [row[:3] for row in after] == [row[:3] for row in before]
        assert after != before  # the score does not build on it
        shown = explain(company.store, company.config, EMAIL, now=company.now)
        assert [one["suspended"] for one in shown["criteria"]] == [["industry"], [], []]
        waits = {one["name"]: one["waits"] for one in shown["transitions"]}
        assert waits["by hand"] == "suspended: qualified rests on such a field"
        assert shown["suspended"][0]["field"] == "industry"

    def test_that_scope_reads_stops_the_judging_of_all(self, company: Company) -> None:
        company.person("151", EMAIL, lifecyclestage="mql")
        company.run()
        company.hubspot.drop_property("contacts", "jobtitle")
        company.hubspot.edit("contacts", "151", hs_lead_status="CONNECTED")
        result = company.run(MINUTE)
        assert (result.evaluated, result.planned) == (0, 0)
        assert result.halted == "[scope] reads job_title: who is to be judged is not known"
        company.furnish()
        company.hubspot.make_property(facts("contacts", "jobtitle", "string", FieldType.TEXT))
        assert company.run(HOUR).halted is None
        company.run(MINUTE)
        assert stages(company)["151"] == "sql"

    def test_that_carries_the_stage_stops_everything_with_an_error(self, company: Company) -> None:
        company.person("151", EMAIL, lifecyclestage="mql")
        company.run()
        company.hubspot.drop_property("contacts", "lifecyclestage")
        company.hubspot.edit("contacts", "151", hs_lead_status="CONNECTED")
        words = "nobody is judged: hubspot contacts.lifecyclestage: without it nobody knows who is who and in which stage"
        assert company.run(MINUTE, errors=(words,)).plan is None
        assert stages(company)["151"] == "mql"
        company.hubspot.make_property(facts("contacts", "lifecyclestage", "enumeration", FieldType.CHOICE))
        company.run(HOUR)
        company.run(MINUTE)
        assert stages(company)["151"] == "sql"


def test_a_rejection_that_nobody_can_read_says_neither_yes_nor_no(company: Company) -> None:
    """The attempt may not learn that it "has been false once", and what is rejected waits for its reason in peace."""
    company.person("151", EMAIL, lifecyclestage="mql", hs_lead_status="UNQUALIFIED")
    company.run()
    company.hubspot.drop_property("contacts", "hs_lead_status")
    company.hubspot.edit("contacts", "151", firstname="Dora")
    for _ in range(3):
        assert company.run(MINUTE).planned == 0
    company.hubspot.make_property(facts("contacts", "hs_lead_status", "enumeration", FieldType.CHOICE))
    company.run(HOUR)
    assert company.run(MINUTE).planned == 0
    assert company.rows("SELECT * FROM rejection") == []


def test_what_is_held_of_a_suspended_rule_waits_on(url: str) -> None:
    file = funnel(EMPTY, edit=(("stage_changes = 1000", "stage_changes = 0"),))
    with new_company(url, file, fields_read=False) as company:
        company.hubspot.make_property(facts("contacts", "budget", "number", FieldType.NUMBER))
        company.person("1", EMAIL, stage="lead")
        company.run()
        assert company.rows("SELECT rule, state FROM ledger") == [("no budget", "held")]
        company.hubspot.drop_property("contacts", "budget")
        company.hubspot.edit("contacts", "1", firstname="Dora")
        company.run(MINUTE)
        assert suspended(company)["budget"][0] == "gone"
        assert company.rows("SELECT rule, state FROM ledger") == [("no budget", "held")]


class TestOtherChanges:
    def test_another_type_that_does_not_read_as_the_files_suspends(self, spending: Company) -> None:
        spending.run()
        spending.hubspot.make_property(facts("contacts", "budget", "bool", FieldType.BOOLEAN))
        spending.hubspot.edit("contacts", "1", budget="true")
        spending.run(HOUR)
        assert told(spending) == [("contacts", "budget", "type", "number", "bool")]
        assert (suspended(spending)["budget"][0], stages(spending)["1"]) == ("gone", "lead")
        spending.hubspot.make_property(facts("contacts", "budget", "number", FieldType.NUMBER))
        spending.hubspot.edit("contacts", "1", budget="700")
        spending.run(HOUR)
        assert (told(spending), suspended(spending), stages(spending)["1"]) == ([], {}, "lead")

    def test_a_number_that_becomes_a_text_is_believed_when_the_file_was_changed(self, spending: Company) -> None:
        spending.run()
        spending.hubspot.make_property(facts("contacts", "budget", "string", FieldType.TEXT))
        spending.run(HOUR)
        assert suspended(spending)["budget"][0] == "gone"
        spending.config = funnel(EMPTY.replace("job_title = 'Intern'", "job_title = 'Trainee'"))
        spending.run(MINUTE)
        assert (told(spending), suspended(spending)) == ([], {})

    def test_a_number_that_becomes_a_text_is_not_believed_since_something_else_is_missing(self, spending: Company) -> None:
        """A page without a property calls for a look; the file is the same as before."""
        spending.run()
        spending.hubspot.make_property(facts("contacts", "budget", "string", FieldType.TEXT))
        spending.run(HOUR)
        spending.hubspot.drop_property("contacts", "jobtitle")
        spending.hubspot.edit("contacts", "1", firstname="Dora")
        spending.run(MINUTE)
        assert {field: state for field, (state, _) in suspended(spending).items()} == {"budget": "gone", "job_title": "gone"}

    def test_another_type_that_reads_as_well_is_noted_and_stops_nothing(self, spending: Company) -> None:
        spending.run()
        spending.hubspot.make_property(facts("contacts", "budget", "currency", FieldType.NUMBER))
        spending.run(HOUR)
        assert (told(spending), suspended(spending)) == ([], {})
        found = spending.rows("SELECT what, before, after, ended_at IS NOT NULL AS over FROM drift")
        assert [tuple(row) for row in found] == [("type", "number", "currency", 1)]

    def test_an_option_that_the_file_names_and_that_is_lost(self, company: Company) -> None:
        offered = ("subscriber", "lead", "mql", "customer", "sql")
        company.hubspot.make_property(facts("contacts", "lifecyclestage", "enumeration", FieldType.CHOICE, options=offered))
        company.run()
        assert told(company) == []
        company.hubspot.make_property(facts("contacts", "lifecyclestage", "enumeration", FieldType.CHOICE, options=offered[:-1]))
        company.run(HOUR)
        assert told(company) == [("contacts", "lifecyclestage", "options", "sql", None)]
        assert suspended(company) == {}
        company.hubspot.make_property(facts("contacts", "lifecyclestage", "enumeration", FieldType.CHOICE, options=(*offered, "other")))
        company.run(HOUR)
        assert told(company) == []

    def test_an_option_for_which_a_condition_asks_and_that_is_lost(self, company: Company) -> None:
        """Nobody can be given it any more: the rule would fall silent. What was never an option is no drift."""
        offered = ("NEW", "CONNECTED", "UNQUALIFIED")
        company.hubspot.make_property(facts("contacts", "hs_lead_status", "enumeration", FieldType.CHOICE, options=offered))
        company.run()
        assert told(company) == []
        company.hubspot.make_property(
            facts("contacts", "hs_lead_status", "enumeration", FieldType.CHOICE, options=("unqualified", "CALLED"))
        )
        for after in (HOUR, HOUR):
            company.run(after)
            assert told(company) == [("contacts", "hs_lead_status", "options", "CONNECTED", None)]
        assert "accepted" in status(company.store, company.config, now=company.now)["drift"][0]["rules"]
        company.hubspot.make_property(facts("contacts", "hs_lead_status", "enumeration", FieldType.CHOICE, options=("Connected", "CALLED")))
        company.run(HOUR)
        assert [str(row[3]).upper() for row in told(company)] == ["UNQUALIFIED"]
        company.hubspot.make_property(facts("contacts", "hs_lead_status", "enumeration", FieldType.CHOICE, options=offered))
        company.run(HOUR)
        assert told(company) == []

    def test_a_stage_that_may_not_be_written_any_more(self, company: Company) -> None:
        company.run()
        company.salesforce.make_property(facts("Lead", "Status", "string", FieldType.TEXT, writable=False))
        company.run(HOUR)
        assert told(company) == [("Lead", "Status", "permission", "writable", "read only")]

    def test_an_object_that_may_not_be_seen_any_more(self, company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
        """Its error is reported; everybody is judged by the rules that do not read it."""
        company.person("151", EMAIL, lifecyclestage="mql")
        company.run()
        company.hubspot.edit("contacts", "151", hs_lead_status="CONNECTED")
        hide(company, "companies", monkeypatch)
        result = company.run(HOUR, errors=("hubspot does not show companies",))
        assert [action.rule for action in result.plan.actions] == ["accepted"] if result.plan else False
        assert told(company) == [("companies", "", "permission", "readable", None)]
        assert suspended(company)["industry"][0] == "gone"
        monkeypatch.undo()
        company.run(HOUR)
        assert (told(company), suspended(company)) == ([], {})


def hide(company: Company, object_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The credentials lose an object."""
    crm = company.hubspot
    schema, pull = crm.schema, crm.pull

    def check(name: str) -> None:
        if name == object_name:
            raise ObjectStopped(f"hubspot does not show {name}", crm="hubspot", code="MISSING_SCOPES")

    def described(objects: Any) -> Any:
        for name in objects:
            check(name)
        return schema(objects)

    def pages(stream: str, cursor: Any, *, now: Any) -> Any:
        check(stream)
        yield from pull(stream, cursor, now=now)

    monkeypatch.setattr(crm, "schema", described)
    monkeypatch.setattr(crm, "pull", pages)


@pytest.mark.parametrize(
    ("means", "declared", "verdict"),
    [
        (FieldType.BOOLEAN, FieldType.TEXT, "yes"),
        (FieldType.NUMBER, FieldType.INTEGER, "yes"),
        (FieldType.DATETIME, FieldType.NUMBER, "no"),
        (FieldType.TEXT, FieldType.NUMBER, "perhaps"),
        (None, FieldType.DATETIME, "perhaps"),
        (FieldType.NUMBER, FieldType.DATETIME, "perhaps"),
        (FieldType.NUMBER, FieldType.BOOLEAN, "no"),
    ],
)
def test_which_types_read_as_which(means: FieldType | None, declared: FieldType, verdict: str) -> None:
    assert reads_as(means, declared) == verdict


def test_a_field_of_both_crms_is_gone_where_one_of_them_lost_it(company: Company) -> None:
    company.hubspot.person("companies", "7", industry="COMPUTER_SOFTWARE")
    company.run()
    company.hubspot.drop_property("companies", "industry")
    company.run(HOUR)
    assert suspended(company)["industry"][0] == "gone"
