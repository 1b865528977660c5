"""Does the file fit the CRM's fields? Names, types, rights, and the values of picklists, against what the CRM says of itself now.

The same for every CRM: it asks the port alone. A value that people see is not always the one that is stored, and a CRM may take a value
that it does not know without a word: so everything that the file names is compared before anything is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

from connector.adapters.port import Describes
from connector.conditions import fold
from connector.config.rule_conditions import judging_conditions
from connector.config.tables import Config, FieldRule
from connector.errors import CrmError
from connector.model import CRM_FACTS, CrmName, FieldType, Finding, PropertyFacts, Schema, Surroundings, Uses
from connector.reports.checks.crm_usage import Named, stage_property, uses_of, values_named
from connector.workflows.fields import places
from connector.workflows.stages import MQL, StageMap
from connector.workflows.suspension import rules_reading

#: How each CRM calls itself.
NAMES: Mapping[CrmName, str] = {"hubspot": "HubSpot", "salesforce": "Salesforce"}
_TEXT, _CHOICE, _CHOICES = FieldType.TEXT, FieldType.CHOICE, FieldType.CHOICES
_NUMBER, _INTEGER, _BOOLEAN, _DATETIME = FieldType.NUMBER, FieldType.INTEGER, FieldType.BOOLEAN, FieldType.DATETIME
_NEVER = "its values cannot be read so: the field would be empty everywhere"
#: (type in the file, type in the CRM) → what comes of it; what is not here reads well.
_ODD: Mapping[tuple[FieldType, FieldType], str] = {
    **dict.fromkeys(((_TEXT, _NUMBER), (_TEXT, _INTEGER), (_CHOICE, _NUMBER), (_CHOICE, _INTEGER)), "numbers are compared as texts"),
    **dict.fromkeys(((_TEXT, _DATETIME), (_CHOICE, _DATETIME), (_CHOICES, _DATETIME)), "moments are compared as texts"),
    **dict.fromkeys(((_TEXT, _CHOICES), (_CHOICE, _CHOICES)), 'several values come as one text: type = "choices" tests them with has()'),
    **dict.fromkeys(((_TEXT, _BOOLEAN), (_CHOICE, _BOOLEAN)), "it reads as 'true' or 'false'"),
    **dict.fromkeys(((_NUMBER, _TEXT), (_INTEGER, _TEXT), (_NUMBER, _CHOICE), (_INTEGER, _CHOICE)), "what is no number reads as empty"),
    **dict.fromkeys(((_BOOLEAN, _TEXT), (_BOOLEAN, _CHOICE)), "what is neither 'true' nor 'false' reads as empty"),
    (_DATETIME, _TEXT): "what is no date reads as empty",
    **dict.fromkeys(((_DATETIME, _NUMBER), (_DATETIME, _INTEGER)), "numbers are taken for milliseconds since 1970"),
    **dict.fromkeys(((_CHOICES, _NUMBER), (_CHOICES, _INTEGER), (_CHOICES, _BOOLEAN)), "each is one value"),
}
#: What reads as nothing at all.
_WRONG = frozenset(
    {(_NUMBER, _CHOICES), (_INTEGER, _CHOICES), (_BOOLEAN, _CHOICES), (_DATETIME, _CHOICES), (_DATETIME, _CHOICE), (_DATETIME, _BOOLEAN)}
    | {(declared, real) for declared in (_NUMBER, _INTEGER) for real in (_DATETIME, _BOOLEAN)}
    | {(_BOOLEAN, real) for real in (_NUMBER, _INTEGER, _DATETIME)}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCrm:
    """One CRM beside the file."""

    config: Config
    name: CrmName
    crm: Describes
    uses: Uses
    schema: Schema

    def facts(self, object_name: str, property_name: str) -> PropertyFacts | None:
        """What the CRM says of a property; Salesforce's names regard no case."""
        known = self.schema.get(object_name, {})
        if property_name in known or self.name == "hubspot":
            return known.get(property_name)
        return next((facts for name, facts in known.items() if name.lower() == property_name.lower()), None)

    def topic(self, object_name: str, property_name: str) -> str:
        """What findings about a property are called."""
        return f"{self.name}: {object_name}.{property_name}"


def side_of(config: Config, name: CrmName, crm: Describes, *, now: datetime, findings: list[Finding]) -> CheckedCrm:
    """The CRM's fields as they are now, of the objects that the file names; what cannot be read becomes a finding."""
    uses = uses_of(config, name, now=now)
    objects = [object_name for rule in config.fields for object_name, _ in places(rule, name)]
    objects += [named.object for named in values_named(config, name)]
    schema: dict[str, Mapping[str, PropertyFacts]] = {}
    for object_name in dict.fromkeys([*objects, *uses.written]):
        try:
            schema |= crm.schema([object_name])
        except CrmError as error:
            message = f"the fields of {object_name} cannot be read: {error.message}"
            findings.append(Finding(topic=f"{name}: {object_name}", ok=False, message=message, advice=error.advice))
    return CheckedCrm(config=config, name=name, crm=crm, uses=uses, schema=schema)


def check_fields(side: CheckedCrm) -> Iterator[Finding]:
    """All that the file says of one CRM's fields and their values."""
    yield from _declared(side)
    yield from _written(side)
    yield from _values(side, values_named(side.config, side.name))
    yield from _stages(side)
    yield from _formulas(side)


# ── Names, types, rights ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _declared(side: CheckedCrm) -> Iterator[Finding]:
    """Each field of the file where it lives: is it there, and does its type read."""
    read = set().union(*(condition.names for _, condition in judging_conditions(side.config)))
    sound = 0
    for rule in side.config.fields:
        needed = not rule.builtin or bool({rule.name, f"{side.name}.{rule.name}"} & read)
        for object_name, property_name in places(rule, side.name):
            if object_name not in side.schema:
                continue
            facts = side.facts(object_name, property_name)
            if facts is None and (rule.builtin or property_name in CRM_FACTS[side.name].essential.get(object_name, ())):
                found = [_unseen(side, object_name, property_name, rule.name, needed=needed)]
            elif facts is None:
                found = _missing(side, object_name, property_name, rule.name, needed=needed)
            else:
                found = _type(side, rule, facts)
            yield from found
            sound += not found
    yield from _essential(side)
    if side.uses.id_field is not None:
        for object_name in CRM_FACTS[side.name].people:
            if object_name in side.schema and side.facts(object_name, side.uses.id_field) is None:
                yield from _missing(side, object_name, side.uses.id_field, "hubspot_id_field", needed=True)
    yield Finding(topic=f"{side.name}: fields", ok=True, message=f"{sound} fields of the file are there and read well")


def _essential(side: CheckedCrm) -> Iterator[Finding]:
    """What everything rests on, where no field of the file has told of it."""
    told = {place for rule in side.config.fields for place in places(rule, side.name)}
    for object_name, names in CRM_FACTS[side.name].essential.items():
        for property_name in names if object_name in side.schema else ():
            if (object_name, property_name) not in told and side.facts(object_name, property_name) is None:
                yield _unseen(side, object_name, property_name, "who is who, whose, and in which stage", needed=True)


def _unseen(side: CheckedCrm, object_name: str, property_name: str, why: str, *, needed: bool) -> Finding:
    """A standard property that is not shown: it is there, so that only the right to see it can be lacking."""
    crm, essential = NAMES[side.name], property_name in CRM_FACTS[side.name].essential.get(object_name, ())
    so = ", and without it nobody is judged" if essential else ""
    message = f"{crm} does not show the connector this standard property of {object_name} ({why}){so}"
    advice = f"Let the connector's credentials in {crm} read it."
    return Finding(
        topic=side.topic(object_name, property_name), ok=False, warning=not (needed or essential), message=message, advice=advice
    )


def _formulas(side: CheckedCrm) -> Iterator[Finding]:
    """Formula and roll-up fields that the file reads: no modified date tells of their changes."""
    where = {place: rule.name for rule in side.config.fields for place in places(rule, side.name)}
    for (object_name, property_name), field in sorted(where.items()):
        facts = side.facts(object_name, property_name)
        if facts is None or not facts.calculated:
            continue
        rules = rules_reading(side.config, field)
        used = f"read by {', '.join(rules)}" if rules else "read by no rule"
        what = f"{object_name}.{property_name} (field {field}, {used})"
        message = f"{what} is worked out by {NAMES[side.name]}: no modified date tells of its changes"
        advice = "It is read again by [schedule] deletes; until then rules see its old value. A plain field is seen at once."
        yield Finding(topic=f"{side.name}: formulas", ok=False, warning=True, message=message, advice=advice)


def _missing(side: CheckedCrm, object_name: str, property_name: str, field: str, *, needed: bool) -> list[Finding]:
    near = get_close_matches(property_name.lower(), {name.lower(): name for name in side.schema[object_name]}, n=1)
    known = {name.lower(): name for name in side.schema[object_name]}
    hint = f"Did you mean {known[near[0]]}? Else create" if near else "Create"
    return [
        Finding(
            topic=side.topic(object_name, property_name),
            ok=False,
            warning=not needed,
            message=f"{NAMES[side.name]} has no such property on {object_name}, or does not show it to the connector ({field})",
            advice=f"{hint} it in {NAMES[side.name]}, let the connector see it, or take it out of the file.",
        )
    ]


def _type(side: CheckedCrm, rule: FieldRule, facts: PropertyFacts) -> list[Finding]:
    if facts.means is None or rule.builtin:
        return []
    pair = (rule.type, facts.means)
    if pair not in _WRONG and pair not in _ODD:
        return []
    wrong = pair in _WRONG
    message = f"fields.{rule.name} is declared {rule.type.value}, {NAMES[side.name]} has {facts.type}: {_NEVER if wrong else _ODD[pair]}"
    advice = f'Set type = "{facts.means.value}" in [fields.{rule.name}], or name another property.'
    return [Finding(topic=side.topic(facts.object, facts.name), ok=False, warning=not wrong, message=message, advice=advice)]


def _written(side: CheckedCrm) -> Iterator[Finding]:
    """What rules set must be there, no formula, and open to these credentials."""
    for object_name, names in side.uses.written.items():
        for property_name in names if object_name in side.schema else ():
            facts, topic = side.facts(object_name, property_name), side.topic(object_name, property_name)
            if facts is None:
                message = f"rules write it, and {NAMES[side.name]} does not show it to the connector"
                yield Finding(topic=topic, ok=False, message=message, advice="Let the connector see and edit it.")
            elif facts.calculated or not facts.writable:
                why = "is calculated" if facts.calculated else "may not be written with these credentials"
                advice = "Name a plain field in its place." if facts.calculated else "Give the connector's user the right to edit it."
                yield Finding(topic=topic, ok=False, message=f"rules write it, and it {why}", advice=advice)
            else:
                yield Finding(topic=topic, ok=True, message="rules write it, and it can be written")


# ── Values ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _values(side: CheckedCrm, values: Sequence[Named]) -> Iterator[Finding]:
    """Every value that the file names against the options that there are."""
    sound: dict[tuple[str, str], int] = {}
    for named in values:
        facts = side.facts(named.object, named.property) if named.object in side.schema else None
        if facts is None or not facts.options:
            continue  # told elsewhere, or a field that takes any text
        finding = _value(side, named, facts)
        if finding is None:
            sound[named.object, named.property] = sound.get((named.object, named.property), 0) + 1
        else:
            yield finding
    for (object_name, property_name), count in sound.items():
        yield Finding(topic=side.topic(object_name, property_name), ok=True, message=f"{count} values of the file are there")


def _value(side: CheckedCrm, named: Named, facts: PropertyFacts) -> Finding | None:
    options, labels = facts.options or (), facts.labels or facts.options or ()
    topic, crm = side.topic(named.object, named.property), NAMES[side.name]
    there = named.value in options or (not named.exact and fold(named.value) in {fold(option) for option in options})
    if there and named.value in facts.hidden:
        message = f"{named.value!r} ({named.place}) is hidden in {crm}: nobody can choose it there"
        return Finding(topic=topic, ok=False, warning=True, message=message, advice="Show it again, or use another value.")
    if there:
        return None
    message = f"{crm} has no value {named.value!r} ({named.place})"
    by_label = next((value for value, label in zip(options, labels, strict=False) if fold(label) == fold(named.value)), None)
    by_case = next((value for value in options if fold(value) == fold(named.value)), None)
    if by_case is not None:
        return Finding(topic=topic, ok=False, message=f"{message}: case matters", advice=f"Write {by_case!r}.")
    if by_label is not None:
        advice = f"Write {by_label!r}: that is the value behind this label."
        return Finding(topic=topic, ok=False, message=f"{message}: that is what people see", advice=advice)
    near = get_close_matches(named.value, options, n=1, cutoff=0.6)
    hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(options)}."
    return Finding(topic=topic, ok=False, message=message, advice=f"{hint} Else add it in {crm}, or correct the file.")


def _stages(side: CheckedCrm) -> Iterator[Finding]:
    """What no stage names, what no write may set, and what a CRM says of people by itself."""
    object_name, property_name = stage_property(side.name)
    facts = side.facts(object_name, property_name) if object_name in side.schema else None
    stages, topic = StageMap(side.config), side.topic(object_name, property_name)
    if facts is not None and facts.options is not None and side.config.stages:
        left = [option for option in facts.options if stages.name_of(side.name, option) is None]
        if left:
            message = f"no stage names {', '.join(left)}: a contact that shows one of these has no stage by it"
            yield Finding(topic=topic, ok=True, message=message)
    try:
        around = side.crm.surroundings()
    except CrmError as error:
        message = f"what {NAMES[side.name]} puts on new records cannot be read: {error.message}"
        yield Finding(topic=f"{side.name}: default stage", ok=False, message=message, advice=error.advice)
        return
    yield from _locked(side, around, topic)
    yield from _default(side, around)


def _locked(side: CheckedCrm, around: Surroundings, topic: str) -> Iterator[Finding]:
    locked = around.locked.get(stage_property(side.name)[1], ())
    stages = StageMap(side.config)
    for stage in side.config.stages:
        value = stages.value_for(side.name, stage.name)
        if value is not None and value in locked:
            message = f"stage {stage.name} would write {value!r}, which comes of a conversion alone"
            yield Finding(topic=topic, ok=False, message=message, advice=f"Add write = false to {side.name} of the stage {stage.name}.")


def _default(side: CheckedCrm, around: Surroundings) -> Iterator[Finding]:
    """The value that a CRM puts on every new record: where it means a qualified lead, nobody has judged that."""
    object_name, property_name = stage_property(side.name)
    topic, stages = f"{side.name}: default stage", StageMap(side.config)
    value = around.defaults.get(property_name)
    if value is None:
        yield from _carried(side, topic)
        return
    stage = stages.name_of(side.name, value)
    if not stages.at_least(stage, MQL):
        yield Finding(topic=topic, ok=True, message=f"new records begin with {property_name} {value!r}: {stage or 'no stage'}")
        return
    count = _count(side, object_name, property_name, value)
    carried = "" if count is None else f"; {count:,} records carry it now, whether or not anybody qualified them"
    message = f"{NAMES[side.name]} puts {property_name} {value!r} on every new record, which the file reads as {stage}{carried}"
    advice = (
        f"It says nothing as long as no stage was agreed. Choose another default in {NAMES[side.name]}, or map the value to a lower stage."
    )
    yield Finding(topic=topic, ok=False, warning=True, message=message, advice=advice)


def _carried(side: CheckedCrm, topic: str) -> Iterator[Finding]:
    """The CRM does not tell its default: a stage that most people are in is likely to be it."""
    object_name, property_name = stage_property(side.name)
    stages = StageMap(side.config)
    values = [named.value for named in values_named(side.config, side.name) if named.property == property_name]
    total = _count(side, object_name, None, None)
    qualified = [value for value in dict.fromkeys(values) if stages.at_least(stages.name_of(side.name, value), MQL)]
    counts = {value: count for value in qualified if (count := _count(side, object_name, property_name, value))}
    if not total or not values:
        return
    shown = ", ".join(f"{count:,} {value}" for value, count in counts.items()) or "none"
    message = f"{NAMES[side.name]} does not tell which {property_name} new records get; of {total:,} records, {shown} are {MQL} or beyond"
    most = max(counts.values(), default=0)
    likely = most * 2 > total >= _ENOUGH
    advice = (
        f"More than half carry one of these: is it what {NAMES[side.name]} gives to everybody? Then map it to a lower stage."
        if likely
        else ""
    )
    yield Finding(topic=topic, ok=not likely, warning=likely, message=message, advice=advice)


#: With fewer records, shares say little.
_ENOUGH = 20


def _count(side: CheckedCrm, object_name: str, name: str | None, value: str | None) -> int | None:
    try:
        return side.crm.how_many(object_name, name, value)
    except CrmError:
        return None  # the figure is missing from what is said; that the CRM does not answer is said elsewhere
