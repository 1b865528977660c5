"""Which rows of the ledger are free to go, and in which batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from connector.model import BUNDLE_ORDER, State
from connector.store.ledger import Entry

#: A part that ended so lets those behind it go …
_DONE = frozenset({State.APPLIED, State.ALREADY_SO})
#: … and one that ended so blocks them; behind any other they wait.
_FAILED = frozenset({State.REFUSED, State.COLLIDED, State.BLOCKED, State.DROPPED, State.UNDONE})

Parts = Mapping[str, Sequence[tuple[int, State]]]


def free(rows: Iterable[Entry], parts: Parts) -> list[Entry]:
    """The rows whose bundles are done up to them."""
    return [row for row in rows if all(state in _DONE for position, state in parts.get(row.bundle, ()) if position < row.position)]


def blocked(rows: Iterable[Entry], parts: Parts) -> dict[str, tuple[Entry, int]]:
    """Bundles in which rows stand behind a failed part: one such row, and the part's position."""
    found: dict[str, tuple[Entry, int]] = {}
    for row in rows:
        failed = [position for position, state in parts.get(row.bundle, ()) if position < row.position and state in _FAILED]
        if failed:
            found[row.bundle] = (row, min(failed))
    return found


def batches(rows: Iterable[Entry], size: Callable[[Entry], int]) -> Iterator[list[Entry]]:
    """Rows of one kind, CRM and object together, at most `size` of them, and a record at most once in each.

    (Twice in one request, it would be chance which value stands; the later row reads what the earlier one wrote.)
    """
    groups: dict[tuple[int, str, str], list[Entry]] = {}
    for row in rows:
        groups.setdefault((BUNDLE_ORDER.index(row.kind), row.record.crm, row.record.object), []).append(row)
    for _, members in sorted(groups.items()):
        open_batches: list[dict[str, Entry]] = []
        for row in members:
            batch = next((batch for batch in open_batches if row.record.id not in batch), None)
            if batch is None:
                batch = {}
                open_batches.append(batch)
            batch[row.record.id] = row
            if len(batch) >= size(row):
                open_batches.remove(batch)
                yield list(batch.values())
        yield from (list(batch.values()) for batch in open_batches)
