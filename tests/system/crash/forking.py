"""The program of a process that has imported everything and forks for each order: a fork is there at once, a new Python takes seconds.

An order is a line of JSON on standard input. Its fork waits for a line "go". Lines come back: the fork's pid, what it wrote, how it ended.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any


def serve(obey: Callable[[dict[str, Any]], None]) -> None:
    """Obeys orders, each in a fork, until standard input ends."""
    for line in iter(sys.stdin.readline, ""):
        child = os.fork()  # nothing is open yet, and no thread runs
        if child == 0:
            os.read(sys.stdin.fileno(), len("go\n"))
            obey(json.loads(line))
            return
        sys.stdout.write(json.dumps({"pid": child}) + "\n")
        sys.stdout.flush()
        _, status = os.waitpid(child, 0)
        sys.stdout.write(json.dumps({"ended": os.waitstatus_to_exitcode(status)}) + "\n")
        sys.stdout.flush()
