"""Who does something to the connector, and what: the words under which the store keeps acts of people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Way = Literal["command", "console"]


class Deed(StrEnum):
    """What a person did."""

    APPLIED = "applied"  # said that a file is meant
    APPROVED = "approved"  # freed what was held
    DROPPED = "dropped"  # refused it for good
    PAUSED = "paused"
    RESUMED = "resumed"
    WAIVED = "waived"  # a clock
    UNDID = "undid"  # a run
    DECIDED = "decided"  # in a review
    SIGNED = "signed"  # a review
    LOOKED = "looked"  # at a contact


@dataclass(frozen=True, slots=True)
class Actor:
    """Who it is: the login, or the name that he gave; and which way he came."""

    name: str
    way: Way = "command"


#: Where nobody said who he is: a part of the program that is used by itself.
UNNAMED = Actor("")
