"""What a training did, step by step and epoch by epoch: the source of `run.json`'s metrics, the curves and the logs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Recording:
    """Grows while a network trains; `history` has one entry an epoch, the rest one number a step or an epoch.

    Times are seconds since 1970, for the logs only: no number that depends on the clock enters `history`.
    """

    history: list[dict[str, float]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)  # [steps]
    rates: list[float] = field(default_factory=list)  # [steps], learning rate of the backbone
    times_s: list[float] = field(default_factory=list)  # [steps]
    ends: list[int] = field(default_factory=list)  # [epochs], steps done at the end of each
    images_per_s: list[float] = field(default_factory=list)  # [epochs]

    def add_step(self, *, loss: float, rate: float) -> None:
        """Add one step of training."""
        self.losses.append(loss)
        self.rates.append(rate)
        self.times_s.append(time.time())

    def add_epoch(self, metrics: dict[str, float], *, images_per_s: float) -> None:
        """Close an epoch; its loss is the mean over its steps."""
        losses = self.losses[self.ends[-1] if self.ends else 0 :]
        self.history.append({"epoch": len(self.ends) + 1, "loss": sum(losses) / len(losses), **metrics})
        self.ends.append(len(self.losses))
        self.images_per_s.append(images_per_s)

    def state(self) -> dict[str, Any]:
        """Return plain lists, for a checkpoint; `Recording(**state)` is equal to this one."""
        return asdict(self)


def join(recordings: Sequence[Recording]) -> Recording:
    """Return one recording of several trainings, one after the other; epochs are numbered through."""
    joined = Recording()
    for one in recordings:
        steps, epochs = len(joined.losses), len(joined.ends)
        joined.history += [{**entry, "epoch": entry["epoch"] + epochs} for entry in one.history]
        joined.losses += one.losses
        joined.rates += one.rates
        joined.times_s += one.times_s
        joined.ends += [steps + end for end in one.ends]
        joined.images_per_s += one.images_per_s
    return joined
