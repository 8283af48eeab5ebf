"""What this machine lets a process use."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """Return how many cores this process may run on; where the system does not say, all of the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
