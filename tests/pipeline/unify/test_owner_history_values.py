"""Which stays with an owner follow of what is known of a record: values in, values out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connector.pipeline.unify.owner_history import OwnerSeen, OwnerWrite, Stay, stays_since
from connector.store.tables import to_micros
from connector.store.tables.rows import PastChange

NOW = datetime(2026, 11, 18, 10, 0, tzinfo=UTC)
UTC_ZONE = ZoneInfo("UTC")


def at(hours: float) -> datetime:
    """So many hours before now."""
    return NOW - timedelta(hours=hours)


def seen(**more: Any) -> OwnerSeen:
    """Anna's since yesterday, Ben's now."""
    facts: dict[str, Any] = {
        "contact_id": 1, "crm": "hubspot", "object": "contacts", "record_id": "1", "owner_id": "ben", "assigned": None, "modified_at": None,
        "number": 1, "since": at(24), "until": None,
    }  # fmt: skip
    facts |= more
    moments = {name: None if facts[name] is None else to_micros(facts[name]) for name in ("modified_at", "since", "until")}
    return OwnerSeen(**facts | moments)


NEW = {"number": None, "since": None}


def told(hours: float, after: str | None, by: str | None = "chiara@acme.example", known_by: Any = "history") -> PastChange:
    return PastChange("hubspot", "contacts", "1", "hubspot_owner_id", None, after, at(hours), by, known_by)


def wrote(hours: float, owner_id: str = "ben") -> OwnerWrite:
    return OwnerWrite("inbound", owner_id, at(hours), at(hours) + timedelta(seconds=2))


CHIARA = "chiara@acme.example"


@pytest.mark.parametrize(
    ("facts", "changes", "written", "stays"),
    [
        # the CRM's history tells when and by whom, also of whom no pull ever saw
        ({}, [told(2, "ben")], [], [Stay("ben", at(2), stated=True, by=CHIARA)]),
        (
            {}, [told(1, "ben"), told(3, "desk", by=None), told(30, "anna")], [],
            [Stay("desk", at(3), stated=True), Stay("ben", at(1), stated=True, by=CHIARA)],
        ),
        ({}, [told(5, None), told(1, "ben")], [], [Stay(None, at(5), stated=True, by=CHIARA), Stay("ben", at(1), stated=True, by=CHIARA)]),
        # by the record's own date, where no history tells
        ({"assigned": "2026-11-18T09:00:00Z"}, [], [], [Stay("ben", at(1), stated=True)]),
        ({"assigned": "2026-11-18T09:00:00Z"}, [told(0.5, "ben", None, "seen")], [], [Stay("ben", at(1), stated=True)]),
        # … unless the date is older than the last stay: it speaks of another change
        ({"assigned": "2026-11-01T09:00:00Z", "modified_at": at(1)}, [], [], [Stay("ben", at(1), stated=False)]),
        ({"assigned": "2026-11-18T12:00:00Z", "modified_at": at(1)}, [], [], [Stay("ben", at(1), stated=False)]),
        # by our own write
        ({"assigned": "2026-11-18T09:00:00Z"}, [], [wrote(1)], [Stay("ben", at(1), stated=True, rule="inbound")]),
        ({}, [told(1, "ben")], [wrote(1)], [Stay("ben", at(1), stated=True, rule="inbound")]),
        ({}, [], [wrote(30), wrote(1)], [Stay("ben", at(1), stated=True, rule="inbound")]),
        ({}, [told(1, "ben")], [wrote(3)], [Stay("ben", at(1), stated=True, by=CHIARA)]),
        ({}, [told(1, "ben")], [wrote(1, "desk")], [Stay("ben", at(1), stated=True, by=CHIARA)]),
        # else when it was seen, or the record's edit that brought it
        ({}, [], [], [Stay("ben", NOW, stated=False)]),
        ({"modified_at": at(1)}, [], [], [Stay("ben", at(1), stated=False)]),
        ({"modified_at": at(1)}, [told(3, "ben", None, "seen")], [], [Stay("ben", at(3), stated=False)]),
        ({"modified_at": at(40)}, [], [], [Stay("ben", NOW, stated=False)]),
        # nobody any more
        ({"owner_id": None, "assigned": "2026-11-18T09:00:00Z", "modified_at": at(1)}, [], [], [Stay(None, at(1), stated=False)]),
        # after a time with nobody
        ({"until": at(12), "assigned": "2026-11-17T20:00:00Z"}, [told(14, None)], [], [Stay("ben", NOW, stated=False)]),
        # a record that is new: since its own date, or since it was seen, however old it is
        (NEW | {"assigned": "2020-01-01T00:00:00Z"}, [], [], [Stay("ben", datetime(2020, 1, 1, tzinfo=UTC), stated=True)]),
        (NEW | {"modified_at": at(300)}, [], [], [Stay("ben", NOW, stated=False)]),
        (NEW, [told(90, "anna"), told(50, "ben")], [], [Stay("ben", at(50), stated=True, by=CHIARA)]),
        (NEW, [told(90, "ben"), told(50, "anna")], [], [Stay("ben", NOW, stated=False)]),
        # what the CRM says of times to come is not told yet
        ({}, [told(-1, "ben")], [], [Stay("ben", NOW, stated=False)]),
    ],
)  # fmt: skip
def test_stays(facts: dict[str, Any], changes: list[PastChange], written: list[OwnerWrite], stays: list[Stay]) -> None:
    assert stays_since(seen(**facts), changes, written, UTC_ZONE, NOW) == stays


def test_a_day_without_a_time_is_the_business_s() -> None:
    (stay,) = stays_since(seen(assigned="2026-11-18"), (), (), ZoneInfo("Europe/Berlin"), NOW)
    assert stay.since == datetime(2026, 11, 17, 23, 0, tzinfo=UTC)
