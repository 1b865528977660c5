"""No statement of a pass searches what grows with the base: its query plan is looked at over a full mirror, on both databases.

What passes, previews, the fast lane and `status` do over a few changes is watched; each access that grows with its table stands in
`LISTED` with its reason, or the test fails. So does an entry that is not seen any more: what was mended leaves the list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Connection, make_url, text

from connector.config.load import loads
from connector.config.tables import Config
from connector.engine import preview
from connector.jobs.fast_lane import run_fast
from connector.reports.status import status
from connector.store.database import Store
from tests.support.company import Company
from tests.support.many_rows import multiply
from tests.support.old_company import FOLDER, old_company
from tests.support.query_plans import Access, Watch, watched
from tests.support.stores import empty, empty_store

#: Rows of each table that grows.
MANY = 4_000
_FAST = """
[schedule]
fast = { every = "1 minute", when = "stage = 'mql' AND touch_count = 0" }
"""

@dataclass(frozen=True, slots=True)
class Listed:
    """An access that may stay, and why. on: the databases on which it is seen."""

    where: str
    table: str
    how: str
    why: str
    on: tuple[str, ...] = ("sqlite", "postgresql")

    @property
    def access(self) -> Access:
        return Access(self.where, self.table, self.how)


_PERSON = "status, which a person asks for, counts it; no pass does"
_FEW = "an index has all its columns: for so many ids among so few rows PostgreSQL takes another, which reads all of them, as less work"
LISTED: tuple[Listed, ...] = (
    Listed("reports.status._ambiguous", "contact", "scan", _PERSON),
    Listed("reports.status._count", "contact", "scan", _PERSON),
    Listed("reports.status._differences", "contact", "scan", _PERSON),
    Listed("store.ledger.open_task_count", "activity", "scan", _PERSON),
    Listed("store.mirror.set_aside.count_set_aside", "set_aside", "scan", _PERSON),
    Listed("store.mirror.set_aside.list_set_aside", "set_aside", "scan", _PERSON),
    Listed("pipeline.unify.related_records._follow", "merged", "by crm, object", _FEW, ("postgresql",)),
    Listed("pipeline.unify.plain_records._named_elsewhere", "merged", "by crm, object", _FEW, ("postgresql",)),
    Listed("store.mirror.past_changes._histories", "field_history", "by crm", _FEW, ("postgresql",)),
    Listed("engine._in_scope", "contact", "scan", "it stops at as many as the guard rail needs"),
)  # fmt: skip


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


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Gives the address of another empty database each time."""
    if request.param == "postgresql":
        fresh: Callable[[], str] = request.getfixturevalue("fresh_postgres")
        return fresh
    return lambda: f"sqlite:///{tmp_path / uuid4().hex}.db"


def seen_in(mode: str, url: str, folder: Path) -> Watch:
    """What a few minutes of a large company ask its database, in this mode."""
    folder.mkdir()
    with old_company(url, folder) as company:
        company.config = config_in(mode)
        for _ in range(3):
            company.later(minutes=1)
            company.run()
        assert min(multiply(company.store, MANY).values()) >= MANY
        with watched(url) as watch:
            for deed in deeds(company):
                deed()
    assert watch.explained > 100
    return watch


@pytest.mark.parametrize(
    ("statement", "how"),
    [
        ("SELECT outcome FROM activity WHERE crm = 'hubspot' AND id = '1'", "by crm"),  # the key has the object between them
        ("SELECT outcome FROM activity WHERE crm = 'hubspot' AND object = 'calls' AND id = '1'", None),
        ("SELECT outcome FROM activity WHERE outcome = 'x'", "scan"),
        ("UPDATE activity SET outcome = 'y' WHERE outcome = 'x'", "scan"),
        ("SELECT count(*) FROM activity", "scan"),
        ("SELECT name FROM owner WHERE name = 'x'", None),  # users do not grow with the base
    ],
)
def test_what_grows_is_found_and_what_does_not_is_not(either_url: str, statement: str, how: str | None) -> None:
    with empty_store(either_url) as store:
        multiply(store, 300)
        with watched(either_url) as watch, store.read() if statement.startswith("SELECT") else written(store) as connection:
            connection.execute(text(statement))
        assert {(access.table, access.how) for access in watch.accesses} == ({("activity", how)} if how else set())
        store.write(empty)


@contextmanager
def written(store: Store) -> Iterator[Connection]:
    """A connection in a transaction that may write."""
    with store._writer.begin() as connection:
        yield connection


def test_no_statement_searches_what_grows_with_the_base(fresh_url: Callable[[], str], tmp_path: Path) -> None:
    seen: dict[Access, str] = {}
    for mode in ("shadow", "live"):
        url = fresh_url()
        seen |= seen_in(mode, url, tmp_path / mode).accesses
    dialect = make_url(url).get_backend_name()
    listed = {entry.access for entry in LISTED if dialect in entry.on}
    news = [f"{access.where}: {access.table}, {access.how}: {seen[access][:300]}" for access in sorted(seen.keys() - listed)]
    assert not news, "mend these, or list them with a reason:\n" + "\n".join(news)
    gone = [f"{access.where}: {access.table}, {access.how}" for access in sorted(listed - seen.keys())]
    assert not gone, f"these are not seen any more on {dialect}; take them off the list:\n" + "\n".join(gone)
