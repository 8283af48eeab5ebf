"""A command in, the same command watched: it and its children end with the process that asked for it, come what may.

Run as a script, with nothing but the standard library: `python -S supervisor.py --grace-s 10 --shm-prefix P --scratch
DIR -- COMMAND`. Its standard input is a pipe that only the parent holds open: end of file means that the parent is
gone, even by SIGKILL. The command's pid goes to standard output as one line. On the way out the command's process group
is stopped (SIGTERM, then SIGKILL), orphans of it are ended, its shared memory and its scratch folder are removed; the
exit status is the command's.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
POLL_S = 0.2
ORPHANS_S = 5.0


def main(arguments: list[str]) -> int:
    """Run the command until it ends or the parent does."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--grace-s", type=float, required=True)
    parser.add_argument("--shm-prefix", required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    parent = os.getppid()
    stop = False

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        nonlocal stop
        stop = True

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    # Grandchildren whose own parent dies become ours, so that none is out of reach.
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        child = subprocess.Popen(
            options.command,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            start_new_session=True,
            # Only matters when this process itself is killed; its one thread lives as long as it does.
            preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0),  # noqa: PLW1509  # no other thread here
        )
        sys.stdout.write(f"{child.pid}\n")
        sys.stdout.flush()
        while not stop and child.poll() is None and not _parent_gone(parent):
            pass  # `_parent_gone` waits
        _stop(child, grace_s=options.grace_s)
    finally:
        for region in Path("/dev/shm").glob(f"{options.shm_prefix}*"):  # noqa: S108  # where Triton puts its regions
            region.unlink(missing_ok=True)
        shutil.rmtree(options.scratch, ignore_errors=True)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _parent_gone(parent: int) -> bool:
    """Wait a moment for the pipe's end; a fork of the parent may hold it open, hence the look at the parent's pid."""
    ready, _, _ = select.select([sys.stdin], [], [], POLL_S)
    return bool(ready) or os.getppid() != parent


def _stop(child: subprocess.Popen[bytes], *, grace_s: float) -> None:
    """End the command, and kill whatever of its process group is left."""
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(grace_s)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    deadline_s = time.monotonic() + ORPHANS_S
    while _has_children() and time.monotonic() < deadline_s:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        time.sleep(0.02)


def _has_children() -> bool:
    """Tell whether a process is left whose parent is this one; those that ended are put away."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
