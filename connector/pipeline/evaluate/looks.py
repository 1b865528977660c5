"""What attempts of a slice look like when they begin and end, taken while the slice's answers are at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Table, select

from connector.config.tables import Config
from connector.pipeline.evaluate.cases import Decision
from connector.store import snapshots
from connector.store.among import among


@dataclass(frozen=True, slots=True)
class Looks:
    """Takes the snapshots of a slice. answers: its scratch table; points: its columns that hold each score rule's points, if known."""

    config: Config
    now: datetime
    answers: Table
    points: Sequence[str]

    def keep_decided(self, connection: Connection, decisions: Sequence[Decision]) -> None:
        """Keeps the values on which steps were decided that begin an attempt."""
        begins = [decision.begins for decision in decisions if decision.begins is not None]
        if begins:
            snapshots.keep_decided(connection, begins, self._look(connection, [beginning.contact_id for beginning in begins]))

    def freeze(self, connection: Connection, contacts: Sequence[int]) -> None:
        """Attempts that began or ended are kept as they look now."""
        missing = snapshots.due(connection, contacts)
        if missing:
            snapshots.take(connection, missing, self._look(connection, [row.contact_id for row in missing]))

    def _look(self, connection: Connection, contacts: Sequence[int]) -> snapshots.Look:
        points: dict[int, Mapping[str, float]] = {}
        if self.points:
            ids, columns = [rule.id for rule in self.config.score], [self.answers.c[name] for name in self.points]
            for contact, *given in connection.execute(select(self.answers.c.id, *columns).where(among(self.answers.c.id, contacts))):
                points[contact] = dict(zip(ids, given, strict=True))
        return snapshots.Look(now=self.now, config_version=self.config.version, points=points)
