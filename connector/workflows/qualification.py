"""[qualification]: which criteria a contact meets, how many, and whether they are enough, as SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import ColumnElement, FromClause, Label, case, false, func, literal

from connector.conditions import Env, answer
from connector.config.tables import Criterion, Qualification

#: What it brings about.
JUDGED = ("criteria_met", "qualified")


def columns(criteria: Sequence[Criterion]) -> list[str]:
    """The columns of the single criteria, in the file's order."""
    return [f"criterion_{number}" for number in range(len(criteria))]


def met(criteria: Sequence[Criterion], env: Env) -> list[Label[int]]:
    """Each criterion: 1 where it is met, else 0."""
    return [answer(rule.when, env).label(name) for rule, name in zip(criteria, columns(criteria), strict=True)]


def counted(rule: Qualification | None, criteria: Sequence[Criterion], layer: FromClause) -> list[Label[Any]]:
    """criteria_now (the ids of those met, as JSON), criteria_met and qualified, of a layer with the columns of `met`."""
    answers = [layer.c[name] for name in columns(criteria)]
    number: ColumnElement[int] = sum(answers, start=literal(0))
    enough = false() if rule is None else number >= rule.minimum
    return [_ids(criteria, answers).label("criteria_now"), number.label("criteria_met"), enough.label("qualified")]


def _ids(criteria: Sequence[Criterion], answers: Sequence[ColumnElement[int]]) -> ColumnElement[str]:
    """By id, and in the order of the ids: what is kept does not change where the file's order does."""
    text: ColumnElement[str] = literal("[")
    for rule, answered in sorted(zip(criteria, answers, strict=True), key=lambda each: each[0].id):
        text = text.concat(case((answered == 1, f"{orjson.dumps(rule.id).decode()},"), else_=""))
    return func.rtrim(text, ",").concat("]")
