"""Is it set up right? What the file says that CRMs, people or mirror do not bear out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from connector.config.load import loads
from connector.config.tables import Config
from connector.errors import PassStopped
from connector.model import FieldType, Finding, Owner, PropertyFacts, Surroundings
from connector.reports.checks.check import check, interval
from connector.reports.checks.crm_usage import passes_a_day, uses_of
from connector.store.database import Store
from connector.workflows.fields import places
from tests.support.company import DIRECTOR, LEAD, NOW, Company, funnel, new_company

EMAIL = "dora@kunde.example"
#: What the CRMs offer: the values of every stage, and of the rejection.
STAGES = ("subscriber", "lead", "mql", "sql", "customer")
STATUSES = ("Nurturing", "Open", "Working", "Qualified", "Converted", "Rejected")


@pytest.fixture
def company(url: str) -> Iterator[Company]:
    with new_company(url, funnel()) as made:
        describe(made)
        yield made


def describe(company: Company) -> None:
    """Each CRM has every property that the file wants, as the file would declare it."""
    for name, crm in company.crms.items():
        for rule in company.config.fields:
            for object_name, property_name in places(rule, name):
                crm.make_property(PropertyFacts(object=object_name, name=property_name, label="", type=rule.type.value, means=rule.type))
    company.hubspot.make_property(stage_facts("hubspot", *STAGES, "other"))
    company.hubspot.make_property(PropertyFacts(object="contacts", name="hubspot_owner_id", label="", type="enumeration"))
    company.salesforce.make_property(stage_facts("salesforce", *STATUSES))


def stage_facts(crm: str, *options: str, **values: Any) -> PropertyFacts:
    object_name, name = ("contacts", "lifecyclestage") if crm == "hubspot" else ("Lead", "Status")
    made: dict[str, Any] = {"labels": tuple(option.upper() + " stage" for option in options), "means": FieldType.CHOICE, **values}
    return PropertyFacts(object=object_name, name=name, label="", type="picklist", options=options, **made)


def checked(company: Company, *, mirror: bool = True) -> list[Finding]:
    return check(company.config, company.crms, company.store if mirror else None, now=NOW)


def about(findings: list[Finding], topic: str) -> list[Finding]:
    return [finding for finding in findings if finding.topic == topic]


def test_all_is_well(company: Company) -> None:
    findings = checked(company)
    assert [finding for finding in findings if not finding.ok] == []
    topics = [finding.topic for finding in findings]
    assert {"hubspot: credentials", "salesforce: credentials"} <= set(topics)  # each CRM's own
    assert {"schedule", "team.inbound", "database"} <= set(topics)
    assert about(findings, "team.inbound")[0].message == "3 of 3 members are active users of hubspot"


def test_without_crms_and_store_the_file_alone() -> None:
    assert {finding.topic for finding in check(funnel(), {}, None, now=NOW)} == {"schedule"}


class TestTheFile:
    def test_what_is_ignored_is_named(self) -> None:
        text = """
            timezone = "Europe/Berlin"
            [crm.hubspot]
            access_token = "env:HUBSPOT_ACCESS_TOKEN"
            [fields.budget]
            type = "number"
            hubspot = "budget"
            salesforce = "Budget__c"
        """
        (finding,) = about(check(loads(text, source="config.toml"), {}, None, now=NOW), "ignored")
        assert (finding.ok, finding.warning) == (False, True)
        assert "fields.budget.salesforce" in finding.message

    def schedule(self, passes: str, within: str, warn: str = "") -> list[Finding]:
        lead = f'warn = "{warn}"\n' if warn else ""
        edit = (
            ('within = "4 business hours"\nwarn = "1 business hour"\non_warn = [{ task = "chase" }]\n', f'within = "{within}"\n{lead}'),
        )
        made: Config = funnel(edit=edit, more=f'\n[schedule]\npass = "{passes}"\n')
        return about(check(made, {}, None, now=NOW), "schedule")

    def test_passes_that_are_too_rare_for_a_clock(self) -> None:
        (finding,) = self.schedule("every 15 minutes", "5 minutes")
        assert finding.message == "a pass every 15 minutes cannot serve an SLA of 5 minutes (first touch)"
        assert (finding.ok, finding.warning) == (False, True)
        assert "[schedule] pass" in finding.advice

    @pytest.mark.parametrize(
        ("passes", "within", "warn", "ok"),
        [
            ("every 5 minutes", "15 minutes", "", [True]),
            ("every 15 minutes", "15 minutes", "", [False]),
            ("*/10 8-18 * * mon-fri", "15 business minutes", "", [True]),
            ("*/30 8-18 * * mon-fri", "15 business minutes", "", [False]),
            ("every 15 minutes", "4 business hours", "5 business minutes", [False, True]),
            ("every hour", "2 business days", "", [True]),
        ],
    )
    def test_schedules_and_clocks(self, passes: str, within: str, warn: str, ok: list[bool]) -> None:
        assert [finding.ok for finding in self.schedule(passes, within, warn)] == ok

    def test_how_far_apart_passes_are(self) -> None:
        lengths = {"every 5 minutes": 5, "every hour": 60, "*/10 8-18 * * 1-5": 10, "0 3 * * *": 24 * 60}
        assert {text: interval(text, "Europe/Berlin", NOW) for text in lengths} == {
            text: timedelta(minutes=minutes) for text, minutes in lengths.items()
        }


class TestPeople:
    def test_one_who_is_missing_and_one_who_is_deactivated(self, company: Company) -> None:
        company.config = funnel(edit=(('"chiara@acme.example"]\nworks_in', '"chiara@acme.example", "eve@acme.example"]\nworks_in'),))
        company.hubspot.put(Owner(crm="hubspot", id="ben", email="Ben@acme.example", name="Ben", active=False))
        found = about(checked(company), "team.inbound")
        assert [(finding.ok, finding.warning, finding.message) for finding in found] == [
            (False, True, "ben@acme.example is deactivated in hubspot"),
            (False, True, "eve@acme.example is no user in hubspot"),
            (True, False, "2 of 4 members are active users of hubspot"),
        ]
        assert "not assigned" in found[0].advice

    def test_a_team_in_the_wrong_crm(self, company: Company) -> None:
        company.config = funnel(edit=(('works_in = "hubspot"', 'works_in = "salesforce"'),))
        for one in ("anna", "ben", "chiara"):
            company.salesforce.put(Owner(crm="salesforce", id=one, email=f"not-{one}@acme.example", name=one, active=True))
        found = about(checked(company), "team.inbound")
        assert [finding.warning for finding in found] == [True, True, True, False]
        assert found[-1].message == "none of its 3 members is an active user of salesforce"
        assert not found[-1].ok

    def test_a_queue_is_nobody(self, company: Company) -> None:
        company.hubspot.put(Owner(crm="hubspot", id="anna", email="anna@acme.example", name="Anna's queue", active=True, queue=True))
        assert about(checked(company), "team.inbound")[0].message == "anna@acme.example is no user in hubspot"

    def test_two_with_one_address(self, company: Company) -> None:
        company.hubspot.put(Owner(crm="hubspot", id="77", email="Anna@acme.example", name="Anna too", active=True))
        found = about(checked(company), "team.inbound")
        assert found[0].message == "anna@acme.example is the address of 2 active users of hubspot: one of them is taken"

    def test_a_manager_who_gets_tasks(self, company: Company) -> None:
        company.hubspot.put(Owner(crm="hubspot", id="desk", email="desk@acme.example", name="Desk", active=False))
        found = about(checked(company), "team.inbound")
        assert (found[0].message, found[0].warning) == ("desk@acme.example is deactivated in hubspot", True)
        company.config = funnel(edit=(('assign_to = "manager"\n', ""),))
        assert [finding.ok for finding in about(checked(company), "team.inbound")] == [True]

    def test_a_crm_that_refuses_is_a_finding_with_its_advice(self, company: Company) -> None:
        company.hubspot.fail("pull", PassStopped("the token was refused", crm="hubspot", advice="Make a new one."))
        (finding,) = about(checked(company), "hubspot: owners")
        assert (finding.ok, finding.message, finding.advice) == (
            False,
            "the people of hubspot cannot be read: the token was refused",
            "Make a new one.",
        )
        assert about(checked(company), "team.inbound")  # asked again, it answers


def wrong(company: Company) -> dict[str, tuple[bool, str, str]]:
    """What is not right: topic → (only a warning, message, advice)."""
    return {
        finding.topic: (finding.warning, finding.message, finding.advice) for finding in checked(company, mirror=False) if not finding.ok
    }


class TestFields:
    def test_one_that_is_missing_is_told_with_the_nearest_name(self, company: Company) -> None:
        company.hubspot.drop_property("contacts", "rejection_reason")
        company.hubspot.make_property(PropertyFacts(object="contacts", name="rejection_reasons", label="", type="string"))
        ((topic, (warning, _, advice)),) = wrong(company).items()
        assert (topic, warning) == ("hubspot: contacts.rejection_reason", False)
        assert "Did you mean rejection_reasons?" in advice

    def test_a_built_in_one_that_no_rule_reads_is_only_noted(self, company: Company) -> None:
        company.hubspot.drop_property("contacts", "mobilephone")
        assert {topic: warning for topic, (warning, _, _) in wrong(company).items()} == {"hubspot: contacts.mobilephone": True}

    @pytest.mark.parametrize(
        ("field", "declared", "real", "warning"),
        [
            ("recent_conversion_date", "datetime", FieldType.BOOLEAN, False),
            ("recent_conversion_date", "datetime", FieldType.TEXT, True),
            ("recent_conversion_date", "datetime", FieldType.DATETIME, None),
            ("remark", "text", FieldType.CHOICES, True),
            ("remark", "text", FieldType.CHOICE, None),
            ("hs_buying_role", "choices", FieldType.NUMBER, True),
        ],
    )
    def test_the_declared_type_against_the_real_one(
        self, company: Company, field: str, declared: str, real: FieldType, warning: bool | None
    ) -> None:
        company.config = funnel('\n[fields.remark]\nhubspot = "remark"\n')
        describe(company)
        company.hubspot.make_property(PropertyFacts(object="contacts", name=field, label="", type="their word", means=real))
        found = wrong(company)
        assert [one[0] for one in found.values()] == ([] if warning is None else [warning])
        if warning is not None:
            assert f"declared {declared}, HubSpot has their word" in found[f"hubspot: contacts.{field}"][1]

    @pytest.mark.parametrize("change", [{"calculated": True}, {"writable": False}])
    def test_what_rules_write_must_be_writable(self, company: Company, change: dict[str, bool]) -> None:
        company.salesforce.make_property(stage_facts("salesforce", *STATUSES, **change))
        assert wrong(company)["salesforce: Lead.Status"][0] is False

    @pytest.mark.parametrize(
        ("options", "labels", "says"),
        [
            (("nurturing", "Open"), ("", ""), "Write 'nurturing'."),
            (("01", "Open"), ("nurturing", "Open"), "Write '01': that is the value behind this label."),
            (("Nurtured", "Open"), ("Nurtured", "Open"), "Did you mean 'Nurtured'?"),
            (("Open",), ("Open",), "There are: Open, Working, "),
        ],
    )
    def test_a_value_that_the_crm_does_not_have(
        self, company: Company, options: tuple[str, ...], labels: tuple[str, ...], says: str
    ) -> None:
        company.salesforce.make_property(stage_facts("salesforce", *options, *STATUSES[2:], labels=(*labels, *STATUSES[2:])))
        warning, message, advice = wrong(company)["salesforce: Lead.Status"]
        assert (warning, "'Nurturing' (stage lead)" in message) == (False, True)
        assert says in advice

    def test_a_hidden_option_is_noted_and_what_no_stage_names_is_listed(self, company: Company) -> None:
        company.hubspot.make_property(stage_facts("hubspot", *STAGES, "other", hidden=frozenset({"lead"})))
        assert wrong(company)["hubspot: contacts.lifecyclestage"][0] is True
        assert any("no stage names other" in finding.message for finding in about(checked(company), "hubspot: contacts.lifecyclestage"))

    def test_reasons_of_rejections_are_compared_without_regard_to_case(self, company: Company) -> None:
        reason: dict[str, Any] = {"object": "contacts", "name": "rejection_reason", "label": "", "type": "", "means": FieldType.CHOICE}
        company.hubspot.make_property(PropertyFacts(**reason, options=("NO NEED", "unreachable")))
        assert wrong(company) == {}
        company.hubspot.make_property(PropertyFacts(**reason, options=("No money", "Unreachable")))
        assert "rejection.reasons.No need" in wrong(company)["hubspot: contacts.rejection_reason"][1]

    def test_a_value_that_only_a_conversion_gives(self, company: Company) -> None:
        company.salesforce.set_up = Surroundings(locked={"Status": ("Open",)})
        assert "stage mql would write 'Open'" in wrong(company)["salesforce: Lead.Status"][1]

    def test_one_crm_that_refuses_keeps_nothing_from_the_other(self, company: Company) -> None:
        company.hubspot.fail("schema", PassStopped("no", crm="hubspot", advice="a"), times=9)
        company.salesforce.drop_property("Lead", "Industry")
        found = wrong(company)
        assert {"hubspot: contacts", "salesforce: Lead.Industry"} <= found.keys()

    def test_a_stage_that_most_carry_may_be_a_default(self, company: Company) -> None:
        for number in range(30):
            company.person(f"30{number}", f"{number}@kunde.example", lifecyclestage="mql")
        warning, message, _ = wrong(company)["hubspot: default stage"]
        assert (warning, "30 mql" in message) == (True, True)


class TestConditions:
    """A rule that asks for a value which nobody can choose never fires, and says nothing."""

    @staticmethod
    def choice(crm: str, name: str, *options: str, **values: Any) -> PropertyFacts:
        object_name, _, bare = name.partition(".")
        made: dict[str, Any] = {"labels": options, "means": FieldType.CHOICE, **values}
        return PropertyFacts(object=object_name, name=bare, label="", type=f"{crm}'s picklist", options=options, **made)

    def test_what_can_be_chosen_is_counted(self, company: Company) -> None:
        company.hubspot.make_property(self.choice("hubspot", "contacts.hs_lead_status", "CONNECTED", "Unqualified"))
        assert "conditions" not in wrong(company)
        assert [finding.message for finding in about(checked(company), "conditions")] == ["3 values that conditions ask for can be chosen"]

    @pytest.mark.parametrize(
        ("options", "labels", "says"),
        [
            (("CONNECTTED", "UNQUALIFIED"), ("", ""), "Did you mean 'CONNECTTED'?"),
            (("7", "UNQUALIFIED"), ("Connected", ""), "Write '7': that is the value behind this label."),
            (("OPEN", "UNQUALIFIED"), ("", ""), "There are: OPEN, UNQUALIFIED."),
        ],
    )
    def test_what_cannot_is_told_with_its_rules(
        self, company: Company, options: tuple[str, ...], labels: tuple[str, ...], says: str
    ) -> None:
        company.hubspot.make_property(self.choice("hubspot", "contacts.hs_lead_status", *options, labels=labels))
        warning, message, advice = wrong(company)["conditions"]
        assert (warning, message) == (
            True,
            "HubSpot has no value 'CONNECTED' of hubspot.lead_status (accepted): nothing equals it",
        )
        assert says in advice

    def test_a_stage_that_the_file_does_not_have(self) -> None:
        made = funnel(edit=(("= 'CONNECTED'", "= 'CONNECTED' AND stage IN ('MQL', 'qualified lead')"),))
        wrong, right = about(check(made, {}, None, now=NOW), "conditions")
        assert (wrong.ok, wrong.warning) == (False, False)
        assert wrong.message == "no stage is called 'qualified lead' (accepted): nothing equals it"
        assert (right.ok, right.message) == (True, "1 values that conditions ask for can be chosen")

    def test_several_choices_are_looked_at_one_by_one(self, company: Company) -> None:
        company.hubspot.make_property(self.choice("hubspot", "contacts.hs_buying_role", "DECISION_MAKER", means=FieldType.CHOICES))
        assert "'CHAMPION' of roles (role)" in wrong(company)["conditions"][1]

    def test_a_field_of_both_crms_takes_its_value_from_either(self, company: Company) -> None:
        company.config = funnel(edit=(("industry = 'software'", "industry IN ('software', 'Banking', 'Technology')"),))
        company.hubspot.make_property(self.choice("hubspot", "companies.industry", "COMPUTER_SOFTWARE", "BANKING"))
        company.salesforce.make_property(self.choice("salesforce", "Lead.Industry", "Technology"))
        assert "conditions" not in wrong(company)  # Account.Industry takes any text
        company.salesforce.make_property(self.choice("salesforce", "Account.Industry", "Technology"))
        _, message, advice = wrong(company)["conditions"]
        assert message == "neither HubSpot nor Salesforce has a value 'Technology' of industry (industry): nothing equals it"
        assert advice == "Write 'software': that is the file's own name for it."


def test_what_the_file_does_in_each_crm() -> None:
    hubspot, salesforce = (uses_of(funnel(), name, now=NOW) for name in ("hubspot", "salesforce"))
    assert hubspot.written == {"contacts": ("lifecyclestage", "hubspot_owner_id")}
    assert salesforce.written == {"Lead": ("Status",)}
    assert (hubspot.tasks, salesforce.tasks, hubspot.backward) == (True, False, ("rejection",))
    assert passes_a_day("every 5 minutes", "Europe/Berlin", NOW) == pytest.approx(288)
    assert passes_a_day("0 */2 * * mon-fri", "Europe/Berlin", NOW) == pytest.approx(12 * 5 / 7, abs=0.5)


class TestTheMirror:
    @pytest.fixture
    def company(self, either_url: str) -> Iterator[Company]:
        with new_company(either_url, funnel()) as made:
            describe(made)
            yield made

    def test_a_database_without_tables(self, database_url: str) -> None:
        with Store.open(database_url) as store:
            (finding,) = about(check(funnel(), {}, store, now=NOW), "database")
            assert not finding.ok
            assert "connector db upgrade" in finding.advice

    def test_a_default_that_would_make_everybody_qualified(self, company: Company) -> None:
        company.salesforce.set_up = Surroundings(defaults={"Status": "Open"})
        company.lead(LEAD, EMAIL, Status="Open")
        company.lead(LEAD.replace("1AAA", "2AAA"), "two@kunde.example", Status="Nurturing")
        company.run()
        finding, adopted = about(checked(company), "salesforce: default stage")
        assert (finding.ok, finding.warning, adopted.ok) == (False, True, True)
        assert adopted.message == "1 contacts of the mirror show a qualified stage in salesforce that was never agreed"
        assert "'Open' on every new record, which the file reads as mql; 1 records carry it now" in finding.message
        company.salesforce.fail("how_many", PassStopped("no", crm="salesforce"))
        (alone,) = about(checked(company, mirror=False), "salesforce: default stage")
        assert alone.message.endswith("which the file reads as mql")

    def test_a_default_that_says_little(self, company: Company) -> None:
        company.salesforce.set_up = Surroundings(defaults={"Status": "Nurturing"})
        (finding,) = about(checked(company), "salesforce: default stage")
        assert finding.ok
        assert finding.message.endswith("'Nurturing': lead")

    def test_rails_that_let_little_through(self, company: Company) -> None:
        company.run()
        (finding,) = about(checked(company), "guard")
        assert (finding.ok, finding.warning) == (False, True)  # five contacts
        assert finding.message == "one rule makes at most 5 stage changes in 24 hours, of 5 contacts in scope"

    def test_rails_that_fit(self, company: Company) -> None:
        for number in range(20):
            company.person(f"20{number}", f"{number}@kunde.example")
        company.run()
        assert [finding.ok for finding in about(checked(company), "guard")] == [True]

    def test_what_the_last_plan_wanted_beyond_its_rail(self, company: Company) -> None:
        company.config = funnel(edit=(("stage_changes = 1000", "stage_changes = 0"),))
        company.person("151", EMAIL, **DIRECTOR)
        company.lead(LEAD, EMAIL, Industry="Technology")
        company.run()
        found = [finding.message for finding in about(checked(company), "guard")]
        assert found[0].startswith("one rule makes at most 0 stage changes")
        assert found[1] == "qualified/set_stage: 2 wanted in 24 hours, the rail is 0"
