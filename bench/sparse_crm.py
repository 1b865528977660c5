"""A CRM that holds in memory only the records that were read or written: for live passes over a mirror of any size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from bases import Base
from sqlalchemy import bindparam, text

from connector.adapters.client import Lane
from connector.adapters.memory.crm import MemoryCrm
from connector.model import Cursor, FieldWrite, Page, Record, TaskWrite, WriteOutcome
from connector.store.tables import from_micros

_RECORDS = text(
    "SELECT id, properties, owner_id, company_id, created_at, modified_at FROM record WHERE crm = :crm AND object = :object AND id IN :ids"
).bindparams(bindparam("ids", expanding=True))


@dataclass(kw_only=True)
class SparseCrm(MemoryCrm):
    """It holds what the mirror holds; what the connector writes comes back with the next pull, as from a real one."""

    base: Base

    def pull(self, stream: str, cursor: Cursor | None, **more: Any) -> Iterator[Page]:
        """What was written since; the mirror was filled by another hand, whose cursor says nothing here."""
        known = cursor if cursor is not None and "after" in cursor else {"after": 0, "full": False}
        return super().pull(stream, known, **more)

    def read(self, object_name: str, ids: Sequence[str], properties: Sequence[str], *, lane: Lane = "urgent") -> Mapping[str, Record]:
        """As the mirror has them, or as they were written since."""
        self._fetch(object_name, ids)
        return super().read(object_name, ids, properties, lane=lane)

    def update(self, object_name: str, writes: Sequence[FieldWrite]) -> list[WriteOutcome]:
        """Writes them."""
        self._fetch(object_name, [write.record.id for write in writes])
        return super().update(object_name, writes)

    def create_tasks(self, writes: Sequence[TaskWrite]) -> list[WriteOutcome]:
        """Creates them."""
        for name in {write.record.object for write in writes}:
            self._fetch(name, [write.record.id for write in writes if write.record.object == name])
        return super().create_tasks(writes)

    def _fetch(self, object_name: str, ids: Sequence[str]) -> None:
        held = self._stored.setdefault(object_name, {})
        missing = [record_id for record_id in ids if record_id not in held]
        if not missing:
            return
        with self.base.connected() as connection:
            for row in connection.execute(_RECORDS, {"crm": self.name, "object": object_name, "ids": missing}):
                record = Record(
                    crm=self.name,
                    object=object_name,
                    id=row.id,
                    properties=orjson.loads(row.properties),
                    created_at=None if row.created_at is None else from_micros(row.created_at),
                    modified_at=None if row.modified_at is None else from_micros(row.modified_at),
                    owner_id=row.owner_id,
                    company_id=row.company_id,
                )
                held[row.id] = (0, record)
