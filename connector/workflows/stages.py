"""[[stages]]: what each CRM calls a stage, and which stage a contact is in when the two differ.

Pure: `resolve` is the whole decision, once something was agreed (`adopt` makes the first agreement). "Changed" means: differs from what
that side said at the last agreement. Writing a difference to the other side is an action like any other (`writes_for`); a difference found
at adoption is reported, never written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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


def resolve(claims: StageClaims, stages: StageMap) -> Resolution:
    """The stage by the words of both sides, where something was agreed before.

    The side that somebody changed wins, where both did the one further along; what we wrote ourselves is nobody's change; a record linked
    later moves the contact up only.
    """
    changed = claims.changed
    if not changed:
        return as_before(claims)
    edited = {crm for crm in changed if crm not in claims.linked | claims.ours}
    joined = {crm for crm in changed if crm in claims.linked and crm not in claims.ours and crm not in claims.by_default}
    written = [crm for crm in changed if crm in claims.ours]
    if written and not edited:
        return agree_on(claims, changed[written[0]], written[0], differs=False)
    side = max(edited | joined, key=lambda crm: (stages.rank(changed[crm]), crm == "hubspot"), default=None)
    if side is None or (not edited and stages.rank(changed[side]) <= stages.rank(claims.stage)):
        return agree_on(claims, claims.stage, next(iter(changed)), differs=False)
    return agree_on(claims, changed[side], side, differs=False)


def as_before(claims: StageClaims) -> Resolution:
    """Nothing is agreed anew."""
    return Resolution(
        stage=claims.stage,
        agreed_hubspot=claims.agreed_hubspot,
        agreed_salesforce=claims.agreed_salesforce,
        number=claims.number,
        differs=claims.differs,
        side=None,
    )


def agree_on(claims: StageClaims, stage: str | None, side: CrmName, *, differs: bool) -> Resolution:
    """Both sides are taken to agree on a stage, as one of them says. differs: a difference between them stays, and is marked."""
    return Resolution(
        stage=stage,
        agreed_hubspot=claims.hubspot if claims.hubspot is not None else claims.agreed_hubspot,
        agreed_salesforce=claims.salesforce if claims.salesforce is not None else claims.agreed_salesforce,
        number=claims.number + 1,
        differs=differs and len(claims.at_hand) == len(CRMS) and claims.hubspot != claims.salesforce,
        side=side,
    )


def writes_for(stage: str, shown: Mapping[CrmName, str | None], stages: StageMap) -> dict[CrmName, str]:
    """What to write so that every CRM at hand shows a stage: CRM → value. `shown` holds the CRMs that have a record of the contact.

    A CRM that shows any value of the stage, has none for it or is not to be written agrees already.
    """
    return {crm: value for crm, present in shown.items() if present != stage and (value := stages.value_for(crm, stage)) is not None}
