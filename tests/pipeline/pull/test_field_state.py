"""The field state: made once a pass, and made anew where something changed meanwhile, whoever changed it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from connector.model import Cursor, FieldType, Page
from connector.pipeline.installation import prepare
from connector.pipeline.pull import field_state
from connector.pipeline.pull.field_state import PropertyStock, brought_in_line, refreshed
from connector.store.fields import FieldStatus
from connector.workflows.fields import PropertyPlace, columns_needed
from tests.pipeline.pull.test_schema_drift import EMPTY, HOUR, MINUTE, facts, suspended
from tests.support.company import Company, funnel, new_company


@pytest.fixture
def company(url: str) -> Iterator[Company]:
    with new_company(url, funnel(EMPTY), fields_read=False) as made:
        made.hubspot.make_property(facts("contacts", "budget", "number", FieldType.NUMBER))
        made.person("1", "dora@kunde.example", stage="lead", budget="500")
        yield made


def stage_of(company: Company, number: str) -> str | None:
    query = text("SELECT stage FROM record JOIN contact ON contact.id = contact_id WHERE crm = 'hubspot' AND record.id = :number")
    with company.store.read() as connection:
        stage: str | None = connection.execute(query, {"number": number}).scalar_one()
        return stage


def stock(
    *, gone: tuple[str, ...] = (), read: tuple[str, ...] = (), brought: tuple[str, ...] = (), streams: Mapping[str, bool] | None = None
) -> PropertyStock:
    """What is known of HubSpot's contacts."""
    return PropertyStock(
        gone=frozenset(PropertyPlace("contacts", name) for name in gone),
        read={"contacts": read},
        brought={"contacts": brought},
        streams={} if streams is None else streams,
    )


@pytest.mark.parametrize(
    ("known", "status"),
    [
        (stock(), "filling"),
        (stock(read=("budget",)), "filling"),  # it will be read with the first read, which has not begun
        (stock(read=("budget",), streams={"contacts": False}), "filling"),  # nor ended
        (stock(read=("budget",), streams={"contacts": True}), "present"),
        (stock(streams={"contacts": True}), "filling"),  # named after it
        (stock(read=("budget",), streams={"contacts": True}, gone=("budget",)), "gone"),
    ],
)
def test_a_property_is_present_once_every_record_was_read_with_it(known: PropertyStock, status: FieldStatus) -> None:
    assert known.status(PropertyPlace("contacts", "budget")) == status


def test_before_a_first_read_all_that_is_wanted_will_have_been_read_and_afterwards_what_was() -> None:
    wanted = {"contacts": ("budget", "email")}
    assert stock(read=("email", "phone")).noted(wanted) == {"contacts": ("budget", "email")}
    assert stock(read=("email", "phone"), streams={"contacts": False}).noted(wanted) == {"contacts": ("email",)}


class TestRefreshing:
    def test_a_quiet_pass_makes_it_once(self, company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
        company.run()
        company.run(MINUTE)
        made: list[Any] = []
        real = field_state._field_state

        def watched(*arguments: Any) -> Any:
            made.append(real(*arguments))
            return made[-1]

        monkeypatch.setattr(field_state, "_field_state", watched)
        company.run(MINUTE)
        assert len(made) == 1
        assert made[0].suspended.fields == {}

    def test_the_same_value_where_nothing_changed(self, company: Company) -> None:
        company.run()
        state = brought_in_line(company.store, company.config, columns_needed(company.config), company.crms)
        assert refreshed(company.store, company.config, state) is state
        company.hubspot.drop_property("contacts", "budget")
        prepare(company.store, company.config, company.crms, now=company.now + HOUR)
        after = refreshed(company.store, company.config, state)
        assert (state.states["f_budget"], after.states["f_budget"]) == ("present", "gone")
        assert ("budget" in state.wanted["hubspot"]["contacts"], "budget" in after.wanted["hubspot"]["contacts"]) == (True, False)

    def test_drift_that_the_fast_lane_found_during_the_pull_holds_for_the_pass(
        self, company: Company, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The fast lane of the same process asks the same CRM not to bring the property: no page shows that it lacks one."""
        company.run()
        company.run(MINUTE)
        company.hubspot.drop_property("contacts", "budget")
        company.person("2", "emil@kunde.example", stage="lead")
        real = company.hubspot.pull

        def beside(stream: str, cursor: Cursor | None, *, now: Any) -> Iterator[Page]:
            if stream == "contacts":
                prepare(company.store, company.config, company.crms, now=company.now + HOUR)
            yield from real(stream, cursor, now=now)

        with monkeypatch.context() as patch:
            patch.setattr(company.hubspot, "pull", beside)
            result = company.run(MINUTE)
        assert result.pulled["hubspot"]["contacts"].absent == frozenset()
        assert result.suspended == [{"field": "budget", "state": "gone", "rules": ["no budget"]}]
        assert stage_of(company, "2") == "lead"

    def test_a_first_read_that_ends_in_the_pull_makes_its_fields_present_in_the_same_pass(self, company: Company) -> None:
        company.person("2", "emil@kunde.example", stage="lead", budget=None)
        company.run()
        assert suspended(company) == {}
        company.run(MINUTE)
        assert (stage_of(company, "1"), stage_of(company, "2")) == ("lead", "sql")

    def test_a_property_that_is_back_is_filled_and_present_in_the_same_pass(self, company: Company) -> None:
        company.run()
        company.hubspot.drop_property("contacts", "budget")
        company.run(HOUR + timedelta(minutes=1))
        assert suspended(company)["budget"][0] == "gone"
        company.hubspot.make_property(facts("contacts", "budget", "number", FieldType.NUMBER))
        refills = company.hubspot.requests["refill"]
        assert company.run(HOUR + timedelta(minutes=1)).suspended == []
        assert company.hubspot.requests["refill"] > refills
