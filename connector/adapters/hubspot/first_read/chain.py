"""What both chains of a first read share: what is asked for, and the parts that they bring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connector.adapters.hubspot.pages import RawRecords
from connector.adapters.hubspot.wire.requests import Api
from connector.adapters.hubspot.wire.values import record_id


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRequest:
    """What the chains ask for. properties: of each record; quiet_until: what was changed later (milliseconds) comes with the changes."""

    api: Api
    stream: str
    properties: Sequence[str]
    quiet_until: int


@dataclass(frozen=True, slots=True)
class ChainPart:
    """What one chain read, for one page of the mirror; what the cursor says once it is stored; how many calls it took."""

    records: RawRecords
    after: Mapping[str, Any]
    calls: int
    last: bool = False


def numbers_of(results: Sequence[Any]) -> list[int | None]:
    """The ids of raw records as numbers, None for what has none."""
    return [int(found) if (found := record_id(raw)).isascii() and found.isdecimal() else None for raw in results]
