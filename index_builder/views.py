"""A network input in, several views of it out (itself, its mirror image, center crops), and their vectors made one.

Builder and service share it, so that a gallery and its queries are seen the same way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from catalog.errors import OutOfRangeError
from index_builder.fusion import unit

MAX_VIEWS = 4
CROP_SHARE = 0.875  # of each side, as networks of ImageNet are usually tested


def check_views(count: int, *, most: int = MAX_VIEWS) -> int:
    """Return the number of views if it is 1 to `most`: `OutOfRangeError` otherwise."""
    if not 1 <= count <= most:
        raise OutOfRangeError(f"views is {count}, expected 1 to {most}")
    return count


def views_of(pixels: NDArray[np.uint8], count: int) -> NDArray[np.uint8]:
    """Return `count` views uint8 [count, S, S, 3] of a picture uint8 [S, S, 3].

    In this order: the picture, its mirror image, its center crop at full size, the crop's mirror image.
    """
    views = [pixels, pixels[:, ::-1]]
    if check_views(count) > len(views):
        crop = _center_crop(pixels)
        views += [crop, crop[:, ::-1]]
    return np.stack(views[:count])


def mean_of_views(vectors: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Return the unit mean [B, D] of each picture's unit vectors [B * count, D], which follow each other.

    One view is left as it is.
    """
    if count == 1:
        return vectors
    return unit(_by_picture(vectors, count).mean(axis=1, dtype=np.float64)).astype(np.float32)


def mean_probabilities(probabilities: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Return the mean [B, V] of each picture's probabilities [B * count, V]."""
    if count == 1:
        return probabilities
    mean: NDArray[np.float32] = _by_picture(probabilities, count).mean(axis=1, dtype=np.float64).astype(np.float32)
    return mean


def _by_picture(rows: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    return rows.reshape(len(rows) // count, count, rows.shape[1])


def _center_crop(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    side = len(pixels)
    kept = max(1, round(CROP_SHARE * side))
    first = (side - kept) // 2
    crop = Image.fromarray(np.ascontiguousarray(pixels[first : first + kept, first : first + kept]))
    return np.array(crop.resize((side, side), Image.Resampling.BICUBIC), dtype=np.uint8)
