"""Days small enough to follow: one policy, one kind of replica, and the times at which somebody asks."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from infra.simulator.assumptions import read_assumptions
from infra.simulator.day import Day, simulate
from infra.simulator.fleet import Starts
from infra.simulator.measured import Replica
from infra.simulator.policy import Metric, Policy, Routing, WakeUp
from infra.simulator.traffic import DAY_S, Arrivals, poisson

ASSUMED = read_assumptions()
TRACKING = ASSUMED.tracking
STARTS = Starts(notice_s=10, instance_s=300, container_s=7.5)
REPLICA = Replica(work_s=0.1, spread=0.0, delay_s=0.05, max_wait_s=math.inf)
POLICY = Policy(
    kind="realtime",
    metric=Metric.CONCURRENCY,
    period_s=10,
    target=2.0,
    out_cooldown_s=60,
    in_cooldown_s=300,
    least=1,
    most=8,
    routing=Routing.LEAST_OUTSTANDING,
    serial=True,
    wake_up=None,
)
WAKE_UP = WakeUp(period_s=30, periods=1, threshold=1, adds=1, cooldown_s=60)
TO_ZERO = dataclasses.replace(POLICY, kind="component", least=0, wake_up=WAKE_UP)


def day_of(
    times_s: list[float] | np.ndarray,
    policy: Policy = POLICY,
    replica: Replica = REPLICA,
    *,
    end_s: int = DAY_S,
    seed: int = 0,
) -> Day:
    arrivals = Arrivals(np.asarray(times_s, dtype=float))
    return simulate(arrivals, policy, replica, STARTS, TRACKING, generator=np.random.default_rng(seed), end_s=end_s)


def steady(rate_per_s: float, *, seconds: int, seed: int = 7) -> np.ndarray:
    return poisson(np.full(seconds, rate_per_s), generator=np.random.default_rng(seed))


def fixed(replicas: int, routing: Routing = Routing.LEAST_OUTSTANDING) -> Policy:
    return dataclasses.replace(POLICY, least=replicas, most=replicas, routing=routing)
