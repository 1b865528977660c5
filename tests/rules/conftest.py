"""Where rules are pure, one database is enough: `url`. What they read and store through SQL is tested on both: `database_url`."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The address of an empty SQLite database."""
    return f"sqlite:///{tmp_path / 'rules.db'}"
