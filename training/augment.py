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
    stretch: float = 4 / 3  # longer over shorter side of what is cropped from a square
    flip_share: float = 0.5
    hue_degrees: float = 0.0  # turn of all colors about the gray axis
    gray_share: float = 0.0
    blocks_share: float = 0.0  # blocks of strong JPEG compression


FULL = Augmentation()
# Nothing changes but the size.
NONE = Augmentation(
    min_area=1.0,
    turn_degrees=0.0,
    tilt=0.0,
    light=0.0,
    saturation=0.0,
    tint=0.0,
    blur_share=0.0,
    noise=0.0,
    cutout_share=0.0,
    stretch=1.0,
    flip_share=0.0,
)
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
# For cameras, lamps and distances that no training picture knows, such as those of another shop.
STRONG = Augmentation(
    min_area=0.25,
    turn_degrees=35.0,
    tilt=0.25,
    light=0.6,
    saturation=0.7,
    tint=0.2,
    blur_share=0.4,
    noise=15.0,
    cutout_share=0.4,
    stretch=3 / 2,
    hue_degrees=15.0,
    gray_share=0.1,
    blocks_share=0.25,
)
STRENGTHS = {"none": NONE, "light": LIGHT, "medium": MEDIUM, "full": FULL, "strong": STRONG}

_LUMA = (0.299, 0.587, 0.114)  # of ITU-R BT.601, as JPEG has it
_WORST_QUALITY, _BEST_QUALITY = 15.0, 75.0
# Quantization of luminance and of chrominance at quality 50 (ITU-T T.81, tables K.1 and K.2).
_LUMA_STEPS = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA_STEPS = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8,) * 4,
)


def augment(images: Tensor, *, size_px: int, generator: Generator, how: Augmentation = FULL) -> Tensor:
    """Crop, flip, turn, tilt, recolor, blur, add noise to, compress and cover parts of uint8 [B, s, s, 3] pictures."""
    planes = images.permute(0, 3, 1, 2).float()
    out = functional.grid_sample(
        planes, _grid(len(images), size_px, generator, how), mode="bilinear", padding_mode="border", align_corners=False
    )
    out = _relight(out, generator, how)
    out = _recolor(out, generator, how)
    out = _blur(out, generator, how)
    if how.noise:
        strength = how.noise * torch.rand(len(out), 1, 1, 1, generator=generator)
        out = out.addcmul(strength, torch.randn(out.shape, generator=generator))
    out = _compress(out, generator, how)
    return _cover(out, generator, how).clamp_(0, 255)


def turn_hue(planes: Tensor, degrees: Tensor) -> Tensor:
    """Turn the colors of [B, 3, S, S] by one angle a picture, [B], about the gray axis; 120 makes red green.

    Sums over the channels stay as they are (Rodrigues' rotation about (1, 1, 1)).
    """
    angle = torch.deg2rad(degrees)
    cosine, sine = angle.cos(), angle.sin() / math.sqrt(3)
    same, next_, last = (1 + 2 * cosine) / 3, (1 - cosine) / 3 - sine, (1 - cosine) / 3 + sine
    first_row = torch.stack((same, next_, last), dim=1)
    turn = torch.stack([first_row.roll(shift, dims=1) for shift in range(3)], dim=1)
    return torch.einsum("bij,bjhw->bihw", turn, planes)


def to_gray(planes: Tensor) -> Tensor:
    """Return [B, 3, S, S] with the luma of each pixel in all channels."""
    weights = torch.tensor(_LUMA).view(1, 3, 1, 1)
    return (planes * weights).sum(dim=1, keepdim=True).expand_as(planes)


def compress(planes: Tensor, quality: Tensor) -> Tensor:
    """Give [B, 3, S, S] the blocks of a JPEG file of that quality, [B] in 1..100, without halved color planes.

    8 x 8 cosine transform, quantization and back (ITU-T T.81, annexes A.3 and K.1); rounding has no slope.
    """
    side = planes.shape[-2:]
    padded = functional.pad(planes, (0, -side[1] % 8, 0, -side[0] % 8), mode="replicate")
    luma_chroma = _color_matrix()
    color = torch.einsum("ij,bjhw->bihw", luma_chroma, padded - 128)
    count, _, height, width = color.shape
    blocks = color.view(count, 3, height // 8, 8, width // 8, 8).permute(0, 1, 2, 4, 3, 5)
    basis = _cosines()
    steps = torch.tensor((_LUMA_STEPS, _CHROMA_STEPS, _CHROMA_STEPS), dtype=torch.float32)
    percent = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)
    scaled = ((steps * percent.view(-1, 1, 1, 1) + 50) / 100).floor().clamp(1, 255)[:, :, None, None]
    coarse = (basis @ blocks @ basis.T / scaled).round() * scaled
    back = (basis.T @ coarse @ basis).permute(0, 1, 2, 4, 3, 5).reshape(count, 3, height, width)
    out = torch.einsum("ij,bjhw->bihw", torch.linalg.inv(luma_chroma), back) + 128
    return out[..., : side[0], : side[1]].clamp(0, 255)


def _uniform(generator: Generator, count: int, low: float, high: float) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=generator)


def _grid(count: int, size_px: int, generator: Generator, how: Augmentation) -> Tensor:
    """Return where each output pixel looks in the input, [B, S, S, 2] in -1..1."""
    area = _uniform(generator, count, how.min_area, 1.0)
    aspect = torch.exp(_uniform(generator, count, -math.log(how.stretch), math.log(how.stretch)))
    half_x, half_y = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    center_x = _uniform(generator, count, -1, 1) * (1 - half_x)
    center_y = _uniform(generator, count, -1, 1) * (1 - half_y)
    flip = torch.where(torch.rand(count, generator=generator) < how.flip_share, -1.0, 1.0)
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


def _recolor(planes: Tensor, generator: Generator, how: Augmentation) -> Tensor:
    if how.hue_degrees:
        planes = turn_hue(planes, _uniform(generator, len(planes), -how.hue_degrees, how.hue_degrees))
    if how.gray_share:
        rows = (torch.rand(len(planes), generator=generator) < how.gray_share).nonzero()[:, 0]
        planes = planes.index_copy(0, rows, to_gray(planes[rows]))
    return planes


def _compress(planes: Tensor, generator: Generator, how: Augmentation) -> Tensor:
    if not how.blocks_share:
        return planes
    rows = (torch.rand(len(planes), generator=generator) < how.blocks_share).nonzero()[:, 0]
    quality = _uniform(generator, len(planes), _WORST_QUALITY, _BEST_QUALITY)[rows]
    return planes.index_copy(0, rows, compress(planes[rows].clamp(0, 255), quality))


def _color_matrix() -> Tensor:
    """Return the matrix from RGB to luma and the two color differences, [3, 3]."""
    red, green, blue = _LUMA
    return torch.tensor(
        (
            _LUMA,
            (-red / (1 - blue) / 2, -green / (1 - blue) / 2, 0.5),
            (0.5, -green / (1 - red) / 2, -blue / (1 - red) / 2),
        )
    )


def _cosines() -> Tensor:
    """Return the orthonormal basis of the 8-point cosine transform, one frequency a row."""
    place, frequency = torch.arange(8.0), torch.arange(8.0)[:, None]
    basis = torch.cos((2 * place + 1) * frequency * math.pi / 16) / 2
    basis[0] /= math.sqrt(2)
    return basis


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
