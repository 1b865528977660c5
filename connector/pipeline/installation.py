"""What holds for this installation: its field columns, when it first ran, what was adopted, which file it last applied.

`prepare` brings the database in line with the file, and with what the CRMs have, before a pass: new columns, a look for schema drift,
everything due after a change of the file, adoption at the first pass and again at the first live one. `catch_up` does what is left once the
pull is over: a second look where something was missing, the filling of newly named fields, and what is suspended now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from hashlib import blake2b
from typing import Any, Literal, Protocol, get_args

import orjson
from sqlalchemy import Table, and_, func, select

from connector import __version__
from connector.adapters.port import Crm, Describes
from connector.config.tables import Config
from connector.errors import ConnectorError, CrmError, Interrupted, ObjectStopped, SafetyStop
from connector.model import CRM_FACTS, CRMS, PEOPLE_OBJECTS, UNNAMED, Actor, CrmName, Surroundings
from connector.pipeline import all_contacts
from connector.pipeline.context import PassContext
from connector.pipeline.older_file import file_of, older_file
from connector.pipeline.pull import histories, schema_drift
from connector.pipeline.pull.backfill import fill
from connector.pipeline.pull.field_state import FieldState, as_stored, brought_in_line, note_known, refreshed
from connector.pipeline.pull.streams import Pulled, distinct, errors_of, pull, streams_of
from connector.pipeline.unify import ContactWriter, UnifySettings
from connector.store import rule_texts, runs, shadow
from connector.store import tables as t
from connector.store.database import Store
from connector.store.fields import FieldStatus, contact_table, ensure_fields, set_state, stored_fields
from connector.store.mirror import pages
from connector.workflows.fields import columns_needed
from connector.workflows.suspension import Suspended

record = t.metadata.tables["record"]

#: Contacts whose shadow plan ends in one transaction.
SLICE = 1_000

#: What to do then (`left_out`).
LEFT_OUT = "Put it back, or give this file a database of its own: without what the CRM says now, nobody of it can be judged."


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """The field state, the contact table with the file's columns, the writer of contacts, and whether this pass adopts what is there.

    silent: the CRMs of which neither fields nor set-up could be learned, so that what they lack might be taken for empty, with the error.
    older: the file was replaced by another and is not applied: nothing may be concluded by it.
    """

    fields: FieldState
    table: Table
    writer: ContactWriter
    setting: UnifySettings
    silent: Mapping[CrmName, CrmError] = field(default_factory=dict)
    older: bool = False

    @property
    def suspended(self) -> Suspended:
        """What says nothing now, by the field state."""
        return self.fields.suspended

    def adopted(self, store: Store, mode: Literal["shadow", "live"]) -> None:
        """A whole pass went by: what was there when the connector came is agreed now."""
        if self.setting.adopting:
            runs.set_meta(store, f"adopted:{mode}", "yes")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaughtUp:
    """What holds after the pull. errors: what went wrong in the pull and after it; stops: whether nothing may be judged for it."""

    installation: Installation
    errors: list[ConnectorError]
    stops: bool


class CrmsRead(Protocol):
    """The part of a run's result that reading the CRMs fills."""

    pulled: Pulled
    errors: list[ConnectorError]


def read_crms(context: PassContext, result: CrmsRead, *, now: datetime, full: bool = False) -> CaughtUp:
    """The CRMs into the mirror, with what is to be done before and after a pull. full: from the beginning, whatever was read already.

    What was pulled and what went wrong is in the result even where this ends early.
    """
    prepared = prepare(context.store, context.config, context.crms, now=now, by=context.actor)
    if full:
        pages.reset_cursors(context.store)
    result.pulled = pull(context, now, silent=prepared.silent)
    caught_up = catch_up(context, prepared, result.pulled, now=now)
    result.errors += caught_up.errors
    return caught_up


def prepare(
    store: Store, config: Config, crms: Mapping[CrmName, Crm], *, now: datetime, by: Actor = UNNAMED, tried: bool = False
) -> Installation:
    """Brings the database in line with the file. crms: none where the CRMs are not to be asked. by: who applies it.

    An older file is not applied, but where it is tried (in a scratch state). Raises `SafetyStop` where the file lacks a CRM whose people
    are here.
    """
    if (missing := left_out(store, config)) is not None:
        raise SafetyStop(missing, advice=LEFT_OUT)
    columns = columns_needed(config)
    made = ensure_fields(store, columns)
    silent = schema_drift.look(store, config, crms, now=now) if crms and schema_drift.due(store, config, now) else {}
    state = brought_in_line(store, config, columns, crms)
    older = not tried and older_file(store, config) is not None
    if not older:
        histories.watch(store, config, crms)
        silent = _apply_file(store, config, crms, now, anew=bool(made), by=by) | silent
    _keep_states(store, state, now)
    note_known(store, state, now)
    all_contacts.go_on(store, now=now)
    return _installed(store, config, state, now=now, silent=silent, older=older)


def left_out(store: Store, config: Config) -> str | None:
    """In words, that people of a CRM are here which the file does not have: they would be judged for ever as they were last read."""
    if len(config.crms) == len(CRMS):
        return None
    elsewhere = and_(record.c.crm.not_in(config.crms), ~record.c.archived, record.c.object.in_(PEOPLE_OBJECTS))
    live = select(record.c.crm, func.count()).where(elsewhere)
    with store.read() as connection:
        row = connection.execute(live.group_by(record.c.crm).order_by(record.c.crm).limit(1)).one_or_none()
    if row is None:
        return None
    crm, count = row
    return f"the mirror holds {count:,} people of {crm}, and the file has no [crm.{crm}]"


def catch_up(context: PassContext, prepared: Installation, pulled: Pulled, *, now: datetime) -> CaughtUp:
    """After a pull: looks again where it missed something, fills what was not read of every record, and says what is suspended now.

    An object that the credentials may not see stops nothing: its fields are gone.
    """
    store, config = context.store, context.config
    silent: Mapping[CrmName, CrmError] = {}
    if not context.stopped() and _missed(pulled):
        silent = schema_drift.look(store, config, context.crms, now=now)
        state = brought_in_line(store, config, prepared.fields.columns, context.crms)
    else:
        state = refreshed(store, config, prepared.fields)
    failed = distinct([*errors_of(pulled), *silent.values()])
    filled = {} if context.stopped() or failed else fill(context, state, now)
    if filled:
        state = refreshed(store, config, state)
    if state is not prepared.fields:
        _keep_states(store, state, now)
        note_known(store, state, context.now())
    blinded = _blinded(state)
    unread = [] if context.stopped() or failed else _read_histories(context, state, pulled, now)
    return CaughtUp(
        installation=_with_fields(config, prepared, state),
        errors=distinct([*failed, *errors_of(filled), *unread, *blinded]),
        stops=bool(blinded or silent or _stopping(store, pulled) or any(not isinstance(error, ObjectStopped) for error in unread)),
    )


def _read_histories(context: PassContext, state: FieldState, pulled: Pulled, now: datetime) -> list[ConnectorError]:
    """The histories that no pull brings; their calls count as those of the object's stream. What stopped them: one that HubSpot refuses for
    good stops nobody's judgement, since what it would tell is then known as far as it was seen."""
    read = histories.read(context, state, now)
    for crm, objects in read.items():
        for object_name, result in objects.items():
            if object_name in pulled.get(crm, {}):
                pulled[crm][object_name].calls += result.calls
    return histories.errors_of(read)


def _missed(pulled: Pulled) -> bool:
    """Whether a wanted property, or a whole object, was not there."""
    return any(stream.absent or isinstance(stream.error, ObjectStopped) for _, _, stream in streams_of(pulled))


def _stopping(store: Store, pulled: Pulled) -> bool:
    """Whether a stream was stopped by anything else than that the credentials may not see its object."""
    failed = {(crm, name) for crm, name, stream in streams_of(pulled) if stream.error is not None}
    return bool(failed) and not failed <= schema_drift.hidden_objects(store)


def _blinded(state: FieldState) -> list[ConnectorError]:
    """What is gone of the properties that everything rests on is an error; what is being filled is only waited for."""
    gone = [place for place, status in state.lacking.items() if status == "gone"]
    if not gone:
        return []
    return [
        ObjectStopped(
            f"nobody is judged: {state.suspended.halted}",
            crm=gone[0].partition(" ")[0],
            code="PROPERTY_DOESNT_EXIST",
            advice="Bring the property back in the CRM, or give the connector's credentials access to it; `connector check` names it.",
        )
    ]


# ── What is made for a pass ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _installed(
    store: Store, config: Config, state: FieldState, *, now: datetime, silent: Mapping[CrmName, CrmError], older: bool
) -> Installation:
    """What holds for the whole pass, with this field state."""
    if config.mode == "live":
        _end_shadow(store, now)
    clocks_from = _clocks_from(store, config, now)
    adopting = runs.get_meta(store, f"adopted:{config.mode}") is None
    if adopting and not older and config.mode == "live" and runs.get_meta(store, "adopted:shadow") is not None:
        all_contacts.agree_anew(store, clocks_from=clocks_from)
    return _made(store, config, state, clocks_from=clocks_from, adopting=adopting, silent=silent, older=older)


def as_it_stands(store: Store, config: Config, *, now: datetime) -> Installation:
    """What holds for a pass that another process leads and has prepared. now: the pass's moment."""
    adopting = runs.get_meta(store, f"adopted:{config.mode}") is None
    clocks_from = _clocks_from(store, config, now)
    return _made(store, config, as_stored(store, config), clocks_from=clocks_from, adopting=adopting, silent={}, older=False)


def terms_of(installation: Installation, config: Config, live_since: datetime | None) -> str:
    """A digest of what judging goes by beside contacts and moment: two processes with the same one come to the same."""
    file = (__version__, config.version, config.mode)
    parts = (*file, live_since, installation.setting, installation.suspended, installation.fields.columns)
    text = orjson.dumps(parts, default=_plain, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return blake2b(text, digest_size=16).hexdigest()


def _plain(value: object) -> object:
    """As JSON takes it: a set in its order."""
    if isinstance(value, frozenset):
        return sorted(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


def _made(
    store: Store,
    config: Config,
    state: FieldState,
    *,
    clocks_from: datetime,
    adopting: bool,
    silent: Mapping[CrmName, CrmError],
    older: bool,
) -> Installation:
    own_users = _meta_json(store, "own_users")
    setting = UnifySettings(
        adopting=adopting,
        clocks_from=clocks_from,
        defaults=_meta_json(store, "defaults"),
        own_users=frozenset((crm, user) for crm, users in own_users.items() for user in users),
        unread=frozenset(state.suspended.fields),
    )
    table = contact_table(state.columns)
    writer = ContactWriter(config, state.columns, table, setting)
    return Installation(fields=state, table=table, writer=writer, setting=setting, silent=silent, older=older)


def _with_fields(config: Config, installation: Installation, state: FieldState) -> Installation:
    """The installation with another field state."""
    if state is installation.fields:
        return installation
    setting = replace(installation.setting, unread=frozenset(state.suspended.fields))
    writer = ContactWriter(config, state.columns, installation.table, setting)
    return replace(installation, fields=state, setting=setting, writer=writer)


def _keep_states(store: Store, state: FieldState, now: datetime) -> None:
    """Keeps the states of the fields. Where one is present again, or for the first time, every contact is made and judged anew."""
    before = {column.name: status for column, status in stored_fields(store).items()}
    changed = {column: status for column, status in state.states.items() if status != before.get(column)}
    lacking = _meta_json(store, _BLIND)
    if "present" in changed.values() or lacking.keys() - state.lacking.keys():
        all_contacts.make_anew(store, reason="fields", now=now)
    for status in _STATUSES:
        set_state(store, [column for column, after in changed.items() if after == status], status)
    if lacking != state.lacking:
        runs.set_meta(store, _BLIND, orjson.dumps(state.lacking).decode())


#: What everything rests on and was lacking when last looked at: place → state.
_BLIND = "blind"
#: The name in `meta` of the moment of the first live pass.
_LIVE_SINCE = "live_since"
_STATUSES: tuple[FieldStatus, ...] = get_args(FieldStatus)


def applied(store: Store, config: Config) -> bool:
    """Whether a whole pass went by under this very file, and none replaced it: what it concluded can be built upon."""
    same = runs.get_meta(store, rule_texts.APPLIED) == config.version
    return same and runs.get_meta(store, f"adopted:{config.mode}") is not None and older_file(store, config) is None


def _apply_file(
    store: Store, config: Config, crms: Mapping[CrmName, Describes], now: datetime, *, anew: bool, by: Actor
) -> dict[CrmName, CrmError]:
    """A changed file makes every contact anew, and due. The CRMs that do not tell what they must, with the error: it is applied later."""
    file = file_of(config)
    if runs.get_meta(store, rule_texts.APPLIED) == config.version and not anew:
        with store.read() as connection:
            known = rule_texts.in_force(connection)
        if known is None or known.digest != file.digest:  # its rules say the same in other words
            store.write(partial(rule_texts.put_in_force, file=file, by=by, now=now))
        return {}
    silent = _look_around(store, crms) if crms else {}
    if anew or not silent:
        all_contacts.make_anew(store, reason=f"file {config.version}", now=now)
    if not silent:
        store.write(partial(rule_texts.applied, file=file, by=by, now=now))
    return silent


def _look_around(store: Store, crms: Mapping[CrmName, Describes]) -> dict[CrmName, CrmError]:
    """Asks the CRMs what their set-up means for rules, and keeps it where all tell it; else what was kept holds on."""
    around: dict[CrmName, Surroundings] = {}
    silent: dict[CrmName, CrmError] = {}
    for name, crm in crms.items():
        try:
            around[name] = crm.surroundings()
        except Interrupted:
            raise
        except CrmError as error:
            silent[name] = error
    if not silent:
        _keep_around(store, around)
    return silent


def _keep_around(store: Store, around: Mapping[CrmName, Surroundings]) -> None:
    stage_defaults = {crm: account.defaults.get(CRM_FACTS[crm].stage_property) for crm, account in around.items()}
    kept: dict[str, Mapping[CrmName, object]] = {
        "defaults": {crm: value for crm, value in stage_defaults.items() if value is not None},
        "links": {crm: account.links for crm, account in around.items()},
        "own_users": {crm: account.own_users for crm, account in around.items()},
    }
    for topic, value in kept.items():
        runs.set_meta(store, topic, orjson.dumps(value).decode())


def _end_shadow(store: Store, now: datetime) -> None:
    """From shadow to live: what was only proposed is judged again, and then acted on."""
    with store.read() as connection:
        stands = bool(shadow.counts(connection))
    while stands:
        stands = store.write(partial(shadow.end, now=now, size=SLICE))


def _clocks_from(store: Store, config: Config, now: datetime) -> datetime:
    """From when on attempts count: as the file says, else the first pass in this mode."""
    name = f"first_pass:{config.mode}"
    first = runs.get_meta(store, name) or runs.set_meta_once(store, name, now.isoformat())
    return datetime.fromisoformat(first) if config.adopt.clocks_from is None else config.adopt.clocks_from


def live_since(store: Store, config: Config, now: datetime) -> datetime | None:
    """When the first live pass was, which is now if there was none; None in shadow. Clocks are not asked for moments before it."""
    if config.mode != "live":
        return None
    first = runs.get_meta(store, _LIVE_SINCE) or runs.set_meta_once(store, _LIVE_SINCE, now.isoformat())
    return datetime.fromisoformat(first)


def record_url(store: Store) -> Callable[[str, str, str], str]:
    """The address of a record by CRM, object and id; empty where it is not known."""
    links = _meta_json(store, "links")
    return lambda crm, object_name, record_id: str(links.get(crm, {}).get(object_name, "")).replace("{id}", record_id)


def _meta_json(store: Store, name: str) -> dict[Any, Any]:
    value = runs.get_meta(store, name)
    parsed: dict[Any, Any] = {} if value is None else orjson.loads(value)
    return parsed
