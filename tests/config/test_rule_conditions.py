"""Every condition of a file, each with its rule; and what a name is called as a column, and back."""

from __future__ import annotations

import pytest

from connector.conditions import Condition
from connector.config.columns import column_of, compared_column, field_column, name_of, side_column
from connector.config.load import load
from connector.config.names import COMPUTED
from connector.config.rule_conditions import RuleTable, judging_conditions, rule_conditions
from connector.config.tables import Config
from connector.model import CRMS, FieldType, folded_twin
from tests import ROOT
from tests.workflows.values import config


@pytest.fixture(scope="module")
def example() -> Config:
    return load(ROOT / "config.example.toml")


def held(value: object) -> list[Condition]:
    """The conditions within a value of the file, however deep, found by looking everywhere."""
    if isinstance(value, Condition):
        return [value]
    if isinstance(value, tuple | list):
        return [condition for part in value for condition in held(part)]
    fields = getattr(type(value), "model_fields", {})
    return [condition for name in fields for condition in held(getattr(value, name))]


def test_none_is_forgotten(example: Config) -> None:
    """Whatever table comes with a condition of its own is among them."""
    everywhere = sorted(condition.text for condition in held(example))
    assert sorted(rule.when.text for rule in rule_conditions(example) if rule.when is not None) == everywhere
    assert len(everywhere) > 10


def test_each_tells_its_rule_its_place_and_what_else_the_rule_reads() -> None:
    places = [(rule.rule.table, rule.rule.id, rule.name, rule.key, rule.number, rule.route) for rule in rule_conditions(config())]
    assert places == [
        ("criterion", "interested", "interested", ("when",), 0, None),
        ("score", "visits", "visits", ("when",), 0, None),
        ("transition", "qualify", "qualify", ("when",), 0, None),
        ("transition", "accept", "accept", ("when",), 1, None),
        ("sla", "first touch", "first touch", ("when",), 0, None),
        ("assign", "inbound", "assign.inbound", ("only_if",), 0, None),
        ("rejection", "", "rejection", ("when",), 0, None),
    ]
    reads = {rule.rule.table: rule.reads for rule in rule_conditions(config())}
    assert reads[RuleTable.SCORE] == {"visited_at"}
    assert reads[RuleTable.REJECTION] == {"hubspot.lead_status", "salesforce.lead_status", "reason"}
    assert reads[RuleTable.SLA] == set()  # it has no condition: always met


def test_a_rule_that_leaves_its_condition_out_keeps_its_place() -> None:
    (sla,) = [rule for rule in rule_conditions(config()) if rule.rule.table is RuleTable.SLA]
    assert sla.when is None
    assert all(rule.table is not RuleTable.SLA for rule, _ in judging_conditions(config()))


def test_the_fast_lane_chooses_and_does_not_judge() -> None:
    file = config('[schedule]\nfast = { every = "1 minute", when = "interest >= 90" }\n')
    (lane,) = [rule for rule in rule_conditions(file) if rule.rule.table is RuleTable.FAST_LANE]
    assert (lane.name, lane.key) == ("schedule.fast", ("fast", "when"))
    assert len(judging_conditions(file)) == len(judging_conditions(config()))


@pytest.mark.parametrize(
    ("name", "kind", "column", "compared"),
    [
        ("interest", FieldType.INTEGER, "f_interest", "f_interest"),
        ("country", FieldType.TEXT, "f_country", "f_country_folded"),
        ("hubspot.lead_status", FieldType.CHOICE, "h_lead_status", "h_lead_status_folded"),
        ("salesforce.interest", FieldType.INTEGER, "s_interest", "s_interest"),
        ("stage", FieldType.CHOICE, "stage", "stage"),
        ("score", FieldType.NUMBER, "score", "score"),
    ],
)
def test_a_name_as_a_column(name: str, kind: FieldType, column: str, compared: str) -> None:
    assert (column_of(name), compared_column(name, kind)) == (column, compared)


def test_a_column_leads_back_to_its_name(example: Config) -> None:
    for name in example.condition_names():
        assert name_of(column_of(name)) == (None if name in COMPUTED else name)
    assert name_of(folded_twin(field_column("country"))) is None
    assert [name_of(side_column(crm, "owner")) for crm in CRMS] == ["hubspot.owner", "salesforce.owner"]
    assert [name_of(column) for column in ("id", "stage", "in_hubspot", "f_")] == [None] * 4
