"""Answers in, figures out: percentiles by kind of request and by step of the load, and the knee."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from loadtests.answers import Answer, Outcome
from loadtests.shapes import Step
from loadtests.shopper import Kind

SETTLING = 0.2  # share of each step that is left out of its figures: users still start, queues still fill
MIN_ANSWERS = 20  # below, a p95 is the slowest answer or the one before
KNEE_SLOWER = 2.0
KNEE_GOODPUT = 0.9


@dataclass(frozen=True)
class Line:
    """Figures of one kind of request, or of all. Percentiles are of right answers; nan where there was none."""

    name: str
    requests: int
    ok: int
    shed: int
    failed: int
    goodput_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float

    @property
    def error_rate(self) -> float:
        """Failed share of what was asked; 1 where nothing was asked, for that is no success."""
        return self.failed / self.requests if self.requests else 1.0

    @property
    def shed_rate(self) -> float:
        """Share that was refused early with 429."""
        return self.shed / self.requests if self.requests else 0.0


@dataclass(frozen=True)
class StepLine:
    """Figures of one step: its load, what a load of that size should get answered, and what was."""

    level: float
    offered_per_s: float
    seconds: float
    line: Line


def percentile(values: Sequence[float], q: float) -> float:
    """The smallest value that at least the share `q` does not exceed (nearest rank); nan of nothing."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(q * len(values)) - 1)]


def line_of(name: str, answers: Iterable[Answer], *, seconds: float) -> Line:
    """One line of the table. Refused garbage counts as right, but its time is not a search's."""
    answers = list(answers)
    counts = Counter(answer.outcome for answer in answers)
    right = [answer for answer in answers if answer.outcome is Outcome.OK]
    searches = [answer.latency_ms for answer in right if answer.kind != Kind.GARBAGE]
    times = searches or [answer.latency_ms for answer in right]
    return Line(
        name=name,
        requests=len(answers),
        ok=counts[Outcome.OK],
        shed=counts[Outcome.SHED],
        failed=counts[Outcome.FAILED],
        goodput_per_s=counts[Outcome.OK] / seconds if seconds > 0 else 0.0,
        p50_ms=percentile(times, 0.50),
        p95_ms=percentile(times, 0.95),
        p99_ms=percentile(times, 0.99),
    )


def lines_of(answers: Sequence[Answer], *, seconds: float) -> tuple[Line, ...]:
    """A line for each kind that was asked, and one of all at the end."""
    kinds = [kind for kind in Kind if any(answer.kind == kind for answer in answers)]
    parts = [line_of(kind, (a for a in answers if a.kind == kind), seconds=seconds) for kind in kinds]
    return (*parts, line_of("all", answers, seconds=seconds))


def step_lines(answers: Sequence[Answer], steps: Sequence[Step], *, open_loop: bool) -> tuple[StepLine, ...]:
    """Figures of each step, its first fifth left out.

    Offered is the arrival rate in an open loop. In a closed loop users ask less when answers are slow, so it is what
    these users would get answered at the pace of the lightest step.
    """
    found = []
    pace: float | None = None
    for step in steps:
        begin_s = step.begin_s + SETTLING * (step.end_s - step.begin_s)
        inside = [answer for answer in answers if begin_s <= answer.at_s < step.end_s]
        seconds = step.end_s - begin_s
        line = line_of(f"{step.level:g}", inside, seconds=seconds)
        pace = line.goodput_per_s / step.level if pace is None else pace
        found.append(StepLine(step.level, step.level if open_loop else pace * step.level, seconds, line))
    return tuple(found)


def knee_of(steps: Sequence[StepLine]) -> StepLine | None:
    """The largest load before the service gives way; None when it never did, or when too little was measured.

    It gives way at the first step whose p95 is above twice that of the lightest step, or whose goodput is below nine
    tenths of what was offered. (p95, not p99: a step of some seconds has too few answers for a p99.)
    """
    rising = all(before.level < after.level for before, after in pairwise(steps))
    if len(steps) < 3 or not rising or steps[0].line.ok < MIN_ANSWERS:
        return None
    lightest = steps[0].line.p95_ms
    knee = steps[0]
    for step in steps[1:]:
        line = step.line
        if not line.p95_ms <= KNEE_SLOWER * lightest or line.goodput_per_s < KNEE_GOODPUT * step.offered_per_s:
            return knee
        knee = step
    return None
