"""The run of `connector check` on one CRM: an adapter's questions one by one, what errors mean, and what is worded alike for all CRMs.

An error is a finding, not an end, unless nothing of the CRM can be asked any more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from connector.errors import DAY_SPENT, CrmError, PassStopped, Retriable
from connector.model import CrmName, Finding, Permission, Uses


@dataclass(frozen=True, slots=True)
class Question:
    """topic: of the finding that an error of it becomes; vital: after any error of it nothing else can be asked."""

    topic: str
    ask: Callable[[], Iterable[Finding]]
    vital: bool = False


@dataclass(slots=True, kw_only=True)
class CheckRun:
    """One run. label: the CRM's name in sentences; needed: the permissions that the configuration needs, where no answer tells of them.

    answered: to be set by the first question that the CRM answered.
    """

    crm: CrmName
    label: str
    uses: Uses
    now: datetime
    needed: Callable[[], tuple[Permission, ...]]
    answered: bool = False
    _findings: list[Finding] = field(default_factory=list)

    def findings(self, questions: Iterable[Question]) -> list[Finding]:
        """Every finding; stops at the first error after which nothing of the CRM can be asked."""
        for question in questions:
            try:
                self._findings.extend(question.ask())
            except PassStopped as error:
                self._findings.append(self._ended(error))
                break
            except CrmError as error:
                if question.vital:
                    self._findings.append(replace(self.failed(question.topic, error), permissions=self.needed()))
                    break
                if isinstance(error, Retriable) and not self.answered:
                    # Whoever does not answer now is not asked a dozen times more, each with its own patience.
                    self._findings.append(self._ended(error))
                    break
                self._findings.append(self.failed(question.topic, error))
        return self._findings

    def _ended(self, error: CrmError) -> Finding:
        """Nothing of the CRM can be asked any more: what else is wrong is not known."""
        refused = isinstance(error, PassStopped) and not self.answered and error.code != DAY_SPENT
        permissions = () if any(finding.permissions for finding in self._findings) else self.needed()
        message = f"{error.message}; nothing else of {self.label} could be looked at"
        return replace(self.wrong("credentials" if refused else "stopped", message, error.advice), permissions=permissions)

    # ── Findings ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def good(self, topic: str, message: str) -> Finding:
        """What is right."""
        return Finding(topic=f"{self.crm}: {topic}", ok=True, message=message)

    def wrong(self, topic: str, message: str, advice: str) -> Finding:
        """What is not right."""
        return Finding(topic=f"{self.crm}: {topic}", ok=False, message=message, advice=advice)

    def warning(self, topic: str, message: str, advice: str) -> Finding:
        """What is not right, and stops nothing."""
        return Finding(topic=f"{self.crm}: {topic}", ok=False, warning=True, message=message, advice=advice)

    def failed(self, topic: str, error: CrmError) -> Finding:
        """What could not be looked at."""
        return self.wrong(topic, error.message, error.advice)

    # ── What is worded alike ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def clock(self, server: datetime | None, *, tolerance: float, apart: Callable[[float], str], advice: str) -> Iterator[Finding]:
        """This machine's clock against the CRM's, which its answer told (None: it did not). tolerance: seconds.

        apart: the sentence for a difference, in seconds; positive where ours is ahead.
        """
        if server is None:
            return
        ahead = (self.now - server).total_seconds()
        if abs(ahead) > tolerance:
            yield self.warning("clock", apart(ahead), advice)
        else:
            yield self.good("clock", f"this machine and {self.label} agree on the time")

    def limit_too_high(self, key: str, allowed: int, message: str) -> Finding:
        """A limit of the file that is above the account's own."""
        return self.wrong("limits", message, f"Set crm.{self.crm}.{key} to {allowed} or less.")

    def quiet_passes(self, calls: int, ours: int, *, unit: str, advice: str) -> Iterator[Finding]:
        """What passes take in which nothing changed. calls: a pass; ours: those of a day that are ours; unit: the CRM's word for them."""
        daily = math.ceil(calls * self.uses.passes_a_day)
        if daily:
            message = f"passes in which nothing changed take {daily:,} {unit} a day ({calls} each), of {ours:,} that are ours"
            yield self.warning("limits", message, advice) if daily * 2 > ours else self.good("limits", message)


def days_needed(calls: int, ours: float, *, unit: str) -> str:
    """The end of a sentence: how many days so many calls take; "" where it is one."""
    days = math.ceil(calls / max(1, ours))
    return f"; at {int(ours):,} {unit} a day it takes {days} days" if days > 1 else ""
