"""Forks of one program (`killed_pull`, `killed_pass`), killed there or from here; and how many requests each sent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any

from connector.sandbox.serve import Sandbox
from tests import ROOT
from tests.system.support import credentials


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended. told: its last line: what it met and did, or the statement that it was killed at. calls: requests it sent."""

    killed: bool
    told: str
    calls: int

    @property
    def result(self) -> dict[str, Any]:
        result: dict[str, Any] = json.loads(self.told)
        return result


class Processes:
    """Starts forks of a program, and kills those that do not kill themselves. box: the sandbox whose requests are counted."""

    def __init__(self, program: str, told: IO[str], box: Sandbox | None = None) -> None:
        self._box, self._errors = box, told
        credentials()
        command = [sys.executable, "-m", f"tests.system.crash.{program}"]
        self._parent = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=told, text=True)
        self._kill_at: int | None = None
        self._pid = -1
        for frame in () if box is None else (box.hubspot_faults, box.salesforce_faults):
            frame.before_call.append(lambda _: self._look())

    def close(self) -> None:
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.close()
        self._parent.wait(timeout=60)
        self._parent.stdout.close()

    @property
    def calls(self) -> int:
        return 0 if self._box is None else sum(self._box.calls().values())

    def _look(self) -> None:
        if self._kill_at is not None and self.calls >= self._kill_at:
            self._kill()

    def _kill(self) -> None:
        self._kill_at = None
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pid, signal.SIGKILL)

    def run(self, order: dict[str, Any], *, requests: int | None = None, seconds: float | None = None) -> Ended:
        """One process to its end. requests, seconds: when it is killed from here."""
        before = self.calls
        self._send(json.dumps(order))
        self._pid = os.pidfd_open(json.loads(self._line())["pid"])
        timer = None if seconds is None else threading.Timer(seconds, self._kill)
        self._kill_at = None if requests is None else before + requests
        try:
            self._send("go")
            if timer is not None:
                timer.start()
            lines = []
            while not (line := self._line()).startswith('{"ended"'):
                lines.append(line)
        finally:
            self._kill_at = None
            if timer is not None:
                timer.cancel()
                timer.join()
            os.close(self._pid)
        status = json.loads(line)["ended"]
        assert status in (0, -signal.SIGKILL), f"the process ended with {status}: see {self._errors.name}"
        return Ended(status != 0, lines[-1].strip() if lines else "", self.calls - before)

    def _send(self, line: str) -> None:
        assert self._parent.stdin is not None
        self._parent.stdin.write(f"{line}\n")
        self._parent.stdin.flush()

    def _line(self) -> str:
        assert self._parent.stdout is not None
        line = self._parent.stdout.readline()
        assert line, f"the process that starts others is gone: see {self._errors.name}"
        return line
