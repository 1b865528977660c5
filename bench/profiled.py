"""A profile of all threads of a process: the processor time of functions, and of the modules that own them."""

from __future__ import annotations

import cProfile
import pstats
import threading
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

_TOP = 25


class Profiler:
    """Profiles every thread that begins inside the `with` block, by processor time of the thread."""

    def __init__(self) -> None:
        self._profiles: list[cProfile.Profile] = []

    def __enter__(self) -> Self:
        """Begins."""
        threading.setprofile(self._begin)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Ends."""
        threading.setprofile(None)

    def _begin(self, _frame: FrameType, _event: str, _argument: Any) -> None:
        """Called once a thread: the profile takes the place of this function there."""
        profile = cProfile.Profile(time.thread_time)
        self._profiles.append(profile)
        profile.enable()

    def report(self) -> dict[str, Any]:
        """Modules and functions with the most seconds of their own."""
        stats: Any = pstats.Stats(*self._profiles)
        modules: defaultdict[str, float] = defaultdict(float)
        functions = []
        for (file, line, name), (_, calls, own, whole, _) in stats.stats.items():
            module = _module(file, name)
            modules[module] += own
            functions.append({"function": f"{module}:{line} {name}", "calls": calls, "own": own, "whole": whole})
        return {
            "modules": dict(sorted(modules.items(), key=lambda each: -each[1])[:_TOP]),
            "functions": sorted(functions, key=lambda each: -float(each["own"]))[:_TOP],
        }


def _module(file: str, name: str) -> str:
    path = Path(file)
    if file == "~":
        return f"built in: {name}"
    for mark in ("site-packages", "python3"):
        at = next((place for place, part in enumerate(path.parts) if part.startswith(mark)), None)
        if at is not None and (mark != "python3" or "site-packages" not in path.parts):
            return "/".join(path.parts[at + 1 :])
    return "/".join(path.parts[-3:])


def text(report: dict[str, Any]) -> str:
    """The report in lines."""
    lines = ["Processor time by module (seconds, under the profiler):"]
    lines += [f"  {seconds:7.2f}  {module}" for module, seconds in report["modules"].items()]
    lines.append("Functions by their own time (own, whole, calls):")
    lines += [f"  {one['own']:7.2f} {one['whole']:8.2f} {one['calls']:9,}  {one['function']}" for one in report["functions"]]
    return "\n".join(lines)
