"""HubSpot's details of an account: what an address of the user interface and the end of its day need."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from connector.adapters.client import Answer
from connector.adapters.hubspot.wire.records import decode


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountDetails:
    """portal: the account's number; host: of its user interface, which differs by region; zone: None where it is not told or not known."""

    portal: str
    host: str
    zone: ZoneInfo | None


def read_account(answer: Answer) -> AccountDetails:
    """https://developers.hubspot.com/docs/api-reference/account-account-info-v3/guide. Raises `Retriable` where it is no JSON."""
    body = decode(answer)
    return AccountDetails(
        portal=str(body.get("portalId")), host=str(body.get("uiDomain") or "app.hubspot.com"), zone=_zone(str(body.get("timeZone") or ""))
    )


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # no name of a zone, or one that this machine's tables do not have
        return None
