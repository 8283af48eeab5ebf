"""Datapoints of a metric in, how many replicas there should be out: target tracking and the alarm that wakes.

What AWS says (docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html and
.../step-scaling-policy-overview.html), and what is taken for granted where it says less:

- Out: with the last `datapoints_out` datapoints above the target, at once to ceil(replicas x last datapoint / target),
  then not again before the cooldown has passed since those replicas were ready.
- In: with all datapoints of `minutes_in` below `share_in` x target, one replica a step, and only if the largest load
  of those minutes fits the replicas that are left; so the last one goes when nothing at all was asked. A cooldown
  lies between two steps. AWS says "conservative" and no more; this is the slow reading, which costs more.
- While replicas start, nothing changes where the policy is serial.
- The step policy adds its replicas when its alarm rings; its cooldown, too, begins when they are ready.
"""

from __future__ import annotations

import math
from collections import deque

from infra.simulator.assumptions import Tracking
from infra.simulator.policy import Policy

ROUNDING = 1e-9  # 3 replicas x 8 / 8 is 3


class Scaler:
    """The state of one policy's alarms and cooldowns."""

    def __init__(self, policy: Policy, tracking: Tracking) -> None:
        self._policy = policy
        self._out = tracking.datapoints_out.value
        self._below = tracking.share_in.value * policy.target
        # Datapoints: the metric a replica, and the load of all together.
        self._values: deque[tuple[float, float]] = deque(
            maxlen=max(self._out, round(60 * tracking.minutes_in.value / policy.period_s))
        )
        self._rung: deque[float] = deque(maxlen=policy.wake_up.periods if policy.wake_up else 1)
        self._not_out_before_s = -math.inf
        self._not_in_before_s = -math.inf
        self._not_awake_before_s = -math.inf

    def tracked(self, at_s: float, *, value: float, ready: int, starting: int) -> int:
        """How many replicas there should be after a datapoint of the metric; with none ready there is none."""
        wanted = ready + starting
        if ready == 0:
            self._values.clear()
            return wanted
        self._values.append((value, value * ready))
        if self._policy.serial and starting:
            return wanted
        if self._rises(at_s):
            asked = math.ceil(ready * value / self._policy.target - ROUNDING)
            return max(wanted, min(self._policy.most, asked))
        if self._falls(at_s) and not starting and self._fits(ready - 1):
            self._not_in_before_s = at_s + self._policy.in_cooldown_s
            return ready - 1
        return wanted

    def asked_in_vain(self, at_s: float, *, value: float, ready: int, starting: int) -> int:
        """How many replicas there should be after a datapoint of the alarm that wakes."""
        wake_up, wanted = self._policy.wake_up, ready + starting
        if wake_up is None:
            return wanted
        self._rung.append(value)
        rings = len(self._rung) == wake_up.periods and min(self._rung) >= wake_up.threshold
        if not rings or at_s < self._not_awake_before_s or (self._policy.serial and starting):
            return wanted
        return min(self._policy.most, wanted + wake_up.adds)

    def started(self, at_s: float) -> None:
        """Replicas that were asked for are ready: the pause before the next ones begins."""
        self._not_out_before_s = at_s + self._policy.out_cooldown_s
        if self._policy.wake_up is not None:
            self._not_awake_before_s = at_s + self._policy.wake_up.cooldown_s

    def _rises(self, at_s: float) -> bool:
        last = list(self._values)[-self._out :]
        full = len(last) == self._out
        return full and at_s >= self._not_out_before_s and all(value > self._policy.target for value, _ in last)

    def _fits(self, replicas: int) -> bool:
        load = max(load for _, load in self._values)
        return replicas >= max(self._policy.least, load / self._policy.target - ROUNDING)

    def _falls(self, at_s: float) -> bool:
        full = len(self._values) == self._values.maxlen
        return full and at_s >= self._not_in_before_s and all(value < self._below for value, _ in self._values)
