"""Step numbers and parameters in, learning rates and weight decays out."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any

from torch import nn


class Schedule(StrEnum):
    """What the learning rate does after its warm-up: falls in a half cosine, stays, or falls in a line; both to 0."""

    COSINE = "cosine"
    CONSTANT = "constant"
    LINEAR = "linear"


def share_of_rate(
    step: int,
    *,
    total: int,
    schedule: Schedule = Schedule.COSINE,
    warm_up: float = 0.05,
    part: tuple[float, float] = (0.0, 1.0),
) -> float:
    """Share of the highest learning rate at `step` of `total`: up in a line over the warm-up, then by the schedule.

    With `part` these steps go through that part of a longer schedule.
    """
    begin, end = part
    whole = round(total / (end - begin))
    place = round(begin * whole) + step
    rising = max(1, int(warm_up * whole))
    if place < rising:
        return (place + 1) / rising
    if schedule is Schedule.CONSTANT:
        return 1.0
    done = (place - rising) / max(1, whole - rising)
    return 1 - done if schedule is Schedule.LINEAR else 0.5 * (1 + math.cos(math.pi * done))


def is_backbone(name: str) -> bool:
    """Whether a parameter's dotted name lies under a module called `backbone`; all others are heads."""
    return "backbone" in name.split(".")


def parameter_groups(
    network: nn.Module, *, rate: float, head_factor: float, weight_decay: float, pull: float
) -> list[dict[str, Any]]:
    """Return AdamW's groups of the trainable parameters, each with its `initial_lr`, `weight_decay` and `pull`.

    Heads learn `head_factor` times as fast. Biases and the scales of norms (one dimension or none) do not decay. Where
    the backbone is pulled toward its starting weights, it is not drawn to zero as well.
    """
    groups: dict[tuple[float, float, float], list[nn.Parameter]] = {}
    for name, weight in network.named_parameters():
        if not weight.requires_grad:
            continue
        backbone = is_backbone(name)
        own_pull = pull if backbone else 0.0
        decay = weight_decay if weight.ndim > 1 and not own_pull else 0.0
        groups.setdefault((rate * (1 if backbone else head_factor), decay, own_pull), []).append(weight)
    return [
        {"params": weights, "lr": own, "initial_lr": own, "weight_decay": decay, "pull": own_pull}
        for (own, decay, own_pull), weights in groups.items()
    ]
