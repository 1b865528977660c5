"""Is it set up right? What each CRM says of itself, and what the file says that the CRMs, the people or the mirror do not bear out.

Nothing is stored and nothing is written. What a CRM refuses becomes a finding with the way out, never an exception.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from connector.adapters.port import Crm, Describes, Reads
from connector.conditions import fold
from connector.config.schedule import trigger
from connector.config.tables import Config, SlaRule, Team
from connector.errors import ConfigError, CrmError, StoreError
from connector.model import CRM_FACTS, CrmName, Finding, Owner
from connector.model.durations import Duration
from connector.pipeline.installation import LEFT_OUT, left_out
from connector.pipeline.pull.field_state import suspended_by_last_pass
from connector.reports.checks.conditions import check_conditions
from connector.reports.checks.crm_usage import uses_of
from connector.reports.checks.fields import check_fields, side_of
from connector.store.database import Store
from connector.store.runs import last_runs
from connector.store.tables import metadata
from connector.workflows.stages import MQL, StageMap

_CONTACT = metadata.tables["contact"]
_PLAN = metadata.tables["plan"]

#: Where each CRM tells its people.
#: With a rail of fewer contacts than this, ordinary days are held.
_FEW = 10
_SECONDS = {"minute": 60, "hour": 3600}
#: How many times of a cron line are looked at for what lies between them.
_TIMES = 300


def check(config: Config, crms: Mapping[CrmName, Crm], store: Store | None, *, now: datetime) -> list[Finding]:
    """Everything that can be looked at. crms: those to ask, none for offline; store: None where there is no database yet."""
    findings = [*_ignored(config), *_schedule(config, now)]
    crms = {name: crm for name, crm in crms.items() if _answers(config, name, crm, now, findings)}
    sides = {name: side_of(config, name, crm, now=now, findings=findings) for name, crm in crms.items()}
    for side in sides.values():
        findings += check_fields(side)
    findings += check_conditions(config, sides)
    people = dict(_people(crms, now, findings))
    for team in config.teams:
        findings += _team(config, team, people)
    mirror = _mirror(store, config, findings)
    if mirror is not None:
        findings += _suspended(config, mirror)
        for name in crms:
            findings += _by_default(config, name, mirror)
    return findings + ([] if mirror is None else list(_guard(config, mirror)))


# ── The file alone ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _ignored(config: Config) -> Iterator[Finding]:
    """What the file says of a CRM that it does not have."""
    if config.ignored:
        message = f"{len(config.ignored)} settings are ignored, since the file does not have their CRM: {', '.join(config.ignored)}"
        advice = "Leave them, if the CRM comes later: conditions read them as empty."
        yield Finding(topic="ignored", ok=False, warning=True, message=message, advice=advice)


def _schedule(config: Config, now: datetime) -> Iterator[Finding]:
    """A clock cannot be served better than passes come."""
    text = config.schedule.pass_
    between = interval(text, config.timezone, now)
    late = [rule for rule in config.slas if (within := _length(rule.within)) is not None and within <= between]
    for rule in late:
        message = f"a pass {_worded(text)} cannot serve an SLA of {rule.within} ({rule.name})"
        advice = f"Let passes come more often ([schedule] pass), at least twice in {rule.within}, or give more time."
        yield Finding(topic="schedule", ok=False, warning=True, message=message, advice=advice)
    for rule in config.slas:
        if rule not in late and _warns_late(rule, between):
            message = f"a pass {_worded(text)} may warn of {rule.name} when it is too late: it warns {rule.warn} before"
            advice = f"Let passes come more often ([schedule] pass), or warn earlier than {rule.warn} before."
            yield Finding(topic="schedule", ok=False, warning=True, message=message, advice=advice)
    if not late:
        yield Finding(topic="schedule", ok=True, message=f"a pass {_worded(text)}")


def _worded(schedule: str) -> str:
    return schedule if schedule.startswith("every") else f'at "{schedule}"'


def _warns_late(rule: SlaRule, between: timedelta) -> bool:
    before = None if rule.warn is None else _length(rule.warn)
    return before is not None and before < between


def _length(duration: Duration) -> timedelta | None:
    """The length of one that is told in minutes or hours, of working time too; longer ones are no question of the schedule."""
    seconds = _SECONDS.get(duration.unit)
    return None if seconds is None else timedelta(seconds=duration.amount * seconds)


def interval(schedule: str, timezone: str, now: datetime) -> timedelta:
    """How far apart passes are: of a cron line what usually lies between two (nights and weekends are no working time)."""
    coming, times = trigger(schedule, ZoneInfo(timezone)), [now]
    while len(times) <= _TIMES:
        following: datetime | None = coming.get_next_fire_time(times[-1], times[-1])
        if following is None:
            break
        times.append(following)
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(times[1:])]
    return timedelta(seconds=median(gaps)) if gaps else timedelta.max


# ── Each CRM ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _answers(config: Config, name: CrmName, crm: Describes, now: datetime, findings: list[Finding]) -> bool:
    """What the CRM says of itself; whether it lets us in, so that there is something to be asked."""
    topic, ends = f"{name}: credentials", (f"{name}: credentials", f"{name}: stopped")
    try:
        found = crm.check(now=now, uses=uses_of(config, name, now=now))
    except ConfigError as error:  # a secret that is looked for when it is needed
        told = "; ".join(f"{problem.path}: {problem.found}, {problem.expected}" for problem in error.problems)
        found = [Finding(topic=topic, ok=False, message=told, advice=f"Put the secret where [crm.{name}] looks for it.")]
    findings += found
    return not any(finding.topic in ends and not finding.ok and not finding.warning for finding in found)


# ── Suspended ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _suspended(config: Config, store: Store) -> Iterator[Finding]:
    """The fields that the last pass could not read, and what waits for them."""
    found = suspended_by_last_pass(store, config).document() if last_runs(store, 1, command="run") else []
    for field in (field for field in found if field["state"] != "filling"):
        waits = f"suspended: {', '.join(field['rules'])}" if field["rules"] else "no rule reads it"
        message = f"the field {field['field']} is {field['state']}; {waits}"
        advice = "See `connector status` for what changed in the CRM."
        yield Finding(topic="suspended", ok=False, warning=True, message=message, advice=advice)
    filling = [field for field in found if field["state"] == "filling"]
    if filling:
        rules = dict.fromkeys(rule for field in filling for rule in field["rules"])
        waits = f"suspended until then: {', '.join(rules)}" if rules else "no rule reads them"
        message = f"not read of every record yet: {', '.join(field['field'] for field in filling)}; {waits}"
        yield Finding(topic="suspended", ok=False, warning=True, message=message, advice="The passes read them by themselves.")


# ── The people ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


#: The people of a CRM by folded e-mail, several with one address among them.
_People = Mapping[str, list[Owner]]


def _people(crms: Mapping[CrmName, Reads], now: datetime, findings: list[Finding]) -> Iterator[tuple[CrmName, _People]]:
    """The people of each CRM, read now."""
    for name, crm in crms.items():
        try:
            owners = [owner for page in crm.pull(CRM_FACTS[name].owners, None, now=now) for owner in page.owners]
        except CrmError as error:
            message = f"the people of {name} cannot be read: {error.message}"
            findings.append(Finding(topic=f"{name}: owners", ok=False, message=message, advice=error.advice))
            continue
        known: dict[str, list[Owner]] = {}
        for owner in owners:
            if owner.email and not owner.queue:
                known.setdefault(fold(owner.email), []).append(owner)
        yield name, known


def _active(person: str, known: _People) -> list[Owner]:
    return [owner for owner in known.get(person, ()) if owner.active]


def _team(config: Config, team: Team, people: Mapping[CrmName, _People]) -> Iterator[Finding]:
    """Whether its members, and its manager where tasks go to him, work in the CRM where the team works."""
    known, topic = people.get(team.works_in), f"team.{team.name}"
    if known is None:
        return
    active = [member for member in team.members if _active(member, known)]
    for member in team.members:
        if member not in active:
            yield _absent(topic, member, team.works_in, known, "Contacts are not assigned to them, and what they own counts as nobody's.")
    needs_manager = any(rule.assign_to == "manager" for rule in config.tasks)
    if needs_manager and team.manager is not None and not _active(team.manager, known):
        yield _absent(topic, team.manager, team.works_in, known, "As the manager he gets tasks: they would be nobody's.")
    for person in (member for member in active if len(_active(member, known)) > 1):
        message = f"{person} is the address of {len(_active(person, known))} active users of {team.works_in}: one of them is taken"
        advice = "Let only one of them have this address: else it is by chance whose leads these are."
        yield Finding(topic=topic, ok=False, warning=True, message=message, advice=advice)
    if team.members and not active:
        message = f"none of its {len(team.members)} members is an active user of {team.works_in}"
        yield Finding(topic=topic, ok=False, message=message, advice=f"Correct members, or works_in, in [team.{team.name}].")
    elif active:
        yield Finding(topic=topic, ok=True, message=f"{len(active)} of {len(team.members)} members are active users of {team.works_in}")


def _absent(topic: str, person: str, crm: CrmName, known: _People, so_what: str) -> Finding:
    state = "is deactivated" if person in known else "is no user"
    advice = f"{so_what} Correct the address in the file, or make them a user there."
    return Finding(topic=topic, ok=False, warning=True, message=f"{person} {state} in {crm}", advice=advice)


# ── The mirror ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _mirror(store: Store | None, config: Config, findings: list[Finding]) -> Store | None:
    """The store, where its tables are there."""
    if store is None:
        return None
    try:
        store.check_schema()
    except StoreError as error:
        findings.append(Finding(topic="database", ok=False, message=error.message, advice=error.advice))
        return None
    findings.append(Finding(topic="database", ok=True, message="the tables are there, in this version's form"))
    if (missing := left_out(store, config)) is not None:
        findings.append(Finding(topic="database", ok=False, message=missing, advice=LEFT_OUT))
    return store


def _by_default(config: Config, name: CrmName, mirror: Store) -> Iterator[Finding]:
    """Whom nothing but a CRM's default makes a qualified lead."""
    count = _only_by_default(mirror, config, name)
    if count:
        message = f"{count:,} contacts of the mirror show a qualified stage in {name} that was never agreed"
        yield Finding(topic=f"{name}: default stage", ok=True, message=message)


def _only_by_default(store: Store, config: Config, crm: CrmName) -> int:
    """Contacts that have no stage although a CRM shows one that is a qualified lead's: nothing but its default says so."""
    qualified = [stage.name for stage in config.stages if StageMap(config).at_least(stage.name, MQL)]
    shows = (_CONTACT.c[f"stage_{crm}"].in_(qualified), _CONTACT.c.agreed_number == 0, ~_CONTACT.c.gone)
    with store.read() as connection:
        return connection.scalar(select(func.count()).select_from(_CONTACT).where(*shows)) or 0


def _guard(config: Config, store: Store) -> Iterator[Finding]:
    """How many stages one rule may change in a window, and which rules wanted more in the last plan."""
    guard = config.guard
    with store.read() as connection:
        contacts = connection.scalar(select(func.count()).select_from(_CONTACT).where(~_CONTACT.c.gone, ~_CONTACT.c.excluded)) or 0
        report = connection.scalar(select(_PLAN.c.guard).order_by(_PLAN.c.id.desc()).limit(1)) or {}
    if not contacts:
        return
    share = max(1, math.ceil(contacts * guard.rule_share - 1e-9))
    rail = min(guard.stage_changes, share)
    message = f"one rule makes at most {rail} stage changes in {guard.window}, of {contacts} contacts in scope"
    if rail < _FEW:
        narrow = "stage_changes" if guard.stage_changes <= share else "rule_share"
        advice = f"Little goes through before it is held. Raise {narrow} in [guard]."
        yield Finding(topic="guard", ok=False, warning=True, message=message, advice=advice)
    else:
        yield Finding(topic="guard", ok=True, message=message)
    for name, row in sorted(report.items()):
        if row["used"] + row["wanted"] > row["rail"]:
            message = f"{name}: {row['used'] + row['wanted']} wanted in {guard.window}, the rail is {row['rail']}"
            advice = (
                f"What is beyond it is held, and lapses after {guard.hold_for}. Look at the plan first (`connector plan`), then at [guard]."
            )
            yield Finding(topic="guard", ok=False, warning=True, message=message, advice=advice)
