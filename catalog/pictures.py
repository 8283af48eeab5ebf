"""Bytes of any picture in, upright RGB and uint8 [S, S, 3] out: the one place where bytes become pixels.

The service, the builder and training all come through here, so that no two of them see different pixels. Every result
is a pure function of the bytes and the size asked for; nothing global of Pillow is touched, so threads may share it.
ICC profiles are ignored, as the networks were trained without them; so is an orientation that stands only in XMP.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from catalog.colors import to_rgb
from catalog.errors import NotAnImageError, OutOfRangeError, TooLargeError
from catalog.headers import early_size, exif_orientation, is_cut_off, open_header, refuse_jpeg_bomb
from catalog.rows import Box, parse_box

__all__ = ["FIT", "Box", "Fit", "Picture", "PictureLimits", "decode", "load_input", "parse_box", "to_input"]

# Pillow warns about broken metadata, which is of no use to anyone here; a filter per call would not be thread-safe.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

WHITE = (255, 255, 255)
REDUCING_GAP = 2.0  # shrink by whole factors first, down to twice the target: much faster, hardly visible

_TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES = (5, 6, 7, 8)


class Fit(StrEnum):
    """How a picture that is not square becomes a square."""

    SQUASH = "squash"  # both sides to S: all of the picture, proportions lost
    CROP = "crop"  # the short side to S, the middle kept: proportions kept, ends lost
    PAD = "pad"  # the long side to S, white around: all of it and proportions kept, fewer pixels


FIT = Fit.SQUASH  # the one policy of training, builder and service


@dataclass(frozen=True)
class PictureLimits:
    """What is refused before pixels are decoded: more bytes than `max_bytes`, more pixels than `max_pixels`."""

    max_bytes: int = 16 * 1024 * 1024
    max_pixels: int = 50_000_000


@dataclass(frozen=True)
class Picture:
    """An upright RGB picture. `width_px` and `height_px` are the original's; `image` may be smaller by `scale`."""

    image: Image.Image
    width_px: int
    height_px: int
    scale: float = 1.0


def decode(
    data: bytes,
    *,
    limits: PictureLimits | None = None,
    min_side_px: int | None = None,
    box: Box | None = None,
) -> Picture:
    """Decode one picture: upright by EXIF, alpha over white, first frame, 8-bit RGB.

    With `min_side_px` a JPEG may be decoded at 1/2, 1/4 or 1/8, as long as its short side (or that of `box`, in pixels
    of the upright original) keeps so many pixels. Raises `TooLargeError` before any pixel is decoded,
    `NotAnImageError` for bytes that are empty, no picture, of another format, cut off or corrupt.
    """
    limits = limits or PictureLimits()
    _refuse_bytes(data, limits)
    try:
        return _decode(data, limits, min_side_px, box)
    except (NotAnImageError, TooLargeError, OutOfRangeError):
        raise
    except (MemoryError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooLargeError("the picture needs more memory to decode than is allowed, send a smaller one") from error
    except Exception as error:  # Pillow raises a dozen types on corrupt bytes: OSError, SyntaxError, struct.error ...
        raise NotAnImageError(_what_is_wrong(data, error)) from error


def load_input(
    data: bytes,
    *,
    size_px: int,
    box: Box | None = None,
    limits: PictureLimits | None = None,
) -> tuple[NDArray[np.uint8], Picture]:
    """Bytes to network input uint8 [S, S, 3] and the picture it came from; errors of `decode` and `to_input`."""
    picture = decode(data, limits=limits, min_side_px=size_px, box=box)
    return to_input(picture, size_px=size_px, box=box), picture


def to_input(picture: Picture, *, size_px: int, box: Box | None = None, fit: Fit = FIT) -> NDArray[np.uint8]:
    """Crop to `box` (pixels of the upright original, clipped to it) and resize by `fit` to uint8 [S, S, 3].

    Raises `OutOfRangeError` where the box and the picture have no area in common.
    """
    region = picture.image if box is None else _crop(picture, box)
    if fit is Fit.CROP:
        side = min(region.size)
        left, top = (region.width - side) // 2, (region.height - side) // 2
        region = region.crop((left, top, left + side, top + side))
    if fit is Fit.PAD:
        factor = size_px / max(region.size)
        width, height = (max(1, round(side * factor)) for side in region.size)
        square = Image.new("RGB", (size_px, size_px), WHITE)
        square.paste(_resize(region, width, height), ((size_px - width) // 2, (size_px - height) // 2))
    else:
        square = _resize(region, size_px, size_px)
    return np.array(square, dtype=np.uint8)


def _refuse_bytes(data: bytes, limits: PictureLimits) -> None:
    if not data:
        raise NotAnImageError("the picture is empty (0 bytes), send the bytes of a picture")
    if len(data) > limits.max_bytes:
        raise TooLargeError(f"the picture has {len(data):,} bytes, at most {limits.max_bytes:,} are allowed")


def _refuse_pixels(width_px: int, height_px: int, limits: PictureLimits) -> None:
    if width_px * height_px > limits.max_pixels:
        got = f"{width_px:,} x {height_px:,} = {width_px * height_px:,} pixels"
        raise TooLargeError(f"the picture has {got}, at most {limits.max_pixels:,} are allowed")


def _decode(data: bytes, limits: PictureLimits, min_side_px: int | None, box: Box | None) -> Picture:
    if (early := early_size(data)) is not None:
        _refuse_pixels(*early, limits)
    with open_header(data) as opened:
        width, height = opened.size
        _refuse_pixels(width, height, limits)
        if opened.format == "JPEG":
            refuse_jpeg_bomb(data)
        orientation = exif_orientation(opened)
        if orientation in _SWAPS_SIDES:
            width, height = height, width
        scale = 1.0
        if opened.format == "JPEG" and min_side_px is not None:
            scale = _draft(opened, _short_side(width, height, box), min_side_px)
        opened.load()
        if opened.format == "PNG":  # its EXIF may stand after the pixels
            orientation = exif_orientation(opened)
            width, height = opened.size[:: -1 if orientation in _SWAPS_SIDES else 1]
        image = to_rgb(opened)
    if orientation in _TRANSPOSES:
        image = image.transpose(_TRANSPOSES[orientation])
    return Picture(image=image, width_px=width, height_px=height, scale=scale)


def _draft(opened: Image.Image, short_side_px: float, min_side_px: int) -> float:
    """Let the JPEG decoder shrink by the largest of 8, 4, 2 that leaves `min_side_px`; the scale that results."""
    for factor in (8, 4, 2):
        if short_side_px / factor >= min_side_px and min(opened.size) >= factor:
            opened.draft(None, (opened.width // factor, opened.height // factor))
            return 1 / factor
    return 1.0


def _short_side(width: int, height: int, box: Box | None) -> float:
    if box is None:
        return min(width, height)
    clipped = _clip(box, width, height)
    return min(clipped.x_max - clipped.x_min, clipped.y_max - clipped.y_min)


def _clip(box: Box, width: int, height: int) -> Box:
    clipped = Box(max(box.x_min, 0), max(box.y_min, 0), min(box.x_max, width), min(box.y_max, height))
    if not (clipped.x_min < clipped.x_max and clipped.y_min < clipped.y_max):
        asked = ",".join(f"{number:g}" for number in box)
        raise OutOfRangeError(f"box {asked} has no area inside the photo of {width} x {height} pixels")
    return clipped


def _crop(picture: Picture, box: Box) -> Image.Image:
    """The pixels a box touches, at least one: whole pixels, so that nothing outside bleeds in."""
    clipped = _clip(box, picture.width_px, picture.height_px)
    across, down = picture.image.width / picture.width_px, picture.image.height / picture.height_px
    left, right = _whole(clipped.x_min * across, clipped.x_max * across, picture.image.width)
    top, bottom = _whole(clipped.y_min * down, clipped.y_max * down, picture.image.height)
    return picture.image.crop((left, top, right, bottom))


def _whole(low: float, high: float, size: int) -> tuple[int, int]:
    first = min(round(low), size - 1)
    return first, min(max(round(high), first + 1), size)


def _resize(image: Image.Image, width: int, height: int) -> Image.Image:
    if image.size == (width, height):
        return image
    return image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=REDUCING_GAP)


def _what_is_wrong(data: bytes, error: Exception) -> str:
    if is_cut_off(data) or "truncated" in str(error).lower() or isinstance(error, EOFError):
        return f"the picture is cut off after {len(data):,} bytes, send the whole file"
    return f"the picture of {len(data):,} bytes is corrupt and can't be decoded, save it again as JPEG or PNG"
