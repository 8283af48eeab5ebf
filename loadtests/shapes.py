"""A shape, a level and a duration in; the steps of the load out. A level is users (closed loop) or arrivals a second.

- steady: one level throughout; the shape to judge by thresholds.
- ramp: equal steps from `level / steps` up to `level`; the shape that finds the knee.
- spike: a fifth of the level, the whole of it in the middle fifth of the time, and a fifth again.
- soak: one level for long, told in quarters, so that a drift shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Shape(StrEnum):
    """How the load goes over time."""

    STEADY = "steady"
    RAMP = "ramp"
    SPIKE = "spike"
    SOAK = "soak"


@dataclass(frozen=True)
class Step:
    """From `begin_s` until before `end_s` the load is `level`."""

    begin_s: float
    end_s: float
    level: float


def steps_of(shape: Shape, *, level: float, duration_s: float, steps: int = 8, whole: bool = False) -> tuple[Step, ...]:
    """The steps of a load, one after another; `whole` rounds levels to at least one user."""
    if shape is Shape.RAMP:
        parts = [(1 / steps, level * number / steps) for number in range(1, steps + 1)]
    elif shape is Shape.SPIKE:
        parts = [(0.4, level / 5), (0.2, level), (0.4, level / 5)]
    else:
        parts = [(1.0, level)] if shape is Shape.STEADY else [(0.25, level)] * 4
    made, begin_s = [], 0.0
    for share, height in parts:
        end_s = begin_s + share * duration_s
        made.append(Step(begin_s, end_s, max(1.0, round(height)) if whole else height))
        begin_s = end_s
    return tuple(made)


def level_at(steps: tuple[Step, ...], at_s: float) -> float:
    """The level at a time; the last one after the end."""
    return next((step.level for step in steps if at_s < step.end_s), steps[-1].level)


def arrivals(steps: tuple[Step, ...]) -> Iterator[float]:
    """When requests are due, in seconds: evenly spaced within each step, whatever becomes of the answers."""
    for step in steps:
        for number in range(round((step.end_s - step.begin_s) * step.level)):
            yield step.begin_s + number / step.level
