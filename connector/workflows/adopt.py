"""[adopt]: what is made of the things that were there before the first live pass. Pure.

Nothing is agreed with a contact at first. What was there when the connector came is taken as the file says, and a difference between the
CRMs is reported, never written; what is linked later is in the stage further along.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from connector.config.tables import Adopt
from connector.model import CrmName
from connector.workflows.stages import Resolution, StageClaims, StageMap, agree_on, as_before, resolve


def agreed_stage(claims: StageClaims, stages: StageMap, rule: Adopt, *, adopting: bool) -> Resolution:
    """The stage of a contact: by the first agreement, where nothing was agreed yet; else by what changed since the last one.

    adopting: the contact was there when the connector came (then [adopt] names the side to believe); else it was linked later.
    """
    if claims.number > 0:
        return resolve(claims, stages)
    return first_agreement(claims, stages, rule.stage if adopting else "furthest", differs=adopting)


def first_agreement(
    claims: StageClaims, stages: StageMap, believed: Literal["hubspot", "salesforce", "furthest"], *, differs: bool
) -> Resolution:
    """What both sides are taken to agree on. differs: a difference is marked and stays, instead of being written."""
    hubspot = None if "hubspot" in claims.by_default else claims.hubspot
    salesforce = None if "salesforce" in claims.by_default else claims.salesforce
    if hubspot is None and salesforce is None:
        return as_before(claims)
    side: CrmName
    if hubspot is None or salesforce is None:
        side = "salesforce" if hubspot is None else "hubspot"
    elif believed == "furthest":
        side = "hubspot" if stages.rank(hubspot) >= stages.rank(salesforce) else "salesforce"
    else:
        side = believed
    return agree_on(claims, hubspot if side == "hubspot" else salesforce, side, differs=differs)


def clocks_from(rule: Adopt, first_pass: datetime) -> datetime:
    """From when on attempts count: as the file says, else the first pass in this mode. What began before is found."""
    return first_pass if rule.clocks_from is None else rule.clocks_from
