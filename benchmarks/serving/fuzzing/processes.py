"""What a service holds of the machine, from what the kernel says of its process and those that it started."""

from __future__ import annotations

from pathlib import Path

import psutil


def memory_mb(pid: int) -> float:
    """Resident memory of a process and its children, without files that they have mapped."""
    return sum(_anonymous_kb(process.pid) for process in _tree(pid)) / 1024


def descriptors(pid: int) -> int:
    """Open files and connections of a process and its children."""
    return sum(process.num_fds() for process in _tree(pid))


def is_running(pid: int) -> bool:
    """Whether a process has not ended, waited for or not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _tree(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def _anonymous_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1])
    return 0
