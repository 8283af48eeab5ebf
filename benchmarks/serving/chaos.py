"""A store with two galleries in; the load test's chaos run against a local Triton and service out.

All that `loadtests chaos` knows to judge is done: a swap, Triton slow, killed and started again, the store gone.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.serving.disturbances import disturbed

EVENTS = ("swap", "triton-kill", "triton-slow", "store-gone")


def run_chaos(
    repository: Path, store: Path, photos: Path, *, swap_to: str, out: Path, events: Sequence[str] = EVENTS, users: int
) -> int:
    """The exit status of `python -m loadtests chaos`; its report is in `out`."""
    with (
        tempfile.TemporaryDirectory(prefix="shopcam-chaos-") as scratch,
        disturbed(repository, store, swap_to=swap_to, scratch=Path(scratch)) as service,
    ):
        commands = [
            part
            for name, command in service.commands.items()
            if name.split("-", maxsplit=1)[1] in events
            for part in (f"--{name}", command)
        ]
        load = ["--host", service.url, "--photos", str(photos), "--users", str(users), "--out", str(out)]
        process = subprocess.Popen([sys.executable, "-m", "loadtests", "chaos", *load, *commands])
        try:
            service.obey(lambda: process.poll() is not None)
        finally:
            process.terminate()
            status = process.wait()
    return status
