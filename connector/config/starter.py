"""A first configuration from what the CRMs have: their stages, statuses, people and fields, with rules that use nothing else. Pure.

It is a file to be read and corrected by a person: what is a guess says so, and what cannot be known stands there as a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from connector.config.starter_text import condition_text, free_name, one_line, slug, toml_comment, toml_list, toml_table, toml_text
from connector.model import CRMS, CrmName, FieldType, Owner, PropertyFacts, Schema

#: HubSpot's own lifecycle stages as the file calls them; the two that the words of the field hang on have short names.
_STAGES: Mapping[str, str] = {
    "subscriber": "subscriber",
    "lead": "lead",
    "marketingqualifiedlead": "mql",
    "salesqualifiedlead": "sql",
    "opportunity": "opportunity",
    "customer": "customer",
    "evangelist": "evangelist",
}
#: What a status of a Lead is likely to mean; the first that fits counts.
_STATUSES: tuple[tuple[str, str], ...] = (
    (r"unqualified|disqualified|not converted|reject|junk|bad", ""),
    (r"nurtur|recycl|cold|not ready", "lead"),
    (r"\bqualified|accepted|\bsql\b", "sql"),
    (r"open|new|not contacted|working|contacted|attempt|mql", "mql"),
)
_REJECTED = re.compile(_STATUSES[0][0], re.IGNORECASE)
#: At most so many options and people stand in a comment.
_SHOWN = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What one CRM tells. table: its keys in the file, as TOML. locked: stage values that come of a conversion alone."""

    table: Mapping[str, str]
    schema: Schema
    owners: Sequence[Owner] = ()
    locked: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Wish:
    """A field that rules like to have, and how to know it: by the names of standard properties, else by what a name or label says."""

    name: str
    types: tuple[FieldType, ...]
    hubspot: tuple[tuple[str, str], ...] = ()
    salesforce: str = ""
    like: str = ""


#: A property that answers a wish, and how a field of the file names it, as TOML.
_Place = tuple[PropertyFacts, str]

_ANY = (FieldType.TEXT, FieldType.CHOICE, FieldType.CHOICES)
_NUMBERS = (FieldType.INTEGER, FieldType.NUMBER)
_WISHES = (
    _Wish("industry", _ANY, (("companies", "industry"), ("contacts", "industry")), "Industry"),
    _Wish("employees", _NUMBERS, (("companies", "numberofemployees"),), "NumberOfEmployees"),
    _Wish("page_views", _NUMBERS, (("contacts", "hs_analytics_num_page_views"),)),
    _Wish("last_conversion_at", (FieldType.DATETIME,), (("contacts", "recent_conversion_date"),)),
    _Wish("roles", (FieldType.CHOICES, FieldType.CHOICE), (("contacts", "hs_buying_role"),)),
    _Wish("budget", _NUMBERS, like=r"budget"),
    _Wish("timeline", _ANY, like=r"time_?line|time_?frame"),
    _Wish("pain_point", _ANY, like=r"pain|challenge"),
    _Wish("competitor_in_use", _ANY, like=r"competitor"),
    _Wish("rejection_reason", _ANY, like=r"reject\w*_reason|reason\w*_reject|disqualif\w*_reason|(unqualified|lost)_reason"),
)


@dataclass(frozen=True, slots=True)
class _Field:
    """One of the file's fields. hubspot, salesforce: where it lives, as TOML; facts: what the CRMs say of it."""

    name: str
    type: FieldType
    places: Mapping[CrmName, str]
    facts: Mapping[CrmName, PropertyFacts]


@dataclass(slots=True)
class _Stage:
    name: str
    label: str = ""
    hubspot: str = ""
    statuses: list[str] = field(default_factory=list)
    locked: bool = False


def starter(sides: Mapping[CrmName, Side], *, timezone: str, native_sync: bool) -> str:
    """The text of a file for these CRMs. It loads as it stands, in shadow."""
    stages, left = _stages(sides)
    fields = _fields(sides)
    blocks = [
        _head(timezone),
        *(_crm(name, sides[name]) for name in CRMS if name in sides),
        _sync(native_sync) if len(sides) > 1 else "",
        _people(sides),
        toml_comment(
            "Fields: a name that rules use, and where it lives in each CRM. `connector check` compares them with the CRMs.", rule=True
        ),
        *(_field(field) for field in fields.values()),
        _stage_block(stages, left),
        *_rules(sides, stages, fields),
    ]
    return "\n".join(block for block in blocks if block)


# ── The CRMs and their people ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _head(timezone: str) -> str:
    said = toml_comment(
        "Made by `connector init` from the CRMs' own fields and stages. Read it through: what is a guess says so.",
        "`connector check` compares it with the CRMs; the README and docs/configuration.md say what else may stand here.",
    )
    mode = 'mode     = "shadow"             # plans and records, and nothing leaves the machine; "live" writes to the CRMs'
    zone = f"timezone = {toml_text(timezone)}                # of your business: where days begin, and by which hours are counted"
    return f'{said}\n{mode}\n{zone}\n\n[database]\nurl = "sqlite:///connector.db"  # or "postgresql+psycopg://user@host/db"\n'


def _crm(name: CrmName, side: Side) -> str:
    return toml_table(f"[crm.{name}]", *(f"{key} = {value}" for key, value in side.table.items()))


def _sync(native: bool) -> str:
    named = toml_text("hubspot" if native else "none")
    return toml_table("[crm]", f"native_sync = {named}", *_native(native))


def _native(runs: bool) -> Iterator[str]:
    if runs:
        yield "# HubSpot's own Salesforce integration has synced contacts lately. Let its field mappings not write what rules write here."


def _people(sides: Mapping[CrmName, Side]) -> str:
    lines = [toml_comment("The people: take out the # and sort them. Touches count by those whose side is sales.", rule=True)]
    for name, side in sides.items():
        active = sorted({(owner.email or "").lower() for owner in side.owners if owner.active and not owner.queue and owner.email})
        lines += [f"# [team.sales-{name}]" if len(sides) > 1 else "# [team.sales]", '# side     = "sales"', "# members  = ["]
        lines += [f"#   {toml_text(email)}," for email in active[:_SHOWN]]
        lines += [f"#   (and {len(active) - _SHOWN} more active people)"] if len(active) > _SHOWN else []
        lines += ["# ]", f"# works_in = {toml_text(name)}", '# manager  = "…"', ""]
    return "\n".join(lines)


# ── Fields ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _fields(sides: Mapping[CrmName, Side]) -> dict[str, _Field]:
    fields: dict[str, _Field] = {}
    for wish in _WISHES:
        places = _places(wish, sides)
        if places:
            types = {facts.means for facts, _ in places.values() if facts.means is not None}
            kind = next((kind for kind in wish.types if kind in types), wish.types[0])
            kept = {crm: facts for crm, (facts, _) in places.items() if _alike(kind, facts.means)}
            fields[wish.name] = _Field(wish.name, kind, {crm: places[crm][1] for crm in kept}, kept)
    return fields


def _places(wish: _Wish, sides: Mapping[CrmName, Side]) -> dict[CrmName, _Place]:
    """The property of each CRM that answers a wish."""
    places: dict[CrmName, _Place | None] = {}
    if "hubspot" in sides:
        places["hubspot"] = _in_hubspot(wish, sides["hubspot"].schema)
    if "salesforce" in sides:
        places["salesforce"] = _in_salesforce(wish, sides["salesforce"].schema)
    return {crm: place for crm, place in places.items() if place is not None}


def _alike(first: FieldType, second: FieldType | None) -> bool:
    """Whether values of the two can stand in one field."""
    if second is None or first is second or {first, second} <= set(_NUMBERS):
        return True
    return {first, second} == {FieldType.TEXT, FieldType.CHOICE}


def _in_hubspot(wish: _Wish, schema: Schema) -> _Place | None:
    """A standard property of contacts or companies, else the contacts' own that is called so."""
    standard = (schema.get(object_name, {}).get(name) for object_name, name in wish.hubspot)
    facts = next((facts for facts in standard if facts is not None and facts.means in wish.types), None)
    if facts is None:
        facts = _like(wish, schema.get("contacts", {}))
    if facts is None:
        return None
    return facts, toml_text(f"company.{facts.name}" if facts.object == "companies" else facts.name)


def _in_salesforce(wish: _Wish, schema: Schema) -> _Place | None:
    """A field of Lead, with its namesake on Contact, else on the account."""
    lead = schema.get("Lead", {})
    facts = lead.get(wish.salesforce) if wish.salesforce else _like(wish, lead)
    if facts is None or facts.means not in wish.types:
        return None
    if facts.name in schema.get("Contact", {}):
        return facts, toml_text(facts.name)
    if facts.name in schema.get("Account", {}):
        return facts, f"{{ lead = {toml_text(facts.name)}, contact = {toml_text(f'Account.{facts.name}')} }}"
    return facts, f"{{ lead = {toml_text(facts.name)} }}"


def _like(wish: _Wish, known: Mapping[str, PropertyFacts]) -> PropertyFacts | None:
    """The shortest name that says so, of a type that fits; HubSpot's own (hs_…) are about something else."""
    if not wish.like:
        return None
    words = re.compile(wish.like, re.IGNORECASE)
    fitting = [
        facts
        for facts in known.values()
        if words.search(facts.name) and facts.means in wish.types and not facts.calculated and not facts.name.startswith("hs_")
    ]
    return min(fitting, key=lambda facts: (len(facts.name), facts.name), default=None)


def _field(field: _Field) -> str:
    lines = [f"type = {toml_text(field.type.value)}"] if field.type is not FieldType.TEXT else []
    for crm, place in field.places.items():
        lines.append(f"{crm} = {place}")
    for crm, facts in field.facts.items():
        if facts.options:
            more = f" … {len(facts.options) - _SHOWN} more" if len(facts.options) > _SHOWN else ""
            lines.append(f"# in {crm}: {one_line(', '.join(facts.options[:_SHOWN]))}{more}")
    return toml_table(f"[fields.{field.name}]", *lines)


# ── Stages ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _stages(sides: Mapping[CrmName, Side]) -> tuple[list[_Stage], list[str]]:
    """The stages, lowest first, and what no stage names."""
    stages, left = (
        _from_hubspot(sides["hubspot"].schema)
        if "hubspot" in sides
        else ([_Stage(name) for name in ("lead", "mql", "sql", "opportunity")], [])
    )
    if "salesforce" in sides:
        left += _add_statuses(stages, sides["salesforce"])
    if "hubspot" not in sides:
        stages = [stage for stage in stages if stage.statuses]
    names = [stage.name for stage in stages]
    if {"mql", "sql"} <= set(names) and names.index("sql") < names.index("mql"):  # somebody sorted the options otherwise
        stages.sort(key=lambda stage: list(_STAGES.values()).index(stage.name) if stage.name in _STAGES.values() else len(_STAGES))
    return stages, left


def _from_hubspot(schema: Schema) -> tuple[list[_Stage], list[str]]:
    facts = schema.get("contacts", {}).get("lifecyclestage")
    stages: list[_Stage] = []
    left: list[str] = []
    for value, label in zip((facts.options or ()) if facts else (), facts.labels if facts else (), strict=False):
        if value == "other":
            left.append(f"lifecyclestage {value!r}: it is no step of a way")
            continue
        standard = _STAGES.get(value)
        name = standard or free_name(slug(label) or slug(value) or "stage", [stage.name for stage in stages] + list(_STAGES.values()))
        stages.append(_Stage(name, "" if standard else label, value))
    return stages, left


def _add_statuses(stages: list[_Stage], side: Side) -> list[str]:
    """Each status to the stage that it is likely to mean; what is left."""
    facts = side.schema.get("Lead", {}).get("Status")
    by_name = {stage.name: stage for stage in stages}
    left = []
    for status in (facts.options or ()) if facts else ():
        meant = "opportunity" if status in side.locked else _meaning(status)
        stage = by_name.get(meant)
        if stage is None:
            left.append(f"Lead status {status!r}")
        else:
            stage.statuses.append(status)
            stage.locked = stage.locked or status in side.locked
    return left


def _meaning(status: str) -> str:
    return next((stage for words, stage in _STATUSES if re.search(words, status, re.IGNORECASE)), "")


def _stage_block(stages: Sequence[_Stage], left: Sequence[str]) -> str:
    lines = [toml_comment("Lifecycle stages, lowest first. Which Lead status means which stage is a guess: correct it.", rule=True)]
    for stage in stages:
        lines += ["[[stages]]", f"name = {toml_text(stage.name)}"]
        lines += [f"label = {toml_text(stage.label)}"] if stage.label else []
        lines += [f"hubspot = {toml_text(stage.hubspot)}"] if stage.hubspot else []
        if stage.statuses:
            write = ", write = false" if stage.locked else ""
            why = "    # of a conversion: nobody writes it" if stage.locked else ""
            lines.append(f"salesforce = {{ lead_status = {toml_list(stage.statuses)}{write} }}{why}")
        lines.append("")
    lines += [f"# Of no stage: {one_line(value)}" for value in left]
    return "\n".join(lines) + ("\n" if left else "")


# ── Rules ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _rules(sides: Mapping[CrmName, Side], stages: Sequence[_Stage], fields: Mapping[str, _Field]) -> Iterator[str]:
    names = [stage.name for stage in stages]
    criteria = list(_criteria(fields))
    yield toml_comment(
        "What makes a lead qualified: at least `minimum` of these. All of them are examples: put your own in their place.", rule=True
    )
    yield toml_table("[qualification]", f"minimum = {max(1, len(criteria) // 2)}")
    for name, when in criteria:
        yield toml_table("[[qualification.criteria]]", f"name = {toml_text(name)}", f"when = {toml_text(when)}")
    yield from _score(fields)
    if "mql" not in names:
        yield toml_comment('No stage is called "mql": transitions, SLAs and rejections hang on "mql" and "sql". Name them in [[stages]].')
        return
    below = ["", *names[: names.index("mql")]]
    then = 'then = [{ task = "mql-alert" }]'
    yield toml_comment("Stage transitions; the first that fits wins.", rule=True)
    yield toml_table(
        "[[transition]]",
        'name = "qualified"',
        f"from = {toml_list(below)}",
        'to   = "mql"',
        'when = "qualified"',
        'again_after = "90 days"',
        then,
    )
    yield _TASK
    if "sql" in names:
        yield from _after_mql(sides, stages, fields)


def _criteria(fields: Mapping[str, _Field]) -> Iterator[tuple[str, str]]:
    yield "a role that decides", "job_title LIKE '%Director%' OR job_title LIKE '%Head of%' OR job_title LIKE '%Chief%'"
    yield "a company's address", "domain(email) NOT IN ('gmail.com', 'outlook.com', 'yahoo.com', 'web.de')"
    for name, title, when in (
        ("industry", "industry known", "industry IS NOT NULL"),
        ("employees", "company size", "employees BETWEEN 50 AND 5000"),
        ("budget", "budget available", "budget > 0"),
        ("timeline", "timeline known", "timeline IS NOT NULL"),
        ("pain_point", "a known problem", "pain_point IS NOT NULL"),
    ):
        if name in fields:
            yield title, when


def _score(fields: Mapping[str, _Field]) -> Iterator[str]:
    when = "job_title LIKE '%Director%' OR job_title LIKE '%Chief%'"
    yield toml_table("[[score]]", 'name = "senior role"', "points = 20", f"when = {toml_text(when)}")
    if "last_conversion_at" in fields:
        lines = ('name = "recent conversion"', "points = 40", 'since = "last_conversion_at"', 'half_life = "30 days"')
        yield toml_table("[[score]]", *lines, 'when = "last_conversion_at IS NOT NULL"')
    if "page_views" in fields:
        rule = ('name = "keeps reading"', "points = 2", 'times = "page_views"', "at_most = 30", 'when = "page_views > 0"')
        yield toml_table("[[score]]", *rule)


_TASK = """\
[task.mql-alert]
subject  = "MQL: {first_name} {last_name}, {company}"
body     = "Why now: {why}"
due      = "4 business hours"
priority = "high"
type     = "call"

[calendar]
hours    = { mon = "09:00-17:30", tue = "09:00-17:30", wed = "09:00-17:30", thu = "09:00-17:30", fri = "09:00-16:00" }
# holidays = "DE-BE"              # country and region
"""
_SLA = """\
[[sla]]
name    = "first touch"
kind    = "response"
starts  = "assigned"
within  = "4 business hours"
warn    = "1 business hour"
"""


def _after_mql(sides: Mapping[CrmName, Side], stages: Sequence[_Stage], fields: Mapping[str, _Field]) -> Iterator[str]:
    """What sales does with a qualified lead: acceptance, clocks, rejection."""
    accepted = list(_accepted(sides, stages))
    if accepted:
        when = f"when = {toml_text(' OR '.join(accepted))}"
        yield toml_table("[[transition]]", 'name = "sales accepted"', 'from = ["mql"]', 'to   = "sql"', when)
    yield toml_comment("What sales owes: clocks in business time. Touches count by the members of teams whose side is sales.", rule=True)
    yield _SLA
    rejected = list(_rejected(sides))
    reason = fields.get("rejection_reason")
    if not rejected or reason is None:
        missing = "a lead status that says so" if reason else "a property that holds the reason"
        yield toml_comment(f"[rejection] needs {missing}: none was found. docs/configuration.md shows how it is written.")
        return
    yield toml_comment("Rejection by sales, and its reasons.", rule=True)
    back = [stage.name for stage in stages][: [stage.name for stage in stages].index("mql")]
    lines = [f"when   = {toml_text(' OR '.join(rejected))}", 'reason = "rejection_reason"']
    yield toml_table("[rejection]", *lines, *([f"send_back_to = {toml_text(back[-1])}"] if back else []))
    options = next((facts.options for facts in reason.facts.values() if facts.options), ())
    if options and all(set(options) <= set(facts.options) for facts in reason.facts.values() if facts.options):
        yield toml_table("[rejection.reasons]", *(f"{toml_text(option)} = {{}}" for option in options))


def _accepted(sides: Mapping[CrmName, Side], stages: Sequence[_Stage]) -> Iterator[str]:
    if "hubspot" in sides and "CONNECTED" in _options(sides["hubspot"], "contacts", "hs_lead_status"):
        yield "hubspot.lead_status = 'CONNECTED'"
    for stage in stages:
        if stage.name == "sql":
            yield from (f"salesforce.lead_status = {condition_text(status)}" for status in stage.statuses)


def _rejected(sides: Mapping[CrmName, Side]) -> Iterator[str]:
    for crm, object_name, name in (("hubspot", "contacts", "hs_lead_status"), ("salesforce", "Lead", "Status")):
        side = sides.get(crm)  # type: ignore[call-overload]  # the two names stand above
        for value in _options(side, object_name, name) if side else ():
            if _REJECTED.search(value) and value not in side.locked and value != "BAD_TIMING":
                yield f"{crm}.lead_status = {condition_text(value)}"


def _options(side: Side, object_name: str, name: str) -> tuple[str, ...]:
    facts = side.schema.get(object_name, {}).get(name)
    return () if facts is None or facts.options is None else facts.options


# ── TOML ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
