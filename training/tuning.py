"""A network, pictures, targets and a loss in, the network trained out: in one step or two, above a border or whole.

What lies below the border is frozen; with cached views it is not even run again (`training.cached_views`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from catalog.errors import OutOfRangeError
from training.cached_views import cache_views, crossing_shapes
from training.frozen import Border, Halves, freeze, split
from training.learner import Loss
from training.loop import Batches, train
from training.mixing import Mixing, check_cut
from training.networks import Network, OnPixels
from training.recording import Recording, join
from training.resume import Resume
from training.sample_views import CACHE
from training.settings import LoopSettings
from training.views import PictureViews, Views

_SEED_OF_CACHE = 0  # not that of the training, so that trainings of several seeds share what is cached


@dataclass(frozen=True)
class Tuning:
    """How much of the network learns, and when.

    `border` freezes what lies below; `cached_views` (0: none) keeps that many augmented views of each picture at the
    border. With `first_epochs` the training has two steps: so many epochs above the border (stage 1 unless given), the
    rest with all layers, at `second_rate` (None: the learning rate goes on as its schedule says). The paper's two-step
    fine-tuning (Kim et al., "Improving Similarity Search Using Clustered Data") freezes its first four layers, which
    end at our stage 1.
    """

    border: Border = Border.NONE
    cached_views: int = 0
    first_epochs: int = 0
    second_rate: float | None = None
    cache: Path = field(default=CACHE, repr=False)  # the repr is what shapes the weights (`training.resume`)

    def __post_init__(self) -> None:
        if self.cached_views < 0 or self.first_epochs < 0:
            raise OutOfRangeError(
                f"cached views {self.cached_views}, first epochs {self.first_epochs}: at least 0 is needed for both"
            )
        if self.second_rate is not None and not (math.isfinite(self.second_rate) and self.second_rate > 0):
            raise OutOfRangeError(f"--second-lr is {self.second_rate}, expected a number above 0")
        if self.cached_views and self.first_border is Border.NONE:
            raise OutOfRangeError("--cached-views needs --freeze or --steps two: without a border all layers learn")

    @property
    def first_border(self) -> Border:
        """Below which nothing learns at first (or ever)."""
        return Border.STAGE1 if self.first_epochs and self.border is Border.NONE else self.border

    @property
    def heads_only(self) -> bool:
        """Whether the backbone stays as it is to the end."""
        return self.border is Border.BACKBONE and not self.first_epochs

    def check(self, loop: LoopSettings) -> None:
        """Raise `OutOfRangeError` for what does not fit the loop."""
        if self.first_epochs > loop.epochs:
            raise OutOfRangeError(f"--first-epochs is {self.first_epochs}, more than all {loop.epochs} epochs")
        if self.cached_views and loop.half_size_epochs:
            raise OutOfRangeError("--cached-views excludes --half-size-epochs: views are cached at one size")


class WithProxies(nn.Module):
    """A network that also returns the vectors of the clusters [C, D], which learn with it and are kept nowhere."""

    def __init__(self, body: nn.Module, proxies: nn.Parameter) -> None:
        super().__init__()
        self.body = body
        self.proxies = proxies

    def forward(self, *inputs: Tensor) -> tuple[Any, Tensor]:
        """Return what the network returns, and the proxies."""
        return self.body(*inputs), self.proxies


def new_proxies(clusters: int, dim: int, *, seed: int) -> nn.Parameter:
    """Draw a vector for each cluster."""
    return nn.Parameter(torch.randn(clusters, dim, generator=torch.Generator().manual_seed(seed)))


def fine_tune(
    network: Network,
    images: NDArray[np.uint8],
    targets: NDArray[np.int64],
    *,
    batches: Batches,
    loss: Loss,
    loop: LoopSettings,
    tuning: Tuning,
    validate: Callable[[], dict[str, float]],
    resume: Resume | None = None,
    proxies: nn.Parameter | None = None,
) -> Recording:
    """Train in place on uint8 pictures [N, s, s, 3]; `loss` sees what `network.learn` returns.

    With `proxies` it sees a pair of that and the proxies. Raises what `training.loop.train`, `frozen.split` and
    `cached_views.cache_views` raise.
    """
    tuning.check(loop)
    recordings: list[Recording] = []
    done = 0
    for name, border, step in _steps(tuning, loop):
        settings = replace(step, seed=loop.seed + len(recordings))
        body, views = _above(border, network, PictureViews(images, loop.augmentation), settings, tuning)
        recordings.append(
            train(
                WithProxies(body, proxies) if proxies is not None else body,
                views,
                targets,
                batches=_later(batches, done),
                loss=loss,
                settings=settings,
                size_px=network.spec.size_px,
                validate=validate,
                resume=replace(resume, stage=name) if resume else None,
            )
        )
        done += settings.epochs
    network.to(torch.device("cpu")).requires_grad_(True)
    network.eval()
    return join(recordings)


def _steps(tuning: Tuning, loop: LoopSettings) -> list[tuple[str, Border, LoopSettings]]:
    """Return name, border and settings of the one step or the two of a training.

    Two steps go down one schedule, so that they differ from one step by what is frozen alone; a rate of its own gives
    the second step a schedule of its own too.
    """
    first = tuning.first_epochs
    if not first:
        return [("training", tuning.first_border, loop)]
    halved, share = min(loop.half_size_epochs, first), first / loop.epochs
    parts = ((0.0, share), (share, 1.0)) if tuning.second_rate is None and first < loop.epochs else ((0.0, 1.0),) * 2
    begin = replace(loop, epochs=first, half_size_epochs=halved, schedule_part=parts[0])
    end = replace(
        loop,
        epochs=loop.epochs - first,
        half_size_epochs=loop.half_size_epochs - halved,
        learning_rate=tuning.second_rate or loop.learning_rate,
        schedule_part=parts[1],
    )
    return [("first", tuning.first_border, begin), ("second", Border.NONE, end)]


def _above(
    border: Border, network: Network, pictures: PictureViews, settings: LoopSettings, tuning: Tuning
) -> tuple[nn.Module, Views]:
    """Return what the loop trains and what it is fed with."""
    # All parts share the network's layers, so that they must be on one device for validation.
    network.requires_grad_(True).to(torch.device(settings.device))
    whole = OnPixels(network)
    if border is Border.NONE:
        return whole, pictures
    lower, upper = split(whole, border)
    freeze(lower)
    if not tuning.cached_views or not settings.epochs:
        return Halves(lower, upper), pictures
    if settings.mixing in (Mixing.CUTMIX, Mixing.BOTH):
        check_cut(crossing_shapes(lower, pictures, size_px=network.spec.size_px))
    views = cache_views(
        lower,
        pictures,
        views=tuning.cached_views,
        size_px=network.spec.size_px,
        seed=_SEED_OF_CACHE,
        cache=tuning.cache,
    )
    return upper, views


def _later(batches: Batches, epochs: int) -> Batches:
    return lambda epoch: batches(epoch + epochs)
