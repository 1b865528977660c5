"""The parts of `bench_pass`, each to be called in a process of its own: one deed of the connector, measured, its results compared.

They follow one another on one database: filled, unified, judged, settled; then a pass in which nothing changed, one with a thousand
changed, a preview, a changed file, live passes. Every comparison is with statements written by hand (`by_hand`) or with what the made-up
company is known to hold (`world`); what differs comes back as a lie, and makes the whole bench fail.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal, TypeVar

import by_hand
import world
from aims import Aim, Line
from bases import Base, totals
from beside import PagesBeside
from by_hand import Touches
from floor_pages import PlainPages
from machine import peak_megabytes
from sparse_crm import SparseCrm
from sqlalchemy import text
from world import NOW, Wanted

from connector.adapters.port import Crm
from connector.app import open_store
from connector.cli.process import use_memory_well
from connector.config.load import loads
from connector.config.tables import Config
from connector.engine import PassContext, PassResult, evaluate, plan, planning, preview, run_pass
from connector.model import CRMS, CrmName, Page
from connector.pipeline.evaluate.evaluate import Evaluated
from connector.pipeline.installation import Installation, prepare
from connector.pipeline.plan.plan import Plan
from connector.pipeline.unify.unify import unify
from connector.sandbox.configuration import SECRETS, Place, configuration
from connector.store import runs
from connector.store.database import Store
from connector.store.mirror import pages
from connector.store.tables import to_micros
from connector.workflows.fields import properties_wanted

T = TypeVar("T")
Mode = Literal["shadow", "live"]

NO_CRMS: Mapping[CrmName, Crm] = {}
#: What [qualification] and the first transition of the example ask for, and what the changed file does.
MINIMUM, LEAST = 4, 50
CHANGED_MINIMUM, CHANGED_LEAST = 3, 45
#: Passes that a base may take until nobody is due any more.
_MOST_PASSES = 8
#: Aims of "Numbers to reach".
_WAIT, _PEAK, _UNIFY, _CHANGED, _QUIET, _JUDGE = 1.0, 250.0, 100.0, 1.0, 0.2, 3.0
#: Of each condition at least so large a share of the contacts meets it, and does not.
_SHARES = {
    **{f"c{place}": 0.02 for place in range(9)}, "excluded": 0.01, "qualified": 0.02, "engaged": 0.002, "accepted": 0.002, "cold": 0.002,
    "rejecting": 0.002, "touched": 0.05, "turning": 0.02,
}  # fmt: skip
#: What a preview must leave as it is.
_UNTOUCHED = {
    "contact": ("due_at", "judged_at", "touch_count"), "ledger": ("planned_at",), "plan": ("created_at",), "attempt": ("began_at",),
    "clock": ("due_at",), "touch": ("at",), "evidence": ("taken_at",), "run": ("id",),
}  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Found:
    """What a step found."""

    lines: list[Line] = field(default_factory=list)
    lies: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a deed took: seconds, and seconds of processor time of this process and of the server's."""

    wall: float
    own: float
    server: float

    def and_more(self, other: Cost) -> Cost:
        """Both together."""
        return Cost(wall=self.wall + other.wall, own=self.own + other.own, server=self.server + other.server)


def costs(base: Base, deed: Callable[[], T]) -> tuple[T, Cost]:
    """Does it and takes the time."""
    server, own, wall = base.server_seconds(), time.process_time(), time.perf_counter()
    result = deed()
    wall, own = time.perf_counter() - wall, time.process_time() - own
    return result, Cost(wall=wall, own=own, server=base.server_seconds() - server)


def config_of(base: Base, *, mode: Mode = "shadow", changed: bool = False) -> Config:
    """The example file as the sandbox installs it. changed: with other numbers in two rules."""
    os.environ.update(SECRETS)
    nobody = "https://127.0.0.1:1"
    nowhere = Place(hubspot_url=nobody, salesforce_url=nobody, ca_bundle="unused.pem", database=base.url, mode=mode)
    file = configuration(nowhere, now=NOW)
    if changed:
        edits = {f"minimum = {MINIMUM}\n": f"minimum = {CHANGED_MINIMUM}\n", f'score >= {LEAST}"': f'score >= {CHANGED_LEAST}"'}
        for old, new in edits.items():
            if file.count(old) != 1:
                raise AssertionError(f"the example has not one {old!r}")
            file = file.replace(old, new)
    return loads(file, source="bench.toml")


def wanted_of(config: Config) -> Wanted:
    """What pulls bring under this file."""
    return {crm: properties_wanted(config, crm) for crm in CRMS}


@contextmanager
def opened(base: Base, **file: Any) -> Iterator[tuple[Config, Store]]:
    """The store as a command opens it."""
    config = config_of(base, **file)
    with open_store(config) as store:
        store.check_schema()
        use_memory_well()  # as the command does
        yield config, store


def context_of(config: Config, store: Store, now: datetime, crms: Mapping[CrmName, Crm] = NO_CRMS) -> PassContext:
    """A pass without CRMs, or with these, at this moment."""
    return PassContext(config=config, store=store, crms=crms, now=lambda: now, holder="bench")


# ── Making it ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def fill(base: Base, size: int) -> Found:
    """Commits every page of the made-up company; making the pages is not counted."""
    config = config_of(base)
    with open_store(config) as store:
        store.upgrade()
        use_memory_well()
        prepare(store, config, {}, now=NOW)
        spent = _spent(base, size, wanted_of(config), lambda page: pages.commit_page(store, page, now=NOW).stored)
    base.analyze()
    lines = [_line(f"pages committed: {kind}", records, cost, note="no HTTP") for kind, (records, cost) in spent.items()]
    contacts = base.row("SELECT count(*) AS n FROM record WHERE object = 'contacts'")["n"]
    done = base.row("SELECT count(*) AS n FROM activity")["n"]
    lies = []
    if (contacts, done) != (size, size * world.ACTIVITIES):
        lies.append(f"the mirror holds {contacts:,.0f} contacts and {done:,.0f} activities")
    return Found(lines=lines, lies=lies)


def fill_plainly(base: Base, size: int) -> list[Cost]:
    """The same pages by the floor; what records and what activities took."""
    config = config_of(base)
    with open_store(config) as store:
        store.upgrade()
    plain = PlainPages(base)
    spent = _spent(base, size, wanted_of(config), plain.put)
    plain.close()
    return [cost for _, cost in spent.values()]


def _spent(base: Base, size: int, wanted: Wanted, put: Callable[[Page], int | None]) -> dict[str, tuple[int, Cost]]:
    """Records and activities, with what storing them took."""
    spent = {kind: (0, Cost(wall=0.0, own=0.0, server=0.0)) for kind in ("records", "activities")}
    for page in world.pages(size, wanted):
        stored, cost = costs(base, partial(put, page))
        if stored not in (None, page.seen):
            raise AssertionError(f"of {page.seen} {page.object} {stored} were stored")
        kind = "activities" if page.activities else "records"
        count, before = spent[kind]
        spent[kind] = count + page.seen, before.and_more(cost)
    return spent


# ── First of all ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def unify_all(base: Base, size: int) -> Found:
    """The first unification."""
    with opened(base) as (config, store):
        installation = prepare(store, config, {}, now=NOW)
        with PagesBeside(store, wanted_of(config)) as beside:
            _, cost = costs(base, lambda: unify(store, installation.writer, now=NOW))
    line = _line("unify, first", size, cost, beside)
    each = Aim(name="each", measured=line.each, most=_UNIFY, unit=" µs")
    found = Found(lines=[replace(line, aims=(each, *line.aims))])
    told = base.row(by_hand.in_dialect(base.dialect, by_hand.UNIFIED))
    if told.pop("contacts") != size:
        found.lies.append(f"unify: there are not {size:,} contacts")
    found.lies += [f"unify: {wrong:,.0f} contacts have another {name} than their records" for name, wrong in told.items() if wrong]
    return found


def judge_all(base: Base, size: int) -> Found:
    """The first evaluation of everybody, and its plan."""
    with opened(base) as (config, store):
        installation = prepare(store, config, {}, now=NOW)
        context = context_of(config, store, NOW)
        run = runs.start_run(store, "bench", "shadow", now=NOW)
        slices: list[Evaluated] = []
        with PagesBeside(store, wanted_of(config)) as beside:
            judged, cost = costs(base, lambda: evaluate(context, installation, now=NOW, run=run, each=slices.append))
        lines = [_line("evaluate, first", size, cost, beside, judged=judged)]
        with PagesBeside(store, wanted_of(config)) as beside:
            made, cost = costs(base, lambda: _planned(context, installation, run, slices))
        lines.append(_line("plan, first", made.planned, cost, beside))
    lies = _suspended(installation)
    if judged != size:
        lies.append(f"evaluate: {judged:,} judged of {size:,}")
    return Found(lines=lines, lies=lies)


def _planned(context: PassContext, installation: Installation, run: int, slices: Sequence[Evaluated]) -> Plan:
    planner = planning(context, installation, run=run, mode="shadow", now=NOW)
    for judged in slices:
        plan(planner, installation.table, judged)
    return planner.finish()


def judge_again(base: Base, size: int) -> Found:
    """Everybody is due though nothing changed: judging alone, without counting touches anew."""
    base.run("UPDATE contact SET due_at = 0")
    with opened(base) as (config, store):
        installation = prepare(store, config, {}, now=NOW)
        context = context_of(config, store, NOW)
        with PagesBeside(store, wanted_of(config)) as beside:
            judged, cost = costs(base, lambda: evaluate(context, installation, now=NOW, run=0))
    lies = [] if judged == size else [f"evaluate again: {judged:,} judged of {size:,}"]
    return Found(lines=[_line("evaluate, all due", size, cost, beside, judged=judged)], lies=lies)


def by_statement(base: Base, touches: Touches, *, at: datetime = NOW, changed: bool = False) -> Cost:
    """The statement written by hand, in a process of its own; its rows stay in table by_hand."""
    base.run("DROP TABLE IF EXISTS by_hand", by_hand.TABLE)
    values = {"now": to_micros(at), "minimum": CHANGED_MINIMUM if changed else MINIMUM, "least": CHANGED_LEAST if changed else LEAST}
    with base.connected() as connection:  # the server's process must not end before its time is taken
        _, cost = costs(base, lambda: connection.execute(text(by_hand.judge(base.dialect, touches)), values))
    return cost


def compared(base: Base, size: int, what: str) -> list[str]:
    """Where what the connector stored differs from the statement's rows, in words."""
    shares = base.row(by_hand.SHARES)
    lies = [f"{what}: hardly a case of {rare}" for rare in by_hand.lies(shares, _SHARES)]
    told = base.row(by_hand.DIFFERENCES)
    if told.pop("contacts") != size:
        lies.append(f"{what}: there are not {size:,} contacts")
    lies += [f"{what}: {wrong:,.0f} contacts differ from the statement in {name}" for name, wrong in told.items() if wrong]
    stored = base.row("SELECT sum(score) AS score, sum(criteria_met) AS met FROM contact WHERE NOT gone")
    if abs(stored["score"] - shares["score"]) > 1e-6 * abs(shares["score"]):
        lies.append(f"{what}: the scores add up to {stored['score']:,.2f}, the statement's to {shares['score']:,.2f}")
    return lies


def moved(base: Base, what: str) -> list[str]:
    """Where the first plan moves others than the statement says, in words."""
    lies = []
    for rule, expected in base.row(by_hand.MOVED).items():
        counted = "SELECT count(DISTINCT contact_id) AS n FROM ledger WHERE rule = :rule AND kind = 'set_stage' AND state = 'shadow'"
        planned = base.row(counted, rule=rule)["n"]
        if planned != expected or not expected:
            lies.append(f"{what}: {rule!r} moves {planned:,.0f} contacts, the statement {expected:,.0f}")
    return lies


def settle(base: Base) -> Found:
    """Passes in shadow, a minute apart, until nobody is judged any more."""
    judged: list[int] = []
    with opened(base) as (config, store):
        _, cost = costs(base, lambda: judged.extend(_until_quiet(config, store, NOW + timedelta(minutes=1))))
    told = ", ".join(f"{count:,}" for count in judged)
    return Found(lines=[_line("passes until quiet", len(judged), cost, note=f"judged {told}")])


# ── Later passes ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def quiet(base: Base, size: int, *, at: datetime, mode: Mode = "shadow", changed: bool = False) -> Found:
    """A pass in which nothing changed: alone, then beside pages."""
    with opened(base, mode=mode, changed=changed) as (config, store):
        crms = _crms(config, base, at) if mode == "live" else NO_CRMS
        result, cost = costs(base, lambda: run_pass(context_of(config, store, at, crms)))
        with PagesBeside(store, wanted_of(config)) as beside:
            run_pass(context_of(config, store, at + timedelta(seconds=30), crms))
    line = _line(f"nothing changed, {mode}", size, cost, beside, judged=result.evaluated, counted=False)
    takes = Aim(name="takes", measured=cost.own, most=_QUIET, unit=" s")
    nobody = Aim(name="judged", measured=result.evaluated, most=0)
    return Found(lines=[replace(line, aims=(takes, nobody, *line.aims))], lies=_troubles(result))


def some_changed(base: Base, size: int, *, count: int, turn: int, at: datetime) -> Found:
    """So many contacts changed, by their record or an activity: unified, judged, planned; the first time alone, the second beside pages."""
    found = Found()
    with opened(base) as (config, store):
        wanted = wanted_of(config)
        for page in world.changes(count, size, wanted, turn=turn):
            pages.commit_page(store, page, now=at)
        result, cost = costs(base, lambda: run_pass(context_of(config, store, at)))
        for page in world.changes(count, size, wanted, turn=turn + 1):
            pages.commit_page(store, page, now=at)
        with PagesBeside(store, wanted) as beside:
            run_pass(context_of(config, store, at + timedelta(minutes=1)))
    line = _line(f"{count:,} changed", count, cost, beside, judged=result.evaluated, counted=False)
    aims = (Aim(name="takes", measured=cost.own, most=_CHANGED, unit=" s"), Aim(name="judged", measured=result.evaluated, most=2 * count))
    found.lines.append(replace(line, aims=(*aims, *line.aims)))
    found.lies += _troubles(result)
    if result.evaluated < count:
        found.lies.append(f"{count:,} contacts changed, {result.evaluated:,} were judged")
    return found


def previewed(base: Base, *, at: datetime) -> Found:
    """What `plan` does: a whole pass on a state of its own."""
    before = totals(base, _UNTOUCHED)
    with opened(base) as (config, store):
        context = context_of(config, store, at)
        with PagesBeside(store, wanted_of(config)) as beside:
            made, cost = costs(base, lambda: preview(context))
    found = Found(lines=[_line("`plan`", len(made.actions), cost, beside)])
    if totals(base, _UNTOUCHED) != before:
        found.lies.append("`plan` changed the database")
    moves = sum(action.kind == "set_stage" and action.rule == "engaged and qualified" for action in made.actions)
    if not moves:
        found.lies.append("`plan` moves nobody")
    return found


def file_changed(base: Base, size: int, *, at: datetime) -> Found:
    """The first pass under a changed file: everybody is made and judged anew."""
    with opened(base, changed=True) as (config, store):
        with PagesBeside(store, wanted_of(config)) as beside:
            result, cost = costs(base, lambda: run_pass(context_of(config, store, at)))
        _until_quiet(config, store, at + timedelta(minutes=1))
    found = Found(lines=[_line("a changed file", size, cost, beside, judged=result.evaluated)], lies=_troubles(result))
    if result.evaluated < size:
        found.lies.append(f"the file changed, and {result.evaluated:,} of {size:,} were judged")
    return found


def live(base: Base, size: int, *, at: datetime) -> Found:
    """Passes in live mode under the changed file, until nothing is left to do."""
    judged: list[int] = []
    with opened(base, mode="live", changed=True) as (config, store):
        crms = _crms(config, base, at)
        with PagesBeside(store, wanted_of(config)) as beside:
            _, cost = costs(base, lambda: judged.extend(_until_quiet(config, store, at, crms)))
        writes = sum(len(crm.log) for crm in crms.values())
    told = ", ".join(f"{count:,}" for count in judged)
    found = Found(lines=[_line("going live, until quiet", size, cost, beside, note=f"{writes:,} writes; judged {told}")])
    if not writes:
        found.lies.append("nothing was written live")
    return found


# ── Inside ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _line(
    what: str,
    records: int,
    cost: Cost,
    beside: PagesBeside | None = None,
    *,
    judged: int | None = None,
    counted: bool = True,
    note: str = "",
) -> Line:
    """A line with the aims that hold for all. counted: the pages ran beside this very deed: what they took is taken off."""
    peak = peak_megabytes()
    aims = [Aim(name="peak", measured=peak, most=_PEAK, unit=" MB")]
    own = cost.own
    wait = None
    if beside is not None:
        wait = beside.longest
        aims.insert(0, Aim(name="waits", measured=wait, most=_WAIT, unit=" s"))
        own -= beside.cost if counted else 0.0
    return Line(
        what=what,
        records=records,
        wall=cost.wall,
        own=own,
        server=cost.server,
        judged=judged,
        wait=wait,
        peak=peak,
        aims=tuple(aims),
        note=note,
    )


def with_floor(line: Line, floor: Cost, most: float | None = _JUDGE) -> Line:
    """The line with the least that it could cost, and the aim on the ratio."""
    line = replace(line, floor=floor.own + floor.server)
    return line if most is None else replace(line, aims=(Aim(name="ratio", measured=line.ratio or 0.0, most=most, unit=" ×"), *line.aims))


def _crms(config: Config, base: Base, at: datetime) -> dict[CrmName, SparseCrm]:
    crms = {name: SparseCrm(name=name, clock=lambda: at, base=base) for name in CRMS}
    for name, crm in crms.items():
        crm.furnish(properties_wanted(config, name))
    return crms


def _until_quiet(config: Config, store: Store, at: datetime, crms: Mapping[CrmName, Crm] = NO_CRMS) -> list[int]:
    """How many were judged in each pass, a minute apart, up to the first in which nobody was and nothing was done."""
    judged = []
    for number in range(_MOST_PASSES):
        result = run_pass(context_of(config, store, at + timedelta(minutes=number), crms))
        _refuse_errors(result)
        judged.append(result.evaluated)
        if not result.evaluated and not (crms and result.outcomes):
            break
    return judged


def _troubles(result: PassResult) -> list[str]:
    _refuse_errors(result)
    return [f"suspended in the pass: {result.suspended}, {result.halted}"] if result.suspended or result.halted else []


def _refuse_errors(result: PassResult) -> None:
    if result.errors:  # as text: errors of CRMs do not go from one process to another
        raise AssertionError("; ".join(f"{error.message} {error.advice}" for error in result.errors))


def _suspended(installation: Installation) -> list[str]:
    """Rules that said nothing, in words: a bench of fields that nobody has read judges nobody."""
    suspended = installation.suspended
    told: Sequence[Any] = suspended.document()
    return [f"suspended: {told}, {suspended.halted}"] if told or suspended.halted else []
