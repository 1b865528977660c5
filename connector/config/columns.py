"""What a name that conditions read is called as a column of the contact table, and back: the one place that knows.

A computed value stands under its own name. A field stands as `f_<name>` as rules believe it, one side of it as `h_<name>` (HubSpot) or
`s_<name>` (Salesforce); text has a folded twin beside it, which conditions compare.
"""

from __future__ import annotations

from functools import cache

from connector.config.names import COMPUTED
from connector.model import CRMS, FOLDED, FieldType, folded_twin

_FIELD = "f_"
_SIDES = {f"{crm[0]}_": f"{crm}." for crm in CRMS}


def field_column(name: str) -> str:
    """The column of a field as rules believe it."""
    return f"{_FIELD}{name}"


def side_column(crm: str, name: str) -> str:
    """The column of one side's value: `hubspot.lead_status` → `h_lead_status`."""
    return f"{crm[0]}_{name}"


@cache
def column_of(name: str) -> str:
    """The column that holds what a name of conditions reads, as it came."""
    if name in COMPUTED:
        return name
    crm, dot, bare = name.partition(".")
    return side_column(crm, bare) if dot else field_column(name)


def compared_column(name: str, kind: FieldType) -> str:
    """The column that conditions compare for a name: a field's folded twin where it is text."""
    column = column_of(name)
    return folded_twin(column) if kind.textual and name not in COMPUTED else column


@cache
def name_of(column: str) -> str | None:
    """The name that conditions use for the column of a field or of a side; None for any other column, a folded twin among them."""
    prefix, name = column[:2], column[2:]
    if column.endswith(FOLDED) or not name:
        return None
    if prefix == _FIELD:
        return name
    return f"{_SIDES[prefix]}{name}" if prefix in _SIDES else None
