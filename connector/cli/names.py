"""Contacts by name, for tables on a terminal: names and addresses never go anywhere else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import select

from connector.config.tables import Config
from connector.store import fields
from connector.store.bulk import chunks
from connector.store.database import Store
from connector.store.tables import metadata
from connector.workflows.fields import columns_needed

_OWNER = metadata.tables["owner"]
_NAMED = ("first_name", "last_name", "email", "company")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """How a contact is named. Empty where the mirror knows nothing."""

    name: str = ""
    email: str = ""
    company: str = ""

    def __str__(self) -> str:
        return self.name or self.email or "–"

    @property
    def label(self) -> str:
        """Name and company."""
        return f"{self}, {self.company}" if self.company else str(self)


def people(store: Store, config: Config, contacts: Collection[int]) -> Mapping[int, Person]:
    """These contacts, by id; those that the mirror does not have are left out."""
    stored = fields.stored_fields(store)
    table = fields.contact_table([column for column in columns_needed(config) if column in stored])
    present = [name for name in _NAMED if f"f_{name}" in table.c]
    named: dict[int, Person] = {}
    with store.read() as connection:
        for part in chunks(sorted(set(contacts))):
            query = select(table.c.id, *(table.c[f"f_{name}"].label(name) for name in present)).where(table.c.id.in_(part))
            for row in connection.execute(query).mappings():
                name = " ".join(str(row[key]) for key in ("first_name", "last_name") if row.get(key))
                named[row["id"]] = Person(name=name, email=row.get("email") or "", company=row.get("company") or "")
    return named


def owner_names(store: Store, owners: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], str]:
    """Names of owners by CRM and id, their addresses where they have none; those that the CRMs do not list are left out."""
    ids = sorted({number for _, number in owners})
    with store.read() as connection:
        rows = [row for part in chunks(ids) for row in connection.execute(select(_OWNER).where(_OWNER.c.id.in_(part)))]
    return {(row.crm, row.id): row.name or row.email or row.id for row in rows if (row.crm, row.id) in owners}
