"""Batches and a loss in, a trained network and a recording of its training out.

AdamW with a warm-up and a schedule, clipped gradients, mixing, averaged weights, a progress line with loss, pictures a
second and time left; a stopped training goes on at its last whole epoch.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor, nn

from catalog.errors import MalformedError, OutOfRangeError
from catalog.terminal import console
from training.augment import FULL, Augmentation
from training.averaging import Average, Averaging
from training.mixing import Mixing, mix
from training.rates import Schedule, parameter_groups, share_of_rate
from training.recording import Recording
from training.resume import Resume, fingerprint
from training.views import Views

_CLIP_NORM = 5.0
_EVALUATION_BATCH = 64


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
    from the gradient as AdamW does with weight decay.
    """

    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float = 0.02
    seed: int = 0
    device: str = "cpu"
    augmentation: Augmentation = FULL
    half_size_epochs: int = 0
    mixing: Mixing = Mixing.NONE
    mixing_alpha: float | None = None
    average: Averaging = Averaging.NONE
    average_decay: float = 0.998
    schedule: Schedule = Schedule.COSINE
    warm_up: float = 0.05
    head_lr_factor: float = 1.0
    pull: float = 0.0
    precision: Precision = Precision.FP32

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.batch < 1:
            raise OutOfRangeError(
                f"epochs {self.epochs}, batch {self.batch}: needed are at least 0 epochs and a batch of at least 1"
            )
        for name, option, allowed, wanted in _LIMITS:
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and allowed(value)):
                raise OutOfRangeError(f"{option} is {value}, expected {wanted}")
        if not 0 <= self.half_size_epochs <= self.epochs:
            raise OutOfRangeError(
                f"half-size epochs are {self.half_size_epochs}, expected 0 to the number of epochs, {self.epochs}"
            )
        if self.precision is Precision.BF16 and not self.device.startswith("cuda"):
            raise OutOfRangeError(f"--precision bf16 needs --device cuda, the device is {self.device}; use fp32")


# Row numbers of the pictures of each step, for one epoch.
Batches = Callable[[int], list[NDArray[np.int64]]]
# What the network returned and the targets of the step ([B] or [B, L]) in, a scalar out.
Loss = Callable[[Any, Tensor], Tensor]


def train(
    network: nn.Module,
    views: Views,
    targets: NDArray[np.int64],
    *,
    batches: Batches,
    loss: Loss,
    settings: LoopSettings,
    size_px: int,
    validate: Callable[[], dict[str, float]],
    resume: Resume | None = None,
) -> Recording:
    """Train in place, on views of side `size_px`; return what happened, one entry of `history` an epoch.

    `batches(epoch)` names the pictures of each step, `targets` [N] or [N, L] belong to the pictures. `validate()` sees
    the weights that are kept (averaged ones where asked for). With `resume` the state is kept after each epoch, and a
    call with equal arguments goes on from there, to the same weights as if it had never stopped.

    Raises `MalformedError` for a loss that is no number, `OutOfRangeError` for a mixing that does not fit the views.
    """
    plan = [batches(epoch) for epoch in range(settings.epochs)]
    total = sum(map(len, plan))
    recording = Recording()
    if not total:
        return recording
    identity = _identity(network, views, targets, plan=plan, size_px=size_px, settings=settings, resume=resume)
    learner = Learner(network, loss, settings=settings, total_steps=total)
    generator = torch.Generator().manual_seed(settings.seed)
    if resume is not None and (state := resume.read(identity)) is not None:
        recording = Recording(**state["recording"])
        learner.load(state["learner"])
        generator.set_state(state["generator"])
        console.print(f"going on after epoch {len(recording.ends)} of {settings.epochs}")
    with _bar() as bar:
        task = bar.add_task("training", total=total, completed=len(recording.losses))
        for epoch in range(len(recording.ends), settings.epochs):
            network.train()
            epoch_px = size_px // (2 if epoch < settings.half_size_epochs else 1)
            began, seen, speed = time.perf_counter(), 0, 0.0
            for rows in plan[epoch]:
                batch = views.batch(rows, epoch=epoch, size_px=epoch_px, generator=generator)
                value, rate = learner.step(batch, torch.from_numpy(targets[rows]), generator=generator)
                recording.add_step(loss=value, rate=rate)
                seen += len(rows)
                speed = seen / (time.perf_counter() - began)
                bar.update(task, advance=1, description=f"epoch {epoch + 1}: loss {value:.3f}, {speed:.0f} images/s")
            with learner.average.applied():
                recording.add_epoch(validate(), images_per_s=speed)
            left = sum(len(rows) for steps in plan[epoch + 1 :] for rows in steps) / speed if speed else 0.0
            _tell(recording, settings.epochs, left_s=left)
            if resume is not None:
                state = {
                    "recording": recording.state(),
                    "learner": learner.state(),
                    "generator": generator.get_state(),
                }
                resume.write(state, fingerprint=identity)
    learner.average.keep()
    network.to(torch.device("cpu")).to(memory_format=torch.contiguous_format)
    network.eval()
    return recording


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
        if "random_cuda" in state:
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
            self._steps, total=self._total_steps, schedule=settings.schedule, warm_up=settings.warm_up
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


def evaluate(network: nn.Module, images: NDArray[np.uint8]) -> Tensor:
    """Return the network's outputs for uint8 [N, S, S, 3] pictures, in evaluation mode, on the CPU."""
    network.eval()
    device = next((weight.device for weight in network.parameters()), torch.device("cpu"))
    with torch.inference_mode():
        parts = [
            network(torch.from_numpy(np.ascontiguousarray(part)).to(device)).cpu()
            for part in chunks(images, _EVALUATION_BATCH)
        ]
    return torch.cat(parts)


def chunks(images: NDArray[np.uint8], size: int) -> Iterator[NDArray[np.uint8]]:
    """Yield `images` in parts of at most `size`."""
    for start in range(0, len(images), size):
        yield images[start : start + size]


def shuffled(count: int, *, batch: int, seed: int) -> Batches:
    """Return batches that visit every picture once an epoch; a last part of fewer than two is dropped (BatchNorm)."""

    def of(epoch: int) -> list[NDArray[np.int64]]:
        order = np.random.default_rng((seed, epoch)).permutation(count)
        parts = [order[start : start + batch] for start in range(0, count, batch)]
        return [part for part in parts if len(part) > 1]

    return of


def prepare_torch(*, seed: int, threads: int | None) -> None:
    """Seed torch and set its threads: with both fixed, a CPU gives the same checkpoint again."""
    if threads is not None:
        if threads < 1:
            raise OutOfRangeError(f"--threads is {threads}, at least 1 is needed")
        torch.set_num_threads(threads)
    torch.manual_seed(seed)


def _identity(
    network: nn.Module,
    views: Views,
    targets: NDArray[np.int64],
    *,
    plan: list[list[NDArray[np.int64]]],
    size_px: int,
    settings: LoopSettings,
    resume: Resume | None,
) -> str:
    if resume is None:
        return ""
    rows = [rows for steps in plan for rows in steps]
    # A look at the first step's views stands for all pictures and whatever changes them.
    probe = views.batch(rows[0], epoch=0, size_px=size_px, generator=torch.Generator().manual_seed(0))
    return fingerprint(
        network, [targets, *rows, *probe], settings=settings, command={**resume.command, "size_px": size_px}
    )


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)


def _tell(recording: Recording, epochs: int, *, left_s: float) -> None:
    shown = ", ".join(f"{name} {value:.4f}" for name, value in recording.history[-1].items() if name != "epoch")
    left = f", {timedelta(seconds=round(left_s))} left" if left_s else ""
    console.print(
        f"epoch {len(recording.ends)}/{epochs}: {shown}, {recording.images_per_s[-1]:.0f} images/s{left}",
        soft_wrap=True,
    )


def _finite(value: Tensor) -> float:
    number = float(value.detach())
    if not math.isfinite(number):
        raise MalformedError(f"the loss became {number}; train again with a smaller --lr")
    return number
