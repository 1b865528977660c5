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
from typing import Any, Literal, get_args

import orjson
from sqlalchemy import Connection, Table, func, select, update

from connector.adapters.port import Crm, Describes, Reads
from connector.config.tables import Config
from connector.errors import ConnectorError, CrmError, Interrupted, ObjectStopped, SafetyStop
from connector.model import CRM_FACTS, CRMS, PEOPLE_OBJECTS, CrmName, Surroundings
from connector.pipeline.context import PassContext
from connector.pipeline.pull import schema_drift
from connector.pipeline.pull.backfill import Filled, blind, fill, note_wanted, states
from connector.pipeline.pull.streams import Pulled, errors_of, once, streams_of
from connector.pipeline.unify import ContactWriter, UnifySettings
from connector.store import fields, runs
from connector.store import tables as t
from connector.store.database import Store
from connector.store.fields import FieldState
from connector.workflows import suspension
from connector.workflows.fields import columns_needed
from connector.workflows.suspension import Suspended

record = t.metadata.tables["record"]
contact = t.metadata.tables["contact"]
attempt = t.metadata.tables["attempt"]

#: What to do then (`left_out`).
LEFT_OUT = "Put it back, or give this file a database of its own: without what the CRM says now, nobody of it can be judged."


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """The contact table with the file's columns, the writer of contacts, whether this pass adopts what is there, and what is suspended.

    silent: the CRMs of which neither fields nor set-up could be learned, so that what they lack might be taken for empty, with the error.
    """

    table: Table
    writer: ContactWriter
    setting: UnifySettings
    suspended: Suspended
    silent: Mapping[CrmName, CrmError] = field(default_factory=dict)

    def adopted(self, store: Store, mode: Literal["shadow", "live"]) -> None:
        """A whole pass went by: what was there when the connector came is agreed now."""
        if self.setting.adopting:
            runs.set_meta(store, f"adopted:{mode}", "yes")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaughtUp:
    """What holds after the pull. filled: fields that were filled; errors: what went wrong in that and in the pull.

    stops: whether nothing may be judged for it.
    """

    installation: Installation
    filled: Mapping[str, Mapping[str, Filled]]
    errors: list[ConnectorError]
    stops: bool


def prepare(store: Store, config: Config, crms: Mapping[CrmName, Crm], *, now: datetime) -> Installation:
    """Brings the database in line with the file. crms: none where the CRMs are not to be asked.

    Raises `SafetyStop` where the file lacks a CRM whose people are here.
    """
    if (missing := left_out(store, config)) is not None:
        raise SafetyStop(missing, advice=LEFT_OUT)
    made = fields.ensure_fields(store, columns_needed(config))
    silent = schema_drift.look(store, config, crms, now=now) if crms and schema_drift.due(store, config, now) else {}
    _want(store, config, crms)
    silent = _apply_file(store, config, crms, now, anew=bool(made)) | silent
    return replace(_installed(store, config, now), silent=silent)


def left_out(store: Store, config: Config) -> str | None:
    """In words, that people of a CRM are here which the file does not have: they would be judged for ever as they were last read."""
    people = record.c.object.in_(PEOPLE_OBJECTS)
    live = select(record.c.crm, func.count()).where(record.c.crm.not_in(config.crms), ~record.c.archived, people)
    with store.read() as connection:
        found = {} if len(config.crms) == len(CRMS) else dict(connection.execute(live.group_by(record.c.crm)).tuples().all())
    return next(
        (f"the mirror holds {count:,} people of {crm}, and the file has no [crm.{crm}]" for crm, count in sorted(found.items())), None
    )


def catch_up(context: PassContext, pulled: Pulled, *, now: datetime) -> CaughtUp:
    """After a pull: looks again where it missed something, fills what was not read of every record, and says what is suspended now.

    An object that the credentials may not see stops nothing: its fields are gone.
    """
    store, config = context.store, context.config
    silent: Mapping[CrmName, CrmError] = {}
    if not context.stopped() and _missed(pulled):
        silent = schema_drift.look(store, config, context.crms, now=now)
        _want(store, config, context.crms)
    failed = once([*errors_of(pulled), *silent.values()])
    filled = {} if context.stopped() or failed else fill(context, now)
    installation = _installed(store, config, now)
    hidden = schema_drift.hidden_objects(store)
    stopping = [stream.error for crm, name, stream in streams_of(pulled) if stream.error is not None and (crm, name) not in hidden]
    blinded = _blinded(installation.suspended, blind(store, config))
    errors = once([*failed, *errors_of(filled), *blinded])
    return CaughtUp(installation=installation, filled=filled, errors=errors, stops=bool(stopping or blinded or silent))


def _missed(pulled: Pulled) -> bool:
    """Whether a wanted property, or a whole object, was not there."""
    return any(stream.absent or isinstance(stream.error, ObjectStopped) for _, _, stream in streams_of(pulled))


def _want(store: Store, config: Config, crms: Mapping[CrmName, Reads]) -> None:
    """From now on pulls bring what is there of what the file wants."""
    for name, crm in crms.items():
        crm.want(schema_drift.wanted(store, config, name))
    note_wanted(store, config)


def _blinded(suspended: Suspended, lacking: Mapping[str, str]) -> list[ConnectorError]:
    """What is gone of the properties that everything rests on is an error; what is being filled is only waited for."""
    gone = [place for place, state in lacking.items() if state == "gone"]
    if not gone:
        return []
    return [
        ObjectStopped(
            f"nobody is judged: {suspended.halted}",
            crm=gone[0].partition(" ")[0],
            code="PROPERTY_DOESNT_EXIST",
            advice="Bring the property back in the CRM, or give the connector's credentials access to it; `connector check` names it.",
        )
    ]


def _installed(store: Store, config: Config, now: datetime) -> Installation:
    """What holds now, with the states of the fields on record."""
    columns = columns_needed(config)
    suspended = _stock_taken(store, config, now)
    clocks_from = _clocks_from(store, config, now)
    adopting = runs.get_meta(store, f"adopted:{config.mode}") is None
    if adopting and config.mode == "live" and runs.get_meta(store, "adopted:shadow") is not None:
        store.write(partial(_agree_anew, clocks_from=clocks_from))
    setting = UnifySettings(
        adopting=adopting,
        clocks_from=clocks_from,
        defaults=_meta_json(store, "defaults"),
        own_users=frozenset((crm, one) for crm, users in _meta_json(store, "own_users").items() for one in users),
        unread=frozenset(suspended.fields),
    )
    table = fields.contact_table(columns)
    return Installation(table=table, writer=ContactWriter(config, columns, table, setting), setting=setting, suspended=suspended)


def _stock_taken(store: Store, config: Config, now: datetime) -> Suspended:
    """Keeps the states of the fields. Where one is present again, or for the first time, every contact is made and judged anew."""
    found, lacking = states(store, config), blind(store, config)
    before = {column.name: state for column, state in fields.stored_fields(store).items()}
    blinded = _meta_json(store, _BLIND)
    if any(state == "present" != before.get(name) for name, state in found.items()) or blinded.keys() - lacking.keys():
        store.write(partial(_everyone, now=now))
    for state in _STATES:
        fields.set_state(store, [name for name, one in found.items() if one == state != before.get(name)], state)
    if blinded != lacking:
        runs.set_meta(store, _BLIND, orjson.dumps(lacking).decode())
    return suspension.of(config, found, lacking)


#: What everything rests on and was lacking when last looked at: place → state.
_BLIND = "blind"
_STATES: tuple[FieldState, ...] = get_args(FieldState)


def applied(store: Store, config: Config) -> bool:
    """Whether a whole pass went by under this very file: what it concluded can be built upon."""
    return runs.get_meta(store, "config") == config.version and runs.get_meta(store, f"adopted:{config.mode}") is not None


def _apply_file(store: Store, config: Config, crms: Mapping[CrmName, Describes], now: datetime, *, anew: bool) -> dict[CrmName, CrmError]:
    """A changed file makes every contact anew, and due. The CRMs that do not tell what they must, with the error: it is applied later."""
    if runs.get_meta(store, "config") == config.version and not anew:
        return {}
    silent = _look_around(store, crms) if crms else {}
    if anew or not silent:
        store.write(partial(_everyone, now=now))
    if not silent:
        runs.set_meta(store, "config", config.version)
    return silent


def _everyone(connection: Connection, now: datetime) -> None:
    """Every contact is made anew and judged."""
    connection.execute(update(record).where(record.c.contact_id.is_not(None)).values(unify=True))
    connection.execute(update(contact).where(~contact.c.gone).values(due_at=now))


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
    stages = {name: CRM_FACTS[name].stage_property for name in around}
    defaults = {name: one.defaults[stages[name]] for name, one in around.items() if stages[name] in one.defaults}
    kept: dict[str, Mapping[CrmName, object]] = {
        "defaults": defaults,
        "links": {name: one.links for name, one in around.items()},
        "own_users": {name: one.own_users for name, one in around.items()},
    }
    for topic, value in kept.items():
        runs.set_meta(store, topic, orjson.dumps(value).decode())


def _agree_anew(connection: Connection, clocks_from: datetime) -> None:
    """The first live pass: what was agreed in shadow was agreed with nobody, and what began before is found."""
    connection.execute(update(contact).values(agreed_number=0, agreed_hubspot=None, agreed_salesforce=None))
    connection.execute(update(record).where(record.c.contact_id.is_not(None)).values(unify=True))
    connection.execute(update(attempt).where(attempt.c.outcome == "open", attempt.c.began_at < clocks_from).values(found=True))


def _clocks_from(store: Store, config: Config, now: datetime) -> datetime:
    """From when on attempts count: as the file says, else the first pass in this mode."""
    stated = config.adopt.clocks_from
    first = datetime.fromisoformat(runs.set_meta_once(store, f"first_pass:{config.mode}", now.isoformat()))
    return first if stated is None else stated


def record_url(store: Store) -> Callable[[str, str, str], str]:
    """The address of a record by CRM, object and id; empty where it is not known."""
    links = _meta_json(store, "links")
    return lambda crm, object_name, record_id: str(links.get(crm, {}).get(object_name, "")).replace("{id}", record_id)


def _meta_json(store: Store, name: str) -> dict[Any, Any]:
    value = runs.get_meta(store, name)
    parsed: dict[Any, Any] = {} if value is None else orjson.loads(value)
    return parsed
