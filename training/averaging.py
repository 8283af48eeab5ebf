"""The weights after each step in, their running average out: smoother than the last step's, at no cost in use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor, nn

_SWA_BEGINS = 0.75  # of all steps


class Averaging(StrEnum):
    """Which average of the weights is validated and kept.

    EMA: exponential; the newest counts 1 - d, where d grows to the decay as (1 + t) / (10 + t) does, so that a short
    training is not held back by its first steps. SWA: the plain mean over the last quarter of the steps (after Izmailov
    et al., "Averaging Weights Leads to Wider Optima", 2018, there once an epoch).
    """

    NONE = "none"
    EMA = "ema"
    SWA = "swa"


class Average:
    """The average of a network's trainable weights and of its buffers of real numbers.

    BatchNorm's statistics must be those of the weights they normalize for, so that they are averaged alike; integers,
    such as its count of batches, stay those of the newest step.
    """

    def __init__(self, network: nn.Module, averaging: Averaging, *, decay: float, total_steps: int) -> None:
        self._values: list[Tensor] = [weight for weight in network.parameters() if weight.requires_grad]
        self._values += [buffer for buffer in network.buffers() if buffer.is_floating_point()]
        self._averaging = averaging
        self._decay = decay
        self._first = int(_SWA_BEGINS * total_steps) if averaging is Averaging.SWA else 0
        self._steps = 0  # averaged so far
        self._seen = 0
        self._means: list[Tensor] = []

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights and buffers as they are after a step."""
        self._seen += 1
        if self._averaging is Averaging.NONE or self._seen <= self._first:
            return
        values = [value.detach() for value in self._values]
        if not self._steps:
            self._means = [value.clone() for value in values]
        else:
            torch._foreach_lerp_(self._means, values, self._newest_counts())
        self._steps += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the network the averaged weights for a while (what shares its parameters sees them too)."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def keep(self) -> None:
        """Give the network the averaged weights for good."""
        for value, mean in zip(self._values, self._means, strict=False):
            value.copy_(mean)

    def state(self) -> dict[str, Any]:
        """Return what `load` needs to go on."""
        return {"steps": self._steps, "seen": self._seen, "means": list(self._means)}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        self._steps, self._seen = state["steps"], state["seen"]
        self._means = [mean.to(value) for mean, value in zip(state["means"], self._values, strict=False)]

    def _newest_counts(self) -> float:
        if self._averaging is Averaging.SWA:
            return 1 / (self._steps + 1)
        return 1 - min(self._decay, (1 + self._steps) / (10 + self._steps))

    @torch.no_grad()
    def _exchange(self) -> None:
        for value, mean in zip(self._values, self._means, strict=False):
            held = value.clone()
            value.copy_(mean)
            mean.copy_(held)
