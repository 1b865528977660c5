"""The journey of each person: stages entered, owner, acceptance or rejection by sales, as the cohort demands."""

from __future__ import annotations

from datetime import datetime, timedelta

from connector.sandbox.world import facts
from connector.sandbox.world.people import Maker, Person


def walk(maker: Maker, person: Person) -> None:
    """Sets created, stages, statuses, owner and reason."""
    draw = maker.random
    if person.cohort in facts.MQL_COHORTS:
        _become_mql(maker, person)
    elif person.cohort in facts.CONVERTED_COHORTS or person.cohort == "sql":
        person.stage = facts.SQL if person.cohort == "sql" else person.cohort
        _enter(maker, person, maker.days_ago(3, 60 if person.cohort == "sql" else 300))
        person.lead_status = "CONNECTED"
        person.status = "Qualified" if person.cohort == "sql" else "Closed - Converted"
        person.owner = draw.choice(facts.REPS)
        person.assigned_at = person.entered[facts.MQL]
        person.status_at = person.stage_since
    else:
        _stay_below(maker, person)
    if person.converted_at is not None and person.converted_at < person.created:
        person.created = person.converted_at - timedelta(minutes=draw.randint(0, 600))


def _stay_below(maker: Maker, person: Person) -> None:
    draw = maker.random
    stages = {"nothing": ("",), "other": ("other",), "subscriber": ("subscriber",), "lead": ("lead",)}
    person.stage = draw.choice(stages.get(person.cohort, ("lead", "lead", "subscriber", "")))
    _enter(maker, person, maker.days_ago(1, 400))
    person.status = "Nurturing"
    if person.cohort == "lead" and draw.random() < 0.1:
        person.lead_status = draw.choice(("BAD_TIMING", "ATTEMPTED_TO_CONTACT"))
    if person.cohort == "candidate":
        person.owner = draw.choices((facts.QUEUE, facts.CONNECTOR, facts.DEACTIVATED, facts.REPS[0]), (70, 10, 8, 12))[0]
    else:
        choices = (facts.QUEUE, facts.CONNECTOR, facts.MARKETER, facts.DEACTIVATED, *facts.REPS)
        person.owner = draw.choices(choices, (40, 10, 12, 6, 11, 11, 10))[0]
    person.assigned_at = person.stage_since or person.created


def _become_mql(maker: Maker, person: Person) -> None:
    draw, calendar = maker.random, maker.calendar
    person.stage = facts.MQL
    person.owner = facts.QUEUE if person.cohort == "queue" else draw.choice(facts.REPS)
    person.lead_status, person.status = "NEW", "Open - Not Contacted"
    match person.cohort:
        case "cold":
            assigned = calendar.moment(calendar.day_between(94, 170))
        case "running":
            assigned = maker.now - timedelta(minutes=draw.randint(5, 100))
        case "breach" | "in_time" | "late":
            assigned = calendar.moment(calendar.settled_day(13), closes=12.5)
        case _:
            assigned = calendar.moment(calendar.day_between(16, 80), closes=12.5)
    person.assigned_at = assigned
    _enter(maker, person, assigned - timedelta(seconds=draw.randint(30, 500)))
    if person.cohort == "accepted":
        _decide(maker, person, "CONNECTED", "Qualified")
    elif person.cohort == "rejected":
        _decide(maker, person, "UNQUALIFIED", "Closed - Not Converted")
        if draw.random() < 0.55:
            person.reason = draw.choice(facts.REASONS)
    elif person.cohort in ("in_time", "late", "working"):
        person.lead_status, person.status = "IN_PROGRESS", "Working - Contacted"


def _decide(maker: Maker, person: Person, lead_status: str, status: str) -> None:
    """Sales decides in the CRM where it works; for half of the people of both CRMs the other one says nothing yet."""
    in_hubspot = person.in_hubspot and (not person.in_salesforce or maker.random.random() < 0.5)
    if in_hubspot:
        person.lead_status = lead_status
    if person.in_salesforce and not (in_hubspot and lead_status == "UNQUALIFIED"):
        person.status = "Open - Not Contacted" if in_hubspot else status
    person.status_at = maker.calendar.moment(maker.calendar.day_between(1, 14), 10, 16)


def _enter(maker: Maker, person: Person, at: datetime) -> None:
    """The stage was entered then, the ones below it before, each some days earlier; the person is older than all of them."""
    draw = maker.random
    stages = [facts.STAGES[0]] if person.stage not in facts.STAGES else facts.STAGES[: facts.STAGES.index(person.stage) + 1]
    if person.stage and person.stage not in facts.STAGES:
        person.entered[person.stage] = at
    elif person.stage:
        moment = at
        for stage in reversed(stages):
            person.entered[stage] = moment
            moment -= timedelta(minutes=draw.randint(10, 30 * 1440))
        at = moment
    person.created = at - timedelta(minutes=draw.randint(1, 600))


def exclude(maker: Maker, person: Person) -> None:
    """Somebody whom the rules leave alone: a student, a colleague, a competitor's employee."""
    kind = maker.random.choice(("student", "student", "colleague", "competitor"))
    if kind == "student":
        person.title = maker.random.choice(facts.STUDENT_TITLES)
    else:
        domain = "acme.example" if kind == "colleague" else "competitor.example"
        person.email = f"{person.email.split('@')[0]}@{domain}"
        person.free_mail = False
