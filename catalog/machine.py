"""What this machine lets a process use, and how memory goes back to it."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable

import pyarrow as pa

M_ARENA_MAX = -8  # of glibc's malloc.h
ARENAS = 2


def usable_cores() -> int:
    """Return how many cores this process may run on; where the system does not say, all of the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def keep_little() -> None:
    """Have freed memory go back to the system; without it two swaps may leave as much behind as a third gallery takes.

    Arrow's own allocator keeps what it freed, and glibc does in each of many arenas; call it before threads are there.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    if (mallopt := _libc("mallopt")) is not None:
        mallopt(M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Hand freed memory to the system now, which Arrow and the C library keep otherwise."""
    pa.default_memory_pool().release_unused()
    if (trim := _libc("malloc_trim")) is not None:
        trim(0)


def _libc(name: str) -> Callable[..., int] | None:
    """A function of glibc's own; None with another C library."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
