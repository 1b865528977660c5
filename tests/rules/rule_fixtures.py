"""Where rules are pure, one database is enough: `url`. What they read and store through SQL is tested on both: `database_url`.

A database of `url` is opened once and emptied for each world: SQLAlchemy compiles a statement once an engine, which is most of a small
pass's time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from rule_world import close_kept, keep


@pytest.fixture(scope="session")
def rule_databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """The address of an SQLite database by name; it is emptied whenever a world begins on it."""
    folder = tmp_path_factory.mktemp("rules")
    yield lambda name: keep(f"sqlite:///{folder / name}.db")
    close_kept()


@pytest.fixture
def url(rule_databases: Callable[[str], str]) -> str:
    """The address of an SQLite database for one world at a time."""
    return rule_databases("one")
