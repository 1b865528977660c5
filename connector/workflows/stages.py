"""[[stages]]: what each CRM calls a stage, and which stage a contact is in when the two differ.

Pure: `resolve` is the whole decision. "Changed" means: differs from what that side said at the last agreement. Writing a difference
to the other side is an action like any other (`pending_writes`); a difference found at adoption is reported, never written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from connector.config.tables import Config
from connector.model import CRMS, CrmName

#: The two stages that the words of the field hang on.
MQL = "mql"
SQL = "sql"


class StageMap:
    """The stages of the file: order, names in each CRM, values to write."""

    def __init__(self, config: Config) -> None:
        self.names = [stage.name for stage in config.stages]
        self._rank = {name: rank for rank, name in enumerate(self.names)}
        self._read: dict[CrmName, dict[str, str]] = {"hubspot": {}, "salesforce": {}}
        self._write: dict[CrmName, dict[str, str]] = {"hubspot": {}, "salesforce": {}}
        for stage in config.stages:
            sides: tuple[tuple[CrmName, tuple[str, ...], bool], ...] = (
                ("hubspot", stage.hubspot, True),
                ("salesforce", stage.salesforce.lead_status, stage.salesforce.write),
            )
            for crm, values, write in sides:
                for value in values:
                    self._read[crm].setdefault(value, stage.name)
                if values and write:
                    self._write[crm][stage.name] = values[0]

    def rank(self, name: str | None) -> int:
        """Its place, lowest 0; -1 where there is no stage."""
        return -1 if name is None else self._rank.get(name, -1)

    def name_of(self, crm: CrmName, raw: str | None) -> str | None:
        """The stage that a CRM's value means; None where it says nothing."""
        return None if not raw else self._read[crm].get(raw)

    def value_for(self, crm: CrmName, stage: str) -> str | None:
        """The value to write for a stage; None where that CRM has none or is not to be written."""
        return self._write[crm].get(stage)

    def at_least(self, name: str | None, threshold: str) -> bool:
        """Whether a stage is the threshold or beyond. A file without the threshold's stage has nothing beyond it."""
        return threshold in self._rank and self.rank(name) >= self._rank[threshold]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageClaims:
    """What both sides show now, and showed at the last agreement (names of the file; None: nothing). number 0: nothing agreed yet.

    by_default: the sides whose value is what the CRM puts on every new record: as long as nothing was agreed with them, they say nothing.
    linked: the sides whose record was not this contact's when something was agreed last. ours: the sides whose value we wrote ourselves,
    and see for the first time. at_hand: the sides that have a record.
    """

    hubspot: str | None
    salesforce: str | None
    agreed_hubspot: str | None = None
    agreed_salesforce: str | None = None
    number: int = 0
    stage: str | None = None
    differs: bool = False
    by_default: frozenset[CrmName] = frozenset()
    linked: frozenset[CrmName] = frozenset()
    ours: frozenset[CrmName] = frozenset()
    at_hand: frozenset[CrmName] = frozenset(CRMS)

    @property
    def changed(self) -> dict[CrmName, str]:
        """What differs from the last agreement, by side; a side that says nothing did not change."""
        shown: dict[CrmName, tuple[str | None, str | None]] = {
            "hubspot": (self.hubspot, self.agreed_hubspot),
            "salesforce": (self.salesforce, self.agreed_salesforce),
        }
        return {crm: value for crm, (value, agreed) in shown.items() if value is not None and value != agreed}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """The stage a contact is in. side: whose word it was, None where nothing changed."""

    stage: str | None
    agreed_hubspot: str | None
    agreed_salesforce: str | None
    number: int
    differs: bool
    side: CrmName | None


def resolve(said: StageClaims, stages: StageMap, *, adopting: bool, adopt: Literal["hubspot", "salesforce", "furthest"]) -> Resolution:
    """The stage by the words of both sides.

    adopting: the contact was there when the connector came (then `adopt` names the side to believe); else it was linked later,
    and the stage further along holds. Afterwards the side that somebody changed wins, where both did the one further along; what we
    wrote ourselves is nobody's change; a record linked later moves the contact up only.
    """
    if said.number == 0:
        return _first(said, stages, adopt if adopting else "furthest", tolerate=adopting)
    changed = said.changed
    if not changed:
        return _as_before(said)
    edited = {crm for crm in changed if crm not in said.linked | said.ours}
    joined = {crm for crm in changed if crm in said.linked and crm not in said.ours and crm not in said.by_default}
    written = [crm for crm in changed if crm in said.ours]
    if written and not edited:
        return _agree(said, changed[written[0]], written[0], differs=False)
    side = max(edited | joined, key=lambda crm: (stages.rank(changed[crm]), crm == "hubspot"), default=None)
    if side is None or (not edited and stages.rank(changed[side]) <= stages.rank(said.stage)):
        return _agree(said, said.stage, next(iter(changed)), differs=False)
    return _agree(said, changed[side], side, differs=False)


def _first(said: StageClaims, stages: StageMap, rule: str, *, tolerate: bool) -> Resolution:
    hubspot = None if "hubspot" in said.by_default else said.hubspot
    salesforce = None if "salesforce" in said.by_default else said.salesforce
    if hubspot is None and salesforce is None:
        return _as_before(said)
    side: CrmName
    if hubspot is None or salesforce is None:
        side = "salesforce" if hubspot is None else "hubspot"
    elif rule == "furthest":
        side = "hubspot" if stages.rank(hubspot) >= stages.rank(salesforce) else "salesforce"
    else:
        side = "hubspot" if rule == "hubspot" else "salesforce"
    return _agree(said, hubspot if side == "hubspot" else salesforce, side, differs=tolerate)


def _as_before(said: StageClaims) -> Resolution:
    return Resolution(
        stage=said.stage,
        agreed_hubspot=said.agreed_hubspot,
        agreed_salesforce=said.agreed_salesforce,
        number=said.number,
        differs=said.differs,
        side=None,
    )


def _agree(said: StageClaims, stage: str | None, side: CrmName, *, differs: bool) -> Resolution:
    return Resolution(
        stage=stage,
        agreed_hubspot=said.hubspot if said.hubspot is not None else said.agreed_hubspot,
        agreed_salesforce=said.salesforce if said.salesforce is not None else said.agreed_salesforce,
        number=said.number + 1,
        differs=differs and len(said.at_hand) == len(CRMS) and said.hubspot != said.salesforce,
        side=side,
    )


def writes_for(stage: str, said: Mapping[CrmName, str | None], stages: StageMap) -> dict[CrmName, str]:
    """What to write so that every CRM at hand shows a stage: CRM → value. `said` holds the CRMs that have a record of the contact.

    A CRM that shows any value of the stage, has none for it or is not to be written agrees already.
    """
    return {crm: value for crm, present in said.items() if present != stage and (value := stages.value_for(crm, stage)) is not None}
