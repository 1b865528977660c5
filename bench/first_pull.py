"""A first pull by the connector and by the floor, to be called in a process of its own."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import apart
import floor_pull
import profiled
from apart import Measured

from connector.app import open_app, open_store
from connector.cli.process import use_memory_well
from connector.config.load import loads
from connector.config.tables import Config
from connector.pipeline.pull.streams import errors_of
from connector.pipeline.pull.streams import pull as pull_all
from connector.sandbox.configuration import SECRETS, Place, configuration

#: The example's own; what the shares of the allowed rate are counted with.
HEADROOM, REQUESTS = 0.2, 190


def connect_and_pull(place: Place, path: str, streams: list[str] | None, profile: bool) -> Measured:
    """A first pull by the connector. streams: those of HubSpot alone; None: all of both CRMs."""
    config = config_of(place, path)
    with open_store(config) as store:
        store.upgrade()
    use_memory_well()  # as the command does
    profiler = profiled.Profiler() if profile else None
    with profiler or nullcontext(), open_app(config, now=lambda: apart.NOW) as app:
        crms: Any = {"hubspot": Some(app.crms["hubspot"], streams)} if streams else app.crms
        context = replace(app.context(), crms=crms)
        measured = apart.measure(lambda: pull_all(context, apart.NOW))
    for error in errors_of(measured.result):
        raise error
    found = {crm: {name: _stream(one) for name, one in ones.items()} for crm, ones in measured.result.items()}
    stored = sum(one["stored"] for ones in found.values() for one in ones.values())
    return replace(measured, result={"streams": found, "stored": stored, "profile": profiler.report() if profiler else None})


class Some:
    """A CRM of which only some streams are pulled."""

    def __init__(self, crm: Any, streams: list[str]) -> None:
        self._crm, self._streams = crm, streams

    def streams(self) -> list[str]:
        """Those."""
        return self._streams

    def __getattr__(self, name: str) -> Any:
        return getattr(self._crm, name)


def _stream(one: Any) -> dict[str, int]:
    return {name: getattr(one, name) for name in ("seen", "stored", "set_aside", "calls")}


def floor_of(place: Place, ways: floor_pull.Ways, path: str) -> Measured:
    """The same pages by the floor."""
    with open_store(config_of(place, path)) as store:
        store.upgrade()
    return apart.measure(lambda: floor_pull.pull(place, ways, path))


def config_of(place: Place, path: str) -> Config:
    """The example file in shadow, pointed at a sandbox; limits and headroom are the file's own."""
    os.environ.update(SECRETS)
    text = configuration(replace(place, database=f"sqlite:///{path}"), now=apart.NOW)
    config = loads(text, source="bench.toml")
    if config.crm.hubspot is None or config.crm.hubspot.headroom != HEADROOM or config.crm.hubspot.requests_per_10_seconds != REQUESTS:
        raise AssertionError("the example's limits are not those that this bench counts with")
    return config
