"""Whether texts still stand anywhere in the database's files, in whatever case their ASCII letters are: read from end to end, in pieces.

Many addresses at once are looked for around each @ of the file, so that the time does not grow with how many they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

_PIECE = 1 << 22
#: Up to so many texts each is looked for by itself.
_FEW = 40
#: Bytes on both sides of an @ by which candidates are found.
_BEFORE, _BEHIND = 2, 3


def still_there(files: Iterable[Path], texts: Iterable[str]) -> bool:
    """Whether one of the texts stands in one of the files. Of many texts only those with an @ are looked for."""
    needles = sorted({text.encode("utf-8", "surrogatepass").lower() for text in texts if text})
    if not needles:
        return False
    overlap = max(map(len, needles)) - 1
    look = _each if len(needles) <= _FEW else _around
    index = _index(needles)
    return any(look(piece, needles, index) for file in files for piece in _pieces(file, overlap))


def _pieces(file: Path, overlap: int) -> Iterator[bytes]:
    with file.open("rb") as opened:
        kept = b""
        while piece := opened.read(_PIECE):
            whole = kept + piece.lower()
            yield whole
            kept = whole[-overlap:] if overlap else b""


def _each(piece: bytes, needles: list[bytes], _: dict[bytes, list[bytes]]) -> bool:
    return any(needle in piece for needle in needles)


def _index(needles: Iterable[bytes]) -> dict[bytes, list[bytes]]:
    """Addresses by what stands around their @."""
    index: dict[bytes, list[bytes]] = {}
    for needle in needles:
        at = needle.find(b"@")
        if at >= _BEFORE and at + _BEHIND <= len(needle):
            index.setdefault(needle[at - _BEFORE : at + _BEHIND], []).append(needle)
        elif at >= 0:
            index.setdefault(b"", []).append(needle)  # too short for the index
    return index


def _around(piece: bytes, _: list[bytes], index: dict[bytes, list[bytes]]) -> bool:
    at = piece.find(b"@")
    while at >= 0:
        for needle in index.get(piece[at - _BEFORE : at + _BEHIND], ()) if at >= _BEFORE else ():
            start = at - needle.find(b"@")
            if start >= 0 and piece.startswith(needle, start):
                return True
        at = piece.find(b"@", at + 1)
    return _each(piece, index.get(b"", []), index)
