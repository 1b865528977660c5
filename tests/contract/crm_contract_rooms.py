"""Three CRMs behind one face, for the contract that all of them keep: HubSpot and Salesforce over real HTTP beside a sandbox, and memory.

A room does by hand what people do in its CRM, tells the truth past the adapter, and has its own way of going wrong.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

from connector.adapters.calling import NoBudget
from connector.adapters.hubspot import HubSpotCrm
from connector.adapters.memory import MemoryCrm
from connector.adapters.port import Crm
from connector.adapters.salesforce import SalesforceCrm
from connector.errors import CrmError, RateLimited, Retriable
from connector.model import Activity, ActivityKind, Owner, PropertyFacts, RecordRef
from connector.sandbox.frame import Fault, Frame
from connector.sandbox.serve import Sandbox

NOW = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)
#: Behind every lag of the sandbox, and within the adapters' overlap.
LATER = timedelta(minutes=5)
PEOPLE = 1_105


@dataclass(slots=True)
class Clock:
    """Time that a test moves."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at

    def forward(self, by: timedelta = LATER) -> datetime:
        self.at += by
        return self.at


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """A fault by name: what the next answers are, and what error stands for it in memory."""

    name: str
    answer: Mapping[str, Any]
    memory: Callable[[str], CrmError]


_JSON = {"content-type": "application/json"}
_HTML = {"content-type": "text/html"}


def _limit(policy: str, retry_after: str | None) -> dict[str, Any]:
    body = f'{{"status":"error","message":"limit","errorType":"RATE_LIMIT","policyName":"{policy}"}}'
    return {"status": 429, "headers": _JSON | ({} if retry_after is None else {"retry-after": retry_after}), "body": body.encode()}


def _later(crm: str) -> CrmError:
    return Retriable("later", crm=crm)


def _limited(crm: str) -> CrmError:
    return RateLimited("too many", crm=crm, retry_after=1.0)


TROUBLES = (
    Trouble(name="500", answer={"status": 500}, memory=_later),
    Trouble(name="502 HTML", answer={"status": 502, "headers": _HTML, "body": b"<html>Bad Gateway</html>"}, memory=_later),
    Trouble(name="503 empty", answer={"status": 503, "headers": {"retry-after": "2"}}, memory=_later),
    Trouble(name="504", answer={"status": 504, "headers": _HTML, "body": b"<html></html>"}, memory=_later),
    Trouble(name="200 HTML", answer={"status": 200, "headers": _HTML, "body": b"<html>maintenance</html>"}, memory=_later),
    Trouble(name="200 empty", answer={"status": 200, "headers": _JSON, "body": b""}, memory=_later),
    Trouble(name="truncated", answer={"kind": "truncate"}, memory=_later),
    Trouble(name="slow", answer={"kind": "slow", "seconds": 0.6}, memory=_later),
    Trouble(name="lost", answer={"kind": "lost"}, memory=_later),
    Trouble(name="429 ten seconds", answer=_limit("TEN_SECONDLY_ROLLING", "1"), memory=_limited),
    Trouble(name="429 search", answer=_limit("SECONDLY", None), memory=_limited),
    Trouble(name="423", answer={"status": 423, "headers": _JSON, "body": b'{"category":"LOCKED","message":"locked"}'}, memory=_later),
    Trouble(name="477", answer={"status": 477, "headers": {"retry-after": "2"}}, memory=_later),
)  # fmt: skip


class Room(ABC):
    """One CRM. people: the stream of its persons; words: a text property of theirs; calls: the stream of calls."""

    name: str
    people: str
    words: str
    calls: str
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
    def trouble(self, trouble: Trouble, *, times: int, after: int = 0, call: str = "pull") -> None:
        """The next answers go wrong. call: which of the port's calls it is to meet (memory)."""

    @abstractmethod
    def trouble_writing(self, kind: str) -> None:
        """The next write goes wrong: "before" (nothing took effect), "after" (it did; the answer is lost), "limit", "locked"."""

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


class SandboxRoom(Room):
    """Common to both over HTTP."""

    def __init__(self, box: Sandbox, clock: Clock) -> None:
        super().__init__()
        self.box = box
        self.clock = clock
        self.crm = self.fresh()

    @property
    @abstractmethod
    def frame(self) -> Frame: ...

    def trouble(self, trouble: Trouble, *, times: int, after: int = 0, call: str = "pull") -> None:
        self.frame.add(Fault(self.frame.crm, "", times, after=after, **trouble.answer))

    def sent(self) -> int:
        return self.frame.calls

    def clean(self) -> None:
        self.frame.clear()
        self.frame.before_call.clear()


class HubSpotRoom(SandboxRoom):
    name, people, words, calls = "hubspot", "contacts", "jobtitle", "calls"

    @property
    def frame(self) -> Frame:
        return self.box.hubspot_frame

    def fresh(self) -> Crm:
        settings = SimpleNamespace(
            access_token=SimpleNamespace(read=lambda: "sandbox-token"),
            client_id=None,
            client_secret=None,
            refresh_token=None,
            base_url=self.box.hubspot_url,
            ca_bundle=None,
            api_version="v3",
        )
        wanted = {"contacts": ["email", "jobtitle"], "companies": ["industry"]}
        return HubSpotCrm(settings, wanted=wanted, budget=NoBudget(), sleep=rest, timeout=0.4 if self.hasty else 5.0)

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
        self.box.hubspot.hide_property("contacts", name)

    def show(self, name: str) -> None:
        self.box.hubspot.show_property("contacts", name)

    def tasks_with(self, subject: str) -> int:
        return sum(row["properties"].get("hs_task_subject") == subject for row in self.box.hubspot.live("tasks").values())

    def trouble_writing(self, kind: str) -> None:
        answers: dict[str, dict[str, Any]] = {
            "before": {"status": 500},
            "after": {"kind": "lost"},
            "limit": _limit("TEN_SECONDLY_ROLLING", "1"),
            "locked": {"status": 423, "headers": _JSON | {"retry-after": "2"}, "body": b'{"status":"error","category":"LOCKED"}'},
        }
        for match in ("PATCH ", "/batch/update", "/batch/create", "POST /crm/v3/objects/tasks"):
            self.frame.add(Fault("hubspot", match, 1, **answers[kind]))


class SalesforceRoom(SandboxRoom):
    name, people, words, calls = "salesforce", "Lead", "Title", "Task"

    @property
    def frame(self) -> Frame:
        return self.box.salesforce_frame

    def fresh(self) -> Crm:
        def secret(value: str) -> Any:
            return SimpleNamespace(read=lambda: value)

        settings = SimpleNamespace(
            auth="client-credentials",
            instance_url=self.box.salesforce_url,
            client_id=secret("sandbox-client"),
            client_secret=secret("sandbox-secret"),
            username=None,
            private_key=None,
            password=None,
            security_token=None,
            refresh_token=None,
            ca_bundle=self.box.ca_bundle,
            daily_requests=100_000,
            headroom=0.2,
            run_assignment_rules=False,
            task_key_field="Handoff_Key__c",
        )
        wanted = {"Lead": ["Email", "Title"], "Contact": ["Email"], "Account": ["Industry"]}
        return SalesforceCrm(settings, wanted=wanted, budget=NoBudget(), sleep=rest, timeout=0.4 if self.hasty else 5.0)

    def live(self, stream: str) -> set[str]:
        return set(self.box.salesforce.live(stream))

    def value(self, record_id: str) -> str | None:
        value: str | None = self.box.world.salesforce["Lead"][record_id].get("Title")
        return value

    def create(self, words: str) -> str:
        return self.box.salesforce.create("Lead", LastName="Neu", Company="Neu GmbH", Title=words)

    def edit(self, record_id: str, words: str) -> None:
        self.box.salesforce.edit("Lead", record_id, Title=words)

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
        self.box.salesforce.hide("Lead", name)

    def show(self, name: str) -> None:
        self.box.salesforce.show("Lead", name)

    def tasks_with(self, subject: str) -> int:
        return sum(row.get("Subject") == subject for row in self.box.salesforce.live("Task").values())

    def trouble_writing(self, kind: str) -> None:
        busy = b'[{"errorCode":"REQUEST_LIMIT_EXCEEDED","message":"ConcurrentRequests (Concurrent API Requests) Limit exceeded."}]'
        answers: dict[str, dict[str, Any]] = {
            "before": {"status": 500},
            "after": {"kind": "lost"},
            "limit": {"status": 403, "headers": _JSON, "body": busy},
        }
        if kind == "locked":
            self.box.salesforce.lock_rows(sorted(self.live("Lead")), times=1)
        else:
            for match in ("PATCH /services/data", "POST /services/data"):
                self.frame.add(Fault("salesforce", match, 1, **answers[kind]))

    def clean(self) -> None:
        super().clean()
        self.box.salesforce.lock_rows(sorted(self.live("Lead")), times=0)


class MemoryRoom(Room):
    """Memory, as one of the two."""

    def __init__(self, name: Any) -> None:
        super().__init__()
        hubspot = name == "hubspot"
        self.name = f"memory as {name}"
        self.people, self.words = ("contacts", "jobtitle") if hubspot else ("Lead", "Title")
        self.calls = "calls" if hubspot else "Task"
        self.memory = MemoryCrm(name=name, clock=self.clock, page_size=200)
        self.crm = self.memory
        self._ids = iter(range(10_000, 100_000))
        self.memory.put(Owner(crm=name, id="1", email="anna@acme.example", name="Anna", active=True))
        for _ in range(450):
            self.create("")
        self.memory.furnish({self.people: [self.words]})

    def fresh(self) -> Crm:
        return self.memory

    def live(self, stream: str) -> set[str]:
        return set(self.memory.ids(stream))

    def value(self, record_id: str) -> str | None:
        value: str | None = self.memory.value(self.people, record_id, self.words)
        return value

    def create(self, words: str) -> str:
        record_id = str(next(self._ids))
        self.memory.person(self.people, record_id, **{self.words: words, "email": f"{record_id}@kunde.example"})
        return record_id

    def edit(self, record_id: str, words: str) -> None:
        self.memory.edit(self.people, record_id, **{self.words: words})

    def delete(self, stream: str, record_id: str) -> None:
        self.memory.archive(stream, record_id)

    def restore(self, record_id: str) -> None:
        self.memory.restore(self.people, record_id)

    def delete_for_good(self, record_id: str) -> None:
        self.memory.purge(self.people, record_id)

    def merge(self, keep: str, lose: str) -> str:
        self.memory.merge(self.people, lose, keep)
        return keep

    def stamp_alike(self, ids: Sequence[str]) -> None:
        for one in ids:
            self.memory.edit(self.people, one)

    def log_call(self, who: str) -> str:
        one = str(next(self._ids))
        call = Activity(crm=self.crm.name, object=self.calls, id=one, kind=ActivityKind.CALL, at=self.now, contacts=(self.ref(who),))
        self.memory.put(replace(call, created_at=self.now, modified_at=self.now))
        return one

    def hide(self, name: str) -> None:
        self.memory.drop_property(self.people, name)

    def show(self, name: str) -> None:
        self.memory.make_property(PropertyFacts(object=self.people, name=name, label=name, type="string"))

    def tasks_with(self, subject: str) -> int:
        return sum(task.outcome == subject for task in self.memory.tasks())

    def trouble(self, trouble: Trouble, *, times: int, after: int = 0, call: str = "pull") -> None:
        self.memory.fail(call, trouble.memory(self.crm.name), times=times)  # type: ignore[arg-type]  # a name of the port

    def trouble_writing(self, kind: str) -> None:
        if kind == "after":
            self.memory.lose_answers(1)
        elif kind == "locked":
            for one in self.live(self.people):
                self.memory.busy(one, 1)

    def sent(self) -> int:
        return self.memory.calls()

    def clean(self) -> None:
        """Every room of this kind is a new one."""

    def close(self) -> None:
        """Nothing to give back."""
