"""The first pull of HubSpot's contacts, then of its activities, over HTTP, beside the plainest loop over the same records (`floor_pull`).

Both ask for the same pages of the same sandbox and write the same columns with the same indexes; limits hold neither up. What both have
stored afterwards is counted and added up, and must be the same.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

import apart
import first_pull
import floor_pull
import steps
from aims import Aim, Line
from apart import Server
from bases import Base, Bases, Dialect, totals
from machine import peak_megabytes
from steps import Cost, Found

from connector.adapters.hubspot.wire import requests as wire
from connector.app import open_app, open_store
from connector.cli.process import use_memory_well
from connector.config.load import loads
from connector.config.tables import Config
from connector.pipeline.pull.streams import errors_of, pull
from connector.sandbox.configuration import SECRETS, Place, configuration, with_values
from connector.workflows.fields import properties_wanted

CONTACTS = ("contacts",)
ACTIVITIES = tuple(name for name in wire.STREAMS if name in ("calls", "emails", "meetings"))
_PULL, _PEAK = 2.0, 250.0
#: What both must have stored alike: table → columns to add up.
_STORED = {
    "record": ("created_at", "modified_at", "length(id)", "length(email)", "length(company_id)", "length(owner_id)"),
    "activity": ("at", "created_at", "modified_at", "length(id)", "length(owner_id)"),
    "activity_link": ("at", "length(record_id)"),
}


def first_pull_of(made: Bases, dialect: Dialect, size: int) -> Found:
    """Both pulls by the connector and by the floor, each in a process of its own."""
    ours, least = (made.named(dialect, f"pull_{who}_{size}") for who in ("connector", "floor"))
    found = Found()
    with apart.sandbox(hubspot_contacts=size, salesforce_leads=0) as server:
        apart.apart(_lay, (ours, least), server.place)
        for what, streams in (("contacts", CONTACTS), ("activities", ACTIVITIES)):
            server.restart(limited=False)
            stored, cost, peak = apart.apart(_connector, ours, server.place, streams)
            ways = _ways(server, ours)
            seen, floor = apart.apart(_floor, least, server.place, ways, streams)
            line = Line(what=f"pull: {what}", records=stored, wall=cost.wall, own=cost.own, server=cost.server, peak=peak,
                        aims=(Aim(name="peak", measured=peak, most=_PEAK, unit=" MB"),), note="HTTP")  # fmt: skip
            found.lines.append(steps.with_floor(line, floor, _PULL))
            if stored != seen or stored < size:
                found.lies.append(f"pull: the connector stored {stored:,} {what}, the floor {seen:,}")
    theirs = totals(least, _STORED)
    for name, sum_here in totals(ours, _STORED).items():
        if sum_here != theirs[name]:
            found.lies.append(f"pull: {name} adds up to {sum_here:,.0f}, the floor's to {theirs[name]:,.0f}")
    for base in (ours, least):
        made.dropped(base)
    return found


def _lay(bases: Sequence[Base], place: Place) -> None:
    for base in bases:
        with open_store(_config(base, place)) as store:
            store.upgrade()


def _connector(base: Base, place: Place, streams: Sequence[str]) -> tuple[int, Cost, float]:
    config = _config(base, place)
    use_memory_well()  # as the command does
    with open_app(config, now=lambda: apart.NOW) as app:
        crms = {"hubspot": first_pull.Some(app.crms["hubspot"], list(streams))}
        context = replace(app.context(), crms=crms)  # type: ignore[arg-type]  # a CRM of which some streams are pulled
        pulled, cost = steps.costs(base, lambda: pull(context, apart.NOW))
    if errors := errors_of(pulled):
        raise AssertionError("; ".join(error.message for error in errors))
    return sum(stream.stored for stream in pulled["hubspot"].values()), cost, peak_megabytes()


def _floor(base: Base, place: Place, ways: floor_pull.Ways, streams: Sequence[str]) -> tuple[int, Cost]:
    found, cost = steps.costs(base, lambda: floor_pull.pull_hubspot(place, ways, base.url, streams))
    return sum(found.values()), cost


def _ways(server: Server, base: Base) -> floor_pull.Ways:
    """How the connector read, by what the sandbox saw."""
    paths = server.counts().paths["hubspot"]
    lists = {name: paths.get(f"GET /crm/v3/objects/{name}", 0) for name in ("contacts", "companies")}
    return floor_pull.Ways(lists=lists, jobs=(), wanted={"hubspot": properties_wanted(_config(base, server.place), "hubspot")})


def _config(base: Base, place: Place) -> Config:
    """The example file in shadow, with limits that hold nothing up."""
    os.environ.update(SECRETS)
    limits = {("crm.hubspot", "requests_per_10_seconds"): "1_000_000", ("crm.hubspot", "searches_per_second"): "1_000_000"}
    text = with_values(configuration(replace(place, database=base.url), now=apart.NOW), limits)
    return loads(text, source="bench.toml")
