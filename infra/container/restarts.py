"""How long a part lived in, how long to wait before it is started again out; or that this has no use any more."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RestartPolicy:
    """Doubling pauses from `first_s` to `longest_s`; the `most`-th failure in a row is the last one.

    A part that was up for `stable_s` seconds begins anew: what ends once a day is no crash loop.
    """

    first_s: float = 1.0
    longest_s: float = 30.0
    stable_s: float = 60.0
    most: int = 6

    def __post_init__(self) -> None:
        if not (0 < self.first_s <= self.longest_s and self.stable_s > 0 and self.most >= 1):
            raise ValueError(f"pauses, stable time and number of failures must be positive, got {self}")


class Failures:
    """The failures of one part so far."""

    def __init__(self, policy: RestartPolicy) -> None:
        self._policy = policy
        self.in_a_row = 0

    def note(self, *, up_s: float) -> float | None:
        """Count an end after `up_s` seconds of being up; returns the pause before the next start, None: no more."""
        self.in_a_row = 1 if up_s >= self._policy.stable_s else self.in_a_row + 1
        if self.in_a_row >= self._policy.most:
            return None
        pause_s = self._policy.first_s * 2.0 ** (self.in_a_row - 1)
        return min(pause_s, self._policy.longest_s)
