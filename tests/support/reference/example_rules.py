"""The rules of config.example.toml, written out by hand as Python; a test says which of the file's texts they stand for."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from tests.support.reference.business_time import ZONE
from tests.support.reference.facts import Facts
from tests.support.reference.touches import count_happened

STAGES = ("subscriber", "lead", "mql", "sql", "opportunity", "customer", "evangelist")
_FREE = ("gmail.com", "outlook.com", "web.de")


def rank(stage: str | None) -> int:
    """How far along a stage is; none is 0."""
    return 0 if stage is None else STAGES.index(stage) + 1


MQL, SQL = rank("mql"), rank("sql")


@dataclass(frozen=True, slots=True)
class Reading:
    """What a condition reads of a contact at a moment; the touches are those since the attempt began."""

    facts: Facts
    now: datetime
    last_touch_at: datetime | None = None

    def text(self, name: str) -> str | None:
        """A field's text, folded; None where it is empty."""
        value = self.facts.values.get(name)
        return None if value is None else unicodedata.normalize("NFC", str(value)).casefold()

    def number(self, name: str) -> float | None:
        """A field's number."""
        value = self.facts.values.get(name)
        return None if value is None else float(value)

    def is_one_of(self, name: str, *values: str) -> bool:
        """Whether a field is one of these."""
        return self.text(name) in [value.casefold() for value in values]

    def contains(self, name: str, *parts: str) -> bool:
        """Whether a field's text contains one of these."""
        text = self.text(name)
        return text is not None and any(part.casefold() in text for part in parts)

    def has(self, name: str, value: str) -> bool:
        """Whether a field of several choices has this one."""
        return value.casefold() in (self.text(name) or "").split(";")

    @property
    def domain(self) -> str | None:
        """What stands after the last @ of the address."""
        address = self.text("f_email")
        return None if address is None or "@" not in address else address.rsplit("@", 1)[1]

    def ago(self, days: int) -> datetime:
        """So many days before."""
        return self.now - timedelta(days=days)


def excluded(of: Reading) -> bool:
    """Whether the contact is judged by no rule."""
    return of.domain in ("acme.example", "competitor.example") or of.contains("f_job_title", "Student")


def _size(of: Reading) -> bool:
    employees = of.number("f_employees")
    return employees is not None and 50 <= employees <= 5000 and of.is_one_of("f_country", "Germany", "Austria", "Switzerland")


def _leads(of: Reading) -> bool:
    roles = of.has("f_roles", "DECISION_MAKER") or of.has("f_roles", "CHAMPION")
    return roles or of.contains("f_job_title", "Director", "Head of")


CRITERIA: Mapping[str, Callable[[Reading], bool]] = {
    "industry we serve": lambda of: of.is_one_of("f_industry", "software", "logistics") or (of.text("f_naics") or "").startswith("5112"),
    "company size and place": _size,
    "decision maker or important role": _leads,
    "the right environment": lambda of: of.domain is not None and of.domain not in _FREE,
    "a documented decision process": lambda of: count_happened(of.facts.happened, "meeting", of.ago(90), of.now) >= 1,
    "a known, unsolved problem": lambda of: of.text("f_pain_point") is not None,
    "budget available": lambda of: (of.number("f_budget") or 0) > 0,
    "competition known": lambda of: of.text("f_competitor_in_use") is not None,
    "urgency": lambda of: of.is_one_of("f_timeline", "now", "this quarter"),
}
MINIMUM = 4


def score(of: Reading) -> float:
    """The sum of the points."""
    total = 20.0 if of.contains("f_job_title", "Director", "VP", "Chief") else 0.0
    converted = of.facts.values.get("f_last_conversion_at")
    if converted is not None:
        midnights = max((of.now.astimezone(ZONE).date() - converted.astimezone(ZONE).date()).days, 0)
        points = 40 * 0.5 ** (midnights / 30)
        total += points if points >= 0.5 else 0.0
    views = of.number("f_page_views") or 0.0
    total += min(2 * views, 30.0) if views > 0 else 0.0
    return total - 15 if of.domain in _FREE else total


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A transition. origins: "" is no stage; when: of a reading, criteria met and points; again: columns whose change is evidence."""

    name: str
    origins: tuple[str, ...]
    to: str
    when: Callable[[Reading, int, float], bool]
    again_after: timedelta | None
    again: tuple[str, ...] = ()

    @property
    def up(self) -> bool:
        """Whether it leads onwards."""
        return any(rank(origin or None) < rank(self.to) for origin in self.origins)


def _cold(of: Reading) -> bool:
    since = of.facts.values.get("stage_since")
    return since is not None and since < of.ago(90) and (of.last_touch_at is None or of.last_touch_at < of.ago(60))


_QUARTER = timedelta(days=90)
STEPS = (
    Step(
        name="engaged and qualified",
        origins=("", "subscriber", "lead"),
        to="mql",
        when=lambda _, met, points: met >= MINIMUM and points >= 50,
        again_after=_QUARTER,
        again=("f_last_conversion_at", "f_timeline"),
    ),
    Step(
        name="sales accepted",
        origins=("mql",),
        to="sql",
        when=lambda of, *_: of.is_one_of("h_lead_status", "CONNECTED") or of.is_one_of("s_lead_status", "Qualified"),
        again_after=None,
        again=("h_lead_status", "s_lead_status"),
    ),
    Step(name="went cold", origins=("mql",), to="lead", when=lambda of, *_: _cold(of), again_after=_QUARTER),
)
#: What a CRM's lead status says when sales rejects.
REJECTING: Mapping[str, str] = {"hubspot": "UNQUALIFIED", "salesforce": "Closed - Not Converted"}
#: Accepted reasons, with the touches that they need.
REASONS = {
    "No budget": 0, "No authority": 0, "No need": 0, "Bad timing": 0, "Bad data": 0, "Competitor": 0, "Duplicate": 0, "Unreachable": 3,
}  # fmt: skip


def rejecting(values: Mapping[str, Any]) -> bool:
    """Whether sales says no, by the lead status of either side."""
    return any(str(values.get(f"{crm[0]}_lead_status")).casefold() == word.casefold() for crm, word in REJECTING.items())


def reason_accepted(reason: str | None, touches: int) -> bool:
    """Whether a reason is one of the file's, with the touches that it needs."""
    needed = {name.casefold(): least for name, least in REASONS.items()}.get((reason or "").casefold())
    return needed is not None and touches >= needed
