"""The bench cannot lie: its comparisons hold over what the connector stored, and find what is tampered with; its exit code says so."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from tests import ROOT

#: Enough that each condition of the example is met by some.
CONTACTS = 1_500


@pytest.fixture
def bench() -> Iterator[Any]:
    """The bench's own modules, which stand in a folder and not in a package."""
    sys.path.insert(0, str(ROOT / "bench"))
    import aims
    import bases
    import by_hand
    import steps

    yield SimpleNamespace(aims=aims, bases=bases, by_hand=by_hand, steps=steps)
    sys.path.remove(str(ROOT / "bench"))


def test_what_the_connector_stores_is_what_the_statements_written_by_hand_say(bench: Any, database_url: str) -> None:
    steps, by_hand = bench.steps, bench.by_hand
    dialect = "sqlite" if database_url.startswith("sqlite") else "postgresql"
    base = bench.bases.Base(dialect=dialect, url=database_url)
    assert steps.fill(base, CONTACTS).lies == []
    assert steps.unify_all(base, CONTACTS).lies == []
    assert steps.judge_all(base, CONTACTS).lies == []
    steps.by_statement(base, by_hand.Touches.ANEW)
    assert steps.compared(base, CONTACTS, "judged") == []
    assert steps.moved(base, "planned") == []

    # and what is not so is found
    base.run(
        "UPDATE contact SET score = score + 1, qualified = NOT qualified WHERE id = 1",
        "UPDATE contact SET touch_count = touch_count + 1, criteria = '[]' WHERE id IN (2, 3)",
        "UPDATE contact SET due_at = due_at + 400 * 86400000000 WHERE id IN (SELECT id FROM by_hand WHERE turns_at > 0)",
        "UPDATE contact SET f_country = 'Atlantis' WHERE id = 4",
        "DELETE FROM ledger WHERE kind = 'set_stage' AND contact_id = (SELECT min(contact_id) FROM ledger WHERE rule = 'went cold')",
    )
    told = "\n".join(steps.compared(base, CONTACTS, "judged"))
    for lie in ("1 contacts differ from the statement in score", "1 contacts differ from the statement in qualified",
                "2 contacts differ from the statement in touch_count", "in due_at, too late", "the scores add up to"):  # fmt: skip
        assert lie in told
    assert len(steps.moved(base, "planned")) == 1
    assert base.row(by_hand.in_dialect(dialect, by_hand.UNIFIED))["country"] == 1


def test_a_world_in_which_nobody_meets_a_condition_is_a_lie(bench: Any) -> None:
    shares = {"contacts": 1000.0, "c0": 500.0, "c1": 3.0, "c2": 998.0}
    assert bench.by_hand.lies(shares, {"c0": 0.02, "c1": 0.02, "c2": 0.02}) == ["c1: 3 of 1,000 contacts", "c2: 998 of 1,000 contacts"]


def test_the_exit_code_says_whether_all_aims_hold(bench: Any) -> None:
    aims = bench.aims
    held = aims.Line(what="unify", records=10, wall=1.0, own=1.0, aims=(aims.Aim(name="each", measured=99.0, most=100.0),))
    missed = aims.Line(what="unify", records=10, wall=1.0, own=1.0, aims=(aims.Aim(name="each", measured=101.0, most=100.0),))
    assert aims.Report(machine={}, lines=[held]).exit_code == 0
    assert aims.Report(machine={}, lines=[held, missed]).exit_code == 1
    assert aims.Report(machine={}, lines=[held], lies=["the sums differ"]).exit_code == 2
    assert aims.Report(machine={}, lines=[missed]).document()["lines"][0]["aims"][0]["holds"] is False


def test_the_large_size_is_held_against_the_small_one(bench: Any) -> None:
    aims = bench.aims

    def line(size: int, own: float) -> Any:
        return aims.Line(what="1,000 changed", dialect="sqlite", size=size, records=1_000, wall=own, own=own)

    small, large = aims.across([line(100, 0.4), line(1_000, 0.9)], "1,000 changed", small=100, large=1_000, most=2.0)
    assert small.aims == ()
    assert [(aim.measured, aim.holds) for aim in large.aims] == [(pytest.approx(2.25), False)]


def test_the_table_of_the_document_has_a_row_for_each_line(bench: Any) -> None:
    aims = bench.aims
    aim = aims.Aim(name="ratio", measured=2.0, most=3.0)
    line = aims.Line(what="unify", dialect="sqlite", size=10, records=10, wall=1.0, own=2.0, floor=1.0, aims=(aim,))
    text = "\n".join(aims.markdown(aims.Report(machine={"date": "2026-11-28", "cores": 2}, lines=[line])))
    assert "2026-11-28, cores 2." in text
    assert "### SQLite, 10 contacts" in text
    assert "| unify | 10 |" in text
    assert text.count("\n| ") == 2
