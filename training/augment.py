"""Uint8 pictures [B, s, s, 3] in, changed ones as float pixels 0..255 in [B, 3, S, S] out; seeded, in batches."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Augmentation:
    """How far pictures may change; every number is the largest change, and each picture draws its own within it."""

    min_area: float = 0.35  # smallest part of the picture kept by the random crop
    turn_degrees: float = 20.0
    tilt: float = 0.2  # perspective
    light: float = 0.45  # brightness and contrast
    saturation: float = 0.4
    tint: float = 0.1  # per channel, as of lamps
    blur_share: float = 0.35  # of the pictures
    noise: float = 12.0
    cutout_share: float = 0.3


FULL = Augmentation()
LIGHT = Augmentation(
    min_area=0.7,
    turn_degrees=5.0,
    tilt=0.05,
    light=0.15,
    saturation=0.1,
    tint=0.03,
    blur_share=0.1,
    noise=3.0,
    cutout_share=0.0,
)
MEDIUM = Augmentation(
    min_area=0.6,
    turn_degrees=12.0,
    tilt=0.1,
    light=0.25,
    saturation=0.2,
    tint=0.05,
    blur_share=0.15,
    noise=5.0,
    cutout_share=0.15,
)
STRENGTHS = {"light": LIGHT, "medium": MEDIUM, "full": FULL}


def augment(images: Tensor, *, size_px: int, generator: Generator, how: Augmentation = FULL) -> Tensor:
    """Crop, flip, turn, tilt, relight, blur, add noise to and cover parts of a batch of uint8 [B, s, s, 3] pictures."""
    planes = images.permute(0, 3, 1, 2).float()
    out = functional.grid_sample(
        planes, _grid(len(images), size_px, generator, how), mode="bilinear", padding_mode="border", align_corners=False
    )
    out = _relight(out, generator, how)
    out = _blur(out, generator, how)
    count = len(out)
    strength = how.noise * torch.rand(count, 1, 1, 1, generator=generator)
    out = out + strength * torch.randn(out.shape, generator=generator)
    return _cover(out, generator, how).clamp_(0, 255)


def _uniform(generator: Generator, count: int, low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=generator)


def _grid(count: int, size_px: int, generator: Generator, how: Augmentation) -> Tensor:
    """Return where each output pixel looks in the input, [B, S, S, 2] in -1..1."""
    area = _uniform(generator, count, how.min_area, 1.0)
    aspect = torch.exp(_uniform(generator, count, math.log(3 / 4), math.log(4 / 3)))
    half_x, half_y = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    center_x = _uniform(generator, count, -1, 1) * (1 - half_x)
    center_y = _uniform(generator, count, -1, 1) * (1 - half_y)
    flip = torch.where(torch.rand(count, generator=generator) < 0.5, -1.0, 1.0)
    angle = torch.deg2rad(_uniform(generator, count, -how.turn_degrees, how.turn_degrees))
    tilt_x, tilt_y = (_uniform(generator, count, -how.tilt, how.tilt) for _ in range(2))
    steps = (torch.arange(size_px) + 0.5) * (2 / size_px) - 1
    v, u = torch.meshgrid(steps, steps, indexing="ij")
    u, v = u[None], v[None]

    def each(value: Tensor) -> Tensor:
        return value[:, None, None]

    depth = 1 + each(tilt_x) * u + each(tilt_y) * v
    x = (each(angle.cos()) * u - each(angle.sin()) * v) * each(flip) / depth
    y = (each(angle.sin()) * u + each(angle.cos()) * v) / depth
    return torch.stack((each(center_x) + each(half_x) * x, each(center_y) + each(half_y) * y), dim=-1)


def _relight(planes: Tensor, generator: Generator, how: Augmentation) -> Tensor:
    def factor(reach: float) -> Tensor:
        return _uniform(generator, len(planes), 1 - reach, 1 + reach)[:, None, None, None]

    middle = planes.mean(dim=(1, 2, 3), keepdim=True)
    planes = (planes - middle) * factor(how.light) + middle * factor(how.light)
    gray = planes.mean(dim=1, keepdim=True)
    planes = gray + (planes - gray) * factor(how.saturation)
    tint = 1 + how.tint * (2 * torch.rand(len(planes), 3, 1, 1, generator=generator) - 1)
    return planes * tint


def _blur(planes: Tensor, generator: Generator, how: Augmentation) -> Tensor:
    chosen = torch.rand(len(planes), generator=generator) < how.blur_share
    twice = chosen & (torch.rand(len(planes), generator=generator) < 0.5)
    for rows in (chosen, twice):
        if rows.any():
            padded = functional.pad(planes[rows], (1, 1, 1, 1), mode="replicate")
            planes = planes.index_put((rows.nonzero()[:, 0],), functional.avg_pool2d(padded, 3, stride=1))
    return planes


def _cover(planes: Tensor, generator: Generator, how: Augmentation) -> Tensor:
    """Cover a random rectangle, up to 40 % of each side, with one color."""
    count, _, height, width = planes.shape
    chosen = torch.rand(count, generator=generator) < how.cutout_share
    left, top = (_uniform(generator, count, 0.0, 0.8) for _ in range(2))
    wide, tall = (_uniform(generator, count, 0.1, 0.4) for _ in range(2))
    column, row = torch.arange(width) / width, torch.arange(height) / height
    inside_x = (column >= left[:, None]) & (column < (left + wide)[:, None])
    inside_y = (row >= top[:, None]) & (row < (top + tall)[:, None])
    covered = chosen[:, None, None] & inside_y[:, :, None] & inside_x[:, None, :]
    color = 255 * torch.rand(count, 3, 1, 1, generator=generator)
    return torch.where(covered[:, None], color, planes)
