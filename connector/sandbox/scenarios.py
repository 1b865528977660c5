"""What goes wrong, and what goes on, in real CRMs while a connector reads them: scripted scenarios over a running sandbox, by name.

A scenario sets options, adds faults, or lets people do deeds before every so many-th call; deeds and faults are bounded in number, and the
same for the same seed. `arm` is the way in, for tests and for `connector sandbox --fault`.
"""

from __future__ import annotations

import difflib
import json
import random
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from connector.sandbox.frame import Fault, FaultKind, Frame
from connector.sandbox.hubspot_deeds import HubSpotDeeds
from connector.sandbox.salesforce_deeds import SalesforceDeeds
from connector.sandbox.salesforce_errors import RowRefused
from connector.sandbox.serve import Sandbox

_JSON = {"content-type": "application/json"}
_HTML = {"content-type": "text/html"}
#: Requests that write, as they stand in a fault's `match`.
_WRITES = {
    "hubspot": ("PATCH ", "/batch/update", "/batch/create", "POST /crm/v3/objects/tasks"),
    "salesforce": ("PATCH /services/data", "POST /services/data"),
}
_MANY = 3000


class UnknownScenario(ValueError):
    """No scenario has this name. nearest: one whose name is like it, or ""."""

    def __init__(self, name: str) -> None:
        close = difflib.get_close_matches(name, SCENARIOS, n=1, cutoff=0.4)
        self.nearest = close[0] if close else ""
        super().__init__(f"there is no scenario {name!r}" + (f"; did you mean {self.nearest}?" if self.nearest else ""))


@dataclass(frozen=True, slots=True)
class Stage:
    """The sandbox a scenario plays on. every: calls of a CRM between two deeds or faults; times: how many of them at most."""

    box: Sandbox
    every: int
    times: int
    draw: random.Random

    @property
    def hubspot(self) -> HubSpotDeeds | None:
        """HubSpot's deeds, where this sandbox has one."""
        return self.box.hubspot if self.box.has("hubspot") else None

    @property
    def salesforce(self) -> SalesforceDeeds | None:
        """Salesforce's deeds, where this sandbox has one."""
        return self.box.salesforce if self.box.has("salesforce") else None

    def frames(self) -> list[Frame]:
        """The frames of the servers there are."""
        both = (self.box.hubspot_frame, self.box.salesforce_frame)
        return [frame for frame in both if self.box.has(frame.crm)]

    def meanwhile(self, frame: Frame, deed: Callable[[], None], *, times: int | None = None) -> None:
        """The deed is done before every so many-th call from now on."""
        first, most, done = frame.calls, self.times if times is None else times, 0

        def act(number: int) -> None:
            nonlocal done
            if done < most and (number - first) % self.every == 0:
                done += 1
                with suppress(RowRefused):  # somebody's late commit has changed that record in between, as it happens to people
                    deed()

        frame.before_call.append(act)

    def now_and_then(self, frame: Frame, match: str = "", **fault: Any) -> None:
        """One such fault after every so many matching requests, the first soon."""
        frame.add(*(Fault(frame.crm, match, 1, after=1 + (self.every - 1) * at, **fault) for at in range(self.times)))

    def some(self, ids: Iterable[str], count: int) -> list[str]:
        """So many of them, drawn; fewer where there are not so many."""
        known = sorted(ids)
        return self.draw.sample(known, min(count, len(known)))


@dataclass(frozen=True, slots=True)
class Scenario:
    """A name, one line about it, and what it does to a stage."""

    name: str
    summary: str
    play: Callable[[Stage], None]


def arm(box: Sandbox, name: str, *, every: int = 10, times: int = 12, seed: int = 7) -> None:
    """Lets the scenario begin in a sandbox; several may go on together. every, times: see `Stage`. Raises `UnknownScenario`."""
    found = SCENARIOS.get(name)
    if found is None:
        raise UnknownScenario(name)
    found.play(Stage(box, every, times, random.Random(seed)))  # noqa: S311 - scenarios repeat


# ── Time ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _late_index(stage: Stage) -> None:
    if (people := stage.hubspot) is not None:
        people.options.search_lag_seconds = 15.0
        stage.meanwhile(stage.box.hubspot_frame, lambda: _edit_contact(stage, people))


def _edit_contact(stage: Stage, people: HubSpotDeeds) -> None:
    for one in stage.some(people.live("contacts"), 1):
        people.edit("contacts", one, jobtitle=f"Head of {stage.draw.choice(('Sales', 'IT', 'Logistics'))} {stage.draw.randint(1, 999)}")


def _late_commit(stage: Stage) -> None:
    if (people := stage.salesforce) is not None:
        people.options.late_commits = 20.0
        stage.meanwhile(stage.box.salesforce_frame, lambda: _edit_lead(stage, people))


def _edit_lead(stage: Stage, people: SalesforceDeeds) -> None:
    for one in _open_leads(stage, people, 1):
        people.edit("Lead", one, Title=f"Head of {stage.draw.choice(('Sales', 'IT', 'Logistics'))} {stage.draw.randint(1, 999)}")


def _open_leads(stage: Stage, people: SalesforceDeeds, count: int) -> list[str]:
    return stage.some((one for one, row in people.live("Lead").items() if not row.get("IsConverted")), count)


def _equal_timestamps(stage: Stage) -> None:
    moment = stage.box.now() - timedelta(minutes=30)
    if stage.hubspot is not None:
        stage.hubspot.stamp_alike("contacts", stage.some(stage.hubspot.live("contacts"), _MANY), moment)
    if stage.salesforce is not None:
        stage.salesforce.stamp_alike("Lead", stage.some(stage.salesforce.live("Lead"), _MANY), moment)


# ── Lives of records ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _merges(stage: Stage) -> None:
    survivors: dict[str, str] = {}  # the last winner of each CRM, which every third time loses: a chain

    def pair(crm: str, ids: Iterable[str]) -> tuple[str, str] | None:
        drawn = stage.some(ids, 2)
        if len(drawn) < 2:
            return None
        keep, lose = drawn
        last = survivors.get(crm, "")
        return (keep, last if last and last != keep and stage.draw.random() < 0.34 else lose)

    def in_hubspot(people: HubSpotDeeds) -> None:
        live = people.live("contacts")
        if (two := pair("hubspot", live)) is not None and two[1] in live:
            survivors["hubspot"] = people.merge("contacts", *two)

    def in_salesforce(people: SalesforceDeeds) -> None:
        live = {one for one, row in people.live("Lead").items() if not row.get("IsConverted")}
        if (two := pair("salesforce", live)) is not None and two[1] in live:
            people.merge("Lead", *two)
            survivors["salesforce"] = two[0]

    _in_both(stage, in_hubspot, in_salesforce)


def _in_both(stage: Stage, in_hubspot: Callable[[HubSpotDeeds], None], in_salesforce: Callable[[SalesforceDeeds], None]) -> None:
    if (hubspot := stage.hubspot) is not None:
        stage.meanwhile(stage.box.hubspot_frame, lambda: in_hubspot(hubspot))
    if (salesforce := stage.salesforce) is not None:
        stage.meanwhile(stage.box.salesforce_frame, lambda: in_salesforce(salesforce))


def _conversions(stage: Stage) -> None:
    if (people := stage.salesforce) is not None:
        stage.meanwhile(stage.box.salesforce_frame, lambda: _convert(stage, people))


def _convert(stage: Stage, people: SalesforceDeeds) -> None:
    for one in _open_leads(stage, people, 1):
        people.convert(one)


def _deleted(stage: Stage) -> None:
    binned: list[str] = []

    def in_hubspot(people: HubSpotDeeds) -> None:
        name = stage.draw.choice(("contacts", "contacts", "meetings", "calls"))
        for one in stage.some(people.live(name), 1):
            (people.purge if stage.draw.random() < 0.2 else people.delete)(name, one)

    def in_salesforce(people: SalesforceDeeds) -> None:
        how = stage.draw.random()
        if binned and how < 0.25:
            people.undelete("Lead", binned.pop())
            return
        for one in _open_leads(stage, people, 1):
            if how > 0.75:
                people.hard_delete("Lead", one)
            else:
                people.delete("Lead", one)
                binned.append(one)

    _in_both(stage, in_hubspot, in_salesforce)


def _privacy_delete(stage: Stage) -> None:
    def in_hubspot(people: HubSpotDeeds) -> None:
        for one in stage.some(people.live("contacts"), 1):
            people.forget(one)

    def in_salesforce(people: SalesforceDeeds) -> None:
        for one in _open_leads(stage, people, 1):
            people.hard_delete("Lead", one)

    _in_both(stage, in_hubspot, in_salesforce)


# ── Access and limits ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _expiring_tokens(stage: Stage) -> None:
    if (hubspot := stage.hubspot) is not None:
        stage.meanwhile(stage.box.hubspot_frame, hubspot.tokens.expire)
    if stage.salesforce is not None:
        stage.salesforce.options.session_calls = stage.every


def _limit(policy: str, status: int = 429) -> dict[str, Any]:
    words = f"You have reached your {policy.lower()} limit."
    body = {"status": "error", "message": words, "errorType": "RATE_LIMIT", "policyName": policy}
    return {"status": status, "headers": {**_JSON, "retry-after": "1"}, "body": json.dumps(body).encode()}


def _limits(stage: Stage) -> None:
    if stage.hubspot is not None:
        stage.now_and_then(stage.box.hubspot_frame, "/search", **_limit("SECONDLY"))
        stage.now_and_then(stage.box.hubspot_frame, **_limit("TEN_SECONDLY_ROLLING"))
    if (people := stage.salesforce) is not None:
        stage.meanwhile(stage.box.salesforce_frame, lambda: people.crowd(2))


def _day_limit(stage: Stage) -> None:
    left = stage.every * stage.times
    if stage.hubspot is not None:
        frame = stage.box.hubspot_frame
        frame.add(Fault(frame.crm, "", 1_000_000, after=left, **_limit("DAILY")))
    if stage.salesforce is not None:
        stage.salesforce.spend_calls(leave=left)


# ── Answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _lost_answers(stage: Stage) -> None:
    for frame in stage.frames():
        for match in _WRITES[frame.crm]:
            stage.now_and_then(frame, match, kind="lost")


def _html_errors(stage: Stage) -> None:
    for frame in stage.frames():
        stage.now_and_then(frame, status=503, headers=_HTML, body=b"<html><body><h1>Service Unavailable</h1></body></html>")
        stage.now_and_then(frame, status=502, headers=_HTML, body=b"")


def _cut(kind: FaultKind, **more: Any) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        for frame in stage.frames():
            stage.now_and_then(frame, kind=kind, **more)

    return play


def _locked_rows(stage: Stage) -> None:
    if stage.hubspot is not None:
        body = json.dumps({"status": "error", "message": "The record is locked.", "category": "LOCKED"}).encode()
        for match in _WRITES["hubspot"]:
            stage.now_and_then(stage.box.hubspot_frame, match, status=423, headers={**_JSON, "retry-after": "2"}, body=body)
    if stage.salesforce is not None:
        stage.salesforce.lock_rows([*stage.salesforce.live("Lead"), *stage.salesforce.live("Contact")], times=2)


def _schema_drift(stage: Stage) -> None:
    def in_hubspot(people: HubSpotDeeds) -> None:
        people.remove_property("contacts", "competitor_in_use")
        people.change_type("contacts", "pain_point", "number", "number")
        people.drop_option("contacts", "hs_lead_status", "UNQUALIFIED")
        people.add_property("contacts", "second_pain_point")

    def in_salesforce(people: SalesforceDeeds) -> None:
        people.remove_field("Lead", "Budget__c")
        people.hide("Lead", "NumberOfEmployees")
        people.change_type("Lead", "NAICS__c", "double")
        people.remove_option("Lead", "Rejection_Reason__c", "Bad timing")
        people.add_field("Lead", "Second_Reason__c")

    if (hubspot := stage.hubspot) is not None:
        stage.meanwhile(stage.box.hubspot_frame, lambda: in_hubspot(hubspot), times=1)
    if (salesforce := stage.salesforce) is not None:
        stage.meanwhile(stage.box.salesforce_frame, lambda: in_salesforce(salesforce), times=1)


SCENARIOS: Mapping[str, Scenario] = {
    one.name: one
    for one in (
        Scenario("late-index", "HubSpot's search finds edits 15 seconds late, and people edit contacts meanwhile", _late_index),
        Scenario("late-commit", "Salesforce edits show 20 seconds after the stamp they carry", _late_commit),
        Scenario("equal-timestamps", "thousands of contacts and Leads carry one modified date, as after a mass update", _equal_timestamps),
        Scenario("merges", "people merge contacts and Leads, now and then a winner into another", _merges),
        Scenario("conversions", "people convert Leads into Contacts, Accounts and Opportunities", _conversions),
        Scenario("deleted", "people delete records, restore some, and empty the bin of others", _deleted),
        Scenario("privacy-delete", "people are deleted for privacy in HubSpot, and for good in Salesforce", _privacy_delete),
        Scenario("expiring-tokens", "HubSpot's OAuth tokens and Salesforce's sessions end every few calls", _expiring_tokens),
        Scenario("limits", "429 of HubSpot's ten-second and search policies; Salesforce says too many requests run at once", _limits),
        Scenario("day-limit", "the day's calls are spent soon: 429 DAILY in HubSpot, TotalRequests in Salesforce", _day_limit),
        Scenario("lost-answers", "some writes take effect and their answers never come", _lost_answers),
        Scenario("html-errors", "502 and 503 with HTML or nothing in place of JSON", _html_errors),
        Scenario("truncated", "some answers end in the middle", _cut("truncate")),
        Scenario("slow", "some answers take 5 seconds", _cut("slow", seconds=5.0)),
        Scenario("locked-rows", "HubSpot answers 423 to some writes, Salesforce UNABLE_TO_LOCK_ROW twice for every person", _locked_rows),
        Scenario("schema-drift", "fields that the example's rules read vanish, are hidden, change type or lose an option", _schema_drift),
    )
}
