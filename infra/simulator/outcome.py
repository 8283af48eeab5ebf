"""A simulated day in, its figures out; and what the same day costs in other ways: always on, or paid by the second.

Money is US dollars a day, for replicas alone: `python -m infra plan` knows the rest of the bill.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from infra.simulator.assumptions import Serverless, Tracking
from infra.simulator.day import Day, simulate
from infra.simulator.fleet import Starts
from infra.simulator.measured import Replica
from infra.simulator.policy import Policy, Routing
from infra.simulator.traffic import DAY_S, Arrivals

P95_LIMIT_MS = 300.0
PEAK_S = 600
MINUTE_S = 60
HOURS = 24.0


@dataclass(frozen=True)
class Figures:
    """A day in numbers. Percentiles are of answered requests, NaN without any.

    `refused_diurnal` leaves the spike out.
    """

    requests: int
    answered: int
    refused: int
    refused_diurnal: int
    failed: int
    waiting: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    most_replicas: int
    replica_hours: float
    awakenings: int
    median_awakening_s: float
    longest_awakening_s: float


def figures_of(day: Day) -> Figures:
    """Count and measure."""
    answered = day.latency_s[day.answered]
    p50, p95, p99 = 1e3 * np.percentile(answered, (50, 95, 99)) if len(answered) else (math.nan,) * 3
    took_s = [awakening.took_s for awakening in day.awakenings]
    return Figures(
        requests=len(day.latency_s),
        answered=len(answered),
        refused=int(day.refused.sum()),
        refused_diurnal=int((day.refused & day.arrivals.outside_spike()).sum()),
        failed=int(day.failed.sum()),
        waiting=int(day.waiting.sum()),
        p50_ms=float(p50),
        p95_ms=float(p95),
        p99_ms=float(p99),
        most_replicas=max(step.ready for step in day.steps),
        replica_hours=day.replica_hours,
        awakenings=len(took_s),
        median_awakening_s=float(np.median(took_s)) if took_s else 0.0,
        longest_awakening_s=max(took_s, default=0.0),
    )


def fixed_fleet(
    arrivals: Arrivals,
    policy: Policy,
    replica: Replica,
    tracking: Tracking,
    *,
    generator: np.random.Generator,
) -> int:
    """The smallest fleet of one size that gets through the busiest ten minutes: nobody refused, p95 within 300 ms."""
    begin_s, end_s = arrivals.busiest(PEAK_S)
    inside = arrivals.times_s[(arrivals.times_s >= begin_s) & (arrivals.times_s < end_s)] - begin_s
    if not len(inside):
        return 1
    peak = Arrivals(inside)
    routing = Routing.LEAST_OUTSTANDING if policy.routing is Routing.QUEUE else policy.routing
    replicas = max(1, math.floor(len(inside) / PEAK_S / replica.capacity_per_s))
    while True:
        always = replace(policy, least=replicas, most=replicas, routing=routing, wake_up=None)
        day = simulate(peak, always, replica, Starts(0, 0, 0), tracking, generator=generator, end_s=PEAK_S)
        found = figures_of(day)
        if not found.refused and found.p95_ms <= P95_LIMIT_MS:
            return replicas
        replicas += 1


def without_spike(arrivals: Arrivals) -> Arrivals:
    """The same day, if nobody had asked during its spike."""
    return Arrivals(arrivals.times_s[arrivals.outside_spike()])


def serverless_usd(arrivals: Arrivals, replica: Replica, price: Serverless, *, utilization: float) -> float:
    """A day's price at somebody who bills seconds of work, without minimum, transfer, or a wait for cold starts.

    `request`: each request's own time. `worker`: as many GPUs each minute as carry its requests at `utilization`; in a
    minute with few requests, only the time that they and `idle_s` after each of them cover.
    """
    if price.kind == "request":
        return len(arrivals.times_s) * replica.work_s * price.usd_per_s
    counts, _ = np.histogram(arrivals.times_s, bins=DAY_S // MINUTE_S, range=(0, DAY_S))
    workers = np.ceil(counts / (MINUTE_S * replica.capacity_per_s * utilization))
    shared_s = MINUTE_S * workers[workers > 1].sum()
    alone = arrivals.times_s[workers[(arrivals.times_s // MINUTE_S).astype(int)] == 1]
    return float((shared_s + _covered_s(alone, replica.work_s + replica.delay_s + price.idle_s)) * price.usd_per_s)


def _covered_s(begun_s: np.ndarray, length_s: float) -> float:
    """How long at least one of the intervals lasts that begin at these times and have this length."""
    if not len(begun_s):
        return 0.0
    return float(np.minimum(np.diff(begun_s), length_s).sum() + length_s)
