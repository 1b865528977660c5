"""The store as commands open it: with its tables made where it was empty, or alone, without the CRMs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from connector.app import App, open_store, utc_now
from connector.cli.common import command
from connector.config.tables import Config
from connector.errors import StoreError
from connector.store import schema


def make_tables(config: Config) -> None:
    """Makes the tables of an empty database. Raises `StoreError` where it is an older or newer program's."""
    with open_store(config) as store:
        with store.read() as connection:
            empty = schema.current(connection) is None
        if empty:
            store.upgrade()
        store.check_schema()


@contextmanager
def offline(config: Config) -> Iterator[App]:
    """The program without its CRMs, for commands that look at the store alone; needs no secret. Raises `StoreError`."""
    with open_store(config) as store:
        with store.read() as connection:
            if schema.current(connection) is None:
                raise StoreError(
                    f"nothing was pulled yet: the database of {config.source} is empty",
                    advice=f"`{command('run', config)}` makes its tables and does a first pass.",
                )
        store.check_schema()
        yield App(config=config, store=store, crms={}, now=utc_now)
