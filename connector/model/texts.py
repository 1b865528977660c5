"""How texts and ids are told apart."""

from __future__ import annotations

import unicodedata
from typing import Any

_SHORT_ID = 15
_SUFFIXES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def fold(text: str) -> str:
    """The form in which texts are compared and e-mail addresses are told apart: neither case nor an accent's encoding matters.

    Folding twice is folding once, and canonically equivalent texts fold alike (Unicode's canonical caseless matching, in NFC).
    """
    if text.isascii():
        return text.lower()
    # Decomposed before: some letters fold otherwise than their parts (the Greek iota below). No character needs a second round.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", text).casefold())


#: What the name of a text's folded twin ends with.
FOLDED = "_folded"


def folded_twin(column: str) -> str:
    """The column of the folded text beside a column of `contact`: what conditions compare."""
    return f"{column}{FOLDED}"


def long_id(text: str) -> str:
    """The 18-character form of a Salesforce id: three letters more, each for five characters, with a bit for each capital among them
    (https://help.salesforce.com/s/articleView?id=000385008&type=1). What has not 15 characters stays as it is."""
    if len(text) != _SHORT_ID:
        return text
    parts = (text[start : start + 5] for start in range(0, _SHORT_ID, 5))
    return text + "".join(_SUFFIXES[sum(1 << at for at, letter in enumerate(part) if "A" <= letter <= "Z")] for part in parts)


def whole_id(value: Any) -> str | None:
    """An id as people and integrations store it, as the CRMs have it; None where nothing is stored.

    Salesforce's ids of 15 characters, told apart by case, get their three that tell it; a number field's 123.0 is HubSpot's 123, and
    HubSpot's ids, which are numbers, do not begin with 0 as those of Salesforce's people do.
    """
    if value is None or isinstance(value, bool):
        return None
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
    number = text.isdigit() and not text.startswith("0")
    return (text if number or not (text.isascii() and text.isalnum()) else long_id(text)) or None
