"""Scenarios of time and of records' lives: late indexes and commits, equal stamps, merges, conversions, deletions of every kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

from connector.sandbox.hubspot.actions import HubSpotActions
from connector.sandbox.salesforce.actions import SalesforceActions
from connector.sandbox.scenarios.stage import Stage

#: How many records carry one stamp at most: more pages than one, and quick to stamp.
_MANY = 3000

# ── Time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def late_index(stage: Stage) -> None:
    """HubSpot's search lags, and people edit contacts."""
    if (people := stage.hubspot) is not None:
        people.change_options(search_lag_seconds=15.0)
        stage.meanwhile(stage.box.hubspot_faults, lambda: _edit_contact(stage, people))


def _edit_contact(stage: Stage, people: HubSpotActions) -> None:
    for contact_id in stage.some(people.live("contacts"), 1):
        people.edit("contacts", contact_id, jobtitle=_title(stage))


def late_commit(stage: Stage) -> None:
    """People edit Leads; others see it late."""
    if (people := stage.salesforce) is not None:
        people.change_options(late_commits=20.0)
        stage.meanwhile(stage.box.salesforce_faults, lambda: _edit_lead(stage, people))


def _edit_lead(stage: Stage, people: SalesforceActions) -> None:
    for lead_id in _open_leads(stage, people, 1):
        people.edit("Lead", lead_id, Title=_title(stage))


def _title(stage: Stage) -> str:
    return f"Head of {stage.draw.choice(('Sales', 'IT', 'Logistics'))} {stage.draw.randint(1, 999)}"


def _open_leads(stage: Stage, people: SalesforceActions, count: int) -> list[str]:
    return stage.some((lead_id for lead_id, row in people.live("Lead").items() if not row.get("IsConverted")), count)


def equal_timestamps(stage: Stage) -> None:
    """A mass update half an hour ago."""
    moment = stage.box.now() - timedelta(minutes=30)
    if stage.hubspot is not None:
        stage.hubspot.stamp_alike("contacts", stage.some(stage.hubspot.live("contacts"), _MANY), moment)
    if stage.salesforce is not None:
        stage.salesforce.stamp_alike("Lead", stage.some(stage.salesforce.live("Lead"), _MANY), moment)


# ── Lives of records ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def merges(stage: Stage) -> None:
    """Two become one, in both CRMs."""
    survivors: dict[str, str] = {}  # the last winner of each CRM, which every third time loses: a chain

    def pair(crm: str, ids: Iterable[str]) -> tuple[str, str] | None:
        drawn = stage.some(ids, 2)
        if len(drawn) < 2:
            return None
        keep, lose = drawn
        last = survivors.get(crm, "")
        return (keep, last if last and last != keep and stage.draw.random() < 0.34 else lose)

    def in_hubspot(people: HubSpotActions) -> None:
        live = people.live("contacts")
        if (two := pair("hubspot", live)) is not None and two[1] in live:
            survivors["hubspot"] = people.merge("contacts", *two)

    def in_salesforce(people: SalesforceActions) -> None:
        live = {lead_id for lead_id, row in people.live("Lead").items() if not row.get("IsConverted")}
        if (two := pair("salesforce", live)) is not None and two[1] in live:
            people.merge("Lead", *two)
            survivors["salesforce"] = two[0]

    _in_both(stage, in_hubspot, in_salesforce)


def _in_both(stage: Stage, in_hubspot: Callable[[HubSpotActions], None], in_salesforce: Callable[[SalesforceActions], None]) -> None:
    if (hubspot := stage.hubspot) is not None:
        stage.meanwhile(stage.box.hubspot_faults, lambda: in_hubspot(hubspot))
    if (salesforce := stage.salesforce) is not None:
        stage.meanwhile(stage.box.salesforce_faults, lambda: in_salesforce(salesforce))


def conversions(stage: Stage) -> None:
    """Leads become Contacts."""
    if (people := stage.salesforce) is not None:
        stage.meanwhile(stage.box.salesforce_faults, lambda: _convert(stage, people))


def _convert(stage: Stage, people: SalesforceActions) -> None:
    for lead_id in _open_leads(stage, people, 1):
        people.convert(lead_id)


def deleted(stage: Stage) -> None:
    """Into the bin, out of it, and past it."""
    binned: list[str] = []

    def in_hubspot(people: HubSpotActions) -> None:
        name = stage.draw.choice(("contacts", "contacts", "meetings", "calls"))
        for record_id in stage.some(people.live(name), 1):
            (people.purge if stage.draw.random() < 0.2 else people.delete)(name, record_id)

    def in_salesforce(people: SalesforceActions) -> None:
        how = stage.draw.random()
        if binned and how < 0.25:
            people.undelete("Lead", binned.pop())
            return
        for record_id in _open_leads(stage, people, 1):
            if how > 0.75:
                people.hard_delete("Lead", record_id)
            else:
                people.delete("Lead", record_id)
                binned.append(record_id)

    _in_both(stage, in_hubspot, in_salesforce)


def privacy_delete(stage: Stage) -> None:
    """Nothing of a person is left."""

    def in_hubspot(people: HubSpotActions) -> None:
        for record_id in stage.some(people.live("contacts"), 1):
            people.forget(record_id)

    def in_salesforce(people: SalesforceActions) -> None:
        for record_id in _open_leads(stage, people, 1):
            people.hard_delete("Lead", record_id)

    _in_both(stage, in_hubspot, in_salesforce)
