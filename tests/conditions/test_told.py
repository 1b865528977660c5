"""What values at hand tell of a condition: as SQL would answer where they tell all, unknown where they do not."""

from __future__ import annotations

from typing import Any

import pytest

from connector.conditions import parse
from connector.conditions.told import UNKNOWN, told

VALUES: dict[str, Any] = {
    "status": "UNQUALIFIED", "empty": None, "size": 50, "flag": True, "roles": ";Champion;Buyer;", "city": "Straße_1",
}  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "answer"),
    [
        ("status = 'unqualified'", True),
        ("'UNQUALIFIED' = status", True),
        ("status != 'UNQUALIFIED'", False),
        ("empty = 'x'", None),
        ("NOT empty = 'x'", None),
        ("empty != 'x'", None),
        ("empty IS NULL", True),
        ("status IS NOT NULL", True),
        ("status IN ('A', 'unqualified')", True),
        ("status NOT IN ('A', 'B')", True),
        ("status IN ('A', 'B')", False),
        ("empty IN ('A')", None),
        ("size = 50", True),
        ("size != 51", True),
        ("flag", True),
        ("flag = TRUE", True),
        ("NOT flag", False),
        ("has(roles, 'champion')", True),
        ("has(roles, 'Champ')", False),
        ("starts(city, 'STRASSE')", True),
        ("status LIKE 'unq%fied'", True),
        ("status NOT LIKE '%x%'", True),
        ("status LIKE '_'", False),
        ("size > 40", UNKNOWN),  # nobody keeps a history for that
        ("score > 40", UNKNOWN),
        ("status = 'UNQUALIFIED' OR score > 40", True),
        ("status = 'A' OR score > 40", UNKNOWN),
        ("status = 'A' AND score > 40", False),
        ("status = 'UNQUALIFIED' AND score > 40", UNKNOWN),
        ("status = 'UNQUALIFIED' AND empty = 'x'", None),
        ("status = 'A' OR empty = 'x'", None),
        ("status = 'UNQUALIFIED' AND (flag OR score > 40)", True),
    ],
)
def test_what_is_told(condition: str, answer: object) -> None:
    assert told(parse(condition).tree, VALUES) is answer
