"""Tables, keys and values of the configuration language that this version does not know how to carry out.

They are refused by name, never ignored in silence. "*" stands for any name or position.
"""

from __future__ import annotations

from collections.abc import Sequence

#: What to say of them.
ADVICE = "not built yet: leave it out"

_RULE_LISTS = ("transition", "score", "sla")
_ACTIONS = (
    ("transition", "*", "then", "*"),
    ("sla", "*", "on_warn", "*"),
    ("sla", "*", "on_breach", "*"),
    ("rejection", "missing_reason", "*"),
)

_KEYS: frozenset[tuple[str, ...]] = frozenset(
    {
        *((table,) for table in ("absence", "commitment", "console", "create", "notify", "review", "write_back")),
        *(("schedule", key) for key in ("review", "digest")),
        ("fields", "*", "clears"),
        ("stages", "*", "salesforce", "opportunity"),
        *((table, "*", "was") for table in _RULE_LISTS),
        ("qualification", "criteria", "*", "was"),
        *((*action, key) for action in _ACTIONS for key in ("create_in", "set", "set_stage", "notify", "mail")),
        *(("sla", "*", key) for key in ("every", "on_step")),
        *(("rejection", key) for key in ("on_ignored", "reset")),
        *(("rejection", "reasons", "*", key) for key in ("recycle_after", "to")),
        ("example", "*", "history"),
        *(("guard", key) for key in ("create_leads", "fields", "notify")),
    }
)

_VALUES: dict[tuple[str, ...], frozenset[str]] = {
    ("fields", "*", "sync"): frozenset({"hubspot-to-salesforce", "salesforce-to-hubspot", "prefer-hubspot", "prefer-salesforce", "latest"}),
    ("assign", "*", "method"): frozenset({"least-open", "keep"}),
    ("sla", "*", "kind"): frozenset({"routing", "persistence"}),
}


def _matches(pattern: Sequence[str], location: Sequence[str | int]) -> bool:
    return len(pattern) == len(location) and all(part in ("*", name) for part, name in zip(pattern, location, strict=True))


def is_unbuilt_key(location: Sequence[str | int]) -> bool:
    """Whether this key belongs to the language, but is not built."""
    return any(_matches(pattern, location) for pattern in _KEYS)


def is_unbuilt_value(location: Sequence[str | int], value: object) -> bool:
    """Whether this value of a built key belongs to the language, but is not built."""
    return any(_matches(pattern, location) and value in values for pattern, values in _VALUES.items() if isinstance(value, str))
