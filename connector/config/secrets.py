"""Secrets by reference: "env:NAME" or "file:PATH". Their values are read when needed, and shown by nothing here.

`resolve_address` does the same for addresses, which are no secrets but differ from one installation to the next.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from connector.errors import ConfigError, Problem

_REFERENCE = re.compile(r"^(env|file):(.+)$")
_VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")

#: What a secret looks like in the file, for messages.
SHAPE = '"env:NAME" for an environment variable, or "file:PATH" for the first line of a file'


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret stands. source: "env" or "file"; name: the variable, or the path (as it stands, from the working directory)."""

    source: Literal["env", "file"]
    name: str

    @classmethod
    def parse(cls, text: str) -> Secret:
        """The secret that a text refers to. Raises ValueError where it is no reference, without the text: it might be the secret itself."""
        match = _REFERENCE.match(text)
        if match is None:
            raise ValueError(SHAPE)
        if match[1] == "file":
            return cls("file", match[2])
        if not _VARIABLE.match(match[2]):
            raise ValueError('after "env:" the name of an environment variable: letters, digits and _')
        return cls("env", match[2])

    def read(self) -> str:
        """The value: of the variable, or the file's first line. Raises ConfigError, naming the variable or file, where there is none."""
        if self.source == "env":
            return self._value()
        return self._value().splitlines()[0].strip()

    def read_all(self) -> str:
        """Like `read`, but the whole file: for keys that have several lines (a private key in PEM)."""
        return self._value()

    def _value(self) -> str:
        value = os.environ.get(self.name, "").strip() if self.source == "env" else self._file()
        if not value:
            raise self._missing("the environment variable is not set" if self.source == "env" else "the file is empty")
        return value

    def _file(self) -> str:
        try:
            return Path(self.name).read_text(encoding="utf-8").strip()
        except UnicodeDecodeError:
            raise self._missing("the file is no UTF-8 text") from None
        except OSError as error:
            raise self._missing(f"the file cannot be read: {error.strerror}") from error

    def _missing(self, found: str) -> ConfigError:
        expected = f"set {self.name}" if self.source == "env" else "a file that this process may read, with the secret in its first line"
        return ConfigError([Problem(path=str(self), found=found, expected=expected)])

    def __str__(self) -> str:
        return f"{self.source}:{self.name}"

    def __repr__(self) -> str:
        return f"Secret({str(self)!r})"


def resolve_address(text: str) -> str:
    """An address as it stands, or read from where "env:NAME" or "file:PATH" say. Raises ConfigError as `Secret.read` does."""
    if not text.startswith(("env:", "file:")):
        return text
    return Secret.parse(text).read()
