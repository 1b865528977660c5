"""What the CRMs say of a stage, and what is booked of it: rows in, rows out; no database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from connector.config.load import loads
from connector.config.tables import Config
from connector.model import CrmName
from connector.pipeline.unify.contact_values import ContactBatch, ContactRows, UnifySettings
from connector.pipeline.unify.shown_stages import StageReader
from connector.pipeline.unify.stage_history import StageBook, StageChangeContext
from connector.store.tables.rows import PersonRecord, StoredContact
from connector.workflows.stages import Resolution
from connector.workflows.stored_state import StoredWrite
from tests.pipeline.unify.support import RULES

NOW = datetime(2026, 11, 18, 10, tzinfo=UTC)
SINCE = NOW - timedelta(days=2)
SETTINGS = UnifySettings(adopting=False, clocks_from=NOW - timedelta(days=30), defaults={"hubspot": "mql"})
CONTACT = {
    "id": 1, "stage": "lead", "stage_since": SINCE, "spell": 4, "attempt": 2, "agreed_number": 7, "agreed_hubspot": "lead",
    "agreed_salesforce": None, "stage_differs": False, "in_hubspot": True, "in_salesforce": True, "judged_at": SINCE, "owner": None,
}  # fmt: skip


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("RULES_TOKEN", "x")
    return loads(RULES, source="rules.toml")


def contact(**values: Any) -> StoredContact:
    return cast(StoredContact, CONTACT | values)


def hubspot(stage: str | None, **values: Any) -> dict[CrmName, PersonRecord]:
    row = PersonRecord(
        crm="hubspot", object="contacts", id="1", role="main", owner_id=None, company_id=None, converted_to=None,
        modified_at=NOW - timedelta(minutes=9), properties={"lifecyclestage": stage} | values, created_at=SINCE,
    )  # fmt: skip
    return {"hubspot": row}


def batch(written: StoredWrite | None = None) -> ContactBatch:
    return ContactBatch(
        contacts={}, records={}, companies={}, owners={}, history={}, attempts={}, evidence={}, touches={},
        written={} if written is None else {(1, "hubspot"): written}, emails={}, ends={}, active={}, campaigns={}, rejected=set(),
    )  # fmt: skip


def write(cause: str, value: str = "mql", *, applied: bool = True) -> StoredWrite:
    return StoredWrite(value=value, cause=cause, at=NOW - timedelta(hours=1), applied=applied)


@pytest.mark.parametrize(
    ("cause", "stands"),
    [("spell:4", True), ("attempt:2", True), ("agreement:7", True), ("spell:3", False), ("spell:14", False), ("attempt:1", False)],
)
def test_a_write_is_ours_while_its_cause_stands(config: Config, cause: str, stands: bool) -> None:
    shown = StageReader(config, SETTINGS).read(contact(), list(hubspot("mql").values()), hubspot("mql"), batch(write(cause)))
    assert shown.shows_own_write("hubspot") is stands
    assert shown.named == {"hubspot": "mql", "salesforce": None}


@pytest.mark.parametrize(
    ("stage", "before", "agreed", "side"),
    [
        ("lead", {}, "lead", None),
        ("sql", {}, "sql", "hubspot"),
        ("unheard of", {}, "lead", None),
        (None, {}, "lead", None),
        # the value that every new record has says nothing as long as nothing was agreed
        ("mql", {"agreed_number": 0, "agreed_hubspot": None, "stage": None}, None, None),
        # a record that was linked since moves the contact up only
        ("sql", {"in_hubspot": False}, "sql", "hubspot"),
        ("lead", {"in_hubspot": False, "stage": "sql", "agreed_hubspot": "sql"}, "sql", "hubspot"),
    ],
)
def test_what_both_sides_are_agreed_on(
    config: Config, stage: str | None, before: Mapping[str, Any], agreed: str | None, side: CrmName | None
) -> None:
    reader, main = StageReader(config, SETTINGS), hubspot(stage)
    resolution = reader.agreed(contact(**before), reader.read(contact(**before), list(main.values()), main, batch()))
    assert (resolution.stage, resolution.side) == (agreed, side)


def context_of(config: Config, stage: str, written: StoredWrite | None = None, **properties: Any) -> StageChangeContext:
    main, known = hubspot(stage, **properties), batch(written)
    shown = StageReader(config, SETTINGS).read(contact(), list(main.values()), main, known)
    return StageChangeContext(contact=contact(), values={}, owner=None, shown=shown, batch=known, rows=ContactRows(), now=NOW)


def agreed_on(stage: str) -> Resolution:
    return Resolution(stage=stage, agreed_hubspot=stage, agreed_salesforce=None, number=8, differs=False, side="hubspot")


@pytest.mark.parametrize(
    ("properties", "entered_at"),
    [
        ({"hs_v2_date_entered_sql": "2026-11-18T08:00:00Z"}, NOW - timedelta(hours=2)),
        ({}, NOW - timedelta(minutes=9)),
        # never before the stay that it ends, nor after now
        ({"hs_v2_date_entered_sql": "2026-11-01T08:00:00Z"}, SINCE),
        ({"hs_v2_date_entered_sql": "2026-11-18T11:00:00Z"}, NOW),
    ],
)
def test_a_change_of_stage_ends_a_spell_and_begins_the_next(config: Config, properties: dict[str, Any], entered_at: datetime) -> None:
    context = context_of(config, "sql", **properties)
    columns = StageBook(config, SETTINGS).moved(context, agreed_on("sql"))
    assert columns == {"stage": "sql", "stage_since": entered_at, "spell": 5, "attempt": 1, "recount_at": NOW}
    assert context.rows.left == [{"contact_id": 1, "number": 4, "left_at": entered_at}]
    assert [(row["number"], row["stage"], row["by"]) for row in context.rows.spells] == [(5, "sql", "crm")]
    assert [(row["number"], row["outcome"]) for row in context.rows.attempts] == [(1, "accepted")]


@pytest.mark.parametrize(("cause", "by"), [("spell:4", "connector"), ("spell:3", "crm")])
def test_what_we_wrote_ourselves_is_our_own_step(config: Config, cause: str, by: str) -> None:
    context = context_of(config, "mql", write(cause))
    StageBook(config, SETTINGS).moved(context, agreed_on("mql"))
    assert [row["by"] for row in context.rows.spells] == [by]


@pytest.mark.parametrize("shown", ["2026-11-01T08:00:00Z", "2026-11-18T09:59:00Z", None])
def test_a_step_of_ours_is_dated_by_the_ledger(config: Config, shown: str | None) -> None:
    """HubSpot computes its own date later, and shows that of an earlier stay until then."""
    context = context_of(config, "mql", write("spell:4"), hs_v2_date_entered_mql=shown)
    columns = StageBook(config, SETTINGS).moved(context, agreed_on("mql"))
    assert columns["stage_since"] == NOW - timedelta(hours=1) == context.rows.spells[0]["entered_at"]


@pytest.mark.parametrize(
    ("written", "spells", "stage"),
    [
        (write("spell:4"), [(5, "mql")], "mql"),                   # our step was taken, and somebody moved on from it
        (write("agreement:7"), [], "lead"),                        # it told a CRM only what was agreed
        (write("spell:4", applied=False), [], "lead"),             # nobody knows yet whether it was taken
        (write("spell:4", "sql"), [], "lead"),                     # it is what the CRM shows
        (None, [], "lead"),
    ],
)  # fmt: skip
def test_a_step_of_ours_that_somebody_moved_on_from(
    config: Config, written: StoredWrite | None, spells: list[tuple[int, str]], stage: str
) -> None:
    context = context_of(config, "sql", written)
    moved_on = StageBook(config, SETTINGS).moved_on_from(context)
    assert [(row["number"], row["stage"]) for row in context.rows.spells] == spells
    assert moved_on["stage"] == stage
    assert context.contact == contact()  # a value of its own came out


def test_a_contact_without_a_record_withdraws_its_attempt(config: Config) -> None:
    book, context = StageBook(config, SETTINGS), context_of(config, "mql")
    book.moved(context, agreed_on("mql"))
    later = replace(context, rows=ContactRows())
    book.attempt_goes_on(later, context.batch.attempts[1], gone=True)
    assert [(row["number"], row["outcome"], row["ended_at"]) for row in later.rows.attempts] == [(1, "withdrawn", NOW)]
