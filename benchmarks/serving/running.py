"""A model repository and a store in; a local Triton and service on free ports, and what they take, out."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

from benchmarks.galleries.measured import anonymous_bytes
from bento.server import serving
from bento.settings import Settings
from catalog.machine import usable_cores
from export.local_triton import LocalTriton

ALL_WAIT_MS = 60_000.0  # 16 clients are more than two cores answer within the service's own limit; here none is refused
DRAIN_S = 1.0  # requests left in Triton's queue slow the next cell
CORES = usable_cores()


@dataclass(frozen=True)
class Running:
    """A Triton and a service on this machine, for the length of a benchmark; `triton_url` is "" where there is none."""

    triton_url: str
    service_url: str
    triton_pid: int | None
    service_pid: int

    def cpu_s(self) -> tuple[float, float]:
        """CPU seconds so far of Triton's and the service's process trees."""
        return 0.0 if self.triton_pid is None else _tree_cpu_s(self.triton_pid), _tree_cpu_s(self.service_pid)

    def service_bytes(self) -> int:
        """Resident memory of the service's process tree that is not backed by a file."""
        return sum(anonymous_bytes(Path(f"/proc/{process.pid}/status")) for process in tree(self.service_pid))

    def service_descriptors(self) -> int:
        """Open file descriptors of the service's process tree."""
        return sum(int(process.num_fds()) for process in tree(self.service_pid))


@contextmanager
def running(
    repository: Path, store: Path, *, log_folder: Path, in_process: bool = False, **settings: Any
) -> Iterator[Running]:
    """Start Triton and the service (with `settings` of its own) on free ports and stop both at the end.

    With `in_process` there is no Triton: the service runs the networks itself.
    """
    with ExitStack() as stack:
        triton = None
        if in_process:
            given = Settings(store=str(store), in_process=True, repository=repository, **settings)
        else:
            triton = stack.enter_context(LocalTriton(repository, log_file=log_folder / "triton.log"))
            given = Settings(store=str(store), triton_url=triton.grpc_url, **settings)
        service = stack.enter_context(serving(given, host="127.0.0.1", port=free_port(), log_folder=log_folder))
        url, pid = ("", None) if triton is None else (triton.grpc_url, triton.pid)
        yield Running(url, service.url, pid, service.process.pid)


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
