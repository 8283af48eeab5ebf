"""Arrivals, a policy, a replica and what starts take in; the whole day out, request by request.

The day goes from event to event: every ten seconds, when alarms look at their metrics, and whenever a replica becomes
ready. Between two events the number of replicas stands, so all requests of that time are worked out at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infra.simulator.assumptions import Tracking
from infra.simulator.fleet import Fleet, Starts, Step
from infra.simulator.measured import Replica
from infra.simulator.policy import Metric, Policy, Routing
from infra.simulator.queues import BacklogQueue, RandomQueues, SharedQueue, lognormal
from infra.simulator.scaling import Scaler
from infra.simulator.traffic import DAY_S, Arrivals, Times

TICK_S = 10


@dataclass(frozen=True)
class Awakening:
    """From the first request that found nobody until a replica answered, in seconds since midnight."""

    asked_s: float
    ready_s: float

    @property
    def took_s(self) -> float:
        """How long somebody had to wait."""
        return self.ready_s - self.asked_s


@dataclass(frozen=True)
class Day:
    """What became of every request [N]: its latency in seconds, NaN where it was not answered.

    `refused` came while replicas were too busy (429), `failed` while there was none; what an asynchronous endpoint had
    not answered at midnight is `waiting`.
    """

    arrivals: Arrivals
    latency_s: Times
    refused: NDArray[np.bool_]
    failed: NDArray[np.bool_]
    waiting: NDArray[np.bool_]
    replica_hours: float
    steps: tuple[Step, ...]
    awakenings: tuple[Awakening, ...]

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Which requests were answered, [N]."""
        return ~np.isnan(self.latency_s)


def simulate(
    arrivals: Arrivals,
    policy: Policy,
    replica: Replica,
    starts: Starts,
    tracking: Tracking,
    *,
    generator: np.random.Generator,
    end_s: int = DAY_S,
    replicas: int | None = None,
) -> Day:
    """Replay a day, or its beginning until `end_s`, from `replicas` on; from the fewest unless they are given."""
    run = _Run(arrivals, policy, replica, generator)
    fleet = Fleet(starts, replicas=policy.least if replicas is None else replicas)
    scaler = Scaler(policy, tracking)
    run.resize(0.0, fleet.ready)
    at_s = 0.0
    for tick_s in range(TICK_S, end_s + 1, TICK_S):
        while fleet.next_ready_s is not None and fleet.next_ready_s <= tick_s:
            ready_s = fleet.next_ready_s
            run.serve(at_s, ready_s, fleet.ready)
            fleet.arrive(ready_s)
            scaler.started(ready_s)
            run.resize(ready_s, fleet.ready)
            at_s = ready_s
        run.serve(at_s, float(tick_s), fleet.ready)
        at_s = float(tick_s)
        before = fleet.ready
        _scale(at_s, run, fleet, scaler, policy)
        if fleet.ready != before:
            run.resize(at_s, fleet.ready)
    return run.day(fleet.hours(end_s), fleet.steps)


def _scale(at_s: float, run: _Run, fleet: Fleet, scaler: Scaler, policy: Policy) -> None:
    """Show the alarms whose datapoint is complete what they look at, and do as they say."""
    wake_up = policy.wake_up
    if at_s % policy.period_s == 0:
        value = run.metric(at_s, policy, fleet.ready)
        wanted = scaler.tracked(at_s, value=value, ready=fleet.ready, starting=fleet.starting)
        fleet.order(at_s, wanted)
    if wake_up is not None and at_s % wake_up.period_s == 0:
        value = run.in_vain(at_s, wake_up.period_s, fleet.ready)
        wanted = scaler.asked_in_vain(at_s, value=value, ready=fleet.ready, starting=fleet.starting)
        fleet.order(at_s, wanted)


class _Run:
    """Requests and what has become of them so far."""

    def __init__(self, arrivals: Arrivals, policy: Policy, replica: Replica, generator: np.random.Generator) -> None:
        count = len(arrivals.times_s)
        self._arrivals = arrivals
        self._arrived_s = arrivals.times_s
        self._replica = replica
        self._work_s = lognormal(count, mean=replica.work_s, spread=replica.spread, generator=generator)
        self._latency_s = np.full(count, np.nan)
        self._refused = np.zeros(count, dtype=bool)
        self._failed = np.zeros(count, dtype=bool)
        self._backlog = BacklogQueue() if policy.routing is Routing.QUEUE else None
        self._queue: SharedQueue | RandomQueues = (
            RandomQueues(replica.max_wait_s, generator=generator)
            if policy.routing is Routing.RANDOM
            else SharedQueue(replica.max_wait_s)
        )
        self._seen = 0  # requests that have arrived
        self._begun = 0  # of an asynchronous endpoint: those that do not wait any more
        self._busy_s = np.zeros(DAY_S // TICK_S + 3)  # request-seconds in progress within each tick
        self._asked_s: float | None = None
        self._awakenings: list[Awakening] = []

    def resize(self, at_s: float, ready: int) -> None:
        """From now on so many replicas answer."""
        (self._backlog or self._queue).resize(at_s, ready)
        if ready and self._asked_s is not None:
            self._awakenings.append(Awakening(self._asked_s, at_s))
            self._asked_s = None

    def serve(self, from_s: float, to_s: float, ready: int) -> None:
        """Work out what becomes of the requests that come before `to_s`."""
        first, last = self._seen, int(np.searchsorted(self._arrived_s, to_s))
        self._seen = last
        if not ready and last > first and self._asked_s is None:
            self._asked_s = float(self._arrived_s[first])
        if self._backlog is not None:
            self._work_off(to_s)
        elif not ready:
            self._failed[first:last] = True
        elif last > first:
            arrived_s = self._arrived_s[first:last]
            begun_s = self._queue.begin(arrived_s, self._work_s[first:last])
            left_s = begun_s + self._work_s[first:last] + self._replica.delay_s
            self._latency_s[first:last] = left_s - arrived_s
            self._refused[first:last] = np.isnan(begun_s)
            self._count_progress(from_s, arrived_s, left_s)

    def metric(self, at_s: float, policy: Policy, ready: int) -> float:
        """What tracking looks at, for each replica that is ready; 0 with none."""
        if not ready:
            return 0.0
        ticks = slice(round((at_s - policy.period_s) / TICK_S), round(at_s / TICK_S))
        match policy.metric:
            case Metric.CONCURRENCY:
                total = float(self._busy_s[ticks].sum()) / policy.period_s
            case Metric.BACKLOG:
                total = float(self._seen - self._begun)
            case Metric.REQUESTS:
                total = float(self._seen - np.searchsorted(self._arrived_s, at_s - policy.period_s))
        return total / ready

    def in_vain(self, at_s: float, period_s: int, ready: int) -> float:
        """What the alarm that wakes looks at: requests that failed in its period, or whether some wait for nobody."""
        if self._backlog is not None:
            return float(not ready and self._seen > self._begun)
        first = int(np.searchsorted(self._arrived_s, at_s - period_s))
        return float(self._failed[first : self._seen].sum())

    def day(self, replica_hours: float, steps: list[Step]) -> Day:
        """The day as it was."""
        waiting = np.isnan(self._latency_s) & ~self._refused & ~self._failed
        return Day(
            self._arrivals, self._latency_s, self._refused, self._failed, waiting,
            replica_hours, tuple(steps), tuple(self._awakenings),
        )  # fmt: skip

    def _work_off(self, until_s: float) -> None:
        waiting = slice(self._begun, self._seen)
        if self._backlog is None or self._begun == self._seen:
            return
        begun_s = self._backlog.begin(self._arrived_s[waiting], self._work_s[waiting], until_s=until_s)
        done = slice(self._begun, self._begun + len(begun_s))
        self._latency_s[done] = begun_s + self._work_s[done] + self._replica.delay_s - self._arrived_s[done]
        self._begun = done.stop

    def _count_progress(self, from_s: float, arrived_s: Times, left_s: Times) -> None:
        """Add request-seconds to the tick that `from_s` lies in, and what reaches over its end to the next one."""
        tick = int(from_s // TICK_S)
        end_s = (tick + 1) * TICK_S
        inside_s = np.minimum(left_s, end_s)
        self._busy_s[tick] += np.nansum(inside_s - arrived_s)
        self._busy_s[tick + 1] += np.nansum(left_s - inside_s)
