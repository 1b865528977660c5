"""What depends on several keys or tables at once, of the rules: ids, scores, transitions, tasks, clocks, and the examples."""

from __future__ import annotations

import string
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from connector.config.cross import absent, twice
from connector.config.kinds import shown
from connector.config.names import COMPUTED, JUDGED, nearest, suggestion
from connector.config.problems import Location
from connector.config.reading import Raw, Reading, entries_of, tables_of
from connector.config.tables import Config, Stage
from connector.model import CRMS, FieldType, own_rules
from connector.model.durations import Duration

#: What a task's text may name beside the fields and computed values.
PLACEHOLDERS = ("links", "why", "recent", "sla", "due", "touches", "needed")
#: What an example may expect of its contact, with the type.
EXPECTATIONS: Mapping[str, FieldType] = {
    "criteria_met": FieldType.INTEGER,
    "score": FieldType.NUMBER,
    "qualified": FieldType.BOOLEAN,
    "excluded": FieldType.BOOLEAN,
    "fires": FieldType.TEXT,  # a transition's name; "" for none
    "stage": FieldType.TEXT,
}
_RULES = (("transition",), ("sla",), ("score",), ("qualification", "criteria"), ("stages",), ("example",))
#: Tables whose names stand in keys and in the ledger, too.
_NAMED = ("assign", "task", "team")
_WRITTEN: Mapping[FieldType, tuple[tuple[type, ...], str]] = {
    FieldType.TEXT: ((str,), "a text in quotes"),
    FieldType.CHOICE: ((str,), "a text in quotes"),
    FieldType.CHOICES: ((str, list, tuple), "a text in quotes, or a list of them"),
    FieldType.INTEGER: ((int,), "a whole number, without quotes"),
    FieldType.NUMBER: ((int, float), "a number, without quotes"),
    FieldType.BOOLEAN: ((bool,), "true or false, without quotes"),
    FieldType.DATETIME: ((date, datetime), "a date or moment without quotes"),
}


def check(reading: Reading, parts: Config) -> None:
    """Every check of this module. parts: the values of the tables, as far as they validated."""
    _ids(reading)
    _qualification(reading, parts)
    _scores(reading, parts)
    _transitions(reading, parts)
    _tasks(reading, parts)
    _slas(reading, parts)
    for location, raw in entries_of(reading.root, "example"):
        _example(reading, location, raw)


def _ids(reading: Reading) -> None:
    """Names and ids that stand twice: names within their table, the ids of rules that act among all of them, as the ledger has them."""
    acting: list[tuple[Location, str]] = []
    _none_of_ours(reading)
    for keys in _RULES:
        entries = entries_of(reading.root, *keys)
        twice(reading, [((*location, "name"), raw["name"]) for location, raw in entries if isinstance(raw.get("name"), str)])
        keyed = [(location, raw, "id" if "id" in raw else "name") for location, raw in entries]
        texts = [((*location, key), raw[key]) for location, raw, key in keyed if isinstance(raw.get(key), str)]
        if keys in (("transition",), ("sla",)):
            acting += texts
        else:
            twice(reading, texts)
    twice(reading, acting)


def _none_of_ours(reading: Reading) -> None:
    """No name and no id of a file looks like one of the program's own."""
    entries = [entry for keys in _RULES for entry in entries_of(reading.root, *keys)]
    texts: list[tuple[Location, object]] = [((*location, key), raw.get(key)) for location, raw in entries for key in ("name", "id")]
    texts += [((key, name), name) for key in _NAMED for name in tables_of(reading.root, key)]
    for location, text in texts:
        if isinstance(text, str) and text.strip().startswith(own_rules.OWN):
            reading.problem(location, shown(text), "no colon before it: ids that begin with one are the program's own")


def _qualification(reading: Reading, parts: Config) -> None:
    rule = parts.qualification
    there = len(entries_of(reading.root, "qualification", "criteria"))
    if rule is not None and reading.fine(rule, "minimum") and rule.minimum > there:
        reading.problem(("qualification", "minimum"), str(rule.minimum), f"at most {there}, as many as there are criteria")


def _scores(reading: Reading, parts: Config) -> None:
    for rule in parts.score:
        location = reading.place(rule)
        for key, value, needed, partner in (
            ("half_life", rule.half_life, "since", rule.since),
            ("since", rule.since, "half_life", rule.half_life),
            ("at_most", rule.at_most, "times", rule.times),
        ):
            if value is not None and partner is None and reading.fine(rule, needed):
                reading.problem((*location, key), f"stands without {needed}", f"say {needed} too, or leave both out")


def _transitions(reading: Reading, parts: Config) -> None:
    stages = {stage.name: stage for stage in parts.stages}
    for rule in parts.transitions:
        location = reading.place(rule)
        if rule.from_ is not None and rule.to in rule.from_ and reading.fine(rule, "to"):
            reading.problem((*location, "to"), f"{shown(rule.to)} is one of from", "another stage: a step goes from one stage to another")
        _reachable(reading, (*location, "to"), stages.get(rule.to))
    if parts.rejection is not None and parts.rejection.send_back_to is not None:
        _reachable(reading, ("rejection", "send_back_to"), stages.get(parts.rejection.send_back_to))


def _reachable(reading: Reading, location: Location, stage: Stage | None) -> None:
    """A problem where a rule goes to a stage that no CRM of the file can be told of: nothing would remember it."""
    if stage is None or not reading.fine(stage, *CRMS):
        return
    if not stage.hubspot and not (stage.salesforce.lead_status and stage.salesforce.write):
        crms = " or ".join(crm for crm in CRMS if crm in reading.known.crms)
        reading.problem(location, f"{shown(stage.name)} can be written to no CRM of this file", f"a stage with a value in {crms}")


def _tasks(reading: Reading, parts: Config) -> None:
    names = {*PLACEHOLDERS, *(name for name in reading.known.conditions if "." not in name)}
    for task in parts.tasks:
        location = reading.place(task)
        absent(reading, (*location, "in"), task.in_)
        for key, text in (("subject", task.subject), ("body", task.body)):
            if reading.fine(task, key):
                _placeholders(reading, (*location, key), text, names)
        for team in parts.teams if task.assign_to == "manager" else ():
            if team.side == "sales" and team.manager is None and reading.fine(team, "manager"):
                expected = f"this key is needed: [task.{task.name}] goes to the manager of the owner's team"
                reading.problem((*reading.place(team), "manager"), "missing", expected)


def _placeholders(reading: Reading, location: Location, text: str, names: set[str]) -> None:
    try:
        parts = [(name, form or conversion) for _, name, form, conversion in string.Formatter().parse(text) if name is not None]
    except ValueError:
        reading.problem(location, "a { or } without its partner", "{name} for a value; {{ and }} for the signs themselves")
        return
    for name, dressing in parts:
        if dressing:
            reading.problem(location, "a name with : or ! behind it", "{name} alone")
        elif name not in names:
            near = nearest(name, names)
            expected = f"did you mean {{{near}}}?" if near else "a field's name, or {links}, {why}, {recent}"
            reading.problem(location, f"{{{name}}} is no field", expected)


def _slas(reading: Reading, parts: Config) -> None:
    for rule in parts.slas:
        location = reading.place(rule)
        if reading.fine(rule, "channels", "touches") and rule.channels > rule.touches:
            reading.problem((*location, "channels"), str(rule.channels), f"at most {rule.touches}, as many as there are touches")
        if rule.warn is None:
            if rule.on_warn and reading.fine(rule, "warn"):
                reading.problem((*location, "on_warn"), "stands without warn", "say warn too, or leave both out")
        elif reading.fine(rule, "within") and _as_long(rule.warn, rule.within):
            expected = f"less than within, {shown(str(rule.within))}: it goes back from there"
            reading.problem((*location, "warn"), shown(str(rule.warn)), expected)


def _as_long(first: Duration, second: Duration) -> bool:
    """Whether first is at least as long, as far as this can be said without a calendar."""
    if not first.business and not second.business:
        return first.elapsed >= second.elapsed
    return (first.business, first.unit) == (second.business, second.unit) and first.amount >= second.amount


# ── Examples ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _example(reading: Reading, location: Location, raw: Raw) -> None:
    contact, expect = (table if isinstance(table := raw.get(key), dict) else {} for key in ("contact", "expect"))
    given = {name: kind for name, kind in reading.known.conditions.items() if name not in JUDGED}
    for name, value in contact.items():
        if name in CRMS and isinstance(value, dict):
            for inner, side_value in value.items():
                _given(reading, (*location, "contact", name, inner), f"{name}.{inner}", side_value, given)
        else:
            _given(reading, (*location, "contact", name), name, value, given)
    for name, value in expect.items():
        if name == "sla" or (name in COMPUTED and name not in EXPECTATIONS):
            reading.problem((*location, "expect", name), "needs a history", "not built yet: leave it out")
        else:
            _given(reading, (*location, "expect", name), name, value, EXPECTATIONS)
    fires = expect.get("fires")
    if isinstance(fires, str) and fires not in ("", *reading.known.transitions):
        found = f"{shown(fires)} is not declared in [[transition]]"
        reading.problem((*location, "expect", "fires"), found, suggestion(fires, reading.known.transitions))


def _given(reading: Reading, location: Location, name: str, value: Any, names: Mapping[str, FieldType]) -> None:
    """One value of an example: a known name, and a value of its type."""
    if name not in names:
        reading.problem(location, "unknown name", suggestion(name, names, quoted=False))
        return
    if name in reading.known.unsure:
        return
    kinds, expected = _WRITTEN[names[name]]
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        reading.problem(location, shown(value), expected)
    elif name == "stage" and str(value) not in ("", *reading.known.stages):
        reading.problem(location, f"{shown(value)} is not declared in [[stages]]", suggestion(str(value), reading.known.stages))
