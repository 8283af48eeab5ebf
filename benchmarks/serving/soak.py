"""An hour's soak, compressed: ten minutes at 0.8 of the capacity; does memory grow, are descriptors left behind?

Memory is what the service's processes hold that is not backed by a file (RssAnon): mapped galleries come and go with
the kernel's mood. It is read every second; its slope is that of the least-squares line after a warm-up minute, in which
caches fill. Descriptors are counted at rest, after a first load and after the last one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import numpy as np

from benchmarks.results import Row, Target
from benchmarks.serving.open_loop import OpenLoop, OpenReport, offer
from benchmarks.serving.overload import FULL, capacity
from benchmarks.serving.running import Running

EVERY_S = 1.0
WARM_S = 60.0
WARM_SHARE = 0.25  # of a short soak
REST_S = 15.0  # at most; a server keeps idle connections for some seconds
MOST_MB_PER_MINUTE = 1.0
MB = 1e6


@dataclass(frozen=True)
class Soak:
    """Memory as (seconds, bytes) since the load began; descriptors at rest before and after."""

    memory: Sequence[tuple[float, int]]
    descriptors: tuple[int, int]
    warm_s: float
    load: OpenReport


def slope_mb_per_minute(memory: Sequence[tuple[float, int]], *, warm_s: float) -> float:
    """Return the slope of the least-squares line through what came after the warm-up; nan for fewer than two points."""
    times_s, held_bytes = np.array([one for one in memory if one[0] >= warm_s], np.float64).reshape(-1, 2).T
    if len(times_s) < 2:
        return float("nan")
    return float(np.polyfit(times_s / 60, held_bytes / MB, 1)[0])


def soak(run: Running, *, repository: Path, photos: Path, seconds: float, minutes: float) -> Soak:
    """Measure the capacity for `seconds`, then load the service at 0.8 of it for so many minutes."""
    rate = FULL * capacity(run, repository=repository, photos=photos, seconds=seconds).photos_per_s
    warm_s = min(WARM_S, WARM_SHARE * 60 * minutes)
    rest_s = min(REST_S, 60 * minutes)
    before = _at_rest(run.service_descriptors, rest_s=rest_s)
    with _watched(run.service_bytes) as memory:
        load = offer(OpenLoop(run.service_url, str(photos), rate, 60 * minutes))
    after = _at_rest(run.service_descriptors, rest_s=rest_s, enough=before)
    return Soak(tuple(memory), (before, after), warm_s, load)


def _at_rest(count: Callable[[], int], *, rest_s: float, enough: int = 0) -> int:
    """Return the least that is counted until it is `enough` or the rest is over."""
    end_s = time.monotonic() + rest_s
    least = count()
    while least > enough and time.monotonic() < end_s:
        time.sleep(EVERY_S)
        least = min(least, count())
    return least


@contextmanager
def _watched(look: Callable[[], int]) -> Iterator[list[tuple[float, int]]]:
    """Call `look` every second inside the block; give seconds since its begin and what was returned."""
    seen: list[tuple[float, int]] = []
    over, begun_s = threading.Event(), time.monotonic()

    def watch() -> None:
        while not over.wait(EVERY_S):
            seen.append((time.monotonic() - begun_s, look()))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


def soak_rows(found: Soak, *, networks: str) -> list[Row]:
    """The slope, and the descriptors that were left behind."""
    before, after = found.descriptors
    first, last = (found.memory[k][1] / MB if found.memory else float("nan") for k in (0, -1))
    seconds = found.memory[-1][0] if found.memory else 0.0
    of = f"{networks}: soak at {FULL:g} load"
    return [
        Row(
            f"{of}: memory slope",
            slope_mb_per_minute(found.memory, warm_s=found.warm_s),
            "MB/minute",
            Target("<=", MOST_MB_PER_MINUTE),
            f"{seconds / 60:.1f} minutes at {found.load.goodput:.1f} photos/s, the first {found.warm_s:.0f} s left "
            f"out; {first:.0f} MB at the begin, {last:.0f} at the end",
        ),
        Row(f"{of}: descriptors left behind", after - before, "", Target("<=", 0), f"{before} before, {after} after"),
        Row(
            f"{of}: answers that are not 200",
            found.load.count(HTTPStatus.OK),
            "",
            Target("<=", 0),
            f"of {found.load.sent:,}",
        ),
    ]
