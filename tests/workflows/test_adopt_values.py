"""[adopt] as values: the words of both sides in, the first agreement out."""

from __future__ import annotations

from typing import Any

import pytest

from connector.config.tables import Adopt
from connector.workflows.adopt import agreed_stage, clocks_from
from connector.workflows.stages import StageClaims, StageMap
from tests.workflows.values import at, config

STAGES = StageMap(config())


def claims(hubspot: str | None, salesforce: str | None, **more: Any) -> StageClaims:
    return StageClaims(hubspot=hubspot, salesforce=salesforce, **more)


@pytest.mark.parametrize(
    ("believed", "said", "stage", "side"),
    [
        ("hubspot", claims("lead", "sql"), "lead", "hubspot"),
        ("salesforce", claims("lead", "sql"), "sql", "salesforce"),
        ("furthest", claims("lead", "sql"), "sql", "salesforce"),
        ("furthest", claims("mql", "mql"), "mql", "hubspot"),
        ("hubspot", claims(None, "sql"), "sql", "salesforce"),  # a side that says nothing is not believed
        ("salesforce", claims("mql", None), "mql", "hubspot"),
        ("hubspot", claims("mql", "lead", by_default=frozenset({"hubspot"})), "lead", "salesforce"),
        ("hubspot", claims(None, None), None, None),
    ],
)
def test_what_was_there_is_taken_as_the_file_says(believed: Any, said: StageClaims, stage: str | None, side: str | None) -> None:
    agreed = agreed_stage(said, STAGES, Adopt(stage=believed), adopting=True)
    assert (agreed.stage, agreed.side) == (stage, side)
    assert agreed.differs == (said.hubspot != said.salesforce)  # both are at hand; it is reported, not written


def test_what_is_linked_later_is_in_the_stage_further_along_and_a_difference_is_written() -> None:
    agreed = agreed_stage(claims("lead", "sql"), STAGES, Adopt(stage="hubspot"), adopting=False)
    assert (agreed.stage, agreed.differs, agreed.number) == ("sql", False, 1)


def test_once_something_was_agreed_what_changed_counts() -> None:
    said = claims("mql", "lead", agreed_hubspot="lead", agreed_salesforce="lead", number=1, stage="lead")
    assert agreed_stage(said, STAGES, Adopt(stage="salesforce"), adopting=True).stage == "mql"


def test_attempts_count_from_the_files_moment_else_from_the_first_pass() -> None:
    assert clocks_from(Adopt(), at(0, 9)) == at(0, 9)
    assert clocks_from(Adopt(clocks_from=at(2, 0)), at(0, 9)) == at(2, 0)
