"""A batch in, a batch of pairs laid over each other out, with the share that the first of each pair has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor

from catalog.errors import OutOfRangeError


class Mixing(StrEnum):
    """How two rows of a batch become one.

    MIXUP: the weighted mean of both (Zhang et al., "mixup", 2018); works on pictures and on activations.
    CUTMIX: a rectangle of one on the other (Yun et al., "CutMix", 2019, section 3.1); pictures, or maps of one size.
    BOTH: one of them, drawn for each batch.
    """

    NONE = "none"
    MIXUP = "mixup"
    CUTMIX = "cutmix"
    BOTH = "both"


# CutMix draws from the uniform distribution, as published; mixup is best with most pairs far from half and half.
ALPHAS = {Mixing.MIXUP: 0.4, Mixing.CUTMIX: 1.0}


@dataclass(frozen=True)
class Mixed:
    """Row i of `tensors` shows row i of the batch with share `share` and row `partners[i]` with the rest."""

    tensors: tuple[Tensor, ...]
    partners: Tensor  # int64 [B]
    share: float


def mix(tensors: tuple[Tensor, ...], mixing: Mixing, *, alpha: float | None, generator: torch.Generator) -> Mixed:
    """Mix each row with a random other one; the share is drawn from Beta(alpha, alpha), once for the batch.

    `alpha` None is `ALPHAS`. Raises `OutOfRangeError` for CutMix on anything but one tensor of maps [B, C, H, W].
    """
    if mixing is Mixing.BOTH:
        mixing = Mixing.MIXUP if torch.rand((), generator=generator) < 0.5 else Mixing.CUTMIX
    partners = torch.randperm(len(tensors[0]), generator=generator)
    # numpy draws from Beta with a generator of its own, torch only with its global one.
    seed = int(torch.randint(2**62, (), generator=generator))
    alpha = ALPHAS[mixing] if alpha is None else alpha
    share = float(np.random.default_rng(seed).beta(alpha, alpha))
    if mixing is Mixing.MIXUP:
        return Mixed(tuple(torch.lerp(one[partners], one, share) for one in tensors), partners, share)
    return _cut(tensors, partners, share=share, generator=generator)


def check_cut(shapes: Sequence[tuple[int, ...]]) -> None:
    """Raise `OutOfRangeError` unless `shapes`, each of one picture, are a single one of maps, [C, H, W]."""
    if len(shapes) != 1 or len(shapes[0]) != 3:
        got = ", ".join(str(list(shape)) for shape in shapes)
        raise OutOfRangeError(f"cutmix needs pictures or maps of one size, [C, H, W], got {got}; use mixup")


def _cut(tensors: tuple[Tensor, ...], partners: Tensor, *, share: float, generator: torch.Generator) -> Mixed:
    """Lay a rectangle of the partner on each row."""
    check_cut([tuple(one.shape[1:]) for one in tensors])
    maps = tensors[0].clone()
    height, width = maps.shape[2:]
    rows, columns = _rectangle(share, height=height, width=width, generator=generator)
    maps[:, :, rows, columns] = tensors[0][partners][:, :, rows, columns]
    covered = (rows.stop - rows.start) * (columns.stop - columns.start)
    return Mixed((maps,), partners, 1 - covered / (height * width))


def _rectangle(share: float, *, height: int, width: int, generator: torch.Generator) -> tuple[slice, slice]:
    """Return rows and columns of a rectangle of 1 - share of the picture, less what lies outside of it."""
    side = math.sqrt(1 - share)
    center_y, center_x = torch.rand(2, generator=generator).tolist()
    return _span(center_y, side, height), _span(center_x, side, width)


def _span(center: float, side: float, length: int) -> slice:
    first, last = (round(length * (center + sign * side / 2)) for sign in (-1, 1))
    return slice(max(0, first), min(length, last))
