"""One way for a request to go out: budget, timeout, judgement, retries. Written once for all CRMs.

A wire module (no I/O) builds a `Request` and judges an `Answer`; an adapter gives a `send`. Here is all that lies between.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Literal, Protocol, TypeVar, cast

import tenacity

from connector.errors import AnswerLost, CrmError, RateLimited, Retriable
from connector.model import CrmName

T = TypeVar("T")

#: The limits a request counts against: any call, HubSpot's search, a login.
Bucket = Literal["call", "search", "login"]

#: Who goes first where requests are scarce: what a person waits for (writes, what is read just before and after them, the fast lane), a
#: pass, a read of everything from its beginning.
Lane = Literal["urgent", "normal", "backfill"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request, without host and credentials. `safe`: may be sent again whatever became of the first (reads, sets of a value, upserts).

    `about` names it in errors ("reading contacts"), without personal data.
    """

    method: str
    path: str
    about: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    bucket: Bucket = "call"
    safe: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Unreachable(Exception):
    """No answer. `sent` tells whether the request may have reached the CRM. `send` raises it."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent


class Budget(Protocol):
    """The shared budget of one CRM account (see `connector.store.budget`)."""

    def take(self, bucket: Bucket, lane: Lane = "normal") -> None:
        """Waits until the request may go out; a lane's requests pass those of the lanes below it.

        Raises `PassStopped` where the day's share is spent.
        """
        ...

    def learn(self, limit: str, used: int, of: int) -> None:
        """The CRM's own count of a limit ("day", "10 seconds"), all integrations together: where theirs is more than was left to them, we
        take less. Cheap: may be told on every answer."""
        ...

    def cool_down(self, seconds: float) -> None:
        """The CRM said to wait: no process sends before then."""
        ...


class NoBudget:
    """No limit at all: for tests of other things."""

    def take(self, bucket: Bucket, lane: Lane = "normal") -> None:
        """Goes on at once."""

    def learn(self, limit: str, used: int, of: int) -> None:
        """Forgets it."""

    def cool_down(self, seconds: float) -> None:
        """Goes on at once."""


@dataclass(kw_only=True)
class Caller:
    """Sends requests: takes from the budget, has the answer judged, retries what is safe to repeat.

    judge: returns None where the answer is good, else the error it means. attempts: how often at most. sleep: seconds. lane: of all of its
    requests.
    An unsafe request (a create) is repeated only where the CRM certainly did not act on it: it was never sent, or the CRM answered with a
    rate limit or another 4xx. Else a lost answer, a 5xx, or a success that cannot be read becomes `AnswerLost`.
    """

    crm: CrmName
    send: Callable[[Request], Answer]
    judge: Callable[[Request, Answer], CrmError | None]
    budget: Budget
    sleep: Callable[[float], None]
    attempts: int = 5
    longest_wait: float = 120.0
    lane: Lane = "normal"
    count: int = 0
    _counting: Lock = field(default_factory=Lock, init=False, repr=False)
    _retrying: tenacity.Retrying = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Retriable),
            wait=self._wait,
            stop=tenacity.stop_after_attempt(self.attempts),
            sleep=self.sleep,
            reraise=True,
        )

    def call(self, request: Request) -> Answer:
        """The good answer, or the error of the last attempt."""
        return self.ask(request, _as_it_is)

    def ask(self, request: Request, read: Callable[[Answer], T]) -> T:
        """What `read` takes out of the good answer, or the error of the last attempt.

        A `Retriable` that `read` raises (a body that was cut) is treated like one that the CRM answered.
        """
        return cast(T, self._retrying(self._once, request, read))

    def _wait(self, state: tenacity.RetryCallState) -> float:
        failure = state.outcome.exception() if state.outcome is not None else None
        asked = failure.retry_after if isinstance(failure, Retriable) else None
        backed_off = float((tenacity.wait_exponential(multiplier=0.5, max=30) + tenacity.wait_random(0, 0.5))(state))
        return min(self.longest_wait, backed_off if asked is None else asked)

    def _once(self, request: Request, read: Callable[[Answer], T]) -> T:
        self.budget.take(request.bucket, self.lane)
        with self._counting:
            self.count += 1
        try:
            answer = self.send(request)
        except Unreachable as problem:
            raise self._no_answer(request, problem) from problem
        error = self.judge(request, answer)
        if error is None:
            try:
                return read(answer)
            except Retriable as unreadable:
                unreadable.message += f", while {request.about}"
                error = unreadable
        if isinstance(error, Retriable):
            if error.retry_after is not None:
                self.budget.cool_down(min(error.retry_after, self.longest_wait))
            if not request.safe and not _certainly_not_done(error, answer):
                raise self._lost(request, f"the answer was {answer.status}", answer.status, error.correlation_id)
        raise error

    def _no_answer(self, request: Request, problem: Unreachable) -> CrmError:
        if request.safe or not problem.sent:
            return Retriable(
                f"{self.crm} did not answer ({problem.reason}) while {request.about}",
                crm=self.crm,
                advice="Check the network and the address in the configuration; the next pass goes on where this one stopped.",
            )
        return self._lost(request, problem.reason, None, "")

    def _lost(self, request: Request, reason: str, status: int | None, correlation_id: str) -> AnswerLost:
        return AnswerLost(
            f"the answer of {self.crm} was lost while {request.about}: {reason}",
            crm=self.crm,
            status=status,
            correlation_id=correlation_id,
            advice="Nothing to do: the connector looks up whether it took effect before it tries again.",
        )


def _as_it_is(answer: Answer) -> Answer:
    return answer


def _certainly_not_done(error: CrmError, answer: Answer) -> bool:
    """Whether the CRM turned the request away before acting on it; 408 is said after waiting for a part of it."""
    return isinstance(error, RateLimited) or (400 <= answer.status < 500 and answer.status != 408)
