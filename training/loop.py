"""Batches and a loss in, a trained network and a recording of its training out.

AdamW with a warm-up and a schedule, clipped gradients, mixing, averaged weights, a progress line with loss, pictures a
second and time left; a stopped training goes on at its last whole epoch.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from catalog.errors import OutOfRangeError
from catalog.terminal import console
from training.learner import Learner, Loss
from training.recording import Recording
from training.resume import Resume, fingerprint
from training.settings import LoopSettings, check_seed
from training.views import Views

# Row numbers of the pictures of each step, for one epoch.
Batches = Callable[[int], list[NDArray[np.int64]]]


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
    call with equal arguments goes on from there, to the same weights as if it had never stopped (on another device or
    with other threads, up to rounding).

    Raises `MalformedError` for a loss that is no number, `OutOfRangeError` for a mixing that does not fit the views.
    """
    plan = [batches(epoch) for epoch in range(settings.epochs)]
    total = sum(map(len, plan))
    if not total:
        return Recording()
    identity = _identity(network, views, targets, plan=plan, size_px=size_px, settings=settings, resume=resume)
    learner = Learner(network, loss, settings=settings, total_steps=total)
    generator = torch.Generator().manual_seed(settings.seed)
    recording = _restored(resume, learner, generator, identity=identity)
    if recording.ends:
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
            left = sum(len(rows) for steps in plan[epoch + 1 :] for rows in steps)
            _tell(recording, settings.epochs, pictures_left=left)
            _keep(resume, learner, generator, recording, identity=identity)
    learner.average.keep()
    network.to(torch.device("cpu")).to(memory_format=torch.contiguous_format)
    network.eval()
    return recording


def shuffled(count: int, *, batch: int, seed: int) -> Batches:
    """Return batches that visit every picture once an epoch; a last part of fewer than two is dropped (BatchNorm)."""

    def of(epoch: int) -> list[NDArray[np.int64]]:
        order = np.random.default_rng((seed, epoch)).permutation(count)
        parts = [order[start : start + batch] for start in range(0, count, batch)]
        return [part for part in parts if len(part) > 1]

    return of


def prepare_torch(*, seed: int, threads: int | None) -> None:
    """Seed torch and set its threads: with both fixed, a CPU gives the same checkpoint again.

    Raises `OutOfRangeError` for what torch takes neither as a seed nor as a number of threads.
    """
    check_seed(seed)
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
    # All pictures are in the digest of the views; a look at the first step's stands for the code that changes them.
    probe = views.batch(rows[0], epoch=0, size_px=size_px, generator=torch.Generator().manual_seed(0))
    return fingerprint(
        network, [targets, *rows, *probe], settings=(settings, size_px, views.digest(), *resume.settings)
    )


def _restored(resume: Resume | None, learner: Learner, generator: torch.Generator, *, identity: str) -> Recording:
    """Bring learner and generator to where an equal training stopped, if one did; return what it recorded so far."""
    state = resume.read(identity) if resume is not None else None
    if state is None:
        return Recording()
    learner.load(state["learner"])
    generator.set_state(state["generator"])
    return Recording(**state["recording"])


def _keep(
    resume: Resume | None, learner: Learner, generator: torch.Generator, recording: Recording, *, identity: str
) -> None:
    if resume is not None:
        state = {"recording": recording.state(), "learner": learner.state(), "generator": generator.get_state()}
        resume.write(state, fingerprint=identity)


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=not console.is_terminal)


def _tell(recording: Recording, epochs: int, *, pictures_left: int) -> None:
    """Say what the last epoch brought, and how long the pictures left will take at its speed."""
    speed = recording.images_per_s[-1]
    time_left = f", {timedelta(seconds=round(pictures_left / speed))} left" if pictures_left and speed else ""
    shown = ", ".join(f"{name} {value:.4f}" for name, value in recording.history[-1].items() if name != "epoch")
    console.print(
        f"epoch {len(recording.ends)}/{epochs}: {shown}, {speed:.0f} images/s{time_left}",
        soft_wrap=True,
    )
