"""A network, a loss and settings in; a step of training, and all that a checkpoint must keep of it, out."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from catalog.errors import MalformedError
from training.averaging import Average
from training.mixing import Mixing, mix
from training.rates import parameter_groups, share_of_rate
from training.settings import LoopSettings, Precision

_CLIP_NORM = 5.0

# What the network returned and the targets of the step ([B] or [B, L]) in, a scalar out.
Loss = Callable[[Any, Tensor], Tensor]


class Learner:
    """A network with its optimizer and averaged weights: what one step changes and a checkpoint keeps."""

    def __init__(self, network: nn.Module, loss: Loss, *, settings: LoopSettings, total_steps: int) -> None:
        self._network = network.to(torch.device(settings.device)).to(memory_format=torch.channels_last)
        self._loss = loss
        self._settings = settings
        self._total_steps = total_steps
        self._steps = 0
        self._weights = [weight for weight in network.parameters() if weight.requires_grad]
        groups = parameter_groups(
            network,
            rate=settings.learning_rate,
            head_factor=settings.head_lr_factor,
            weight_decay=settings.weight_decay,
            pull=settings.pull,
        )
        self._starts = [[weight.detach().clone() for weight in group["params"] if group["pull"]] for group in groups]
        self._optimizer = torch.optim.AdamW(groups, fused=True)
        self.average = Average(network, settings.average, decay=settings.average_decay, total_steps=total_steps)

    def step(self, batch: tuple[Tensor, ...], targets: Tensor, *, generator: torch.Generator) -> tuple[float, float]:
        """Learn from one batch; return its loss and the share of the learning rate times the highest one."""
        share = self._set_rates()
        value = self._cost(batch, targets, generator)
        self._optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._weights, _CLIP_NORM)
        self._optimizer.step()
        self._pull_back()
        self.average.update()
        self._steps += 1
        return _finite(value), share * self._settings.learning_rate

    def state(self) -> dict[str, Any]:
        """Return all that changes while training, torch's own random state (dropout) included."""
        state = {
            "network": self._network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "average": self.average.state(),
            "steps": self._steps,
            "random": torch.get_rng_state(),
        }
        if self._settings.device.startswith("cuda"):
            state["random_cuda"] = torch.cuda.get_rng_state()
        return state

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        self._network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.average.load(state["average"])
        self._steps = state["steps"]
        torch.set_rng_state(state["random"])
        if "random_cuda" in state and self._settings.device.startswith("cuda"):
            torch.cuda.set_rng_state(state["random_cuda"])

    def _cost(self, batch: tuple[Tensor, ...], targets: Tensor, generator: torch.Generator) -> Tensor:
        settings = self._settings
        if settings.mixing is Mixing.NONE:
            outputs = self._outputs(batch)
            return self._loss(outputs, targets.to(settings.device))
        mixed = mix(batch, settings.mixing, alpha=settings.mixing_alpha, generator=generator)
        outputs = self._outputs(mixed.tensors)
        own, other = (self._loss(outputs, some.to(settings.device)) for some in (targets, targets[mixed.partners]))
        return mixed.share * own + (1 - mixed.share) * other

    def _outputs(self, batch: tuple[Tensor, ...]) -> Any:
        moved = (one.to(self._settings.device) for one in batch)
        laid_out = (one.contiguous(memory_format=torch.channels_last) if one.ndim == 4 else one for one in moved)
        with autocast(self._settings.precision, device=self._settings.device):
            outputs = self._network(*laid_out)
        return as_float(outputs)

    def _set_rates(self) -> float:
        settings = self._settings
        share = share_of_rate(
            self._steps,
            total=self._total_steps,
            schedule=settings.schedule,
            warm_up=settings.warm_up,
            part=settings.schedule_part,
        )
        for group in self._optimizer.param_groups:
            group["lr"] = share * group["initial_lr"]
        return share

    @torch.no_grad()
    def _pull_back(self) -> None:
        for group, starts in zip(self._optimizer.param_groups, self._starts, strict=True):
            if starts:
                # At most all the way: a greater step would end beyond the start.
                torch._foreach_lerp_(group["params"], starts, min(1.0, group["lr"] * group["pull"]))


def autocast(precision: Precision, *, device: str) -> AbstractContextManager[Any]:
    """Return the context of the forward pass: bfloat16 where it is safe, or nothing at all."""
    if precision is Precision.BF16:
        return torch.autocast(torch.device(device).type, dtype=torch.bfloat16)
    return nullcontext()


def as_float(outputs: Any) -> Any:
    """Turn a tensor, or each tensor of a tuple, into float32: losses are computed in full precision."""
    if isinstance(outputs, Tensor):
        return outputs.float()
    return tuple(as_float(one) for one in outputs)


def _finite(value: Tensor) -> float:
    number = float(value.detach())
    if not math.isfinite(number):
        raise MalformedError(f"the loss became {number}; train again with a smaller --lr")
    return number
