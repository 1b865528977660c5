"""Records that cannot be read: told to the mirror, so that one of them stops no page."""

from __future__ import annotations

from connector.model import CrmName, RecordRef, SetAside


class Unreadable(ValueError):
    """A record lacks what every one of its object has, or holds what cannot be read. Its text names properties, never their values."""


def set_aside(crm: CrmName, object_name: str, record_id: str, *, reason: str, next_step: str) -> SetAside:
    """What to say of a record that could not be read. next_step: what a person can do."""
    return SetAside(record=RecordRef(crm=crm, object=object_name, id=record_id), reason=reason, next_step=next_step)
