"""How this process uses memory: the C library's heaps, and Python's search for cycles."""

from __future__ import annotations

import ctypes
import gc
import sys

#: mallopt(3)'s names for them, and what they are set to: how many heaps, and from how many bytes a block is given back at once.
_M_ARENA_MAX, _ARENAS = -8, 2
_M_MMAP_THRESHOLD, _OWN_BLOCK = -3, 128 * 1024
#: After how many new objects Python looks for cycles among the youngest; its own 700 is for programs that do not read pages of thousands.
_YOUNG_OBJECTS = 50_000


def use_memory_well() -> None:
    """For a process that reads pages in a dozen threads at once; to be called once, when the command's modules are imported.

    Each thread's heap would keep the memory of its largest page, and glibc would learn from the first large body to keep those that follow;
    Python would look for cycles every 700 objects, among all that was imported. Where there is no glibc, the first two do not apply.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, _ARENAS)
        mallopt(_M_MMAP_THRESHOLD, _OWN_BLOCK)
    gc.freeze()  # what is imported until now is never looked through for cycles
    gc.set_threshold(_YOUNG_OBJECTS, 10, 10)
