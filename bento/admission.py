"""Searches that are in progress in; whether one more may come in out. Refused early is better than queued for long.

What a search costs is measured while searching: one that came as the n-th in progress and took t seconds says that a
search leaves every t / n seconds (Little's law). Where none had to wait, those that came later count in n, too. An n-th
search will then take about n times that, and is refused when this is longer than it may wait. So the same setting fits
a laptop and a server with eight GPUs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bento.metrics import EXPECTED_S, IN_PROGRESS
from catalog.errors import OverloadedError

ALWAYS = 4  # in progress at a time are never too many: after a stall the estimate must be able to recover
LATE = 2.0  # what was uploaded slowly may find the room full meanwhile; it is let in up to twice as many
SMOOTHING = 0.1  # share of the last search in the estimate
QUEUED = 1.5  # times the fastest search: whoever took longer has waited for others
AGING = 1.001  # of the fastest search with every other one, so that it is forgotten some day


@dataclass
class Place:
    """One request's: `enter` is to be called when it is there as a whole, with its photo."""

    enter: Callable[[], None]


class Admission:
    """Belongs to one event loop.

    `max_searches` bounds requests, uploads included; `max_wait_s` is how long a search may take because of others.
    """

    def __init__(self, *, max_searches: int, max_wait_s: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self._max_searches = max_searches
        self._max_wait_s = max_wait_s
        self._clock = clock
        self._requests = 0
        self._searches = 0
        self._pace_s: float | None = None
        self._fastest_s = math.inf

    @property
    def expected_s(self) -> float:
        """What the next search will take, as far as is known."""
        return (self._searches + 1) * (self._pace_s or 0.0)

    @contextmanager
    def request(self, *, timeout_s: float = math.inf) -> Iterator[Place]:
        """Hold a place for one request; OverloadedError before anything of it is read, or from `Place.enter`.

        `timeout_s` is what its client waits at most.
        """
        longest_s = min(self._max_wait_s, timeout_s)
        if self._requests >= self._max_searches or self._is_too_late(longest_s):
            raise self._refusal()
        entered: list[tuple[float, int]] = []

        def enter() -> None:
            if entered:
                return
            if self._is_too_late(LATE * longest_s):
                raise self._refusal()
            self._searches += 1
            entered.append((self._clock(), self._searches))
            IN_PROGRESS.set(self._searches)

        self._requests += 1
        try:
            yield Place(enter)
        finally:
            self._requests -= 1
            for begun_s, place in entered:
                self._learn(self._clock() - begun_s, place)
                self._searches -= 1
                IN_PROGRESS.set(self._searches)
                EXPECTED_S.set(self.expected_s)

    def _is_too_late(self, longest_s: float) -> bool:
        return self._searches >= ALWAYS and self.expected_s > longest_s

    def _learn(self, took_s: float, place: int) -> None:
        self._fastest_s = min(took_s, AGING * self._fastest_s)
        waited = took_s > QUEUED * self._fastest_s
        pace_s = took_s / (place if waited else max(place, self._searches))
        self._pace_s = pace_s if self._pace_s is None else self._pace_s + SMOOTHING * (pace_s - self._pace_s)

    def _refusal(self) -> OverloadedError:
        return OverloadedError(
            f"{self._requests} searches are in progress; try again soon", retry_after_s=max(1.0, self.expected_s)
        )
