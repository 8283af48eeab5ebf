"""What a training is told in, checked settings of its loop out: how long, how fast, on what, mixed and averaged how."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from catalog.errors import OutOfRangeError
from training.augment import FULL, Augmentation
from training.averaging import Averaging
from training.mixing import Mixing
from training.rates import Schedule

GREATEST_SEED = 2**63 - 1


class Precision(StrEnum):
    """Number format of the forward pass; weights, loss and optimizer are always float32."""

    FP32 = "fp32"
    BF16 = "bf16"


# Field, option, whether a number is allowed, and what the sentence says about it.
_LIMITS: tuple[tuple[str, str, Callable[[float], bool], str], ...] = (
    ("learning_rate", "--lr", lambda x: x > 0, "a number above 0"),
    ("weight_decay", "--weight-decay", lambda x: x >= 0, "a number of at least 0"),
    ("mixing_alpha", "--mixing-alpha", lambda x: x > 0, "a number above 0"),
    ("average_decay", "--average-decay", lambda x: 0 <= x < 1, "a number from 0 to below 1"),
    ("warm_up", "--warm-up", lambda x: 0 <= x <= 1, "a share from 0 to 1"),
    ("head_lr_factor", "--head-lr-factor", lambda x: x > 0, "a number above 0"),
    ("pull", "--pull", lambda x: x >= 0, "a number of at least 0"),
)


@dataclass(frozen=True)
class LoopSettings:
    """How long and how fast to train; `batch` is pictures a step.

    The first `half_size_epochs` see pictures of half the side (progressive resizing): a network from scratch learns its
    filters there at a quarter of the cost. Only for networks that pool globally, since others take one size.

    `pull` draws the backbone back to its starting weights by that share of the learning rate after each step, in place
    of weight decay: L2-SP (Li et al., "Explicit Inductive Bias for Transfer Learning", 2018, equation 2), decoupled
    from the gradient as AdamW does with weight decay. In a training of two steps each step starts where its own does.

    `schedule_part` is the part of the learning rate's schedule that this loop goes through, (0, 1) for all of it.
    """

    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float = 0.02
    seed: int = 0
    device: str = field(default="cpu", repr=False)  # the repr is what shapes the weights (`training.resume`)
    augmentation: Augmentation = FULL
    half_size_epochs: int = 0
    mixing: Mixing = Mixing.NONE
    mixing_alpha: float | None = None
    average: Averaging = Averaging.NONE
    average_decay: float = 0.998
    schedule: Schedule = Schedule.COSINE
    warm_up: float = 0.05
    schedule_part: tuple[float, float] = (0.0, 1.0)
    head_lr_factor: float = 1.0
    pull: float = 0.0
    precision: Precision = Precision.FP32

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.batch < 1:
            raise OutOfRangeError(
                f"epochs {self.epochs}, batch {self.batch}: needed are at least 0 epochs and a batch of at least 1"
            )
        check_seed(self.seed)
        for name, option, allowed, wanted in _LIMITS:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and allowed(value)):
                raise OutOfRangeError(f"{option} is {value}, expected {wanted}")
        if not 0 <= self.half_size_epochs <= self.epochs:
            raise OutOfRangeError(
                f"half-size epochs are {self.half_size_epochs}, expected 0 to the number of epochs, {self.epochs}"
            )
        begin, end = self.schedule_part
        if not 0 <= begin < end <= 1:
            raise OutOfRangeError(f"the part of the schedule is {begin:g} to {end:g}, expected 0 <= from < to <= 1")
        if self.precision is Precision.BF16 and not self.device.startswith("cuda"):
            raise OutOfRangeError(f"--precision bf16 needs --device cuda, the device is {self.device}; use fp32")


def check_seed(seed: int) -> None:
    """Raise `OutOfRangeError` for a seed that torch or numpy would not take."""
    if not 0 <= seed <= GREATEST_SEED:
        wanted = "at least 0 is needed" if seed < 0 else f"at most {GREATEST_SEED} is allowed"
        raise OutOfRangeError(f"--seed is {seed}, {wanted}")
