"""What happens to requests in; Prometheus histograms and counters out. All request metrics live here."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Histogram

BUCKETS_S = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.0, 4.0, 8.0)

STAGE_S = Histogram("shopcam_stage_seconds", "Seconds spent in each stage of a search", ["stage"], buckets=BUCKETS_S)
ANSWERS = Counter("shopcam_answers_total", "Answers by route and error code (ok: success)", ["route", "code"])


class Stages:
    """Milliseconds of each stage of one request; the same numbers feed the answer and the histogram."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self.ms: dict[str, float] = {"decode": 0.0, "models": 0.0, "fuse": 0.0, "search": 0.0}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what runs inside."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            took_s = time.perf_counter() - begun
            self.ms[name] += took_s * 1e3
            STAGE_S.labels(name).observe(took_s)

    def total(self) -> dict[str, float]:
        """All stages and the total, rounded to a microsecond."""
        took_s = time.perf_counter() - self._start
        STAGE_S.labels("total").observe(took_s)
        return {name: round(value, 3) for name, value in {**self.ms, "total": took_s * 1e3}.items()}
