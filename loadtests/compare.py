"""Answers of two services, slice by slice, in; ratios with intervals out.

Slices of one service and the other lie side by side in time (A B, B A, A B, ...) and ask the same photos with the same
seeds, so what the machine or the network does meanwhile meets both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtests.answers import Answer, Outcome
from loadtests.shopper import Kind

RESAMPLES = 1000
INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class Slice:
    """Right searches of one service in one slice: milliseconds of each, float64 [n], and how long the slice was."""

    times_ms: NDArray[np.float64]
    seconds: float

    @classmethod
    def of(cls, answers: Sequence[Answer], *, seconds: float) -> Slice:
        """From a slice's answers."""
        right = [a.latency_ms for a in answers if a.outcome is Outcome.OK and a.kind != Kind.GARBAGE]
        return cls(np.array(right, np.float64), seconds)


@dataclass(frozen=True)
class Ratio:
    """A figure of A, of B, B's over A's, and the 95 % interval of that."""

    name: str
    a: float
    b: float
    ratio: float
    low: float
    high: float

    @property
    def differs(self) -> bool:
        """Whether the interval leaves 1 out."""
        return self.low > 1 or self.high < 1


def ratios(pairs: Sequence[tuple[Slice, Slice]], *, seed: int = 0) -> tuple[Ratio, ...]:
    """B against A in p50, p95, p99 and right searches a second; the interval resamples pairs of slices.

    Whole pairs are drawn, since answers within a slice are not independent of each other. Slices must hold answers.
    """
    figures: dict[str, Callable[[Sequence[Slice]], float]] = {
        "p50 ms": lambda slices: _quantile(slices, 0.50),
        "p95 ms": lambda slices: _quantile(slices, 0.95),
        "p99 ms": lambda slices: _quantile(slices, 0.99),
        "right searches a second": _rate,
    }
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(pairs), (RESAMPLES, len(pairs)))
    found = []
    for name, figure in figures.items():
        a, b = (figure([pair[side] for pair in pairs]) for side in (0, 1))
        drawn = [_ratio_of(figure, [pairs[number] for number in draw]) for draw in draws]
        low, high = (float(value) for value in np.percentile(drawn, INTERVAL))
        found.append(Ratio(name, a, b, b / a, low, high))
    return tuple(found)


def _ratio_of(figure: Callable[[Sequence[Slice]], float], pairs: Sequence[tuple[Slice, Slice]]) -> float:
    return figure([pair[1] for pair in pairs]) / figure([pair[0] for pair in pairs])


def _quantile(slices: Sequence[Slice], q: float) -> float:
    times = np.concatenate([each.times_ms for each in slices])
    rank = max(0, math.ceil(q * len(times)) - 1)  # nearest, as everywhere here
    return float(np.partition(times, rank)[rank])


def _rate(slices: Sequence[Slice]) -> float:
    return sum(len(each.times_ms) for each in slices) / sum(each.seconds for each in slices)
