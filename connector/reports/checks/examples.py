"""[[example]]: what the rules must say of made-up contacts. They are judged offline, in a database of their own, by the very statement
that judges everybody; what came out otherwise than expected is told with the parts that were met.

An example without `at` is judged at the latest moment that it names, else on a fixed day: its result never changes by itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Table, insert

from connector.conditions import fold
from connector.config.columns import column_of
from connector.config.names import COMPUTED
from connector.config.tables import Config, Example
from connector.model import CRMS, FieldType, Finding, folded_twin
from connector.reports.rule_breakdown import Reason, Reasons, reasons
from connector.store import fields
from connector.store.database import Store
from connector.store.tables import metadata, to_micros
from connector.workflows.fields import believed, columns_needed
from connector.workflows.stages import MQL, StageMap
from connector.workflows.transition import first_to_fire

_SPELL = metadata.tables["spell"]
#: When an example is judged that names no moment at all: a Tuesday, in working hours.
_ANY_DAY = datetime(2026, 1, 13, 9, 0, tzinfo=UTC)


def run_examples(config: Config) -> list[Finding]:
    """One finding an example, in the file's order."""
    if not config.examples:
        return []
    with _scratch(config) as (store, table):
        rows = [_contact(config, table, number, example) for number, example in enumerate(config.examples, start=1)]
        store.write(lambda connection: _insert(connection, table, rows))
        with store.read() as connection:
            return [_finding(connection, config, table, number, example) for number, example in enumerate(config.examples, start=1)]


@contextmanager
def _scratch(config: Config) -> Iterator[tuple[Store, Table]]:
    """A database with the file's columns, gone afterwards."""
    columns = columns_needed(config)
    with tempfile.TemporaryDirectory(prefix="connector-examples-") as folder, Store.open(f"sqlite:///{folder}/examples.db") as store:
        store.upgrade()
        fields.set_state(store, fields.ensure_fields(store, columns), "present")
        yield store, fields.contact_table(columns)


# ── The contact ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _insert(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:  # one by one: each names columns of its own
        connection.execute(insert(table).values(row))
    stays = [
        {"contact_id": row["id"], "number": 1, "stage": row["stage"], "entered_at": row["stage_since"], "left_at": None, "by": "crm"}
        for row in rows
        if row["stage"] is not None
    ]
    if stays:
        connection.execute(insert(_SPELL), stays)


def _at(example: Example) -> datetime:
    if example.at is not None:
        return example.at
    named = [value for _, value in _given(example) if isinstance(value, datetime)]
    return max(named, default=_ANY_DAY)


def _given(example: Example) -> Iterator[tuple[str, Any]]:
    """The values of the example's contact by the names that conditions read: { hubspot = { lead_status = … } } is hubspot.lead_status."""
    for name, value in example.contact.items():
        if name in CRMS and isinstance(value, dict):
            yield from ((f"{name}.{inner}", each) for inner, each in value.items())
        else:
            yield name, value


def _contact(config: Config, table: Table, number: int, example: Example) -> dict[str, Any]:
    """The contact's row. It is in every CRM of the file, in its stage since now, and untouched, unless the example says otherwise."""
    given, types, at = _believed(config, dict(_given(example))), config.condition_names(), _at(example)
    row: dict[str, Any] = {"id": number, "first_seen_at": at, "due_at": at, **_UNTOUCHED, "stage": None}
    row |= {f"in_{crm}": crm in config.crms for crm in CRMS}
    for name, value in given.items():
        column = column_of(name)
        if column in table.c:
            row |= _stored(column, value, types[name], twin=folded_twin(column) in table.c)
    if row["stage"] is not None:
        row = {"spell": 1, "stage_since": at, **row}
        if StageMap(config).at_least(row["stage"], MQL):
            row.setdefault("attempt", 1)
    return row


_UNTOUCHED: Mapping[str, Any] = {
    "gone": False, "stage_differs": False, "agreed_number": 1, "spell": 0, "touch_count": 0, "touch_channels": 0,
    "rejected_before": False, "excluded": False,
}  # fmt: skip


def _believed(config: Config, given: Mapping[str, Any]) -> dict[str, Any]:
    """With what rules believe of a field of which only the sides are given."""
    found = dict(given)
    for rule in config.fields:
        first = believed(rule)
        for crm in (first, *(other for other in CRMS if other != first)):
            if f"{crm}.{rule.name}" in given and column_of(rule.name) != column_of(f"{crm}.{rule.name}"):
                found.setdefault(rule.name, given[f"{crm}.{rule.name}"])
    return found


def _stored(column: str, value: Any, kind: FieldType, *, twin: bool) -> dict[str, Any]:
    """A value as the store has it, with its folded twin."""
    if column in COMPUTED:
        return {column: value} if not isinstance(value, str) else {column: (value if column == "stage" else fold(value)) or None}
    if kind is FieldType.DATETIME:
        return {column: to_micros(value)}
    if kind is FieldType.CHOICES:
        chosen = [value] if isinstance(value, str) else list(value)
        value = f";{';'.join(chosen)};" if chosen else None
    elif kind.textual:
        value = value.strip() or None
    elif kind is FieldType.NUMBER:
        value = float(value)
    return {column: value, folded_twin(column): None if value is None else fold(value)} if twin else {column: value}


# ── What came out ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What the rules say of an example. stage: the one that it is in once what fires has taken it on."""

    excluded: bool
    criteria_met: int
    qualified: bool
    score: float
    fires: str
    stage: str

    @classmethod
    def of(cls, config: Config, told: Reasons) -> _Outcome:
        """The same order as in a pass: who is excluded is judged by no rule."""
        excluded = bool(told.row["excluded_now"])
        met = [reason.met for reason in told.transitions]
        number = None if excluded else first_to_fire(config.transitions, met, told.row["stage"])
        rule = None if number is None else config.transitions[number]
        return cls(
            excluded=excluded,
            criteria_met=told.row["criteria_met"],
            qualified=bool(told.row["qualified"]),
            score=round(float(told.row["score"]), 2),
            fires="" if rule is None else rule.name,
            stage=told.row["stage"] or "" if rule is None else rule.to,
        )


def _finding(connection: Connection, config: Config, table: Table, number: int, example: Example) -> Finding:
    told = reasons(connection, config, table, number, _at(example))
    outcome, topic = _Outcome.of(config, told), f"example: {example.name}"
    wrong = [name for name, expected in example.expect.items() if not _same(expected, getattr(outcome, name))]
    if not wrong:
        return Finding(topic=topic, ok=True, message=", ".join(_says(name, getattr(outcome, name)) for name in example.expect))
    differs = "; ".join(f"expected {_says(name, example.expect[name])}, came out {_shown(getattr(outcome, name))}" for name in wrong)
    advice = f"Change the rule, or what the example expects. {_why(config, told, wrong)}".rstrip()
    return Finding(topic=topic, ok=False, message=differs, advice=advice)


def _same(expected: Any, found: Any) -> bool:
    if isinstance(found, float):
        return round(float(expected), 2) == found
    return bool(expected == found)


def _says(name: str, value: Any) -> str:
    return f"{name} = {_shown(value)}"


def _shown(value: Any) -> str:
    """A value as the file would write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return f'"{value}"' if isinstance(value, str) else str(value)


def _why(config: Config, told: Reasons, wrong: Sequence[str]) -> str:
    """The rules behind what came out otherwise, with the parts that were met."""
    criteria = () if config.qualification is None else config.qualification.criteria
    lines = []
    if "excluded" in wrong:
        scope = [(f"scope.{name}", reason) for name, reason in (("exclude", told.exclude), ("only", told.only)) if reason is not None]
        lines += [_met(name, reason) for name, reason in scope]
    if {"criteria_met", "qualified"} & set(wrong):
        lines += [_met(rule.name, reason) for rule, reason in zip(criteria, told.criteria, strict=True) if reason.met]
    if "score" in wrong:
        scores = zip(config.score, told.scores, told.points, strict=True)
        lines += [_met(f"{rule.name}: {_shown(points)} points", reason) for rule, reason, points in scores if reason.met]
    if {"fires", "stage"} & set(wrong):
        lines += [_met(rule.name, reason) for rule, reason in zip(config.transitions, told.transitions, strict=True)]
    return "Met: " + "; ".join(lines) + "." if lines else "Nothing was met."


def _met(name: str, reason: Reason) -> str:
    parts = [f"{part['text']} ({_shown(part['value'])})" for part in reason.parts if part["met"]]
    return f"{name} [{', '.join(parts) if parts else 'no part'}]"
