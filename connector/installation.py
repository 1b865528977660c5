"""What holds for this installation: its field columns, when it first ran, what was adopted, which file it last applied.

`prepare` brings the database in line with the file before a pass: new columns, everything due after a change of the file, a read from the
beginning where other properties are wanted, adoption at the first pass and again at the first live one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from hashlib import blake2b
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, Table, update

from connector.adapters.port import Crm
from connector.config.tables import Config
from connector.contacts import ContactWriter, Setting
from connector.errors import ObjectStopped
from connector.model import CrmName
from connector.store import fields, mirror, runs
from connector.store import tables as t
from connector.store.database import Store
from connector.workflows.fields import STAGE_PROPERTY, columns_needed, places, properties_wanted

record = t.metadata.tables["record"]
contact = t.metadata.tables["contact"]
attempt = t.metadata.tables["attempt"]

_STAGE_NAMES: Mapping[CrmName, str] = {crm: name for (crm, _), name in STAGE_PROPERTY.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """The contact table with the file's columns, the writer of contacts, and whether this pass adopts what is there."""

    table: Table
    writer: ContactWriter
    setting: Setting

    def adopted(self, store: Store, mode: Literal["shadow", "live"]) -> None:
        """A whole pass went by: what was there when the connector came is agreed now."""
        if self.setting.adopting:
            runs.set_meta(store, f"adopted:{mode}", "yes")


def prepare(store: Store, config: Config, crms: Mapping[CrmName, Crm], *, now: datetime) -> Installation:
    """Brings the database in line with the file."""
    columns = columns_needed(config)
    made = fields.ensure_fields(store, columns)
    for crm in config.crms:
        _read_anew(store, config, crm)
    _apply_file(store, config, crms, now, anew=bool(made))
    clocks_from = _clocks_from(store, config, now)
    adopting = runs.get_meta(store, f"adopted:{config.mode}") is None
    if adopting and config.mode == "live" and runs.get_meta(store, "adopted:shadow") is not None:
        store.write(partial(_agree_anew, clocks_from=clocks_from))
    setting = Setting(
        adopting=adopting,
        clocks_from=clocks_from,
        defaults=_meta_json(store, "defaults"),
        own_users=frozenset((crm, one) for crm, users in _meta_json(store, "own_users").items() for one in users),
    )
    table = fields.contact_table(columns)
    stored = fields.stored_fields(store)  # not only those just made: a process may have died before it came here
    fields.set_state(store, [column.name for column in columns if stored.get(column) == "filling"], "present")
    return Installation(table=table, writer=ContactWriter(config, columns, table, setting), setting=setting)


def _read_anew(store: Store, config: Config, crm: CrmName) -> None:
    """Other properties are wanted than before: what was read without them is read once more."""
    wanted = properties_wanted(config, crm)
    digest = blake2b(orjson.dumps(wanted, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()
    if runs.get_meta(store, f"wanted:{crm}") not in (None, digest):
        mirror.reset_cursors(store, crm)
    runs.set_meta(store, f"wanted:{crm}", digest)


def _apply_file(store: Store, config: Config, crms: Mapping[CrmName, Crm], now: datetime, *, anew: bool) -> None:
    """A changed file makes every contact anew, and due."""
    if runs.get_meta(store, "config") == config.version and not anew:
        return
    if crms:
        _look_around(store, config, crms)

    def everyone(connection: Connection) -> None:
        connection.execute(update(record).where(record.c.contact_id.is_not(None)).values(unify=True))
        connection.execute(update(contact).where(~contact.c.gone).values(due_at=now))

    store.write(everyone)
    runs.set_meta(store, "config", config.version)


def _look_around(store: Store, config: Config, crms: Mapping[CrmName, Crm]) -> None:
    """Asks the CRMs what their set-up means for rules, and keeps it; without them what was kept holds on."""
    around = {name: crm.surroundings() for name, crm in crms.items()}
    for name, one in around.items():
        _refuse_missing(config, name, one.missing)
    defaults = {name: one.defaults[_STAGE_NAMES[name]] for name, one in around.items() if _STAGE_NAMES[name] in one.defaults}
    kept: dict[str, Mapping[CrmName, object]] = {
        "defaults": defaults,
        "links": {name: one.links for name, one in around.items()},
        "own_users": {name: one.own_users for name, one in around.items()},
    }
    for topic, value in kept.items():
        runs.set_meta(store, topic, orjson.dumps(value).decode())


def _refuse_missing(config: Config, crm: CrmName, missing: Sequence[tuple[str, str]]) -> None:
    """Nothing is concluded from a property that the CRM does not have. Raises `ObjectStopped`, naming each and the field that reads it."""
    named = {place: rule.name for rule in config.fields for place in places(rule, crm)}
    gone = [f"{object_name}.{name} (field {named[object_name, name]})" for object_name, name in missing if (object_name, name) in named]
    if gone:
        raise ObjectStopped(
            f"{crm} has no such property: {', '.join(gone)}",
            crm=crm,
            code="PROPERTY_DOESNT_EXIST",
            advice="Create it in the CRM, or correct its name in [fields]; `connector check` suggests the nearest name.",
        )


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
