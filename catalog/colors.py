"""A loaded Pillow image of any mode in, 8-bit RGB out: alpha over white, wide gray scaled, CMYK converted."""

from __future__ import annotations

import numpy as np
from PIL import Image

_WHITE = (255, 255, 255)
_ALPHA_MODES = frozenset({"RGBA", "LA", "PA", "RGBa", "La"})


def to_rgb(image: Image.Image) -> Image.Image:
    """Return `image` as RGB; a new image unless it is RGB without transparency already."""
    if image.mode.startswith("I") or image.mode == "F":
        return _wide_gray(image).convert("RGB")
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        return _over_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode == "La":
        image = image.convert("LA")
    pixels = image if image.mode == "RGBA" else image.convert("RGBA")
    paper = Image.new("RGB", pixels.size, _WHITE)
    paper.paste(pixels, mask=pixels.getchannel("A"))
    return paper


def _wide_gray(image: Image.Image) -> Image.Image:
    """16-bit gray by its full range (65535 is white); 32-bit and float gray, which have none, by what they hold."""
    values = np.asarray(image).astype(np.float64)
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    white = 65535.0 if image.mode.startswith("I;16") else _white_level(float(values.max()), image.mode)
    scaled = np.clip(values * (255.0 / white), 0, 255)
    return Image.fromarray((scaled + 0.5).astype(np.uint8))


def _white_level(highest: float, mode: str) -> float:
    levels = (1.0, 255.0, 65535.0) if mode == "F" else (255.0, 65535.0)
    return next((level for level in levels if highest <= level), highest)
