"""The activities of each person in the last 90 days: calls, e-mails, meetings and tasks, in one vocabulary for both CRMs.

For people in the hands of sales it is exactly what their cohort demands; around it, and for everybody else, there is noise that must not
count as a touch, or may.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from connector.sandbox.world import facts
from connector.sandbox.world.calendar import ZONE
from connector.sandbox.world.people import Maker, Person

Kind = Literal["call", "email", "meeting", "task"]
State = Literal["done", "bounced", "failed", "scheduled", "cancelled", "sequence", "open"]


@dataclass(frozen=True, slots=True)
class Activity:
    """One activity: `at` is when it took or takes place (a task: when it is due), `created` when the CRM first had it."""

    person: Person
    kind: Kind
    at: datetime
    created: datetime
    owner: str
    crm: str
    incoming: bool = False
    state: State = "done"


def activities_of(maker: Maker, person: Person) -> list[Activity]:
    """All activities of the person."""
    activities: list[Activity] = []
    if person.meeting:
        activities.append(_meeting(maker, person))
    if person.cohort in facts.MQL_COHORTS:
        activities.extend(_touch(maker, person, at) for at in _touch_moments(maker, person))
        activities.extend(_idle_noise(maker, person))
    else:
        activities.extend(_noise(maker, person) for _ in range(maker.random.choices((0, 1, 2, 3, 4, 5, 6), (14, 22, 22, 16, 11, 8, 7))[0]))
    if person.in_salesforce:
        activities.extend(_salesforce_task(maker, person) for _ in range(maker.random.choices((0, 1, 2), (50, 30, 20))[0]))
    return activities


def bulk(maker: Maker, people: Sequence[Person], activities: Sequence[Activity], *, seed: int, wanted: int) -> list[Activity]:
    """Further activities, until HubSpot has as many as `wanted`; none of them is a touch: e-mails and calls that came in."""
    missing = wanted - sum(activity.crm == "hubspot" for activity in activities)
    if missing <= 0:
        return []
    draw = random.Random(f"{seed} bulk")  # noqa: S311 - made-up activities need repeatability, not secrecy
    known = [person for person in people if person.in_hubspot]
    made = []
    for person in draw.choices(known, k=missing):
        at = max(person.created, maker.now - timedelta(seconds=draw.randint(60, 90 * 86_400)))
        made.append(Activity(person, "email" if draw.random() < 0.6 else "call", at, at, person.owner, "hubspot", incoming=True))
    return made


def _touch_moments(maker: Maker, person: Person) -> list[datetime]:
    """When sales reached out, since the person was assigned."""
    draw, calendar = maker.random, maker.calendar
    start = person.assigned_at or person.created
    age = (maker.now - start).days
    soon = start + timedelta(minutes=draw.randint(12, 170))
    match person.cohort:
        case "in_time":
            moments = [soon]
            if draw.random() < 0.4:
                moments.append(soon + timedelta(hours=draw.randint(1, 30)))
        case "late":
            moments = [calendar.moment(calendar.working_day_after(start.astimezone(ZONE).date()))]
        case "working" | "accepted":
            recent = calendar.moment(calendar.day_between(1, max(1, min(age - 1, 50))))
            moments = [soon, recent, *(soon + timedelta(days=draw.randint(1, max(1, age)), hours=1) for _ in range(draw.randint(0, 3)))]
        case "cold":
            moments = [soon] if draw.random() < 0.5 else []
            if moments and age > 90 and draw.random() < 0.6:
                moments.append(calendar.moment(calendar.day_between(64, 88)))
        case "rejected":
            end = person.status_at or maker.now
            span = max(1, int((end - start).total_seconds()) - 3600)
            moments = [start + timedelta(seconds=draw.randint(600, max(601, span))) for _ in range(draw.choice((0, 0, 1, 2, 3, 4)))]
        case _:
            moments = []
    return [moment for moment in moments if moment < maker.now - timedelta(minutes=2)]


def _touch(maker: Maker, person: Person, at: datetime) -> Activity:
    kind: Kind = maker.random.choices(("call", "email"), (60, 40))[0]
    return Activity(person, kind, at, at, person.owner, _crm(maker, person))


def _crm(maker: Maker, person: Person) -> str:
    if person.in_hubspot and person.in_salesforce:
        return "salesforce" if maker.random.random() < 0.6 else "hubspot"
    return "hubspot" if person.in_hubspot else "salesforce"


def _meeting(maker: Maker, person: Person) -> Activity:
    """A meeting that was held, well within 90 days; before sales was given the person, if it was."""
    now = maker.now
    latest = now - timedelta(hours=2)
    if person.cohort in facts.MQL_COHORTS and person.assigned_at is not None:
        latest = person.assigned_at - timedelta(hours=3)
    earliest = min(now - timedelta(days=84), latest - timedelta(hours=1))
    at = earliest + (latest - earliest) * maker.random.random()
    created = at - timedelta(days=maker.random.randint(1, 9))
    return Activity(person, "meeting", at, created, maker.random.choice((*facts.REPS, facts.MARKETER)), _crm(maker, person))


def _idle_noise(maker: Maker, person: Person) -> list[Activity]:
    """What looks like a touch and is none: answers, bounces, sequences, marketing's own calls, plain tasks."""
    draw = maker.random
    start = max(person.assigned_at or person.created, maker.now - timedelta(days=90))
    activities = []
    for _ in range(draw.choices((0, 1, 2), (45, 35, 20))[0]):
        at = start + (maker.now - start) * draw.random()
        crm = _crm(maker, person)
        choice = draw.choice(("incoming", "bounced", "sequence", "marketing", "task", "cancelled"))
        if choice == "incoming":
            activities.append(Activity(person, "email" if crm == "hubspot" else "call", at, at, person.owner, crm, incoming=True))
        elif choice == "marketing":
            activities.append(Activity(person, "call", at, at, facts.MARKETER, crm))
        elif choice == "task":
            activities.append(Activity(person, "task", at, at, person.owner, crm, state=draw.choice(("open", "done"))))
        elif choice == "cancelled" and crm == "hubspot":
            activities.append(Activity(person, "meeting", at, at - timedelta(days=1), person.owner, crm, state="cancelled"))
        else:
            state: State = "bounced" if choice == "bounced" and crm == "hubspot" else "sequence"
            activities.append(Activity(person, "email", at, at, person.owner, crm, state=state))
    return activities


def _noise(maker: Maker, person: Person) -> Activity:
    """Anything at all, for somebody whom sales does not have to answer; a held meeting only where the person shall have one."""
    draw, now = maker.random, maker.now
    start = max(person.created, now - timedelta(days=90))
    at = start + (now - start) * draw.random()
    crm = _crm(maker, person)
    owner = person.owner if person.owner in facts.REPS else draw.choice((facts.MARKETER, facts.MARKETER, *facts.REPS))
    kind: Kind = draw.choices(("call", "email", "meeting", "task"), (26, 44, 8, 22))[0]
    incoming = draw.random() < 0.3 and (kind == "call" or (kind == "email" and crm == "hubspot"))
    state: State = "done"
    if kind == "meeting":
        state = "done" if person.meeting else "cancelled" if crm == "hubspot" and draw.random() < 0.4 else "scheduled"
        if state == "scheduled":
            return Activity(person, kind, now + timedelta(hours=draw.randint(3, 480)), at, owner, crm, state=state)
    elif kind == "task":
        state = draw.choice(("open", "done", "done"))
        return Activity(person, kind, at + timedelta(days=draw.randint(0, 10)), at, owner, crm, state=state)
    elif kind == "email" and not incoming:
        state = draw.choices(("done", "bounced", "failed", "scheduled", "sequence"), (62, 6, 2, 3, 27))[0]
    return Activity(person, kind, at, at, owner, crm, incoming, state)


def _salesforce_task(maker: Maker, person: Person) -> Activity:
    """A plain task in Salesforce: to-dos there are no touches."""
    start = max(person.created, maker.now - timedelta(days=90))
    at = start + (maker.now - start) * maker.random.random()
    state: State = maker.random.choice(("open", "done"))
    owner = person.owner if person.owner in facts.REPS else facts.MARKETER
    return Activity(person, "task", at, at, owner, "salesforce", state=state)
