"""Orders for replicas in, which are ready when out, and how long each is paid for: from its launch until it goes."""

from __future__ import annotations

from dataclasses import dataclass

HOUR_S = 3_600


@dataclass(frozen=True)
class Starts:
    """What lies between a datapoint and a replica that answers, in seconds: the alarm, the instance, the container."""

    notice_s: float
    instance_s: float
    container_s: float

    @property
    def total_s(self) -> float:
        """From the end of the datapoint."""
        return self.notice_s + self.instance_s + self.container_s


@dataclass(frozen=True)
class Step:
    """From `at_s` on so many replicas answer and so many are paid for."""

    at_s: float
    ready: int
    paid: int


class Fleet:
    """The replicas of a day."""

    def __init__(self, starts: Starts, *, replicas: int) -> None:
        self._starts = starts
        self._launched_s = [0.0] * replicas
        self._ready_s: list[float] = []  # of those that start, the next one first
        self._paid_s = 0.0
        self.ready = replicas
        self.steps = [Step(0.0, replicas, replicas)]

    @property
    def starting(self) -> int:
        """How many were asked for and do not answer yet."""
        return len(self._ready_s)

    @property
    def next_ready_s(self) -> float | None:
        """When the next one answers."""
        return self._ready_s[0] if self._ready_s else None

    def order(self, at_s: float, replicas: int) -> None:
        """Have so many, ready and starting together: launch what lacks, take away the youngest that answer."""
        lacking = replicas - self.ready - self.starting
        for _ in range(lacking):
            self._launched_s.append(at_s + self._starts.notice_s)
            self._ready_s.append(at_s + self._starts.total_s)
        for _ in range(-lacking):
            self.ready -= 1
            self._paid_s += at_s - self._launched_s.pop()
        if lacking:
            self._note(at_s)

    def arrive(self, at_s: float) -> bool:
        """Whether the number of those that answer grows now."""
        arrived = [ready_s for ready_s in self._ready_s if ready_s <= at_s]
        self._ready_s = self._ready_s[len(arrived) :]
        self.ready += len(arrived)
        if arrived:
            self._note(at_s)
        return bool(arrived)

    def hours(self, end_s: float) -> float:
        """Replica-hours that are paid for until `end_s`."""
        running_s = sum(max(0.0, end_s - launched_s) for launched_s in self._launched_s)
        return (self._paid_s + running_s) / HOUR_S

    def _note(self, at_s: float) -> None:
        self.steps.append(Step(at_s, self.ready, self.ready + self.starting))
