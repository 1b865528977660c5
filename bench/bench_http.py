"""The pull of HubSpot's contacts and activities over HTTP, beside the plainest loop over the same records."""

from __future__ import annotations

from bases import Bases, Dialect
from steps import Found


def first_pull_of(made: Bases, dialect: Dialect, size: int) -> Found:
    """Not yet."""
    raise NotImplementedError
