"""Can the conditions come true? The values with which they compare fields, against the options that the CRMs have.

A rule that asks for a value which nobody can choose never fires, and says nothing. A field of both CRMs takes its value from either, so
that only what neither of them has is told; where one of them takes any text, nothing can be said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from connector.conditions import fold
from connector.config.rule_conditions import rule_conditions
from connector.config.tables import Config, FieldRule
from connector.model import CrmName, Finding, PropertyFacts
from connector.reports.checks.fields import NAMES, CheckedCrm
from connector.workflows.fields import compared, from_campaigns, places

_TOPIC = "conditions"
#: The computed value whose options are the file's own.
_STAGE = "stage"
#: So many options are named at most where none is near.
_SHOWN = 12


@dataclass(frozen=True, slots=True)
class _Place:
    """One place at which a field lives, with the options that there are."""

    crm: CrmName
    rule: FieldRule
    facts: PropertyFacts

    def readings(self) -> dict[str, str]:
        """Each option → what conditions read where it stands: the file's name for it, or itself."""
        named = {sides[self.crm]: choice for choice, sides in self.rule.values.items() if self.crm in sides}
        return {option: named.get(option, option) for option in self.facts.options or ()}


def check_conditions(config: Config, sides: Mapping[CrmName, CheckedCrm]) -> Iterator[Finding]:
    """Every value that a condition names. sides: the CRMs that answered."""
    sound = 0
    for (name, value), rules in _asked(config).items():
        known = _places(config, sides, name)
        if name == _STAGE:
            finding = _stage(config, value, rules)
        elif known:
            finding = None if _comes_up(known, value) else _never(known, name, value, rules)
        else:
            continue
        sound += finding is None
        if finding is not None:
            yield finding
    if sound:
        yield Finding(topic=_TOPIC, ok=True, message=f"{sound} values that conditions ask for can be chosen")


def _stage(config: Config, value: str, rules: Sequence[str]) -> Finding | None:
    stages = [stage.name for stage in config.stages]
    if fold(value) in map(fold, stages):
        return None
    message = f"no stage is called {value!r} ({', '.join(rules)}): nothing equals it"
    return Finding(topic=_TOPIC, ok=False, message=message, advice=f"The file's stages are {', '.join(stages) or 'none'}.")


def _never(known: Sequence[_Place], name: str, value: str, rules: Sequence[str]) -> Finding:
    crms = list(dict.fromkeys(NAMES[place.crm] for place in known))
    who = f"{crms[0]} has no" if len(crms) == 1 else f"neither {' nor '.join(crms)} has a"
    message = f"{who} value {value!r} of {name} ({', '.join(rules)}): nothing equals it"
    return Finding(topic=_TOPIC, ok=False, warning=True, message=message, advice=_advice(known, value))


def _asked(config: Config) -> dict[tuple[str, str], list[str]]:
    """(name, value) → the rules whose conditions compare one with the other."""
    found: dict[tuple[str, str], list[str]] = {}
    for asked in rule_conditions(config):
        for pair in () if asked.when is None else compared(asked.when):
            rules = found.setdefault(pair, [])
            if asked.name not in rules:
                rules.append(asked.name)
    return found


def _places(config: Config, sides: Mapping[CrmName, CheckedCrm], name: str) -> list[_Place]:
    """Where a name's value comes from; [] where it may be any text, or nobody knows."""
    crm, dot, bare = name.partition(".")
    rule = next((field for field in config.fields if field.name == (bare if dot else name)), None)
    found: list[_Place] = []
    if rule is None or not rule.type.textual:
        return found
    for field_crm in (side for side in config.crms if side == crm or not dot):
        if field_crm == "salesforce" and from_campaigns(rule):
            return []
        for object_name, property_name in places(rule, field_crm):
            side = sides.get(field_crm)
            facts = None if side is None else side.facts(object_name, property_name)
            if facts is None or not facts.options:
                return []  # a field that is not there is told by itself
            found.append(_Place(field_crm, rule, facts))
    return found


def _comes_up(known: Sequence[_Place], value: str) -> bool:
    wanted = fold(value)
    named = {fold(choice) for one in known for choice in one.rule.values}  # whether the CRM has what they stand for is looked at elsewhere
    return wanted in named or any(wanted == fold(reading) for place in known for reading in place.readings().values())


def _advice(known: Sequence[_Place], value: str) -> str:
    wanted, readings = fold(value), {option: reading for place in known for option, reading in place.readings().items()}
    labels = {label: option for place in known for option, label in zip(place.facts.options or (), place.facts.labels, strict=False)}
    for option, reading in readings.items():
        if fold(option) == wanted:
            return f"Write {reading!r}: that is the file's own name for it."
    for label, option in labels.items():
        if fold(label) == wanted:
            return f"Write {readings[option]!r}: that is the value behind this label."
    there = list(dict.fromkeys(readings.values()))
    near = get_close_matches(value, there, n=1, cutoff=0.6)
    more = f" and {len(there) - _SHOWN} more" if len(there) > _SHOWN else ""
    hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(there[:_SHOWN])}{more}."
    return f"{hint} Only records that were given it before can still have it."
