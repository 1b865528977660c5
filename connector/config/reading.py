"""The first half of loading: from a parsed file to the values of its tables, noting every problem on the way.

`declared` gathers what the file declares, leniently; `Reading` validates table by table with that at hand. What a mapping says of a CRM
that the file does not have is left out here, and listed in `ignored`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from datetime import UTC, tzinfo
from functools import cache
from typing import Any, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ValidationError, create_model

from connector.config.builtin import BUILTIN, FIXED
from connector.config.kinds import shown
from connector.config.names import Known
from connector.config.problems import Location, from_validation, path_text, unknown_key
from connector.config.tables import CalendarRule, readable_names
from connector.errors import Problem
from connector.model import CRMS, CrmName, FieldType

M = TypeVar("M", bound=BaseModel)
Raw = Mapping[str, Any]
_FIELD_TYPES = frozenset(kind.value for kind in FieldType)
#: What [calendar] itself may say; every other table in it is a calendar of its own.
CALENDAR_KEYS = frozenset(CalendarRule.model_fields)


def tables_of(root: Raw, key: str) -> dict[str, Raw]:
    """The tables [key.NAME] of a file, as far as they are tables."""
    value = root.get(key)
    return {name: table for name, table in value.items() if isinstance(table, dict)} if isinstance(value, dict) else {}


def at(root: Any, *keys: str) -> Any:
    """What stands at a key of a key; None where nothing does."""
    for key in keys:
        root = root.get(key) if isinstance(root, dict) else None
    return root


def entries_of(root: Raw, *keys: str) -> list[tuple[Location, Raw]]:
    """The tables [[key]] of a file with where they stand, as far as they are tables."""
    value = at(root, *keys)
    return [((*keys, place), entry) for place, entry in enumerate(value) if isinstance(entry, dict)] if isinstance(value, list) else []


def names_of(root: Raw, key: str) -> tuple[str, ...]:
    """The names of the rules in a list."""
    return tuple(entry["name"] for _, entry in entries_of(root, key) if isinstance(entry.get("name"), str))


def declared(root: Raw) -> Known:
    """What the file declares, read leniently: a rule with a wrong key is declared all the same."""
    crms = frozenset(crm for crm in CRMS if crm in tables_of(root, "crm"))
    fields: dict[str, tuple[FieldType, frozenset[CrmName]]] = {rule.name: (rule.type, rule.sides) for rule in BUILTIN}
    unsure: set[str] = set()
    for name, table in tables_of(root, "fields").items():
        if name in FIXED:
            continue
        kind = table.get("type", "text")
        fields[name] = (FieldType(kind) if kind in _FIELD_TYPES else FieldType.TEXT, frozenset(crm for crm in CRMS if crm in table))
        if kind not in _FIELD_TYPES:
            unsure |= {name, *(f"{crm}.{name}" for crm in CRMS)}
    return Known(
        crms=crms or frozenset(CRMS),  # with none at all, that is the one problem to report
        stages=names_of(root, "stages"),
        tasks=tuple(tables_of(root, "task")),
        teams=tuple(tables_of(root, "team")),
        assigns=tuple(tables_of(root, "assign")),
        calendars=tuple(name for name in tables_of(root, "calendar") if name not in CALENDAR_KEYS),
        transitions=names_of(root, "transition"),
        conditions=readable_names((name, kind, sides) for name, (kind, sides) in fields.items()),
        unsure=frozenset(unsure),
        zone=_zone(root.get("timezone")),
    )


def _zone(name: object) -> tzinfo:
    """The business's zone; a wrong one is reported where it stands."""
    try:
        return ZoneInfo(name) if isinstance(name, str) else UTC
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def _frozen(value: Any) -> Any:
    """Lists as tuples, all the way down, as the tables have them."""
    if isinstance(value, dict):
        return {key: _frozen(inner) for key, inner in value.items()}
    return tuple(_frozen(inner) for inner in value) if isinstance(value, list) else value


class Reading:
    """Reads the tables of one file. problems and ignored fill as it goes."""

    def __init__(self, root: Raw, known: Known) -> None:
        self.root = root
        self.known = known
        self.problems: list[Problem] = []
        self.ignored: list[str] = []
        self._places: dict[int, tuple[BaseModel, Location]] = {}
        self._wrong: dict[int, set[str | int]] = {}

    def path(self, location: Location) -> str:
        """A location as the file would say it."""
        return path_text(self.root, location)

    def place(self, value: BaseModel) -> Location:
        """Where one of the values read here stands."""
        return self._places[id(value)][1]

    def fine(self, value: BaseModel, *keys: str) -> bool:
        """Whether none of these keys of a table has a problem of its own: whoever compares them asks first."""
        return self._wrong.get(id(value), set()).isdisjoint(keys)

    def moved(self, value: M, to: M) -> M:
        """`to`, which stands where `value` was read."""
        self._places[id(to)] = (to, self.place(value))
        self._wrong[id(to)] = self._wrong.get(id(value), set())
        return to

    def problem(self, location: Location, found: str, expected: str) -> None:
        """Notes one problem, once."""
        problem = Problem(path=self.path(location), found=found, expected=expected)
        if problem not in self.problems:
            self.problems.append(problem)

    def value(self, model: type[M], raw: object, base: Location, hidden: frozenset[str] = frozenset(), **given: object) -> M | None:
        """One table's values, None where it is no table. hidden: attributes that are no keys; given: what the reader adds itself.

        Where keys have problems they are noted, and are None or their default in the values; `fine` tells.
        """
        if not isinstance(raw, dict):
            self.problem(base, shown(raw), "a table")
            return None
        keys = [info.alias or name for name, info in model.model_fields.items() if (info.alias or name) not in hidden]
        self.problems += [unknown_key(self.root, (*base, key), keys) for key in raw if key in hidden]
        data = _frozen({key: inner for key, inner in raw.items() if key not in hidden}) | given
        wrong: set[str | int] = set()
        try:
            result = self._validated(model, data)
        except ValidationError as error:
            self.problems += from_validation(error, model, self.root, base, hidden)
            wrong = {detail["loc"][0] for detail in error.errors(include_url=False) if detail["loc"]}
            result = self._validated(_lenient(model), {key: inner for key, inner in data.items() if key not in wrong})
        self._places[id(result)] = (result, base)
        self._wrong[id(result)] = wrong
        return result

    def _validated(self, model: type[M], data: Raw) -> M:
        return model.model_validate(data, context=self.known, by_alias=True, by_name=False)

    def table(self, key: str, model: type[M]) -> M | None:
        """The table [key]; None where there is none."""
        return self.value(model, self.root[key], (key,)) if key in self.root else None

    def named(self, key: str, model: type[M]) -> tuple[M, ...]:
        """The tables [key.NAME], in the file's order."""
        return self.each_named(key, lambda name, raw: self.value(model, raw, (key, name), frozenset({"name"}), name=name))

    def each_named(self, key: str, read: Callable[[str, object], M | None]) -> tuple[M, ...]:
        """The tables [key.NAME], each as `read` makes it of its name and what stands there."""
        raw = self.root.get(key, {})
        if not isinstance(raw, dict):
            self.problem((key,), shown(raw), f"tables [{key}.NAME]")
            return ()
        values = [read(name, table) for name, table in raw.items()]
        return tuple(value for value in values if value is not None)

    def listed(self, model: type[M], *keys: str) -> tuple[M, ...]:
        """The tables [[key]], in order; a rule's id is its name where it says none."""
        raw = at(self.root, *keys)
        if raw is None:
            return ()
        if not isinstance(raw, list):
            self.problem(keys, shown(raw), f"tables [[{'.'.join(keys)}]]")
            return ()
        values = []
        for place, entry in enumerate(raw):
            given = {}
            if "id" in model.model_fields and isinstance(entry, dict) and "id" not in entry:
                name = entry.get("name")
                given["id"] = name if isinstance(name, str) and name.strip() else "-"  # a missing name is reported itself
            values.append(self.value(model, entry, (*keys, place), frozenset(), **given))
        return tuple(value for value in values if value is not None)

    def ignore(self, location: Location) -> None:
        """Lists something said of a CRM that the file does not have."""
        self.ignored.append(self.path(location))


@cache
def _lenient(model: type[M]) -> type[M]:
    """The same table without a key that is needed: None stands for those."""
    fields: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        if info.is_required():
            optional = copy(info)
            optional.default = None
            fields[name] = (info.annotation, optional)
    return create_model(model.__name__, __base__=model, **fields)
