"""A running service and a folder of photos in, what Locust measured in a bounded time out.

Importing this module imports Locust, which patches the sockets of the whole process: only `__main__` does it, late.
"""

from __future__ import annotations

import time
from argparse import Namespace
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent  # type: ignore[import-untyped]
from locust.env import Environment
from locust.event import Events
from rich.progress import Progress, TextColumn, TimeRemainingColumn

from loadtests.locustfile import Shopper, load_photos
from loadtests.report import Line, Measured

STOP_S = 30


@dataclass(frozen=True)
class Load:
    """How hard and how long: users, seconds, mean think time, share of garbage, seed."""

    url: str
    photos: Path
    users: int
    seconds: float
    think_s: float
    garbage: float
    seed: int


def run(load: Load) -> Measured:
    """Let `load.users` shoppers search for `load.seconds`, then let them finish; requests in flight are counted too."""
    load_photos(str(load.photos))
    events = Events()
    statuses: Counter[str] = Counter()

    def count_status(*, response: Any = None, **_: Any) -> None:
        # 0: no answer at all, such as a refused or broken connection.
        statuses[str(getattr(response, "status_code", 0) or 0)] += 1

    events.request.add_listener(count_status)
    options = Namespace(photos=str(load.photos), think_s=load.think_s, garbage=load.garbage, seed=load.seed)
    environment = Environment(
        user_classes=[Shopper], events=events, host=load.url.rstrip("/"), stop_timeout=STOP_S, parsed_options=options
    )
    runner = environment.create_local_runner()
    cpu_s, started_s = time.process_time(), time.monotonic()
    try:
        runner.start(load.users, spawn_rate=load.users)
        _wait(load.seconds, runner)
    finally:
        runner.stop()
        took_s, cpu_s = time.monotonic() - started_s, time.process_time() - cpu_s
        runner.quit()
    lines = [_line(name, entry, took_s) for (name, _), entry in sorted(runner.stats.entries.items())]
    total = _line("all", runner.stats.total, took_s)
    return Measured(
        lines=(*lines, total),
        statuses=dict(sorted(statuses.items())),
        errors={f"{error.name}: {error.error}": error.occurrences for error in runner.stats.errors.values()},
        seconds=took_s,
        client_cpu_s=cpu_s,
    )


def _wait(seconds: float, runner: Any) -> None:
    columns = (TextColumn("{task.description}"), TimeRemainingColumn())
    started_s = time.monotonic()
    with Progress(*columns, transient=True) as bar:
        bar.disable = not bar.console.is_terminal
        task = bar.add_task("load", total=seconds)
        while (gone_s := time.monotonic() - started_s) < seconds:
            total = runner.stats.total
            words = f"{runner.user_count} shoppers, {total.num_requests} requests, {total.num_failures} errors"
            bar.update(task, completed=gone_s, description=words)
            gevent.sleep(min(0.25, seconds - gone_s))


def _line(name: str, entry: Any, took_s: float) -> Line:
    return Line(
        name=name,
        requests=entry.num_requests,
        failures=entry.num_failures,
        requests_per_s=entry.num_requests / took_s,
        p50_ms=float(entry.get_response_time_percentile(0.50) or 0),
        p95_ms=float(entry.get_response_time_percentile(0.95) or 0),
        p99_ms=float(entry.get_response_time_percentile(0.99) or 0),
    )
