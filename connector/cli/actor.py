"""Who types a command: the login, or the name given by `--as`; for the record of what people did."""

from __future__ import annotations

import getpass
import os
from typing import Annotated

import typer

from connector.model import Actor

AsName = Annotated[
    str,
    typer.Option("--as", metavar="NAME", help="Who does it, for the record; left out: the login.", show_default=False),
]


def actor_of(name: str) -> Actor:
    """Who it is. A machine that has no name for its user (a container) still tells the user's number."""
    return Actor(name.strip() or _login())


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the one or the other, by the version of Python
        return f"user {os.getuid()}" if hasattr(os, "getuid") else "somebody"
