"""Touches: what a member of sales did with a contact. Written from the words of the design; slow, one contact at a time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from tests.support.reference.facts import Happened

#: Who sells, in the example file.
SALES = {"anna@acme.example", "ben@acme.example", "chiara@acme.example"}


@dataclass(frozen=True, slots=True, order=True)
class Touch:
    """An attempt on a contact."""

    at: datetime
    who: str
    channel: str


def touches_of(happened: Iterable[Happened], now: datetime) -> list[Touch]:
    """The touches up to now, oldest first; what comes within ten minutes of the first of one is that one."""
    logged = sorted(touch for one in happened if (touch := _touch(one)) is not None and touch.at <= now)
    made: list[Touch] = []
    for touch in logged:
        before = [other for other in made if (other.who, other.channel) == (touch.who, touch.channel)]
        if not before or touch.at - before[-1].at > timedelta(minutes=10):
            made.append(touch)
    return made


def _touch(one: Happened) -> Touch | None:
    if one.at is None or one.who not in SALES or one.archived or one.automatic:
        return None
    if one.kind == "task":
        return Touch(one.at, one.who, str(one.channel)) if one.ours_done and one.channel in ("call", "email") else None
    tried = one.happened and (one.kind == "meeting" or one.direction == "outgoing")
    return Touch(one.at, one.who, one.kind) if tried else None


def count_happened(happened: Iterable[Happened], kind: str, since: datetime, until: datetime) -> int:
    """How often something of a kind happened, by anyone, in either direction."""
    inside = {(one.crm, one.id) for one in happened if one.kind == kind and one.at is not None and since <= one.at <= until}
    left_out = {(one.crm, one.id) for one in happened if one.archived or not one.happened}
    return len(inside - left_out)
