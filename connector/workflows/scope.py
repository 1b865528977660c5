"""[scope]: who is judged at all, as SQL; and what becomes of the attempt of a contact that is not."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, false, or_

from connector.conditions import Env, answer
from connector.config.tables import Scope
from connector.workflows.attempts import AttemptState, end


def excluded(rule: Scope, env: Env) -> ColumnElement[bool]:
    """Whether a contact is out: one that `exclude` meets, or `only` does not."""
    out = false() if rule.exclude is None else answer(rule.exclude, env) == 1
    return out if rule.only is None else or_(out, answer(rule.only, env) == 0)


def left_scope(attempt: AttemptState, now: datetime) -> AttemptState:
    """The attempt of a contact that is out of scope: withdrawn, where it was open."""
    return end(attempt, "withdrawn", now) if attempt.open else attempt
