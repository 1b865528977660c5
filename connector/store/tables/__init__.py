"""Every table of the store, by one name: what the CRMs hold, what is concluded, what was planned and done, what processes share.

The fields of the file are columns of `contact` beside those declared: they are made by `connector.store.fields`, not by Alembic.
"""

from __future__ import annotations

from connector.store.tables.columns import EPOCH, Json, Moment, Table, exact, from_micros, metadata, to_micros
from connector.store.tables.contacts import Attempt, Clock, ContactRow, Evidence, Rejection, Spell, Touch
from connector.store.tables.ledger import ActionValue, BudgetRow, FieldRow, Lease, Ledger, Meta, Pause, PlanRow, Run, Turn
from connector.store.tables.mirror import (
    ActivityLink,
    ActivityRow,
    CampaignMemberRow,
    CampaignRow,
    CursorRow,
    DealLink,
    DealRow,
    Drift,
    FieldHistory,
    Forgotten,
    Merged,
    OwnerRow,
    Property,
    RecordEmail,
    RecordRow,
    RecordVersion,
    Seen,
    SetAsideRow,
)
from connector.store.tables.plans import StandingCount

__all__ = [
    "EPOCH",
    "ActionValue",
    "ActivityLink",
    "ActivityRow",
    "Attempt",
    "BudgetRow",
    "CampaignMemberRow",
    "CampaignRow",
    "Clock",
    "ContactRow",
    "CursorRow",
    "DealLink",
    "DealRow",
    "Drift",
    "Evidence",
    "FieldHistory",
    "FieldRow",
    "Forgotten",
    "Json",
    "Lease",
    "Ledger",
    "Merged",
    "Meta",
    "Moment",
    "OwnerRow",
    "Pause",
    "PlanRow",
    "Property",
    "RecordEmail",
    "RecordRow",
    "RecordVersion",
    "Rejection",
    "Run",
    "Seen",
    "SetAsideRow",
    "Spell",
    "StandingCount",
    "Table",
    "Touch",
    "Turn",
    "exact",
    "from_micros",
    "metadata",
    "to_micros",
]
