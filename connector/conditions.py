"""The condition language (interface; being built)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Condition:
    """A parsed condition."""

    text: str
