"""The condition language: what stands in `when`, written like the WHERE of SOQL or SQL.

    parse(text)                 → Condition, or ConditionError                 (parsing, tree)
    check(condition, names)     → every problem of names, types, durations     (checking, magnitude)
    compile(condition, env)     → a three-valued SQLAlchemy expression         (sql, sql_values, literals)
    answer(condition, env)      → 1 where it is met, 0 where it is not         (sql)
    next_change(condition, env) → when it may change by time alone             (changes, moments)
    thresholds(condition, name) → the numbers that a name is compared with     (thresholds)
    parts(condition)            → its parts one by one, for explain            (parts)

Conditions are evaluated by the database, over many contacts at once; SQLite and PostgreSQL give the same answer. Text is compared by its
folded twin (`fold`), which the store writes beside every text.
"""

from connector.conditions.changes import next_change
from connector.conditions.checking import check
from connector.conditions.comparing import ConditionProblem
from connector.conditions.moments import NEVER, earliest, greatest, least
from connector.conditions.parsing import Condition, Window, parse
from connector.conditions.parts import Part, parts
from connector.conditions.sql import answer, compile, one_if  # noqa: A004 - used as conditions.compile
from connector.conditions.sql_values import Env
from connector.conditions.thresholds import thresholds
from connector.conditions.tree import ConditionError
from connector.model import fold

__all__ = [
    "NEVER",
    "Condition",
    "ConditionError",
    "ConditionProblem",
    "Env",
    "Part",
    "Window",
    "answer",
    "check",
    "compile",
    "earliest",
    "fold",
    "greatest",
    "least",
    "next_change",
    "one_if",
    "parse",
    "parts",
    "thresholds",
]
