"""Batches and a loss in, a trained network out: AdamW, a warm-up, a cosine, a progress line with loss and time left."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from catalog.errors import MalformedError, OutOfRangeError
from catalog.terminal import console
from training.augment import FULL, Augmentation, augment
from training.networks import Network

_WARM_UP = 0.05  # of all steps
_CLIP_NORM = 5.0
_EVALUATION_BATCH = 64


@dataclass(frozen=True)
class LoopSettings:
    """How long and how fast to train; `batch` is pictures a step.

    The first `half_size_epochs` see pictures of half the side (progressive resizing): a network from scratch learns its
    filters there at a quarter of the cost. Only for networks that pool globally, since others take one size.
    """

    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float = 0.02
    seed: int = 0
    device: str = "cpu"
    augmentation: Augmentation = FULL
    half_size_epochs: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.batch < 1 or not self.learning_rate > 0:
            raise OutOfRangeError(
                f"epochs {self.epochs}, batch {self.batch}, learning rate {self.learning_rate}: needed are at least "
                "0 epochs, a batch of at least 1 and a learning rate above 0"
            )
        if not 0 <= self.half_size_epochs <= self.epochs:
            raise OutOfRangeError(
                f"half-size epochs are {self.half_size_epochs}, expected 0 to the number of epochs, {self.epochs}"
            )


# Row numbers of the pictures of each step, for one epoch.
Batches = Callable[[int], list[NDArray[np.int64]]]
Loss = Callable[[Tensor, Tensor], Tensor]


def train(
    network: Network,
    images: NDArray[np.uint8],
    targets: NDArray[np.int64],
    *,
    batches: Batches,
    loss: Loss,
    settings: LoopSettings,
    validate: Callable[[], dict[str, float]],
) -> list[dict[str, float]]:
    """Train in place; return one entry of metrics an epoch. `batches(epoch)` names the pictures of each step."""
    plan = [batches(epoch) for epoch in range(settings.epochs)]
    total = sum(map(len, plan))
    if not total:
        return []
    network.to(torch.device(settings.device)).to(memory_format=torch.channels_last)
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, total))
    generator = torch.Generator().manual_seed(settings.seed)
    history = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("training", total=total)
        for epoch, steps in enumerate(plan):
            network.train()
            began, seen, losses = time.perf_counter(), 0, []
            size_px = network.spec.size_px // (2 if epoch < settings.half_size_epochs else 1)
            for rows in steps:
                planes = _batch(images, rows, size_px, generator, settings)
                value = loss(network(planes), torch.from_numpy(targets[rows]).to(settings.device))
                optimizer.zero_grad()
                value.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(weights, _CLIP_NORM)
                optimizer.step()
                schedule.step()
                losses.append(_finite(value))
                seen += len(rows)
                rate = seen / (time.perf_counter() - began)
                bar.update(
                    task, advance=1, description=f"epoch {epoch + 1}: loss {losses[-1]:.3f}, {rate:.0f} images/s"
                )
            history.append({"epoch": epoch + 1, "loss": float(np.mean(losses)), **validate()})
            shown = ", ".join(f"{name} {value:.4f}" for name, value in history[-1].items() if name != "epoch")
            console.print(f"epoch {epoch + 1}/{settings.epochs}: {shown}, {rate:.0f} images/s")
    network.to(torch.device("cpu")).to(memory_format=torch.contiguous_format)
    network.eval()
    return history


def evaluate(network: Network, images: NDArray[np.uint8]) -> Tensor:
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


def _batch(
    images: NDArray[np.uint8], rows: NDArray[np.int64], size_px: int, generator: torch.Generator, settings: LoopSettings
) -> Tensor:
    pictures = torch.from_numpy(images[rows])
    planes = augment(pictures, size_px=size_px, generator=generator, how=settings.augmentation)
    return planes.to(settings.device).contiguous(memory_format=torch.channels_last)


def _rate(step: int, total: int) -> float:
    """Share of the learning rate at a step: up in a line, down in a half cosine."""
    warm_up = max(1, int(_WARM_UP * total))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, total - warm_up)))


def _finite(value: Tensor) -> float:
    number = float(value.detach())
    if not math.isfinite(number):
        raise MalformedError(f"the loss became {number}; train again with a smaller --lr")
    return number
