"""Every table of the store, by one name: what the CRMs hold, what is concluded, what was planned and done, what processes share.

The fields of the file are columns of `contact` beside those declared: they are made by `connector.store.fields`, not by Alembic.
"""

from __future__ import annotations

from connector.store.tables.columns import EPOCH, Json, Moment, Table, exact, from_micros, metadata, to_micros
from connector.store.tables.contacts import Attempt, Clock, ContactRow, Evidence, Rejection, Spell, Touch
from connector.store.tables.history import ActivityVersion, DealVersion, HistoryDue, LinkChange, PropertyKnown
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
from connector.store.tables.past import Act, OwnershipRow, RuleText, RuleUse, Snapshot
from connector.store.tables.plans import StandingCount
from connector.store.tables.several import JudgingSlice

__all__ = [
    "EPOCH",
    "Act",
    "ActionValue",
    "ActivityLink",
    "ActivityRow",
    "ActivityVersion",
    "Attempt",
    "BudgetRow",
    "CampaignMemberRow",
    "CampaignRow",
    "Clock",
    "ContactRow",
    "CursorRow",
    "DealLink",
    "DealRow",
    "DealVersion",
    "Drift",
    "Evidence",
    "FieldHistory",
    "FieldRow",
    "Forgotten",
    "HistoryDue",
    "Json",
    "JudgingSlice",
    "Lease",
    "Ledger",
    "LinkChange",
    "Merged",
    "Meta",
    "Moment",
    "OwnerRow",
    "OwnershipRow",
    "Pause",
    "PlanRow",
    "Property",
    "PropertyKnown",
    "RecordEmail",
    "RecordRow",
    "RecordVersion",
    "Rejection",
    "RuleText",
    "RuleUse",
    "Run",
    "Seen",
    "SetAsideRow",
    "Snapshot",
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
