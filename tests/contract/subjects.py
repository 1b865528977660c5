"""CRMs behind one face, for the contract that all of them keep: HubSpot and Salesforce over real HTTP beside a sandbox.

A subject does by hand what people do in its CRM, tells the truth past the adapter, and has its own way of going wrong.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from connector.adapters.client import NoBudget
from connector.adapters.hubspot import HubSpotCrm
from connector.adapters.port import Crm
from connector.adapters.salesforce import SalesforceCrm
from connector.model import HubSpotAccess, RecordRef, SalesforceAccess
from connector.sandbox.fault_injection import Fault, FaultInjector
from connector.sandbox.hubspot.options import HubSpotOptions
from connector.sandbox.salesforce.options import SalesforceOptions
from connector.sandbox.scenarios.catalogue import arm
from connector.sandbox.serve import Sandbox
from tests.adapters.secrets import PlainSecret
from tests.contract.faults import JSON, AnswerFault, limit

NOW = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)
#: Behind every lag of the sandbox, and within the adapters' overlap.
LATER = timedelta(minutes=5)
PEOPLE = 1_105
#: Limits that hold nobody up, and pages of which there are several.
HUBSPOT = HubSpotOptions(requests_per_10_seconds=10**6, searches_per_second=10**6)
SALESFORCE = SalesforceOptions(page_size=200)


@dataclass(slots=True)
class Clock:
    """Time that a test moves."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at

    def seconds(self) -> float:
        """As a wall clock tells it."""
        return self.at.timestamp()

    def forward(self, by: timedelta = LATER) -> datetime:
        self.at += by
        return self.at


@dataclass(frozen=True, slots=True)
class Drifted:
    """The properties of people that the script "schema-drift" concerns; `poorer` loses `option`."""

    vanished: str
    hidden: str
    retyped: str
    poorer: str
    option: str
    new: str


class Subject(ABC):
    """One CRM. people: the stream of its persons; words: a text property of theirs; calls: the stream of calls."""

    name: str
    people: str
    words: str
    calls: str
    drifted: Drifted
    hasty: bool = False  # it waits 0.4 s for an answer

    def __init__(self) -> None:
        self.clock = Clock()
        self.crm: Crm

    @property
    def now(self) -> datetime:
        return self.clock.at

    def ref(self, record_id: str) -> RecordRef:
        return RecordRef(crm=self.crm.name, object=self.people, id=record_id)

    def later(self, by: timedelta = LATER) -> datetime:
        return self.clock.forward(by)

    @abstractmethod
    def fresh(self) -> Crm:
        """Another adapter of the same CRM."""

    @abstractmethod
    def live(self, stream: str) -> set[str]:
        """The ids of what is there."""

    @abstractmethod
    def value(self, record_id: str) -> str | None:
        """What `words` of a person holds."""

    @abstractmethod
    def create(self, words: str) -> str: ...
    @abstractmethod
    def edit(self, record_id: str, words: str) -> None: ...
    @abstractmethod
    def edit_status(self, record_id: str, status: str) -> str | None:
        """A person changes the lead status; returns the CRM's id of the user."""

    @abstractmethod
    def delete(self, stream: str, record_id: str) -> None: ...
    @abstractmethod
    def restore(self, record_id: str) -> None: ...
    @abstractmethod
    def delete_for_good(self, record_id: str) -> None: ...
    @abstractmethod
    def merge(self, keep: str, lose: str) -> str: ...
    @abstractmethod
    def stamp_alike(self, ids: Sequence[str]) -> None: ...
    @abstractmethod
    def log_call(self, who: str) -> str: ...
    @abstractmethod
    def tasks_with(self, subject: str) -> int:
        """How many live tasks have this subject."""

    @abstractmethod
    def fail_reading(self, fault: AnswerFault, *, times: int, after: int = 0, call: str = "pull") -> None:
        """The next answers go wrong. call: which of the port's calls it is to meet (memory)."""

    @abstractmethod
    def fail_writing(self, kind: str) -> None:
        """The next write goes wrong: "before" (nothing took effect), "after" (it did; the answer is lost), "limit", "locked"."""

    @abstractmethod
    def play(self, scenario: str, *, times: int = 5) -> None:
        """A script of the sandbox begins, thick and fast."""

    @abstractmethod
    def hide(self, name: str) -> None:
        """The connector may not see a field of people any more."""

    @abstractmethod
    def show(self, name: str) -> None:
        """… it may again."""

    @abstractmethod
    def sent(self) -> int:
        """Requests that arrived there."""

    @abstractmethod
    def clean(self) -> None:
        """Nothing goes wrong any more."""

    def close(self) -> None:
        self.crm.close()


def rest(seconds: float) -> None:
    """Nobody waits."""


class SandboxSubject(Subject):
    """Common to both over HTTP."""

    def __init__(self, box: Sandbox, clock: Clock) -> None:
        super().__init__()
        self.box = box
        self.clock = clock
        self.crm = self.fresh()

    @property
    @abstractmethod
    def frame(self) -> FaultInjector: ...

    def fail_reading(self, fault: AnswerFault, *, times: int, after: int = 0, call: str = "pull") -> None:
        self.frame.add(Fault(self.frame.crm, "", times, after=after, **fault.answer))

    def sent(self) -> int:
        return self.frame.calls

    def play(self, scenario: str, *, times: int = 5) -> None:
        every = 10 if scenario == "expiring-tokens" else 1  # a token that ends before the replay of a call helps nobody on
        arm(self.box, scenario, every=every, times=times)

    def clean(self) -> None:
        for frame in (self.box.hubspot_faults, self.box.salesforce_faults):
            frame.clear()
            frame.before_call.clear()
        contacts, org = self.box.hubspot, self.box.salesforce
        contacts.change_options(search_lag_seconds=0.0)
        contacts.refuse_rows("contacts", self.box.world.hubspot["contacts"], times=0)
        org.change_options(late_commits=0.0, session_calls=None)
        org.settle()
        people = [*org.live("Lead"), *org.live("Contact")]
        org.lock_rows(people, times=0)
        org.refuse_rows(people, times=0)
        org.crowd(0)
        org.refuse_logins(0)


class HubSpotSubject(SandboxSubject):
    """oauth: with an app's tokens, which end; else with a token that does not."""

    name, people, words, calls = "hubspot", "contacts", "jobtitle", "calls"
    drifted = Drifted("competitor_in_use", "budget_amount", "pain_point", "hs_lead_status", "UNQUALIFIED", "second_pain_point")

    def __init__(self, box: Sandbox, clock: Clock, *, oauth: bool = False) -> None:
        self._oauth = oauth
        super().__init__(box, clock)

    @property
    def frame(self) -> FaultInjector:
        return self.box.hubspot_faults

    def fresh(self) -> Crm:
        access = HubSpotAccess(
            base_url=self.box.hubspot_url,
            access_token=None if self._oauth else PlainSecret("sandbox-token"),
            client_id=PlainSecret("sandbox-client") if self._oauth else None,
            client_secret=PlainSecret("sandbox-secret") if self._oauth else None,
            refresh_token=PlainSecret("sandbox-refresh-token") if self._oauth else None,
        )
        wanted = {"contacts": ["email", "jobtitle"], "companies": ["industry"]}
        return HubSpotCrm(
            access, wanted=wanted, budget=NoBudget(), sleep=rest, clock=self.clock.seconds, timeout=0.4 if self.hasty else 5.0
        )

    def live(self, stream: str) -> set[str]:
        if stream == "owners":
            return {owner["id"] for owner in self.box.world.hubspot_owners}
        return set(self.box.hubspot.ids(stream))

    def value(self, record_id: str) -> str | None:
        value: str | None = self.box.world.hubspot["contacts"][record_id]["properties"].get("jobtitle")
        return value

    def create(self, words: str) -> str:
        return self.box.hubspot.create("contacts", jobtitle=words)

    def edit(self, record_id: str, words: str) -> None:
        self.box.hubspot.edit("contacts", record_id, jobtitle=words)

    def edit_status(self, record_id: str, status: str) -> str | None:
        self.box.hubspot.act_as("ben@acme.example")
        self.box.hubspot.edit("contacts", record_id, hs_lead_status=status)
        return next(str(owner["userId"]) for owner in self.box.world.hubspot_owners if owner["email"] == "ben@acme.example")

    def delete(self, stream: str, record_id: str) -> None:
        self.box.hubspot.delete(stream, record_id)

    def restore(self, record_id: str) -> None:
        self.box.hubspot.restore("contacts", record_id)

    def delete_for_good(self, record_id: str) -> None:
        self.box.hubspot.forget(record_id)

    def merge(self, keep: str, lose: str) -> str:
        return self.box.hubspot.merge("contacts", keep, lose)

    def stamp_alike(self, ids: Sequence[str]) -> None:
        self.box.hubspot.stamp_alike("contacts", ids, self.now)

    def log_call(self, who: str) -> str:
        return self.box.hubspot.log_call([who], at=self.now)

    def hide(self, name: str) -> None:
        self.box.hubspot.schema.hide_property("contacts", name)

    def show(self, name: str) -> None:
        self.box.hubspot.schema.show_property("contacts", name)

    def tasks_with(self, subject: str) -> int:
        return sum(row["properties"].get("hs_task_subject") == subject for row in self.box.hubspot.live("tasks").values())

    def fail_writing(self, kind: str) -> None:
        answers: dict[str, dict[str, Any]] = {
            "before": {"status": 500},
            "after": {"kind": "lost"},
            "limit": limit("TEN_SECONDLY_ROLLING", "1"),
            "locked": {"status": 423, "headers": JSON | {"retry-after": "2"}, "body": b'{"status":"error","category":"LOCKED"}'},
        }
        for match in ("PATCH ", "/batch/update", "/batch/create", "POST /crm/v3/objects/tasks"):
            self.frame.add(Fault("hubspot", match, 1, **answers[kind]))


class SalesforceSubject(SandboxSubject):
    name, people, words, calls = "salesforce", "Lead", "Title", "Task"
    drifted = Drifted("Budget__c", "NumberOfEmployees", "NAICS__c", "Rejection_Reason__c", "Bad timing", "Second_Reason__c")

    @property
    def frame(self) -> FaultInjector:
        return self.box.salesforce_faults

    def fresh(self) -> Crm:
        access = SalesforceAccess(
            auth="client-credentials",
            instance_url=self.box.salesforce_url,
            client_id=PlainSecret("sandbox-client"),
            client_secret=PlainSecret("sandbox-secret"),
            ca_bundle=self.box.ca_bundle,
            daily_requests=100_000,
            headroom=0.2,
            run_assignment_rules=False,
            task_key_field="Handoff_Key__c",
        )
        wanted = {"Lead": ["Email", "Title"], "Contact": ["Email"], "Account": ["Industry"]}
        seconds = 0.4 if self.hasty else 5.0
        return SalesforceCrm(access, wanted=wanted, budget=NoBudget(), sleep=rest, timeout=seconds, patience=seconds)

    def live(self, stream: str) -> set[str]:
        return set(self.box.salesforce.live(stream))

    def value(self, record_id: str) -> str | None:
        value: str | None = self.box.world.salesforce["Lead"][record_id].get("Title")
        return value

    def create(self, words: str) -> str:
        return self.box.salesforce.create("Lead", LastName="Neu", Company="Neu GmbH", Title=words)

    def edit(self, record_id: str, words: str) -> None:
        self.box.salesforce.edit("Lead", record_id, Title=words)

    def edit_status(self, record_id: str, status: str) -> str | None:
        self.box.salesforce.act_as("ben@acme.example")
        self.box.salesforce.edit("Lead", record_id, Status=status)
        return next(one for one, row in self.box.world.salesforce["User"].items() if row["Email"] == "ben@acme.example")

    def delete(self, stream: str, record_id: str) -> None:
        self.box.salesforce.delete(stream, record_id)

    def restore(self, record_id: str) -> None:
        self.box.salesforce.undelete("Lead", record_id)

    def delete_for_good(self, record_id: str) -> None:
        self.box.salesforce.hard_delete("Lead", record_id)

    def merge(self, keep: str, lose: str) -> str:
        self.box.salesforce.merge("Lead", keep, lose)
        return keep

    def stamp_alike(self, ids: Sequence[str]) -> None:
        self.box.salesforce.stamp_alike("Lead", ids, self.now)

    def log_call(self, who: str) -> str:
        return self.box.salesforce.log_call(who)

    def hide(self, name: str) -> None:
        self.box.salesforce.schema.hide_field("Lead", name)

    def show(self, name: str) -> None:
        self.box.salesforce.schema.show_field("Lead", name)

    def tasks_with(self, subject: str) -> int:
        return sum(row.get("Subject") == subject for row in self.box.salesforce.live("Task").values())

    def fail_writing(self, kind: str) -> None:
        busy = b'[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"ConcurrentRequests (Concurrent API Requests) Limit exceeded."}]'
        answers: dict[str, dict[str, Any]] = {
            "before": {"status": 500},
            "after": {"kind": "lost"},
            "limit": {"status": 403, "headers": JSON, "body": busy},
        }
        if kind == "locked":
            self.box.salesforce.lock_rows(sorted(self.live("Lead")), times=1)
        else:
            for match in ("PATCH /services/data", "POST /services/data"):
                self.frame.add(Fault("salesforce", match, 1, **answers[kind]))
