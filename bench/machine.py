"""The machine that a bench runs on: its cores, and the memory of this process. Needs nothing but Python: others' drivers use it too."""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pin(which: int) -> None:
    """Keeps this process on one core: 0 for what is measured, 1 for the sandbox; does nothing where there is one, or no such call."""
    if hasattr(os, "sched_setaffinity") and cores() >= 2:
        os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[which]})


def peak_megabytes() -> float:
    """The most memory that this process has had. Where Linux says so, without what its parent had before it."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(each for each in status.read_text().splitlines() if each.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
