"""From what validation found to problems in the file's own words: where it stands, what stands there, what would be right."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from connector.config import not_built
from connector.config.kinds import OURS, shown
from connector.config.names import suggestion
from connector.errors import Problem

Location = tuple[str | int, ...]
_BARE = re.compile(r"^[A-Za-z0-9_-]+$")

#: What would be right, by the type of pydantic's error; {…} is filled from its context.
_EXPECTED: Mapping[str, str] = {
    "string_type": "a text in quotes",
    "int_type": "a whole number, without quotes",
    "float_type": "a number, without quotes",
    "finite_number": "a finite number",
    "bool_type": "true or false, without quotes",
    "tuple_type": "a list [ … ]",
    "dict_type": "a table",
    "model_type": "a table",
    "date_type": "a date without quotes, like 2026-12-24",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "string_too_short": "a text that is not empty",
    "too_short": "at least one",
}
#: What a text must look like, by the pattern that it failed.
_PATTERNS: Mapping[str, str] = {
    r"^(company\.)?[a-z0-9_]+$": 'a property\'s internal name, like "jobtitle" or "company.industry"',
    r"^[A-Za-z][A-Za-z0-9_]*$": 'a field\'s API name, like "Industry" or "Budget__c"',
    r"^(Account\.)?[A-Za-z][A-Za-z0-9_]*$": 'a field\'s API name, like "Title" or "Account.Industry"',
}


def path_text(root: object, location: Sequence[str | int]) -> str:
    """A location as the file would say it: `transition[2] "went cold".to`. Rules in a list are named beside their place, from 0."""
    text, value = "", root
    for part in location:
        if isinstance(part, int):
            value = value[part] if isinstance(value, list) and part < len(value) else None
            name = value.get("name") if isinstance(value, dict) else None
            text += f"[{part}]" + (f" {shown(name)}" if isinstance(name, str) else "")
        else:
            value = value.get(part) if isinstance(value, dict) else None
            key = part if _BARE.match(part) else json.dumps(part, ensure_ascii=False)
            text += f".{key}" if text else key
    return text


def unknown_key(root: object, location: Location, keys: Sequence[str]) -> Problem:
    """A key that the language does not have; its value is not shown, it may be a secret beside a misspelt name."""
    path = path_text(root, location)
    if not_built.is_unbuilt_key(location):
        return Problem(path=path, found="is part of the language", expected=not_built.ADVICE)
    return Problem(path=path, found="unknown key", expected=suggestion(str(location[-1]), keys, quoted=False))


def from_validation(
    error: ValidationError, model: type[BaseModel], root: object, base: Location, hidden: frozenset[str] = frozenset()
) -> Iterator[Problem]:
    """The problems of one table that stands at `base`. hidden: attributes that are no keys of the file."""
    details = error.errors(include_url=False)
    wrong_keys = {detail["loc"][:-1] for detail in details if detail["loc"][-1:] == ("[key]",)}
    for detail in details:
        location = _in_file(base, detail["loc"])
        if detail["loc"] in wrong_keys:
            continue  # what stands at a key that is none needs no second problem
        if detail["type"] == "extra_forbidden":
            yield unknown_key(root, location, [key for key in keys_at(model, detail["loc"][:-1]) if key not in hidden])
            continue
        path = path_text(root, location)
        context = detail.get("ctx", {})
        if detail["type"] == OURS:
            for found, expected in context["pairs"]:
                yield Problem(path=path, found=found, expected=expected)
        elif not_built.is_unbuilt_value(location, detail["input"]):
            yield Problem(path=path, found=shown(detail["input"]), expected=not_built.ADVICE)
        elif detail["type"] == "missing":
            yield Problem(path=path, found="missing", expected="this key is needed")
        else:
            yield Problem(path=path, found=shown(detail["input"]), expected=_expected(detail["type"], context, detail["msg"]))


def _in_file(base: Location, loc: tuple[str | int, ...]) -> Location:
    """Where it stands in the file. pydantic marks a wrong key of a table by "[key]"; the key itself is meant."""
    return base + (loc[:-1] if loc and loc[-1] == "[key]" else loc)


def _expected(kind: str, context: Mapping[str, Any], message: str) -> str:
    if kind == "literal_error":
        return f"one of {context['expected']}".replace("'", '"').replace(" or ", ", ")
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(context["pattern"], message)
    return _EXPECTED[kind].format(**context) if kind in _EXPECTED else message


def keys_at(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """The keys that the table at this place of a model takes, by the file's names."""
    table: type[BaseModel] | None = model
    for part in loc:
        if table is None:
            break
        if isinstance(part, str):
            table = next((_model_in(info.annotation) for name, info in table.model_fields.items() if part in (name, info.alias)), table)
    return [] if table is None else [info.alias or name for name, info in table.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The table inside a type such as `tuple[Then, ...]` or `SalesforceStage | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Annotated, Union, types.UnionType, tuple, dict):
        return next((table for inner in get_args(annotation) if (table := _model_in(inner)) is not None), None)
    return None
