"""Core-milliseconds a request of service and Triton, beyond what decoding and the networks take by themselves.

A round is a load on the service, around which the CPU times of the process trees of Triton and of the service are read,
and the same photos decoded and put through ONNX Runtime in one process, whose own CPU time is read. All of it counts
user and system time of every thread, so waiting is free and work in the background is not.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import Row, Target
from benchmarks.serving.clients import Target as Load
from benchmarks.serving.clients import measure
from benchmarks.serving.running import DRAIN_S, Running
from benchmarks.serving.throughput import CEILING, Cell, load_of

SERVICE = Cell(Load.SERVICE, 4)
MOST_BEYOND_MS = 6.0


@dataclass(frozen=True)
class CoreTime:
    """Core-milliseconds a photo in one round; `alone` is decode + networks without a server."""

    triton_ms: float
    service_ms: float
    alone_ms: float
    photos_per_s: float
    p50_ms: float

    @property
    def beyond_ms(self) -> float:
        """What serving adds."""
        return self.triton_ms + self.service_ms - self.alone_ms


def core_times(run: Running, *, repository: Path, photos: Path, rounds: int, seconds: float) -> list[CoreTime]:
    """Measure so many rounds."""
    found = []
    for _ in range(rounds):
        before = run.cpu_s()
        served = measure(load_of(SERVICE, run, repository=repository, photos=photos, seconds=seconds))
        time.sleep(DRAIN_S)  # what was asked last is still worked on
        triton_s, service_s = (after - earlier for after, earlier in zip(run.cpu_s(), before, strict=True))
        alone = measure(load_of(CEILING, run, repository=repository, photos=photos, seconds=seconds))
        answered = max(served.answered, 1)
        found.append(
            CoreTime(
                1e3 * triton_s / answered,
                1e3 * service_s / answered,
                1e3 * alone.client_cpu_s / max(alone.answered, 1),
                served.photos_per_s,
                served.p50_ms,
            )
        )
    return found


def core_time_rows(found: Sequence[CoreTime], *, networks: str) -> list[Row]:
    """The median of each part of service and Triton, and of what is beyond."""
    unit = "core-ms/request"
    return [
        Row(f"{networks}: Triton", _median(found, "triton_ms"), unit),
        Row(f"{networks}: service", _median(found, "service_ms"), unit, note=_rate(found)),
        Row(f"{networks}: decode and networks alone", _median(found, "alone_ms"), unit),
        beyond_row(found, networks=networks, served="service and Triton"),
    ]


def beyond_row(found: Sequence[CoreTime], *, networks: str, served: str) -> Row:
    """The median of what is beyond; `served` says by what."""
    beyond = [one.beyond_ms for one in found]
    return Row(
        f"{networks}: {served} beyond decode and networks",
        statistics.median(beyond),
        "core-ms/request",
        Target("<=", MOST_BEYOND_MS),
        f"rounds {min(beyond):.1f} to {max(beyond):.1f}; {_rate(found)}",
    )


def _rate(found: Sequence[CoreTime]) -> str:
    rate, p50_ms = _median(found, "photos_per_s"), _median(found, "p50_ms")
    return f"{rate:.0f} photos/s at {SERVICE.clients} clients, p50 {p50_ms:.1f} ms"


def _median(found: Sequence[CoreTime], name: str) -> float:
    return float(statistics.median(getattr(one, name) for one in found))
