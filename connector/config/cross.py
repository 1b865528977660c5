"""What depends on several keys or tables at once, of the places and people: the CRMs, teams, fields, stages and calendars.

Each check here and in `connector.config.rules` looks at what validated, or at the raw file beside it, and none depends on another, so
that all problems of a file come at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from connector.conditions import Condition, fold
from connector.config.kinds import shown
from connector.config.names import suggestion
from connector.config.problems import Location
from connector.config.reading import Raw, Reading, at, entries_of, tables_of
from connector.config.rule_conditions import rule_conditions
from connector.config.settings import HubSpotSettings
from connector.config.tables import Config
from connector.model import CRMS
from connector.model.durations import Duration

_NEEDED: Mapping[str, tuple[str, ...]] = {
    "client-credentials": ("client_id", "client_secret"),
    "jwt": ("client_id", "username", "private_key"),
    "refresh-token": ("client_id", "refresh_token"),
    "password": ("username", "password"),
}


def check(reading: Reading, parts: Config) -> None:
    """Every check of this module. parts: the values of the tables, as far as they validated."""
    _database(reading, parts)
    _credentials(reading, parts)
    _teams(reading, parts)
    _assigns(reading, parts)
    _fields(reading, parts)
    _stages(reading, parts)
    _calendars(reading)
    _kept_activities(reading, parts)


def absent(reading: Reading, location: Location, crm: str | None) -> None:
    """A problem where something is to happen in a CRM that the file does not have."""
    if crm is not None and crm not in reading.known.crms:
        reading.problem(location, f"{shown(crm)}, which this file does not have", f"declare [crm.{crm}], or name the CRM there is")


def twice(reading: Reading, entries: Iterable[tuple[Location, str]]) -> None:
    """Texts of which each may stand once, compared as conditions compare them."""
    seen: dict[str, Location] = {}
    for location, text in entries:
        if fold(text) in seen:
            reading.problem(location, f"{shown(text)} a second time", f"each once; the first is {reading.path(seen[fold(text)])}")
        seen.setdefault(fold(text), location)


def _database(reading: Reading, parts: Config) -> None:
    location: Location = ("database", "url")
    if not reading.fine(parts.database, "url"):
        return
    try:
        url = make_url(parts.database.url)
    except ArgumentError:
        reading.problem(location, "no address of a database", 'like "sqlite:///connector.db" or "postgresql+psycopg://user@host/db"')
        return
    if url.drivername not in ("sqlite", "postgresql", "postgresql+psycopg"):
        reading.problem(location, shown(url.drivername), 'a database by "sqlite:///…" or "postgresql+psycopg://…"')
    written_out = url.password is not None or any("password" in name.casefold() for name in url.query)
    if written_out and not str(at(reading.root, "database", "url")).startswith(("env:", "file:")):
        reading.problem(location, "a password written out", 'leave it out, and say password = "env:NAME"')


def _credentials(reading: Reading, parts: Config) -> None:
    if isinstance(reading.root.get("crm", {}), dict) and not any(at(reading.root, "crm", crm) is not None for crm in CRMS):
        reading.problem(("crm",), "no CRM", "[crm.hubspot], [crm.salesforce] or both")
    hubspot, salesforce = parts.crm.hubspot, parts.crm.salesforce
    if hubspot is not None:
        _hubspot_credentials(reading, hubspot)
    if salesforce is not None:
        for key in _NEEDED[salesforce.auth]:
            if getattr(salesforce, key) is None:
                reading.problem(("crm", "salesforce", key), "missing", f'auth = "{salesforce.auth}" needs it')


_OAUTH = ("client_id", "client_secret", "refresh_token")


def _hubspot_credentials(reading: Reading, hubspot: HubSpotSettings) -> None:
    """Checks that there is a token, or the three of an OAuth app; not both."""
    given = [key for key in _OAUTH if getattr(hubspot, key) is not None]
    token: Location = ("crm", "hubspot", "access_token")
    if hubspot.access_token is not None:
        if given:
            reading.problem(token, f"beside {given[0]}", f"either a token, or {', '.join(_OAUTH)} of an OAuth app")
    elif not given:
        reading.problem(token, "missing", 'this key is needed, like "env:HUBSPOT_ACCESS_TOKEN"')
    for key in _OAUTH:
        if given and hubspot.access_token is None and key not in given:
            reading.problem(("crm", "hubspot", key), "missing", f"an OAuth app needs it beside {given[0]}")


def _teams(reading: Reading, parts: Config) -> None:
    first: dict[str, str] = {}
    for team in parts.teams:
        location = reading.place(team)
        if reading.fine(team, "works_in"):
            absent(reading, (*location, "works_in"), team.works_in)
        for number, member in enumerate(team.members):
            if member in first:
                found = f"{shown(member)} is a member of [team.{first[member]}] already"
                reading.problem((*location, "members", number), found, "one team for each person, once")
            first.setdefault(member, team.name)


def _assigns(reading: Reading, parts: Config) -> None:
    teams = {team.name: team for team in parts.teams}
    for assign in parts.assigns:
        team, location = teams.get(assign.team), reading.place(assign)
        if team is None or not reading.fine(team, "members"):
            continue
        if not team.members:
            reading.problem((*location, "team"), f"{shown(team.name)} has no members", f"name some in [team.{team.name}]")
        for place, route in enumerate(assign.routes):
            for number, owner in enumerate(route.owners):
                if owner not in team.members:
                    found = f"{shown(owner)} is no member of [team.{team.name}]"
                    reading.problem((*location, "routes", place, "owners", number), found, suggestion(owner, team.members))


def _fields(reading: Reading, parts: Config) -> None:
    for name, raw in tables_of(reading.root, "fields").items():
        if not any(crm in raw for crm in CRMS):
            reading.problem(("fields", name), "lives in no CRM", "say where: hubspot, salesforce or both")
    for rule in parts.fields:
        location: Location = ("fields", rule.name)
        if rule.values and reading.fine(rule, "type") and not rule.type.textual:
            reading.problem((*location, "values"), f"values of a field of type {shown(rule.type.value)}", 'type = "choice" or "choices"')
        if rule.read is not None and reading.fine(rule, *CRMS) and rule.read not in rule.sides:
            reading.problem((*location, "read"), f"{shown(rule.read)}, where the field does not live", "leave it out")
        twice(reading, (((*location, "values", choice), choice) for choice in rule.values))
        for crm in CRMS:
            twice(reading, (((*location, "values", choice, crm), sides[crm]) for choice, sides in rule.values.items() if crm in sides))


def _stages(reading: Reading, parts: Config) -> None:
    entries = entries_of(reading.root, "stages")
    twice(reading, (((*location, "name"), raw["name"]) for location, raw in entries if isinstance(raw.get("name"), str)))
    written = [(reading.place(stage), stage) for stage in parts.stages]
    twice(reading, (((*location, "hubspot"), value) for location, stage in written for value in stage.hubspot))
    twice(
        reading,
        (((*location, "salesforce", "lead_status"), value) for location, stage in written for value in stage.salesforce.lead_status),
    )
    names = list(reading.known.stages)
    for key in ("sla", "rejection"):
        for needed in ("mql", "sql"):
            if key in reading.root and needed not in names:
                reading.problem(("stages",), f"no stage named {shown(needed)}", f"[{key}] counts attempts, from mql to sql")
    if {"mql", "sql"} <= set(names) and names.index("sql") < names.index("mql"):
        reading.problem(("stages",), '"sql" before "mql"', "lowest first")


def _calendars(reading: Reading) -> None:
    """Checks that every calendar has hours by which somebody's business time is counted."""
    counting = next(_business_durations(reading), None)
    if counting is None:
        return
    used: set[Location] = {("calendar",)}
    for team in tables_of(reading.root, "team").values():
        name = team.get("calendar")
        if isinstance(name, str) and name in reading.known.calendars:
            used.add(("calendar", name))
    for location in sorted(used, key=str):
        hours = at(reading.root, *(str(part) for part in location), "hours")
        if not hours or (isinstance(hours, dict) and not any(hours.values())):
            expected = f'like {{ mon = "09:00-17:30", … }}: {reading.path(counting)} counts business time'
            reading.problem((*location, "hours"), "no hours", expected)


def _kept_activities(reading: Reading, parts: Config) -> None:
    """Checks that no condition counts activities longer than they are kept."""
    kept = parts.scope.keep_activities
    if kept is None or not reading.fine(parts.scope, "keep_activities"):
        return
    for location, condition in _conditions(reading, parts):
        longest = max((window.length for window in condition.counts if window.counted == "activities"), default=None)
        if longest is not None and longest > kept.elapsed:
            found = f"activities counted over {longest.days} days, of which {kept} are kept"
            reading.problem(location, found, f"at most {kept}, or a longer keep_activities in [scope]")


def _conditions(reading: Reading, parts: Config) -> Iterator[tuple[Location, Condition]]:
    """Every condition of the file that validated, with where it stands."""
    for asked in rule_conditions(parts):
        if asked.when is not None:
            yield (*reading.place(asked.table), *asked.key), asked.when


def _business_durations(reading: Reading) -> Iterator[Location]:
    """The places where business time is counted."""
    tables: list[tuple[Location, Raw]] = [(("task", name), table) for name, table in tables_of(reading.root, "task").items()]
    tables += entries_of(reading.root, "sla")
    tables += [((key,), reading.root[key]) for key in ("tasks", "rejection") if isinstance(reading.root.get(key), dict)]
    for location, table in tables:
        for key in ("due", "reminder", "within", "warn", "reason_within", "ignored_after"):
            if _is_business(table.get(key)):
                yield (*location, key)


def _is_business(value: object) -> bool:
    try:
        return isinstance(value, str) and Duration.parse(value).business
    except ValueError:
        return False  # reported where it stands
