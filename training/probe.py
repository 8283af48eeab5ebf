"""Features and labels in, the linear layer that tells the labels apart out: multinomial logistic regression."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

_STEPS = 200


def fit_linear(
    features: Tensor, targets: Tensor, *, classes: int, penalty: float, label_smoothing: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return weight [V, D] and bias [V] for features [N, D] and int64 targets [N].

    The mean cross entropy plus `penalty` times the sum of squared weights is convex, so there is one answer and L-BFGS
    finds it without a learning rate.
    """
    weight = torch.zeros(classes, features.shape[1], requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=_STEPS, history_size=20, line_search_fn="strong_wolfe")

    def cost() -> Tensor:
        solver.zero_grad()
        logits = functional.linear(features, weight, bias)
        value = functional.cross_entropy(logits, targets, label_smoothing=label_smoothing)
        value = value + penalty * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    solver.step(cost)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()
