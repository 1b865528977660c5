"""[[example]]: what the rules must say of made-up contacts."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from connector.config.load import load
from connector.model import Finding
from connector.reports.checks.examples import run_examples
from tests import ROOT
from tests.support.company import funnel

QUALIFIED = 'email = "d@kunde.example", industry = "software", job_title = "Director IT"'


def run(contact: str, expect: str, *, at: str = "2026-11-18T10:00:00Z", edit: tuple[tuple[str, str], ...] = ()) -> Finding:
    when = f"at = {at}" if at else ""
    more = f'\n[[example]]\nname = "one"\n{when}\ncontact = {{ {contact} }}\nexpect = {{ {expect} }}\n'
    (finding,) = run_examples(funnel(edit=edit, more=more))
    assert finding.topic == "example: one"
    return finding


def run_all(examples: Sequence[tuple[str, str]]) -> list[Finding]:
    """Many examples in one file."""
    texts = [
        f'\n[[example]]\nname = "{number}"\nat = 2026-11-18T10:00:00Z\ncontact = {{ {contact} }}\nexpect = {{ {expect} }}\n'
        for number, (contact, expect) in enumerate(examples)
    ]
    findings = run_examples(funnel("".join(texts)))
    assert [finding.topic for finding in findings] == [f"example: {number}" for number in range(len(examples))]
    return findings


def test_the_example_files_own_examples_hold() -> None:
    file = ROOT / "config.example.toml"
    findings = run_examples(load(file))
    assert len(findings) >= 4
    assert [finding for finding in findings if not finding.ok] == []


def test_a_file_without_examples() -> None:
    assert run_examples(funnel()) == []


HOLD = (
    (QUALIFIED, "criteria_met = 2, qualified = true, score = 20, fires = '', stage = ''"),
    (f"{QUALIFIED}, last_conversion_at = 2026-11-18T08:00:00Z", "score = 60.0, fires = 'qualified', stage = 'mql'"),
    (f"{QUALIFIED}, last_conversion_at = 2026-10-19", "score = 40, fires = ''"),
    (f"{QUALIFIED}, stage = 'lead'", "fires = 'by hand', stage = 'sql'"),
    ("stage = 'mql', hubspot.lead_status = 'connected'", "fires = 'accepted', stage = 'sql'"),
    ("stage = 'mql', hubspot.lead_status = 'NEW'", "fires = '', stage = 'mql'"),
    ("stage = 'lead', roles = ['CHAMPION', 'END_USER']", "criteria_met = 1"),
    ("roles = 'CHAMPION'", "criteria_met = 1"),
    ("hubspot.industry = 'software'", "criteria_met = 1"),
    ("hubspot.industry = 'software', salesforce.industry = 'steel'", "criteria_met = 0"),
    ("hubspot.industry = 'software', industry = 'steel'", "criteria_met = 0"),
    ("email = 'd@ACME.example', industry = 'software', job_title = 'Director IT', stage = 'lead'", "excluded = true, fires = ''"),
    ("job_title = 'Werkstudent'", "excluded = true"),
)


def test_what_holds() -> None:
    assert [finding for finding in run_all(HOLD) if not finding.ok or finding.advice] == []


def test_what_came_out_instead_and_why() -> None:
    finding = run(QUALIFIED, "criteria_met = 3, score = 21, qualified = true")
    assert not finding.ok
    assert finding.message == "expected criteria_met = 3, came out 2; expected score = 21, came out 20"
    assert "industry [industry = 'software' (\"software\")]" in finding.advice
    assert "role [job_title LIKE '%Director%' (\"Director IT\")]" in finding.advice
    assert "director: 20 points [" in finding.advice
    assert "CHAMPION" not in finding.advice  # that part was not met


def test_why_another_transition_fires() -> None:
    finding = run(f"{QUALIFIED}, stage = 'lead'", "fires = 'qualified'")
    assert finding.message == 'expected fires = "qualified", came out "by hand"'
    assert "qualified [qualified (true)]" in finding.advice  # its other part, the score, was not met


def test_why_somebody_is_excluded() -> None:
    finding = run('email = "a@acme.example"', "excluded = false")
    assert finding.message == "expected excluded = false, came out true"
    assert "scope.exclude [domain(email) = 'acme.example' (\"acme.example\")]" in finding.advice


def test_without_a_moment_the_result_never_changes() -> None:
    """Judged at the latest moment that it names: the conversion is fresh, whenever the check is run."""
    finding = run(f"{QUALIFIED}, last_conversion_at = 2020-02-03T08:00:00Z", "score = 60", at="")
    assert finding.ok, finding
    assert run(QUALIFIED, "score = 20", at="").ok


def test_the_moment_is_the_examples_own() -> None:
    contact = f"{QUALIFIED}, last_conversion_at = 2026-11-18T08:00:00Z"
    berlin = (('timezone = "UTC"', 'timezone = "Europe/Berlin"'),)
    assert run(contact, "score = 60", at="2026-11-18T23:00:00+01:00", edit=berlin).ok
    assert run(contact, "score = 59.09", at="2026-11-19T00:30:00+01:00", edit=berlin).ok  # one midnight later, in Berlin


def test_names_are_compared_without_regard_to_case() -> None:
    """Also those that stand in their column as the file or the CRM spells them: a stage, a queue."""
    edit = (('name = "lead"', 'name = "Lead"'), ('"lead"]\nto = "mql"', '"Lead"]\nto = "mql"'), ('from = ["lead"]', 'from = ["Lead"]'),
            ('send_back_to = "lead"', 'send_back_to = "Lead"'), ('when = "industry = \'software\'"', "when = \"stage = 'LEAD'\""),
            ("when = \"has(roles, 'CHAMPION') OR job_title LIKE '%Director%'\"", "when = \"owner_queue = 'INBOUND queue'\""))  # fmt: skip
    finding = run("stage = 'Lead', owner_queue = 'Inbound Queue'", "criteria_met = 2", edit=edit)
    assert finding.ok, finding


PEOPLE = st.tuples(
    st.sampled_from(["software", "Software", "steel", ""]),
    st.sampled_from(["Director IT", "DIRECTOR", "Clerk", ""]),
    st.lists(st.sampled_from(["CHAMPION", "END_USER"]), unique=True, max_size=2),
)


@settings(max_examples=4, deadline=None)
@given(people=st.lists(PEOPLE, min_size=5, max_size=20))
def test_counts_agree_with_a_model(people: list[tuple[str, str, list[str]]]) -> None:
    examples = []
    for industry, title, roles in people:
        met = (industry.lower() == "software") + ("director" in title.lower() or "CHAMPION" in roles)
        contact = f'industry = "{industry}", job_title = "{title}", roles = {roles}'
        examples.append((contact, f"criteria_met = {met}, qualified = {str(met >= 2).lower()}"))
    assert [finding for finding in run_all(examples) if not finding.ok] == []
