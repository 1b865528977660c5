"""One pass, from the CRMs to the CRMs. Start reading here.

    pull        adapters yield pages of plain values; each page and its cursor go into the mirror in one transaction
    unify       records of one person become one contact
    evaluate    the database judges the contacts that are due; what fired becomes proposals
    plan        proposals become actions, less what is already so, counted against the guard rails
    ledger      the plan is saved; shadow mode ends here
    write back  actions that are free to go; each outcome is read back and settled

Each step is a folder of that name in connector/pipeline; the module of the same name in it is where the step begins.

Every step may be killed at any instruction: the next pass goes on from what is in the store.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Table, func, select

from connector.config.business_time import Calendar
from connector.config.tables import CalendarRule
from connector.errors import ConnectorError, Interrupted, SafetyStop
from connector.model import State
from connector.pipeline import all_contacts
from connector.pipeline.context import PassContext, Progress, Unwatched
from connector.pipeline.evaluate import several
from connector.pipeline.evaluate.evaluate import Evaluated, EvaluationRun, evaluate_due, settled
from connector.pipeline.installation import (
    LEFT_OUT,
    Installation,
    as_it_stands,
    left_out,
    live_since,
    prepare,
    read_crms,
    record_url,
    terms_of,
)
from connector.pipeline.older_file import refuse_older_file
from connector.pipeline.plan.parts import PlanTerms
from connector.pipeline.plan.plan import Plan, Planner, Settle
from connector.pipeline.preview_state import preview_state
from connector.pipeline.pull.streams import Pulled, StreamPull, pulled_document
from connector.pipeline.recorded_run import errors_document, recorded_run
from connector.pipeline.unify.unify import unify
from connector.pipeline.write_back import WriteBackTerms, write_back
from connector.store import judging_slices
from connector.store.database import Store
from connector.store.scratch import ScratchStore
from connector.store.tables import metadata
from connector.workflows import touch_counts
from connector.workflows.suspension import Suspended

# for those who look for them here, at the place to start
__all__ = ["PassContext", "PassResult", "Progress", "StreamPull", "Unwatched", "evaluate", "help_judging", "judge_and_act", "plan",
           "preview", "previewing", "pulled_document", "run_pass"]  # fmt: skip

contact = metadata.tables["contact"]


@dataclass(slots=True, kw_only=True)
class PassResult:
    """The result of a pass. suspended: fields that cannot be read, with the rules that wait for them; halted: why nobody at all was judged.

    paused: what somebody paused that actions wait for, (scope, name). errors: what went wrong; empty where all went well.
    """

    run: int
    mode: str
    pulled: Pulled = field(default_factory=dict)
    evaluated: int = 0
    plan: Plan | None = None
    outcomes: dict[State, int] = field(default_factory=dict)
    suspended: list[dict[str, Any]] = field(default_factory=list)
    halted: str | None = None
    paused: list[tuple[str, str]] = field(default_factory=list)
    errors: list[ConnectorError] = field(default_factory=list)
    interrupted: bool = False

    @property
    def planned(self) -> int:
        """How many actions the plan has."""
        return 0 if self.plan is None else self.plan.planned

    @property
    def held(self) -> int:
        """How many of them wait for approval."""
        return 0 if self.plan is None else self.plan.held

    def note(self, suspended: Suspended) -> None:
        """What said nothing in this pass."""
        self.suspended, self.halted = suspended.document(), suspended.halted

    def document(self) -> dict[str, Any]:
        """The pass as `run --json` prints it."""
        return {
            "run": self.run,
            "mode": self.mode,
            "pulled": pulled_document(self.pulled),
            "evaluated": self.evaluated,
            "plan": None if self.plan is None else self.plan.id,
            "planned": self.planned,
            "held": self.held,
            "outcomes": {str(state): count for state, count in self.outcomes.items()},
            "suspended": self.suspended,
            "halted": self.halted,
            "paused": [{"scope": scope, "name": name} for scope, name in self.paused],
            "errors": errors_document(self.errors),
        }


def run_pass(context: PassContext) -> PassResult:
    """One pass. Errors of a CRM are in the result; those of the store and bugs come out, with the run marked failed.

    Raises `OlderFile`, before anything is done, where another file replaced this one.
    """
    refuse_older_file(context.store, context.config)
    now, mode = context.now(), context.config.mode
    with recorded_run(context, "run", lambda run: PassResult(run=run, mode=mode), now=now) as result:
        caught_up = read_crms(context, result, now=now)
        result.note(caught_up.installation.suspended)
        if not caught_up.stops and not context.stopped():
            with context.judging():
                judge_and_act(context, caught_up.installation, result, now)
    return result


@contextmanager
def previewing(context: PassContext, at: datetime | None = None) -> Iterator[Plan]:
    """The plan of a pass over the mirror as it is, now or at another moment (aware): the same steps without pull and write back.

    They work on a state of their own, and nobody waits for them. The plan's actions can be read as long as this is open.
    """
    now = at or context.now()
    if (missing := left_out(context.store, context.config)) is not None:
        raise SafetyStop(missing, advice=LEFT_OUT)
    with preview_state(context.store, context.config, now, partial(_judges_everybody, context, now)) as scratch:
        inside = replace(context, store=scratch)
        scope = partial(_in_scope_of_all, context.store, scratch, _in_scope(scratch, None))
        installation = prepare(scratch, inside.config, {}, now=now, by=context.actor, tried=True)
        planner = planning(inside, installation, run=0, mode="shadow", now=now, in_scope=scope)
        evaluate(inside, installation, now=now, run=0, each=lambda judged: planner.add(judged.contacts, judged.proposals))
        yield planner.finish()


def preview(context: PassContext, at: datetime | None = None) -> Plan:
    """`previewing` with all actions in memory."""
    with previewing(context, at) as made:
        actions = made.actions
    return replace(made, read=lambda limit: iter(actions[:limit]))


def _judges_everybody(context: PassContext, now: datetime, scratch: ScratchStore) -> bool:
    """Whether a pass under this file would make all contacts anew: tried on a copy of the installation without anybody in it."""
    with scratch.tried():
        return all_contacts.asked_for(scratch, partial(prepare, scratch, context.config, {}, now=now, by=context.actor, tried=True))


def judge_and_act(
    context: PassContext, installation: Installation, result: PassResult, now: datetime, *, only: Collection[int] | None = None
) -> None:
    """From the mirror as it is to the CRMs (in shadow: to the plan); the result is filled as it goes.

    What a slice of contacts came to is in the plan, and settled, before the next is judged. Where it is broken off, the plan stays
    undecided, and the next pass goes on with it. only: these contacts alone (None: all that changed or are due).
    """
    result.note(installation.suspended)
    several.nobody_helps(context.store)
    planner = planning(context, installation, run=result.run, mode=context.config.mode, now=now)
    each = partial(plan, planner, installation.table)
    together = partial(_judge_together, context, installation, planner)
    judged = evaluate(context, installation, now=now, run=result.run, only=only, each=each, together=together)
    if context.stopped() or installation.suspended.blind:
        return
    result.evaluated = judged
    result.plan = planner.finish()
    if context.config.mode == "live":
        _write_back(context, result)
    else:
        result.outcomes = {State.SHADOW: result.planned} if result.planned else {}
    if only is None:
        installation.adopted(context.store, context.config.mode)


def help_judging(context: PassContext) -> int:
    """Judges slices of a pass that another process leads, where there are any and this process comes to the same; how many slices.

    Nothing is read, unified, decided or written back here: that is the leader's.
    """
    store, config = context.store, context.config
    announced = judging_slices.announced(store)
    if announced is None:
        return 0
    installation = as_it_stands(store, config, now=announced.now)
    run = _evaluation(context, installation, now=announced.now, run=announced.run, only=None)
    if terms_of(installation, config, run.live_since) != announced.terms:
        return 0
    planner = planning(context, installation, run=announced.run, mode=config.mode, now=announced.now)
    return several.lend_a_hand(store, run, keep=partial(_keep, planner, run), stopped=context.stopped)


def _judge_together(
    context: PassContext, installation: Installation, planner: Planner, run: EvaluationRun, progress: Callable[[int, int], None]
) -> int | None:
    """Judges what is due with all processes that help; how many contacts were. None where it is not worth it."""
    due = several.due_for_several(context.store, run)
    if not due:
        return None
    terms, keep = terms_of(installation, context.config, run.live_since), partial(_keep, planner, run)
    slices = several.lead(context.store, run, due, terms=terms, keep=keep, stopped=context.stopped, progress=progress)
    for judged in slices:
        planner.tell(judged.saved)
    return sum(judged.evaluated for judged in slices)


def _keep(planner: Planner, run: EvaluationRun, connection: Connection, judged: Evaluated) -> Mapping[str, Any]:
    """A slice that was judged goes into the plan of several processes, in its own transaction."""
    settle, alone = _settling(run.table, judged), partial(judging_slices.take_turns, connection)
    return planner.add_within(connection, judged.contacts, judged.proposals, settle, alone)


def _write_back(context: PassContext, result: PassResult) -> None:
    terms = WriteBackTerms(
        now=context.now,
        holder=context.holder,
        stopped=context.stopped,
        progress=lambda done, total: context.progress.step("write back", done, total),
    )
    written = write_back(context.store, context.crms, terms)
    result.outcomes = dict(written.outcomes)
    result.paused = sorted(written.paused)
    result.errors += [error for error in written.errors if not isinstance(error, Interrupted)]


def evaluate(
    context: PassContext,
    installation: Installation,
    *,
    now: datetime,
    run: int,
    only: Collection[int] | None = None,
    each: Callable[[Evaluated], None] = lambda _: None,
    together: Callable[[EvaluationRun, Callable[[int, int], None]], int | None] = lambda *_: None,
) -> int:
    """Unifies what changed and judges what is due; of these contacts alone where `only` names them. What is suspended says nothing.

    each: told of every slice that was judged. together: judges with other processes instead, and returns how many contacts; None: it does
    not. Returns how many contacts were judged.
    """
    progress, writer, suspended = context.progress, installation.writer, installation.suspended
    touch_counts.follow_members(context.store, context.config.sales_members, now)
    if not suspended.blind:
        unify(context.store, writer, now=now, only=only, stopped=context.stopped, progress=lambda done: progress.step("unify", done, None))
    evaluation = _evaluation(context, installation, now=now, run=run, only=only)
    if suspended.halted is not None:
        return 0

    def step(done: int, total: int | None) -> None:
        progress.step("evaluate", done, total)

    judged = together(evaluation, step)
    if judged is None:
        judged = evaluate_due(context.store, evaluation, each=each, stopped=context.stopped, progress=step)
    return judged


def _evaluation(
    context: PassContext, installation: Installation, *, now: datetime, run: int, only: Collection[int] | None
) -> EvaluationRun:
    return EvaluationRun(
        config=context.config,
        table=installation.table,
        writer=installation.writer,
        now=now,
        run=run,
        live=context.config.mode == "live",
        url=record_url(context.store),
        only=only,
        suspended=installation.suspended,
        live_since=live_since(context.store, context.config, now),
    )


def planning(
    context: PassContext,
    installation: Installation,
    *,
    run: int,
    mode: Literal["shadow", "live"],
    now: datetime,
    in_scope: Callable[[int], int] | None = None,
) -> Planner:
    """What makes the plan of a pass. Rules that are suspended were not asked: what is held of them waits on.

    in_scope: how many contacts rules judge, counted up to a number; None: those of the context's store.
    """
    config = context.config
    calendar = Calendar.of(CalendarRule(), config.timezone)
    zone = ZoneInfo(config.timezone)
    today = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    terms = PlanTerms(
        run=run,
        mode=mode,
        guard=config.guard,
        task_limits=config.task_limits,
        day_start=today.astimezone(UTC),
        next_day=calendar.next_midnight(now),
        config_version=config.version,
        now=now,
        undecided=installation.suspended.undecided,
    )
    return Planner(context.store, terms, in_scope or partial(_in_scope, context.store))


def plan(planner: Planner, table: Table, judged: Evaluated) -> None:
    """A slice that was judged goes into the plan, and its contacts are settled with it, as is whose turn it is."""
    planner.add(judged.contacts, judged.proposals, _settling(table, judged))


def _settling(table: Table, judged: Evaluated) -> Settle:
    def settle(connection: Connection, contacts: Sequence[int], first: bool) -> None:
        settled(connection, table, judged, contacts, turns=first)

    return settle


def _in_scope_of_all(store: Store, copies: ScratchStore, copied: int, most: int) -> int:
    """The same of a store of which some contacts are copied, so many of them in scope then: as the copies are by now."""
    return min(most, _in_scope(store, most + copied) + _in_scope(copies, None) - copied)


def _in_scope(store: Store, most: int | None) -> int:
    """How many contacts rules judge; no more than this number are counted."""
    with store.read() as connection:
        some = select(contact.c.id).where(~contact.c.gone, ~contact.c.excluded).limit(most).subquery()
        return connection.scalar(select(func.count()).select_from(some)) or 0
