"""Processes of this container: started so that none outlives this one, and ended so that none is left."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
SWEEP_S = 5.0
POLL_S = 0.02
# The kernel kills what we started when we are killed; setpriv is part of util-linux, which every base image has.
BOUND = ("setpriv", "--pdeathsig", "KILL", "--")


def adopt_orphans() -> None:
    """Become the parent of grandchildren whose own parent ends, as the first process of a container is anyway."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def start(command: Sequence[str], environment: Mapping[str, str], *, folder: Path) -> subprocess.Popen[bytes]:
    """Start a command as leader of a process group of its own; it writes where this process writes."""
    return subprocess.Popen(
        [*BOUND, *command], env=dict(environment), cwd=folder, stdin=subprocess.DEVNULL, start_new_session=True
    )


def end_group(process: subprocess.Popen[bytes], *, grace_s: float) -> None:
    """End a process and its group: SIGTERM to the process, which knows its own; SIGKILL to all of them when late."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(grace_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def reap_orphans(ours: set[int]) -> None:
    """Put away processes that ended and were left to us; those of `ours` are left to who started them."""
    for pid in set(_children()) - ours:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def sweep() -> list[int]:
    """Kill every process that is still below this one; returns their ids."""
    swept: list[int] = []
    deadline_s = time.monotonic() + SWEEP_S
    while (children := _children()) and time.monotonic() < deadline_s:
        for pid in children:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, os.WNOHANG)
        swept += [pid for pid in children if pid not in swept]
        time.sleep(POLL_S)
    return swept


def ending(process: subprocess.Popen[bytes]) -> str:
    """How a process ended, in words."""
    status = process.returncode
    if status is None:
        return "still running"
    return f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def _children() -> list[int]:
    """Children of this process, in every thread of it."""
    found = []
    for path in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += [int(pid) for pid in path.read_text().split()]
    return found
