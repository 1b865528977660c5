"""One bulk job, from its creation to its deletion: what a first pull reads by it, in pieces that each know where to go on.

A job that Salesforce refuses, loses or does not finish is `GivenUp`: the pull then reads the rest by REST. Rows that do not add up to
Salesforce's own count are no such case: they fail the stream.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice

from connector.adapters.client import Caller
from connector.adapters.salesforce.wire import bulk as wire_bulk
from connector.adapters.salesforce.wire import requests as wire
from connector.adapters.salesforce.wire.bulk import JobPlace
from connector.adapters.salesforce.wire.requests import Row
from connector.errors import ObjectStopped

log = logging.getLogger("connector.adapters.salesforce")

#: Rows handed on at once, so that one transaction of the mirror's is as small as one of REST's.
_PIECE = 2_000
_ROWS_MISSING = "ROWS_MISSING"


class GivenUp(Exception):
    """The job leads nowhere; its text says why."""


class BulkJob:
    """A job that reads one object. related: relationships whose fields it reads too ("Account")."""

    def __init__(self, object_name: str, *, caller: Caller, related: Collection[str] = ()) -> None:
        self._object = object_name
        self._related = sorted(set(related))
        self._caller = caller
        self._about = f"reading {object_name}"

    def begin(self, soql: str, *, all_rows: bool, total: int | None) -> JobPlace:
        """Creates the job. Raises `GivenUp` where Salesforce does not take it."""
        with _refusals():
            answer = self._caller.call(wire_bulk.create(soql, all_rows=all_rows, about=self._about))
            return JobPlace(job=wire_bulk.job_of(answer, self._about).id, total=total)

    def rest(self, place: JobPlace, *, begun: bool) -> Iterator[tuple[Sequence[Row], JobPlace]]:
        """The rows from this place on, each piece with the place behind it; the last place has `ended`. begun: just now.

        Raises `GivenUp`; `ObjectStopped` with the code ROWS_MISSING where the rows do not add up.
        """
        if place.ended:
            return
        with _refusals():
            processed = self._wait(place, begun=begun)
            types = self._types()
            while not place.ended:
                page = self._caller.ask(wire_bulk.results(place.job, place.locator, about=self._about), wire_bulk.results_of)
                for rows, behind in self._pieces(page, wire_bulk.rows(page.body, types, self._about), place):
                    place = behind
                    if place.ended and place.read != processed:
                        raise self._missing(place.read, processed, place)
                    yield rows, place

    def _types(self) -> dict[str, str]:
        """Of all fields that may be among the columns, by their names in lower case."""
        described = wire_bulk.described(self._caller.call(wire.describe(self._object)), self._about)
        types = dict(described.types)
        for relationship in self._related:
            for object_name in described.targets.get(relationship.lower(), ()):
                try:
                    target = wire_bulk.described(self._caller.call(wire.describe(object_name)), self._about)
                except ObjectStopped:
                    continue  # it is hidden from us: then none of its fields is a column
                types.update((f"{relationship.lower()}.{name}", kind) for name, kind in target.types.items())
        return types

    def end(self, place: JobPlace) -> None:
        """Deletes the job. One that is gone already is no matter, and any goes by itself after seven days."""
        try:
            self._caller.call(wire_bulk.delete(place.job, about=self._about))
        except ObjectStopped as error:
            log.info("salesforce: a bulk job was not deleted: %s", error.message)

    def _pieces(self, page: wire_bulk.Results, rows: Iterator[Row], place: JobPlace) -> Iterator[tuple[Sequence[Row], JobPlace]]:
        at = sum(1 for _ in islice(rows, place.skip))
        while True:
            piece = list(islice(rows, _PIECE))
            at += len(piece)
            place = replace(place, skip=at, read=place.read + len(piece))
            if at >= page.count or len(piece) < _PIECE:
                break
            yield piece, place
        if at != page.count or next(rows, None) is not None:
            raise self._missing(at, page.count, place)
        yield piece, self._behind(page, place)

    def _behind(self, page: wire_bulk.Results, place: JobPlace) -> JobPlace:
        if page.locator is not None and page.locator == place.locator:
            raise wire.strange(self._about)
        return replace(place, locator=page.locator or "", skip=0, ended=page.locator is None)

    def _wait(self, place: JobPlace, *, begun: bool) -> int:
        """Waits until the job is complete; the number of its rows."""
        for pause in _pauses(begun=begun):
            self._caller.sleep(pause)
            job = wire_bulk.job_of(self._caller.call(wire_bulk.look(place.job, about=self._about)), self._about)
            if job.state == "JobComplete":
                return job.processed
            if job.state in ("Failed", "Aborted"):
                self.end(place)
                raise GivenUp(f"the bulk job ended as {job.state}{': ' if job.error else ''}{job.error}")
        self._caller.call(wire_bulk.abort(place.job, about=self._about))
        raise GivenUp("the bulk job took too long")

    def _missing(self, read: int, expected: int, place: JobPlace) -> ObjectStopped:
        """The error for rows that do not add up. The job goes, so that the next pass begins anew from what is certain."""
        self.end(place)
        return ObjectStopped(
            f"salesforce sent {read} rows where it counts {expected} itself, while {self._about} by a bulk job",
            crm="salesforce",
            code=_ROWS_MISSING,
            advice="The next pass reads this object anew. If it lasts, look for a proxy that changes answers, or report this.",
        )


def _pauses(*, begun: bool) -> Iterator[float]:
    if not begun:
        yield 0.0
    waited = 0.0
    for at in range(10_000):
        pause = wire_bulk.PAUSES[min(at, len(wire_bulk.PAUSES) - 1)]
        waited += pause
        if waited > wire_bulk.LONGEST_WAIT:
            return
        yield pause


@contextmanager
def _refusals() -> Iterator[None]:
    """Whatever stops a job and nothing else: Bulk API off, an object or field that it cannot read, a job that is gone or of another
    version, its limits."""
    try:
        yield
    except ObjectStopped as error:
        if error.code == _ROWS_MISSING:
            raise
        raise GivenUp(error.message) from error
