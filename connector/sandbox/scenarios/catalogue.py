"""Scenarios by name: what goes wrong, and what goes on, in real CRMs while a connector reads them. For tests and `sandbox --fault` only.

A scenario sets options, adds faults, or lets people act before every so many-th call; actions and faults are bounded in number but where
the summary says otherwise, and the same for the same seed. `arm` is the way in.
"""

from __future__ import annotations

import difflib
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from connector.sandbox.scenarios import faults, people
from connector.sandbox.scenarios.stage import Stage
from connector.sandbox.serve import Sandbox

_HUBSPOT, _SALESFORCE = ("hubspot",), ("salesforce",)
_BOTH = (*_HUBSPOT, *_SALESFORCE)


class UnknownScenario(ValueError):
    """No scenario has this name. nearest: one whose name is like it, or ""."""

    def __init__(self, name: str) -> None:
        close = difflib.get_close_matches(name, SCENARIOS, n=1, cutoff=0.4)
        self.nearest = close[0] if close else ""
        super().__init__(f"there is no scenario {name!r}" + (f"; did you mean {self.nearest}?" if self.nearest else ""))


@dataclass(frozen=True, slots=True)
class Scenario:
    """A name, one line about it, what it does to a stage, and the CRMs that it concerns."""

    name: str
    summary: str
    play: Callable[[Stage], None]
    crms: tuple[str, ...] = _BOTH


def arm(box: Sandbox, name: str, *, every: int = 10, times: int = 12, seed: int = 7) -> None:
    """Lets the scenario begin in a sandbox; several may go on together. every, times: see `Stage`. Raises `UnknownScenario`."""
    scenario = SCENARIOS.get(name)
    if scenario is None:
        raise UnknownScenario(name)
    scenario.play(Stage(box, every, times, random.Random(seed)))  # noqa: S311 - scenarios repeat


SCENARIOS: Mapping[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "late-index", "HubSpot's search finds edits 15 seconds late, and people edit contacts meanwhile", people.late_index, _HUBSPOT
        ),
        Scenario("late-commit", "Salesforce edits show 20 seconds after the stamp they carry", people.late_commit, _SALESFORCE),
        Scenario(
            "equal-timestamps", "thousands of contacts and Leads carry one modified date, as after a mass update", people.equal_timestamps
        ),
        Scenario("merges", "people merge contacts and Leads, now and then a winner into another", people.merges),
        Scenario("conversions", "people convert Leads into Contacts, Accounts and Opportunities", people.conversions, _SALESFORCE),
        Scenario("deleted", "people delete records, restore some, and empty the bin of others", people.deleted),
        Scenario("privacy-delete", "people are deleted for privacy in HubSpot, and for good in Salesforce", people.privacy_delete),
        Scenario("expiring-tokens", "HubSpot's OAuth tokens and Salesforce's sessions end every few calls", faults.expiring_tokens),
        Scenario("revoked", "after a few calls the credentials are refused, and stay so", faults.revoked),
        Scenario("no-account", "530 in front of HubSpot now and then: the token leads to no account", faults.no_account, _HUBSPOT),
        Scenario(
            "account-moves", "HubSpot answers 477 while it moves the account, once with two hours to wait", faults.account_moves, _HUBSPOT
        ),
        Scenario("limits", "429 of HubSpot's ten-second and search policies; Salesforce says too many requests run at once", faults.limits),
        Scenario(
            "day-limit", "the day's calls are spent soon, and stay so: 429 DAILY in HubSpot, TotalRequests in Salesforce", faults.day_limit
        ),
        Scenario("slow-queries", "Salesforce gives some queries up (QUERY_TIMEOUT)", faults.slow_queries, _SALESFORCE),
        Scenario("lost-cursors", "Salesforce closes open queries (INVALID_QUERY_LOCATOR)", faults.lost_cursors, _SALESFORCE),
        Scenario("lost-answers", "some writes take effect and their answers never come", faults.lost_answers),
        Scenario("html-errors", "HTML or nothing in place of JSON, with 502, 503 and 200", faults.html_errors),
        Scenario("truncated", "some answers end in the middle", faults.cut("truncate")),
        Scenario("slow", "some answers take 5 seconds", faults.cut("slow", seconds=5.0)),
        Scenario(
            "locked-rows", "HubSpot answers 423 to some writes, Salesforce UNABLE_TO_LOCK_ROW twice for every person", faults.locked_rows
        ),
        Scenario(
            "refused-rows", "a rule refuses every person's next two writes: 207 with errors, 200 with failed rows", faults.refused_rows
        ),
        Scenario(
            "schema-drift", "fields that the example's rules read vanish, are hidden, change type or lose an option", faults.schema_drift
        ),
    )
}
