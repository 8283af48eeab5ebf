"""Twice the load that the service can carry: does it go on answering as many as before, soon, and refuse the rest?

The capacity is photos a second of 4 clients in a closed loop, measured before and after; then photos arrive at 0.8
and at 2 times that rate, each for as long, whatever becomes of the answers (`open_loop`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from benchmarks.results import Row, Target
from benchmarks.serving.clients import LoadReport, measure
from benchmarks.serving.open_loop import OpenLoop, OpenReport, offer
from benchmarks.serving.running import DRAIN_S, Running
from benchmarks.serving.throughput import SERVICE, load_of

FULL = 0.8
OVER = 2.0
WARM_SHARE = 0.1
LEAST_GOODPUT = 0.9
MOST_P99 = 2.0


@dataclass(frozen=True)
class Overload:
    """The closed loops before and after, and the open ones between."""

    before: LoadReport
    after: LoadReport
    full: OpenReport
    over: OpenReport

    @property
    def capacity(self) -> float:
        """The most photos a second that were seen to be answered."""
        return max(self.before.photos_per_s, self.after.photos_per_s, self.full.goodput)


def capacity(run: Running, *, repository: Path, photos: Path, seconds: float) -> LoadReport:
    """Load the service with as many clients in a closed loop as it takes without refusing one."""
    report = measure(load_of(SERVICE[1], run, repository=repository, photos=photos, seconds=seconds))
    time.sleep(DRAIN_S)
    return report


def overload(run: Running, *, repository: Path, photos: Path, seconds: float, open_seconds: float) -> Overload:
    """Measure the capacity for `seconds` on each side, and both open loops for `open_seconds` each."""
    before = capacity(run, repository=repository, photos=photos, seconds=seconds)
    reports = []
    for share in (FULL, OVER):
        rate = share * before.photos_per_s
        reports.append(
            offer(OpenLoop(run.service_url, str(photos), rate, open_seconds, warm_s=WARM_SHARE * open_seconds))
        )
        time.sleep(DRAIN_S)
    after = capacity(run, repository=repository, photos=photos, seconds=seconds)
    return Overload(before, after, *reports)


def overload_rows(found: Overload, *, networks: str) -> list[Row]:
    """Goodput, tail and refusals at twice the capacity; nothing but 200 at 0.8 of it."""
    full, over = found.full, found.over
    of = f"{networks}: load of {OVER:g} times the capacity"
    before, after = found.before.photos_per_s, found.after.photos_per_s
    closed = f"{SERVICE[1].clients} clients before {before:.1f}, after {after:.1f} photos/s"
    return [
        Row(f"{networks}: capacity", found.capacity, "photos/s", note=f"{closed}, at {FULL:g} load {full.goodput:.1f}"),
        Row(
            f"{of}: goodput over capacity",
            over.goodput / found.capacity if found.capacity else float("nan"),
            "",
            Target(">=", LEAST_GOODPUT),
            f"{over.goodput:.1f} photos/s of {over.sent:,} sent, {_told(over)}",
        ),
        Row(
            f"{of}: p99 of accepted over p99 at {FULL:g} load",
            over.accepted_p99_ms / full.accepted_p99_ms,
            "",
            Target("<=", MOST_P99),
            f"{over.accepted_p99_ms:.0f} over {full.accepted_p99_ms:.0f} ms; p50 {over.accepted_p50_ms:.0f} and "
            f"{full.accepted_p50_ms:.0f} ms; at {FULL:g} load {_told(full)}",
        ),
        Row(
            f"{of}: answers that are neither 200 nor 429",
            over.count(HTTPStatus.OK, HTTPStatus.TOO_MANY_REQUESTS),
            "",
            Target("<=", 0),
            _counts(over),
        ),
        Row(
            f"{networks}: load of {FULL:g} times the capacity: answers that are not 200",
            full.count(HTTPStatus.OK),
            "",
            Target("<=", 0),
            _counts(full),
        ),
    ]


def _told(report: OpenReport) -> str:
    return f"client {report.client_cpu:.2f} CPU s/s, sent {1e3 * report.late_s:.0f} ms late at most"


def _counts(report: OpenReport) -> str:
    named = (f"{number:,} x {'no answer' if status == '0' else status}" for status, number in report.statuses.items())
    return ", ".join(named)
