"""Records of one person in two CRMs become one contact: first who is who, then the contact's fields, owner and stage.

Works through the records marked `unify`, in slices of one transaction each; a crash between slices resumes where it stopped.
Linking comes first for all records, so that a contact is judged with everything known of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from connector.pipeline.slices import Slices
from connector.pipeline.unify import ContactWriter, linking
from connector.pipeline.unify.identity import Key
from connector.store.database import Store

#: Contacts in the first slice, and in those of a few contacts alone; how many the next ones have, the time that it took says.
SLICE = 500


def unify(
    store: Store,
    writer: ContactWriter,
    *,
    now: datetime,
    only: Collection[int] | None = None,
    stopped: Callable[[], bool] = lambda: False,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Links and makes all contacts whose records changed; how many records. Contacts are made only once all records are linked.

    only: these contacts are made of their records as they are, and stay marked: who is who is told by the next pass, which reads the rest.
    """
    if only is not None:
        return _make_only(store, writer, sorted(only), now, stopped)
    store.write(linking.relink_once_read_whole)
    slices = Slices(store, linking.SLICE)
    after: Key | None = linking.FIRST
    while after is not None:
        if stopped():
            return 0
        after = slices.run(partial(_link, writer=writer, now=now, after=after))
    return _make_all(store, writer, now, stopped, progress)


def _link(connection: Connection, size: int, *, writer: ContactWriter, now: datetime, after: Key) -> Key | None:
    return linking.link_slice(connection, now, after, size=size, id_field=writer.hubspot_id_field)


def _make_all(
    store: Store, writer: ContactWriter, now: datetime, stopped: Callable[[], bool], progress: Callable[[int], None] | None
) -> int:
    """Makes contacts until none is left: a pull that runs beside may mark some that were passed already."""
    slices = Slices(store, SLICE)
    total, after, begun_at = 0, 0, 0
    while not stopped():
        done = slices.run(lambda connection, size: writer.write_slice(connection, now, size, after=after))  # noqa: B023 - run at once
        if done.last is None:
            if total == begun_at:
                break
            after, begun_at = 0, total
            continue
        after = done.last
        total += done.records
        if progress is not None:
            progress(total)
    return total


def _make_only(store: Store, writer: ContactWriter, contacts: list[int], now: datetime, stopped: Callable[[], bool]) -> int:
    total = 0
    for start in range(0, len(contacts), SLICE):
        if stopped():
            break
        piece = contacts[start : start + SLICE]
        total += store.write(partial(writer.write_slice, now=now, size=SLICE, only=piece)).records
    return total
