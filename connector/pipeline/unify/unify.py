"""Records of one person in two CRMs become one contact: first who is who, then the contact's fields, owner and stage.

Works through the records marked `unify`, in slices of one transaction each; a crash between slices resumes where it stopped.
Linking comes first for all records, so that a contact is judged with everything known of it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial

from connector.pipeline.unify import ContactWriter, linking
from connector.pipeline.unify.identity import Key
from connector.store.database import Store

#: Contacts in one slice: about 100 ms of the writer.
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
    after: Key | None = linking.FIRST
    while after is not None:
        if stopped():
            return 0
        after = store.write(partial(linking.link_slice, now=now, after=after, id_field=writer.hubspot_id_field))
    total = 0
    while not stopped():
        done = store.write(lambda connection: writer.write_slice(connection, now, SLICE))
        if not done:
            break
        total += done
        if progress is not None:
            progress(total)
    return total


def _make_only(store: Store, writer: ContactWriter, contacts: list[int], now: datetime, stopped: Callable[[], bool]) -> int:
    total = 0
    for start in range(0, len(contacts), SLICE):
        if stopped():
            break
        total += store.write(partial(writer.write_slice, now=now, size=SLICE, only=contacts[start : start + SLICE]))
    return total
