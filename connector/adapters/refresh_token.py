"""A refresh token that the CRM may replace at each use: where the newer one is kept, so that the next start can log in with it.

Where the configuration names a file, the file is rewritten; else the newer token lives in memory alone, and `unkept` says so.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from connector.model import SecretReference

if sys.platform != "win32":
    import fcntl


class KeptToken:
    """The token in use. Not for threads: whoever renews holds a lock of its own."""

    def __init__(self, reference: SecretReference) -> None:
        self._reference = reference
        # Where the path is a link, what it leads to is rewritten, and the link stays.
        self._path = Path(reference.name).resolve() if reference.source == "file" else None
        self._newer: tuple[str, str] | None = None
        #: Why a newer token is lost when this process ends; "" where none is.
        self.unkept = ""

    def current(self) -> str:
        """The newest token: the one in memory, unless somebody wrote another one to where the configured one stands."""
        configured = self._reference.read()
        if self._newer is not None and self._newer[0] == configured:
            return self._newer[1]
        self._newer, self.unkept = None, ""
        return configured

    def keep(self, token: str) -> None:
        """From now on this token is current, for other processes and the next start too where it can be written."""
        configured = self._reference.read()
        if self._path is None:
            self.unkept = "it was not read from a file"
        else:
            try:
                _replace_first_line(self._path, token)
            except OSError as error:
                self.unkept = f"its file cannot be written: {error.strerror}"
            else:
                self._newer, self.unkept = None, ""
                return
        self._newer = (configured, token)

    @contextlib.contextmanager
    def renewing(self) -> Iterator[None]:
        """One process at a time where the token stands in a file whose folder can be written; a lock ends with its process."""
        with contextlib.ExitStack() as held:
            if self._path is not None and sys.platform != "win32":
                lock = self._path.with_name(f"{self._path.name}.lock")
                try:
                    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                except OSError:
                    handle = -1  # a folder that cannot be written holds no newer token either
                if handle >= 0:
                    held.callback(os.close, handle)
                    fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def _replace_first_line(path: Path, token: str) -> None:
    """The whole file or the old one, whatever happens, and for its owner alone. Its further lines stay."""
    further = path.read_bytes().split(b"\n", 1)[1:]
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made with mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(b"\n".join([token.encode(), *further]) if further else token.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
