"""A switch in a process: it counts the instructions of each kind that go by, and kills the process (SIGKILL) at the one it was set to."""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from threading import Lock


class KillSwitch:
    """Goes off at a place, (phase, where), after so many have gone by there; never where count is None.

    met: how often each place was met.
    """

    def __init__(self, phase: str, where: str, count: int | None) -> None:
        self.place, self.count = (phase, where), count
        self.met: Counter[tuple[str, str]] = Counter()
        self._lock = Lock()

    def passes(self, phase: str, where: str, told: str = "") -> None:
        """An instruction at this place. told: what goes to stdout if it is the last one."""
        with self._lock:
            self.met[phase, where] += 1
            if (phase, where) == self.place and self.count is not None and self.met[phase, where] > self.count:
                sys.stdout.write(f"{told}\n" if told else "")
                sys.stdout.flush()
                os.kill(os.getpid(), signal.SIGKILL)
