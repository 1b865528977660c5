"""An access token that threads share: one thread fetches a new one, those who ask meanwhile take what it got, also its refusal."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock


class SharedToken:
    """The token in use; None before the first."""

    def __init__(self) -> None:
        self.value: str | None = None
        self._lock = Lock()
        self._fetches = 0
        self._failure: Exception | None = None

    def other_than(self, refused: str | None, fetch: Callable[[], str]) -> str:
        """A token other than the refused one, of `fetch` where there is none yet. Raises what `fetch` raised, in this thread or another."""
        fetches_before = self._fetches
        with self._lock:
            if self.value is not None and self.value != refused:
                return self.value
            if self._fetches != fetches_before and self._failure is not None:
                raise self._failure
            self._failure = None
            try:
                self.value = fetch()
            except Exception as error:
                self._failure = error
                raise
            finally:
                self._fetches += 1  # now, so that whoever asked while it went on takes what came of it
            return self.value
