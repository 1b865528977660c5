"""The CRM in memory as a subject of the contract, as either of the two; and what of the sandbox's scenarios has a meaning there."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, get_args

from connector.adapters.memory.crm import MemoryCrm
from connector.adapters.memory.faults import Call
from connector.adapters.port import Crm
from connector.errors import CrmError, PassStopped, RateLimited, Retriable
from connector.model import CRM_FACTS, Activity, ActivityKind, Owner, PropertyFacts
from tests.contract.faults import AnswerFault
from tests.contract.subjects import Drifted, Subject


class MemorySubject(Subject):
    """Memory, as one of the two."""

    drifted = Drifted("competitor", "budget", "industry_code", "reason", "Bad timing", "second_reason")

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
        self.memory.furnish({self.people: [self.words, self.drifted.vanished, self.drifted.hidden]})
        self.have(self.drifted.retyped, "string")
        self.have(self.drifted.poorer, "enumeration", "No budget", self.drifted.option)

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

    def edit_status(self, record_id: str, status: str) -> str | None:
        self.memory.user = "5200002"
        self.memory.edit(self.people, record_id, **{CRM_FACTS[self.memory.name].lead_status: status})
        return self.memory.user

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

    def have(self, name: str, kind: str, *options: str) -> None:
        """People have a property of this type from now on."""
        self.memory.make_property(PropertyFacts(object=self.people, name=name, label=name, type=kind, options=options))

    def tasks_with(self, subject: str) -> int:
        return sum(task.outcome == subject for task in self.memory.tasks())

    def fail_reading(self, fault: AnswerFault, *, times: int, after: int = 0, call: str = "pull") -> None:
        self.memory.fail(call, fault.memory(self.crm.name), times=times)  # type: ignore[arg-type]  # a name of the port

    def fail_writing(self, kind: str) -> None:
        if kind == "after":
            self.memory.lose_answers(1)
        elif kind == "locked":
            for one in self.live(self.people):
                self.memory.busy(one, 1)

    def play(self, scenario: str, *, times: int = 5) -> None:
        IN_MEMORY[scenario](self, times)

    def sent(self) -> int:
        return self.memory.calls()

    def clean(self) -> None:
        self.memory._between.clear()
        self.memory._faults.clear()
        self.memory.lose_answers(0)
        for one in self.live(self.people):
            self.memory.busy(one, 0)
            self.memory.refuse(one, "", times=0)

    def close(self) -> None:
        """Nothing to give back."""


# ── The sandbox's scenarios, where they have a meaning ───────────────────────────────────────────────────────────────────────────────

Play = Callable[[MemorySubject, int], None]


def _meanwhile(deed: Callable[[MemorySubject, random.Random], None]) -> Play:
    """People do this after each of the next calls."""

    def play(subject: MemorySubject, times: int) -> None:
        draw = random.Random(7)
        for call in ("pull", "update", "create_tasks"):
            for _ in range(times):
                subject.memory.between(call, partial(deed, subject, draw))

    return play


def _failing(error: Callable[[str], CrmError]) -> Play:
    """Each call of the port meets this error so often."""

    def play(subject: MemorySubject, times: int) -> None:
        for call in get_args(Call):
            subject.memory.fail(call, error(subject.crm.name), times=times)

    return play


def _draw(subject: MemorySubject, draw: random.Random, count: int) -> list[str]:
    return draw.sample(sorted(subject.live(subject.people)), count)


def _edit(subject: MemorySubject, draw: random.Random) -> None:
    (one,) = _draw(subject, draw, 1)
    subject.edit(one, f"Head of IT {draw.randint(1, 999)}")


def _merge(subject: MemorySubject, draw: random.Random) -> None:
    keep, lose = _draw(subject, draw, 2)
    subject.merge(keep, lose)


def _delete(subject: MemorySubject, draw: random.Random) -> None:
    (one,) = _draw(subject, draw, 1)
    subject.delete(subject.people, one)
    if draw.random() < 0.3:
        subject.restore(one)


def _purge(subject: MemorySubject, draw: random.Random) -> None:
    (one,) = _draw(subject, draw, 1)
    subject.delete_for_good(one)


def _refuse(subject: MemorySubject, times: int) -> None:
    for one in subject.live(subject.people):
        subject.memory.refuse(one, "a rule of the account")


def _lock(subject: MemorySubject, times: int) -> None:
    for one in subject.live(subject.people):
        subject.memory.busy(one, times)


def _drift(subject: MemorySubject, times: int) -> None:
    names = subject.drifted
    subject.memory.drop_property(subject.people, names.vanished)
    subject.memory.drop_property(subject.people, names.hidden)
    subject.have(names.retyped, "number")
    subject.have(names.poorer, "enumeration", "No budget")
    subject.have(names.new, "string")


IN_MEMORY: Mapping[str, Play] = {
    "late-index": _meanwhile(_edit),
    "late-commit": _meanwhile(_edit),
    "equal-timestamps": lambda subject, _: subject.stamp_alike(sorted(subject.live(subject.people))),
    "merges": _meanwhile(_merge),
    "deleted": _meanwhile(_delete),
    "privacy-delete": _meanwhile(_purge),
    "revoked": _failing(lambda crm: PassStopped("the credentials are refused", crm=crm)),
    "no-account": _failing(lambda crm: PassStopped("no account is found for this token", crm=crm)),
    "account-moves": _failing(lambda crm: PassStopped("the account is being moved", crm=crm)),
    "limits": _failing(lambda crm: RateLimited("too many", crm=crm, retry_after=1.0)),
    "day-limit": _failing(lambda crm: PassStopped("the day's calls are used up", crm=crm)),
    "lost-answers": lambda subject, times: subject.memory.lose_answers(times),
    "html-errors": _failing(lambda crm: Retriable("HTML", crm=crm)),
    "truncated": _failing(lambda crm: Retriable("cut off", crm=crm)),
    "slow": _failing(lambda crm: Retriable("no answer in time", crm=crm)),
    "locked-rows": _lock,
    "refused-rows": _refuse,
    "schema-drift": _drift,
}
#: What else there is, and why it means nothing in memory.
NOT_IN_MEMORY: Mapping[str, str] = {
    "conversions": "a record tells of its conversion by fields of Salesforce's own, which memory's have not",
    "expiring-tokens": "nobody signs in to memory",
    "slow-queries": "nothing is asked for in queries, so that none is too long",
    "lost-cursors": "a cursor is a number, and is never closed",
}
