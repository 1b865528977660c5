"""What a task says: placeholders, what is missing, and whose it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.model import Surroundings, TaskSpec
from connector.workflows.task import TaskContext, render, shown
from tests.support.company import HEAD, QUALIFY, running_company, when

BERLIN = ZoneInfo("Europe/Berlin")


def rendered(text: str, **values: Any) -> str:
    return render(text, TaskContext(values=values, extra={"owner": "nobody"}), BERLIN)


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("MQL: {first_name} {last_name}, {company}", {"first_name": "Ida", "last_name": "Ito", "company": "Kunde"}, "MQL: Ida Ito, Kunde"),
        ("MQL: {first_name} {last_name}, {company}", {"last_name": "Ito"}, "MQL: Ito"),
        ("{owner}", {"owner": "a field of that name"}, "nobody"),
        ("{{{last_name}}} and {{last_name}}", {"last_name": "Ito"}, "{Ito} and {last_name}"),
        ("{last_name}", {"last_name": "{first_name} {} {{x}} %s"}, "{first_name} {} {{x}} %s"),
        ("{at}", {"at": datetime(2026, 7, 1, 22, 30, tzinfo=UTC)}, "2026-07-02 00:30"),
        ("{n} {m} {flag} {roles}", {"n": 3.0, "m": 2.50, "flag": True, "roles": ";a;b;"}, "3 2.5 True a, b"),
        ("one\n\n  two  {gone}\n", {}, "one\n\ntwo"),
    ],
)
def test_placeholders(text: str, values: dict[str, Any], expected: str) -> None:
    assert rendered(text, **values) == expected


@given(st.text(max_size=40))
def test_no_value_breaks_it_or_is_read_as_a_placeholder(value: str) -> None:
    assert " ".join(rendered("<{last_name}>", last_name=value).split()) == " ".join(f"<{shown(value, BERLIN)}>".split())


TEXT = (
    HEAD.replace('timezone = "UTC"', 'timezone = "Europe/Berlin"')
    + """
[tasks]
reminder = "30 minutes"
[task.everything]
subject = "{first_name} {last_name} {company}"
body = \"\"\"
{seen_at} | {interest} | {stage} | {score} | {criteria_met} | {touch_count} | {qualified} | {owner}
{links}
Why: {why}
Lately: {recent}
{sla}
\"\"\"
due = "4 business hours"
priority = "high"
"""
)


def spec_of(company: Any) -> TaskSpec:
    (row,) = company.rows("SELECT v.task FROM action_value v JOIN ledger l ON l.id = v.ledger WHERE l.kind = 'create_task'")
    import orjson

    values = orjson.loads(row.task)
    moments = {name: datetime.fromisoformat(values[name]) for name in ("due_at", "reminder_at")}
    return TaskSpec(**{**values, **moments})


def test_everything_a_task_can_say(url: str) -> None:
    rules = QUALIFY.replace("interest >= 10", "interest >= 10 AND seen_at IS NOT NULL") + 'then = [{ task = "everything" }]\n'
    rules += '[[score]]\nname = "keen"\npoints = 12.5\nwhen = "interest >= 10"\n'
    links = {"contacts": "https://app.example/{id}"}
    with running_company(url, rules, head=TEXT, set_up={"hubspot": Surroundings(links=links)}) as company:
        company.person(stage="lead", interest="50", firstname="Ida", lastname="Ito\nx", seen_at="2026-11-18T08:00:00Z", owner="anna")
        company.touch("17 15:00")
        company.settle()
        spec = spec_of(company)
        assert spec.subject == "Ida Ito x"
        assert spec.body.splitlines() == [
            "2026-11-18 09:00 | 50 | lead | 12.5 | 0 | 1 | False | anna@acme.example",
            "https://app.example/1",
            "Why: rule: qualify, interest: 50, seen_at: 2026-11-18 09:00",
            "Lately: 2026-11-17 outgoing call Anna",
        ]
        assert (spec.due_at, spec.reminder_at) == (when("18 14:05"), when("18 13:35"))
        assert (spec.priority, spec.owner_id, spec.purpose) == ("high", "anna", "everything")
        why = company.rows("SELECT v.why FROM action_value v JOIN ledger l ON l.id = v.ledger WHERE l.kind = 'create_task'")[0].why
        assert '"2026-11-18T08:00:00+00:00"' in why


def test_whom_nobody_owns_goes_to_a_manager(url: str) -> None:
    with running_company(url, QUALIFY + 'then = [{ task = "alert" }]\n') as company:
        company.person(stage="lead", interest="50")
        company.settle()
        assert [(task.crm, task.owner_id) for task in company.tasks()] == [("hubspot", "desk")]


@pytest.mark.parametrize(("wish", "crm"), [("", "salesforce"), ('in = "hubspot"\n', "hubspot")])
def test_where_it_is_created(url: str, wish: str, crm: str) -> None:
    head = HEAD.replace("[task.alert]\n", f"[task.alert]\n{wish}")
    with running_company(url, QUALIFY + 'then = [{ task = "alert" }]\n', head=head) as company:
        company.person(stage="lead", interest="50", owner="anna")
        company.lead(stage="Nurturing")
        company.settle()
        assert [task.crm for task in company.tasks()] == [crm]
