"""Every table of a contact can be laid out by contact over several machines: its keys begin with the contact."""

from __future__ import annotations

from sqlalchemy import Table, UniqueConstraint

from connector.store.tables import metadata

#: Tables with the contact among their columns that are not a contact's, and why.
EXCEPTIONS = {
    "record": "a record of a CRM is known by its own key before anybody knows whose it is, and goes from one contact to another",
    "activity_link": "it belongs to the record that the CRM linked, and follows it",
}


def keys(table: Table) -> dict[str, list[str]]:
    """The columns of the primary key and of each unique index and constraint, in their order."""
    found = {"the primary key": [column.name for column in table.primary_key]}
    found |= {str(index.name): [column.name for column in index.columns] for index in table.indexes if index.unique}
    unique = [constraint for constraint in table.constraints if isinstance(constraint, UniqueConstraint)]
    return found | {str(constraint.name): [column.name for column in constraint.columns] for constraint in unique}


def test_the_keys_of_every_table_of_a_contact_begin_with_the_contact() -> None:
    of_contacts = [table for table in metadata.sorted_tables if "contact_id" in table.c and table.name not in EXCEPTIONS]
    assert {"ledger", "action_value", "touch", "clock"} <= {table.name for table in of_contacts}
    others = {f"{table.name}: {name}": columns for table in of_contacts for name, columns in keys(table).items()}
    assert {name: columns for name, columns in others.items() if columns[0] != "contact_id"} == {}


def test_the_exceptions_are_needed() -> None:
    assert all("contact_id" in metadata.tables[name].c for name in EXCEPTIONS)
    assert all("contact_id" not in keys(metadata.tables[name])["the primary key"] for name in EXCEPTIONS)
