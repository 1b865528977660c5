"""`connector init`: a file from what the CRMs have, which loads and which they bear out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from connector.app import open_each
from connector.cli.main import app
from connector.config.load import load, loads
from connector.config.starter import Side, starter
from connector.config.tables import Config
from connector.model import CrmName, FieldType, Finding, Owner, PropertyFacts
from connector.reports.checks.check import check
from connector.sandbox.configuration import SECRETS, Place, configuration
from connector.sandbox.fault_injection import Fault
from connector.sandbox.hubspot.options import HubSpotOptions
from connector.sandbox.salesforce.options import SalesforceOptions
from connector.sandbox.serve import Sandbox
from connector.sandbox.world.make import make_world

NOW = datetime(2026, 11, 20, 10, 0, tzinfo=UTC)
RUNNER = CliRunner(env={**SECRETS, "CONNECTOR_DEBUG": ""})


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    """By its own clock: files are checked at that moment."""
    with Sandbox(make_world(now=NOW, hubspot_contacts=200, salesforce_leads=60), now=lambda: NOW) as running:
        yield running


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


def options(box: Sandbox, *crms: CrmName) -> list[str]:
    hubspot = ["--hubspot-token", "env:HUBSPOT_ACCESS_TOKEN", "--base-url", box.hubspot_url]
    salesforce = ["--salesforce", box.salesforce_url, "--ca-bundle", box.ca_bundle]
    return (hubspot if "hubspot" in crms else []) + (salesforce if "salesforce" in crms else [])


def init(folder: Path, *words: str) -> Result:
    return RUNNER.invoke(app, ["init", *words, "--output", str(folder / "made.toml")])


def findings(config: Config, folder: Path) -> list[Finding]:
    database = config.database.model_copy(update={"url": f"sqlite:///{folder / 'store.db'}"})
    with open_each(config.model_copy(update={"database": database})) as (opened, unready):
        opened.store.upgrade()
        return [*unready, *check(config, opened.crms, opened.store, now=NOW)]


def errors(config: Config, folder: Path) -> list[str]:
    return [f"{finding.topic}: {finding.message}" for finding in findings(config, folder) if not finding.ok and not finding.warning]


class TestInit:
    @pytest.mark.parametrize("crms", [("hubspot", "salesforce"), ("hubspot",), ("salesforce",)], ids="+".join)
    def test_the_file_loads_and_its_crms_bear_it_out(self, box: Sandbox, tmp_path: Path, crms: tuple[CrmName, ...]) -> None:
        done = init(tmp_path, *options(box, *crms))
        assert done.exit_code == 0, done.output
        assert f"check --config {tmp_path / 'made.toml'}" in done.stdout.replace("\n", " ")
        config = load(tmp_path / "made.toml")
        assert (config.crms, config.mode) == (crms, "shadow")
        assert [stage.name for stage in config.stages if stage.name in ("lead", "mql", "sql")] == ["lead", "mql", "sql"]
        assert {"industry", "budget", "rejection_reason"} <= {rule.name for rule in config.fields}
        assert errors(config, tmp_path) == []
        text = (tmp_path / "made.toml").read_text(encoding="utf-8")
        assert [value for value in SECRETS.values() if value in text] == []

    def test_custom_stages_statuses_and_limits_of_the_account(self, tmp_path: Path) -> None:
        world = make_world(now=datetime.now(UTC), hubspot_contacts=20, salesforce_leads=10)
        with Sandbox(world, hubspot=HubSpotOptions(daily=5000), salesforce=None) as box:
            box.hubspot.schema.add_option("contacts", "lifecyclestage", "12345678")
            assert init(tmp_path, *options(box, "hubspot")).exit_code == 0
        config = load(tmp_path / "made.toml")
        assert config.stages[-1].hubspot == ("12345678",)
        assert config.crm.hubspot is not None
        assert config.crm.hubspot.daily_requests == 5000

    def test_never_over_another_file(self, box: Sandbox, tmp_path: Path) -> None:
        (tmp_path / "made.toml").write_text("mine", encoding="utf-8")
        done = init(tmp_path, *options(box, "hubspot"))
        assert (done.exit_code, "--output" in done.stderr) == (2, True)
        assert (tmp_path / "made.toml").read_text(encoding="utf-8") == "mine"

    def test_nothing_is_written_where_a_crm_refuses(self, box: Sandbox, tmp_path: Path) -> None:
        box.salesforce_faults.add(Fault("salesforce", "/services/oauth2/token", times=1, status=400, body=b'{"error":"invalid_client"}'))
        done = init(tmp_path, *options(box, "hubspot", "salesforce"))
        box.salesforce_faults.clear()
        assert (done.exit_code, "consumer key" in done.stderr) == (1, True)
        assert list(tmp_path.iterdir()) == []

    def test_a_secret_that_is_written_out_or_not_there(self, box: Sandbox, tmp_path: Path) -> None:
        for token in ("pat-eu1-a-real-one", "env:NOT_SET_ANYWHERE"):
            done = init(tmp_path, "--hubspot-token", token, "--base-url", box.hubspot_url)
            assert done.exit_code == 2
            assert "pat-eu1-a-real-one" not in done.output
            assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("words", [("--base-url", "http://127.0.0.1:9"), ("--client-id", "env:X"), ("--ca-bundle", "x.pem")])
    def test_an_option_of_a_crm_that_is_not_asked(self, tmp_path: Path, words: tuple[str, str]) -> None:
        file = tmp_path / "starter.toml"
        result = RUNNER.invoke(app, ["init", *words, "--output", str(file)])
        assert (result.exit_code, words[0] in result.stderr, file.exists()) == (2, True, False)

    def test_without_credentials_the_example(self, tmp_path: Path) -> None:
        done = init(tmp_path, "--json")
        assert done.exit_code == 0
        assert json.loads(done.stdout)["from"] == []
        assert set(load(tmp_path / "made.toml").crms) == {"hubspot", "salesforce"}


text = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)


@settings(max_examples=25, deadline=None)
@given(
    options=st.lists(st.tuples(text, text), max_size=6, unique_by=lambda option: option[0]),
    statuses=st.lists(text, max_size=5, unique=True),
    locked=st.integers(0, 3),
    email=text,
)
def test_whatever_an_account_calls_its_stages_the_file_loads(
    options: list[tuple[str, str]], statuses: list[str], locked: int, email: str
) -> None:
    def picklist(object_name: str, name: str, values: list[str], labels: list[str]) -> PropertyFacts:
        made: dict[str, Any] = {"options": tuple(values), "labels": tuple(labels), "means": FieldType.CHOICE}
        return PropertyFacts(object=object_name, name=name, label=name, type="", **made)

    stages = [("lead", "Lead"), *options, ("marketingqualifiedlead", "MQL"), ("salesqualifiedlead", "SQL")]
    stages = list(dict(stages).items())
    stage = picklist("contacts", "lifecyclestage", [value for value, _ in stages], [label for _, label in stages])
    hubspot = {"contacts": {facts.name: facts for facts in (stage, picklist("contacts", "rejection_reason", statuses, statuses))}}
    salesforce = {"Lead": {"Status": picklist("Lead", "Status", statuses, statuses)}}
    owner = Owner(crm="hubspot", id="1", email=email, name="", active=True)
    sides = {
        "hubspot": Side(table={"access_token": '"env:A"'}, schema=hubspot, owners=[owner]),
        "salesforce": Side(
            table={"instance_url": '"https://a.my.salesforce.com"', "client_id": '"env:A"', "client_secret": '"env:B"'},
            schema=salesforce,
            locked=statuses[:locked],
        ),
    }
    config = loads(starter(sides, timezone="UTC", native_sync=True), source="made")  # type: ignore[arg-type]  # the two names stand above
    assert {"mql", "sql"} <= {stage.name for stage in config.stages}


# ── What `check` finds in accounts that are set up otherwise than the file says ──────────────────────────────────────────────────────


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[tuple[Sandbox, Config]]:
    world = make_world(now=NOW, hubspot_contacts=60, salesforce_leads=20)
    with Sandbox(world, now=lambda: NOW, hubspot=HubSpotOptions(daily=600_000), salesforce=SalesforceOptions(daily=600_000)) as box:
        place = Place(
            hubspot_url=box.hubspot_url, salesforce_url=box.salesforce_url, ca_bundle=box.ca_bundle, database=f"sqlite:///{tmp_path}/c.db"
        )
        file = tmp_path / "config.toml"
        file.write_text(configuration(place, now=NOW), encoding="utf-8")
        yield box, load(file)


def test_an_account_that_is_set_up_otherwise(broken: tuple[Sandbox, Config], tmp_path: Path) -> None:
    box, config = broken
    box.hubspot.tokens.scopes = tuple(scope for scope in box.hubspot.tokens.scopes if scope != "sales-email-read")
    box.hubspot.schema.remove_property("contacts", "pain_point")
    box.hubspot.schema.change_type("contacts", "budget_amount", "bool", "booleancheckbox")
    box.hubspot.schema.drop_option("contacts", "lifecyclestage", "evangelist")
    box.hubspot.schema.drop_option("contacts", "rejection_reason", "Bad data")
    box.hubspot.schema.add_property("contacts", "salesforcelastsynctime", "datetime", "date")
    someone = box.hubspot.ids("contacts")[0]
    box.hubspot.edit("contacts", someone, salesforcelastsynctime=str(int(NOW.timestamp() * 1000) - 60_000))
    next(row for row in box.world.salesforce["User"].values() if row["Email"] == "ben@acme.example")["IsActive"] = False
    box.salesforce.schema.hide_field("Lead", "Timeline__c")
    wrong = [finding for finding in findings(config, tmp_path) if not finding.ok]
    texts = {(finding.topic, finding.warning): f"{finding.message} {finding.advice}" for finding in wrong}
    for topic, warning, says in (
        ("hubspot: scopes", False, "sales-email-read"),
        ("hubspot: contacts.pain_point", False, "has no such property on contacts"),
        ("hubspot: contacts.budget_amount", False, "declared number, HubSpot has bool"),
        ("hubspot: contacts.lifecyclestage", False, "'evangelist' (stage evangelist)"),
        ("hubspot: contacts.rejection_reason", False, "rejection.reasons.Bad data"),
        ("hubspot: native sync", False, 'native_sync = "hubspot"'),
        ("hubspot: limits", False, "daily_requests is 650,000, but HubSpot allows this account 600,000"),
        ("team.inbound", True, "ben@acme.example is deactivated in salesforce"),
        ("salesforce: Lead.Timeline__c", False, "does not show it to the connector"),
    ):
        assert says in texts[topic, warning], texts
    assert box.calls()["hubspot"] < 60


def test_a_day_that_is_spent_is_said_once_and_is_no_lack_of_rights(broken: tuple[Sandbox, Config], tmp_path: Path) -> None:
    """The first answer tells how little is left: no object is "hidden" for that."""
    box, config = broken
    box.salesforce.spend_calls(leave=1000)
    wrong = [finding for finding in findings(config, tmp_path) if finding.topic.startswith("salesforce: ") and not finding.ok]
    assert [(finding.topic, finding.warning) for finding in wrong] == [("salesforce: limits", True), ("salesforce: stopped", False)]
    assert ("goes on" in wrong[1].advice, "nothing else of Salesforce" in wrong[1].message) == (True, True)
    assert {permission.has for permission in wrong[1].permissions} == {None}


def test_what_everything_rests_on_must_be_seen(broken: tuple[Sandbox, Config], tmp_path: Path) -> None:
    """No field of the file names the owner; nobody can create a standard property, or take it out of the file."""
    box, config = broken
    box.hubspot.schema.hide_property("contacts", "hubspot_owner_id")
    box.salesforce.schema.hide_field("Contact", "Email")
    wrong = {finding.topic: finding for finding in findings(config, tmp_path) if not finding.ok and not finding.warning}
    for topic in ("hubspot: contacts.hubspot_owner_id", "salesforce: Contact.Email"):
        assert ("nobody is judged" in wrong[topic].message, "Create" in wrong[topic].advice) == (True, False)


def test_what_one_crm_lacks_keeps_nothing_from_the_other(
    broken: tuple[Sandbox, Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, config = broken
    for missing, complete in (("HUBSPOT_ACCESS_TOKEN", "salesforce"), ("SALESFORCE_CLIENT_SECRET", "hubspot")):
        with monkeypatch.context() as patched:
            patched.delenv(missing)
            results = findings(config, tmp_path)
        assert [missing in result.message for result in results if result.topic.endswith("credentials") and not result.ok] == [True]
        assert any(result.topic.startswith(f"{complete}: ") and result.ok for result in results)
