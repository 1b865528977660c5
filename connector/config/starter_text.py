"""How the starter file is written: TOML texts, lists, tables and comments, and names made of what people write. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence


def toml_text(text: str) -> str:
    """A TOML basic string: JSON's escapes are among TOML's, but for DEL, which TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_list(texts: Sequence[str]) -> str:
    """A TOML array of texts, on one line."""
    return f"[{', '.join(toml_text(text) for text in texts)}]"


def condition_text(text: str) -> str:
    """A text as conditions write it, in single quotes."""
    return "'" + text.replace("'", "''") + "'"


def one_line(text: str) -> str:
    """A text within a comment: on one line, without control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def toml_table(head: str, *lines: str) -> str:
    """A table: its head, its lines, and an empty line."""
    return "\n".join([head, *lines]) + "\n"


def toml_comment(*lines: str, rule: bool = False) -> str:
    """Lines as comments. rule: the first one is a heading."""
    said = [f"# {line}" for line in lines]
    return "\n".join([f"# ── {lines[0]}", ""] if rule else [*said, ""])


def slug(text: str) -> str:
    """A text as a name: small letters and digits, joined by hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def free_name(name: str, taken: Sequence[str]) -> str:
    """The name, with a number where it is taken."""
    number = 2
    free = name
    while free in taken:
        free, number = f"{name}-{number}", number + 1
    return free
