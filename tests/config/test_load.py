"""A file that is right: what comes out of it, and what is the same or different between two of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from pathlib import Path

import pytest

from connector.config.business_time import Calendar
from connector.config.load import load, loads
from connector.config.tables import Config
from connector.errors import ConfigError
from connector.model import FieldType
from connector.model.durations import Duration
from tests import ROOT

EXAMPLE = ROOT / "config.example.toml"


@pytest.fixture(scope="module")
def example() -> Config:
    return load(EXAMPLE)


def without(text: str, crm: str) -> str:
    """A file without one of its CRMs."""
    start = text.index(f"[crm.{crm}]")
    return text[:start] + text[text.index("\n[", start) :]


def only(crm: str) -> Config:
    text = without(EXAMPLE.read_text(encoding="utf-8"), "salesforce" if crm == "hubspot" else "hubspot")
    return loads(text.replace('works_in = "salesforce"', f'works_in = "{crm}"'), source="x")


class TestTheExample:
    def test_loads_as_it_stands_in_shadow(self, example: Config) -> None:
        assert example.mode == "shadow"
        assert example.source == str(EXAMPLE)
        assert example.ignored == ()
        assert example.crms == ("hubspot", "salesforce")

    def test_says_what_its_tables_say(self, example: Config) -> None:
        assert [stage.name for stage in example.stages][:4] == ["subscriber", "lead", "mql", "sql"]
        assert example.stage("mql").salesforce.lead_status == ("Open - Not Contacted", "Working - Contacted")
        assert not example.stage("opportunity").salesforce.write
        assert example.qualification is not None
        assert example.qualification.minimum == 4
        assert len(example.qualification.criteria) == 9
        assert example.transitions[0].from_ == ("", "subscriber", "lead")
        assert [(then.assign, then.task) for then in example.transitions[0].then] == [("inbound", None), (None, "mql-alert")]
        assert example.transitions[0].id == "engaged and qualified"
        assert example.slas[0].within == Duration(4, "hour", business=True)
        assert example.rejection is not None
        assert {rule.name: rule.needs_touches for rule in example.rejection.reasons}["Unreachable"] == 3
        assert example.guard.rule_share == 0.05
        assert example.schedule.pass_ == "every 5 minutes"
        assert example.calendars[0].hours["fri"] == ((time(9), time(16)),)

    def test_every_table_of_it_that_is_not_built_is_refused_by_name_when_it_is_switched_on(self) -> None:
        text = EXAMPLE.read_text(encoding="utf-8")
        tables = {line.removeprefix("# ").split("]")[0].strip("[") for line in text.splitlines() if line.startswith("# [")}
        assert tables == {
            "absence", "write_back", "create.salesforce", "commitment", "review", "notify", "notify.to", "retention", "console", "sla",
        }  # fmt: skip
        for table in tables - {"sla", "absence", "retention"}:
            with pytest.raises(ConfigError) as caught:
                loads(f"{text}\n[{table}]\n", source="x")
            assert [(problem.path, problem.expected) for problem in caught.value.problems] == [
                (table.split(".")[0], "not built yet: leave it out")
            ]


class TestFields:
    def test_built_in_ones_stand_beside_those_of_the_file(self, example: Config) -> None:
        assert example.field("email").builtin
        assert example.field("company").salesforce is not None
        assert example.field("industry").values["software"] == {"hubspot": "COMPUTER_SOFTWARE", "salesforce": "Technology"}
        assert not example.field("industry").builtin
        budget = example.field("budget").salesforce
        assert budget is not None
        assert (budget.lead, budget.contact) == ("Budget__c", "Budget__c")

    def test_the_file_may_declare_a_built_in_one_anew(self) -> None:
        config = loads('[crm.hubspot]\naccess_token = "env:T"\n[fields.country]\nhubspot = "land"\n', source="x")
        assert config.field("country").hubspot == "land"
        assert [rule.name for rule in config.fields].count("country") == 1

    def test_conditions_may_read_fields_their_sides_and_computed_values(self, example: Config) -> None:
        names = example.condition_names()
        assert names["employees"] is FieldType.INTEGER
        assert names["hubspot.page_views"] is FieldType.INTEGER
        assert names["qualified"] is FieldType.BOOLEAN
        assert names["hubspot.lead_status"] is names["salesforce.lead_status"] is FieldType.TEXT
        assert not {"lead_status", "salesforce.page_views", "salesforce.campaign", "hubspot.naics"} & set(names)


class TestOneCrmAlone:
    def test_what_the_file_says_of_the_other_is_left_out_and_listed(self) -> None:
        config = only("hubspot")
        assert config.crms == ("hubspot",)
        assert "fields.naics.salesforce" in config.ignored
        assert "fields.industry.values.software.salesforce" in config.ignored
        assert 'stages[1] "lead".salesforce' in config.ignored
        assert config.field("naics").salesforce is None
        assert config.field("email").salesforce is None
        assert config.stage("lead").salesforce.lead_status == ()
        assert not [path for path in config.ignored if "email" in path]

    def test_conditions_may_still_read_it(self) -> None:
        assert "salesforce.lead_status" in only("hubspot").condition_names()
        assert "hubspot.page_views" in only("salesforce").condition_names()

    def test_the_stage_agreed_at_first_is_that_of_the_one_there_is(self) -> None:
        config = only("salesforce")
        assert config.adopt.stage == "salesforce"
        assert "adopt.stage" in config.ignored
        assert config.field("timeline").read is None
        assert "fields.timeline.read" in config.ignored


class TestPeopleAndCalendars:
    TEXT = """
    timezone = "Europe/Berlin"
    [crm.hubspot]
    access_token = "env:T"
    [team.de]
    side = "sales"
    members = ["Anna@ACME.example"]
    works_in = "hubspot"
    [team.at]
    side = "marketing"
    members = ["chiara@acme.example"]
    works_in = "hubspot"
    calendar = "vienna"
    [calendar]
    hours = { mon = ["09:00-12:00", "13:00-24:00"], tue = "09:00-12:00, 13:00-17:00" }
    [calendar.vienna]
    timezone = "Europe/Vienna"
    hours = { mon = "08:00-16:00" }
    holidays = "AT"
    """

    def test_members_are_found_whatever_their_case(self) -> None:
        config = loads(self.TEXT, source="x")
        assert config.sales_members == {"anna@acme.example"}
        team = config.team_of("ANNA@acme.example")
        assert team is not None
        assert team.name == "de"
        assert config.team_of("nobody@acme.example") is None
        assert config.team_of(None) is None

    def test_each_team_has_its_calendar(self) -> None:
        config = loads(self.TEXT, source="x")
        assert config.calendar_for("at").holidays == "AT"
        assert config.calendar_for("at").timezone == "Europe/Vienna"
        assert config.calendar_for(config.team("de")) == config.calendar_for(None)
        assert config.calendar_for(None).timezone == "Europe/Berlin"
        assert config.calendar_for(None).hours["mon"] == ((time(9), time(12)), (time(13), time()))
        assert config.calendar_for(None).hours["tue"] == ((time(9), time(12)), (time(13), time(17)))
        assert Calendar.of(config.calendar_for("at"), config.timezone).is_holiday(date(2026, 10, 26))

    def test_what_is_not_declared_is_not_found(self, example: Config) -> None:
        for lookup in (example.field, example.stage, example.task, example.assign, example.team):
            with pytest.raises(KeyError):
                lookup("nothing")

    def test_stages_have_their_rank(self, example: Config) -> None:
        assert [example.rank(stage) for stage in (None, "", "subscriber", "mql")] == [-1, -1, 0, 2]


class TestMoments:
    def test_what_names_no_zone_is_of_the_business(self) -> None:
        head = 'timezone = "Europe/Berlin"\n[crm.hubspot]\naccess_token = "env:T"\n'
        for written in ("2026-12-01", "2026-12-01T00:00:00", "2026-11-30T23:00:00Z"):
            config = loads(f"{head}[adopt]\nclocks_from = {written}\n", source="x")
            assert config.adopt.clocks_from == datetime(2026, 11, 30, 23, tzinfo=UTC)

    def test_an_examples_contact_has_them_in_utc(self, example: Config) -> None:
        assert example.examples[0].contact["last_conversion_at"] == datetime(2026, 12, 2, 8, tzinfo=UTC)
        assert example.examples[0].contact["last_conversion_at"].tzinfo is UTC


class TestVersion:
    def version(self, old: str = "", new: str = "") -> str:
        text = EXAMPLE.read_text(encoding="utf-8")
        assert old in text
        return loads(text.replace(old, new, 1) if old else text, source="x").version

    def test_is_the_same_for_the_same_rules(self, example: Config) -> None:
        assert example.version == self.version()
        assert len(example.version) == 16

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("score >= 50", "score >= 51"),
            ("points = 20", "points = 21"),
            ('holidays = "DE-BE"', 'holidays = "DE-BY"'),
            ("extra_holidays = [2026-12-24, 2026-12-31]", "extra_holidays = []"),
            ('members  = ["anna@acme.example", "ben@acme.example", ', 'members  = ["ben@acme.example", "anna@acme.example", '),
            ('timezone = "Europe/Berlin"', 'timezone = "Europe/Vienna"'),
        ],
    )
    def test_changes_with_what_the_rules_say(self, example: Config, old: str, new: str) -> None:
        assert self.version(old, new) != example.version

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("env:HUBSPOT_ACCESS_TOKEN", "env:OTHER"),
            ("https://acme.my.salesforce.com", "https://other.my.salesforce.com"),
            ('mode     = "shadow"', 'mode = "live"'),
            ("sqlite:///connector.db", "sqlite:///other.db"),
            ("# The rules, in one file.", "# Our rules."),
        ],
    )
    def test_does_not_change_with_what_judges_nothing(self, example: Config, old: str, new: str) -> None:
        assert self.version(old, new) == example.version


class TestAddresses:
    def test_come_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATABASE", "postgresql+psycopg://user:hidden@host/db")
        monkeypatch.setenv("HUB", "http://127.0.0.1:9999/")
        text = '[database]\nurl = "env:DATABASE"\n[crm.hubspot]\naccess_token = "env:T"\nbase_url = "env:HUB"\n'
        config = loads(text, source="x")
        assert config.database.url == "postgresql+psycopg://user:hidden@host/db"
        assert config.crm.hubspot is not None
        assert config.crm.hubspot.base_url == "http://127.0.0.1:9999"
        assert "hidden" not in repr(config)

    def test_a_byte_order_mark_is_no_part_of_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "config.toml"
        path.write_text('[crm.hubspot]\r\naccess_token = "env:T"\r\n', encoding="utf-8-sig")
        assert load(path).crms == ("hubspot",)
