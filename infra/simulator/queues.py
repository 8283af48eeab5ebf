"""Requests and the replicas there are in, when each begins to be worked on out; between two events of a day.

A request passes alone through the bottleneck of its replica, in the order of arrival. Three ways of finding a replica:

- at random, so that each replica is a queue of its own (M/G/1);
- where the fewest are outstanding: the replicas together are taken as one that is as many times as fast. Requests wait
  longer for it than in one queue before all replicas (M/G/c), which is what the fewest outstanding come close to;
- out of the queue of an asynchronous endpoint, which refuses nothing and waits for replicas.

A request that would wait longer than `max_wait_s` is refused. Times are seconds since midnight.
"""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from infra.simulator.traffic import Times

NEVER = math.inf


class Queue(Protocol):
    """What is before the replicas."""

    def resize(self, at_s: float, replicas: int) -> None:
        """From now on there are so many replicas."""

    def begin(self, arrived_s: Times, work_s: Times) -> Times:
        """When each request [n] begins; NaN for one that is refused."""


class SharedQueue:
    """All replicas as one."""

    def __init__(self, max_wait_s: float = NEVER) -> None:
        self._max_wait_s = max_wait_s
        self._replicas = 0
        self._free_s = 0.0

    def resize(self, at_s: float, replicas: int) -> None:
        """What waits is worked off by those that there are now."""
        if replicas and self._replicas:
            left_s = max(0.0, self._free_s - at_s)
            self._free_s = at_s + left_s * self._replicas / replicas
        self._replicas = replicas

    def begin(self, arrived_s: Times, work_s: Times) -> Times:
        """When each request begins; NaN for one that is refused."""
        begun_s, self._free_s = begin_in_turn(
            arrived_s, work_s / self._replicas, free_s=self._free_s, max_wait_s=self._max_wait_s
        )
        return begun_s


class RandomQueues:
    """A queue before each replica, chosen at random."""

    def __init__(self, max_wait_s: float, *, generator: np.random.Generator) -> None:
        self._max_wait_s = max_wait_s
        self._generator = generator
        self._free_s: list[float] = []

    def resize(self, at_s: float, replicas: int) -> None:
        """A replica that goes finishes what it has; the youngest goes first."""
        self._free_s = self._free_s[:replicas] + [at_s] * (replicas - len(self._free_s))

    def begin(self, arrived_s: Times, work_s: Times) -> Times:
        """When each request begins; NaN for one that is refused."""
        begun_s = np.empty(len(arrived_s))
        chosen = self._generator.integers(len(self._free_s), size=len(arrived_s))
        for number, free_s in enumerate(self._free_s):
            mine = np.flatnonzero(chosen == number)
            begun_s[mine], self._free_s[number] = begin_in_turn(
                arrived_s[mine], work_s[mine], free_s=free_s, max_wait_s=self._max_wait_s
            )
        return begun_s


class BacklogQueue:
    """The queue of an asynchronous endpoint: what was not begun yet stays for later."""

    def __init__(self) -> None:
        self._replicas = 0
        self._free_s = 0.0

    def resize(self, at_s: float, replicas: int) -> None:
        """Nothing begins while there is no replica."""
        self._free_s = max(self._free_s, at_s) if replicas else self._free_s
        self._replicas = replicas

    def begin(self, arrived_s: Times, work_s: Times, *, until_s: float) -> Times:
        """When requests begin, as far as this is before `until_s`: of the first ones, the others keep waiting."""
        if not self._replicas:
            return np.empty(0)
        begun_s, _ = begin_in_turn(arrived_s, work_s / self._replicas, free_s=self._free_s, max_wait_s=NEVER)
        count = int(np.searchsorted(begun_s, until_s))
        if count:
            self._free_s = float(begun_s[count - 1] + work_s[count - 1] / self._replicas)
        return begun_s[:count]


def begin_in_turn(arrived_s: Times, work_s: Times, *, free_s: float, max_wait_s: float) -> tuple[Times, float]:
    """Lindley's recursion for one server that is free from `free_s` on: (when each begins, when it is free again)."""
    if not len(arrived_s):
        return np.empty(0), free_s
    done_s = np.cumsum(work_s)
    before_s = done_s - work_s
    begun_s = before_s + np.maximum(np.maximum.accumulate(arrived_s - before_s), free_s)
    if max_wait_s == NEVER or float(np.max(begun_s - arrived_s)) <= max_wait_s:
        return begun_s, float(begun_s[-1] + work_s[-1])
    return _one_by_one(arrived_s, work_s, free_s=free_s, max_wait_s=max_wait_s)


def _one_by_one(arrived_s: Times, work_s: Times, *, free_s: float, max_wait_s: float) -> tuple[Times, float]:
    """The same with refusals, each of which changes all that come after it."""
    begun_s: list[float] = []
    for arrived, work in zip(arrived_s.tolist(), work_s.tolist(), strict=True):
        begins = max(arrived, free_s)
        if begins - arrived > max_wait_s:
            begun_s.append(math.nan)
        else:
            begun_s.append(begins)
            free_s = begins + work
    return np.array(begun_s), free_s


def lognormal(count: int, *, mean: float, spread: float, generator: np.random.Generator) -> NDArray[np.float64]:
    """Times with this mean and coefficient of variation; all equal for 0."""
    if spread == 0:
        return np.full(count, mean)
    variance = math.log1p(spread**2)
    return generator.lognormal(math.log(mean) - variance / 2, math.sqrt(variance), size=count)
