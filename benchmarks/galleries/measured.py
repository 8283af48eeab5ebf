"""What a process takes while something runs in, peaks out: anonymous memory, seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STATUS = Path("/proc/self/status")
EVERY_S = 0.05


@dataclass
class Taken:
    """Filled when the block ends: wall time, and the most anonymous memory (mapped files are not counted)."""

    seconds: float = 0.0
    peak_bytes: int = 0


def anonymous_bytes(status: Path = STATUS) -> int:
    """Return the resident memory of a process that is not backed by a file (Linux)."""
    for line in status.read_text().splitlines():
        if line.startswith("RssAnon:"):
            return 1024 * int(line.split()[1])
    raise OSError(f"{status} does not tell RssAnon")


@contextmanager
def taken() -> Iterator[Taken]:
    """Measure what runs inside; a thread looks at the memory twenty times a second."""
    result = Taken(peak_bytes=anonymous_bytes())
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(EVERY_S):
            result.peak_bytes = max(result.peak_bytes, anonymous_bytes())

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    started = time.perf_counter()
    try:
        yield result
    finally:
        result.seconds = time.perf_counter() - started
        ended.set()
        watcher.join()
        result.peak_bytes = max(result.peak_bytes, anonymous_bytes())
