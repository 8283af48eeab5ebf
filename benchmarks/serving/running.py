"""A model repository and a store in; a local Triton and service on free ports, and what they take, out."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from benchmarks.galleries.measured import anonymous_bytes
from bento.server import serving
from bento.settings import Settings
from export.local_triton import LocalTriton

ALL_WAIT_MS = 60_000.0  # 16 clients are more than two cores answer within the service's own limit; here none is refused
DRAIN_S = 1.0  # requests left in Triton's queue slow the next cell
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Running:
    """A Triton and a service on this machine, for the length of a benchmark."""

    triton_url: str
    service_url: str
    triton_pid: int
    service_pid: int

    def cpu_s(self) -> tuple[float, float]:
        """CPU seconds so far of Triton's and the service's process trees."""
        return _tree_cpu_s(self.triton_pid), _tree_cpu_s(self.service_pid)

    def service_bytes(self) -> int:
        """Resident memory of the service's process tree that is not backed by a file."""
        return sum(anonymous_bytes(Path(f"/proc/{process.pid}/status")) for process in tree(self.service_pid))

    def service_descriptors(self) -> int:
        """Open file descriptors of the service's process tree."""
        return sum(int(process.num_fds()) for process in tree(self.service_pid))


@contextmanager
def running(repository: Path, store: Path, *, log_folder: Path, **settings: Any) -> Iterator[Running]:
    """Start Triton and the service (with `settings` of its own) on free ports and stop both at the end."""
    with LocalTriton(repository, log_file=log_folder / "triton.log") as triton:
        given = Settings(store=str(store), triton_url=triton.grpc_url, **settings)
        with serving(given, host="127.0.0.1", port=free_port(), log_folder=log_folder) as service:
            yield Running(triton.grpc_url, service.url, triton.pid, service.process.pid)


def free_port() -> int:
    """Return a port of this machine that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tree(pid: int) -> list[psutil.Process]:
    """Return a process and all that it started."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def web_server() -> str:
    """Name what uvicorn runs on here: uvloop and httptools are quicker, and taken wherever they are installed."""
    return f"{'uvloop' if find_spec('uvloop') else 'asyncio'} and {'httptools' if find_spec('httptools') else 'h11'}"


def _tree_cpu_s(pid: int) -> float:
    times = [process.cpu_times() for process in tree(pid)]
    return float(sum(each.user + each.system for each in times))
