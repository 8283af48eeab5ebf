"""Image parts and text parts in, gallery and query vectors out, so that one inner product is the weighted score.

    gallery row  g = [ n(v_I) ; w_g * n(v_W) ]        w_g = sqrt(default weight)
    query        q = [ n(v_I) ; (weight / w_g) * v_W ]
    q . g = s_I + weight * s_T                         score = (s_I + weight * s_T) / (1 + weight)

Pure functions. A zero text part is "no usable text": its text score is nan and counts 0.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from catalog.errors import OutOfRangeError

Floats = NDArray[np.float32] | NDArray[np.float64]

MAX_WEIGHT = 25.0
# Below it the stored text part drowns in float32 noise next to the image part.
MIN_DEFAULT_WEIGHT = 1e-3
# Unit float32 vectors that are no farther from the center than this are equal to it but for rounding.
CENTER_ITSELF = 1e-5
FUSE_BLOCK = 4096


def unit(rows: Floats) -> NDArray[np.float64]:
    """Return the rows [N, D] at length 1; zero rows stay zero. Raises `OutOfRangeError` for nan or infinity."""
    wide = np.asarray(rows, np.float64)
    if not np.isfinite(wide).all():
        raise OutOfRangeError("vectors have values that are not finite numbers")
    norms = np.sqrt(np.einsum("nd,nd->n", wide, wide))[:, None]
    units: NDArray[np.float64] = np.divide(wide, norms, out=np.zeros_like(wide), where=norms > 0)
    return units


def center_texts(texts: Floats, center: Floats) -> NDArray[np.float32]:
    """Return unit text vectors [N, D_T] minus the gallery's center [D_T], at length 1 again; zero rows stay zero.

    The one place where texts are centered, be they rows, labels or a shopper's words. A text that is the center itself
    becomes zero: it tells nothing apart.
    """
    wide = np.asarray(texts, np.float64)
    moved = np.where(wide.any(axis=1, keepdims=True), wide - np.asarray(center, np.float64), 0.0)
    moved[np.linalg.norm(moved, axis=1) < CENTER_ITSELF] = 0.0
    return unit(moved).astype(np.float32)


def text_factor(default_weight: float) -> float:
    """Return w_g. Raises `OutOfRangeError` for a default weight that cannot be stored with text."""
    if not MIN_DEFAULT_WEIGHT <= default_weight <= MAX_WEIGHT:
        raise OutOfRangeError(
            f"default weight is {default_weight:g}, a gallery with text needs {MIN_DEFAULT_WEIGHT:g} to "
            f"{MAX_WEIGHT:g}; build with --text none, or ask with weight 0"
        )
    return math.sqrt(default_weight)


def check_weight(weight: float) -> float:
    """Return the weight, which must be in [0, 25]: `OutOfRangeError` otherwise."""
    if not 0 <= weight <= MAX_WEIGHT:  # also refuses nan
        raise OutOfRangeError(f"weight is {weight}, expected 0 to {MAX_WEIGHT:g}")
    return weight


def fuse_gallery(image: Floats, text: Floats | None, *, default_weight: float) -> NDArray[np.float32]:
    """Return gallery vectors float32 [N, D_I + D_T] from image parts [N, D_I] and text parts [N, D_T] of any length.

    Without text (None) they are the unit image parts. Rows of zeros stay zero: such a text counts 0 for any query.
    """
    if text is None or text.shape[1] == 0:
        return unit(image).astype(np.float32)
    return np.hstack([unit(image), text_factor(default_weight) * unit(text)]).astype(np.float32)


class FusedRows:
    """Gallery vectors [N, D_I + D_T] that are fused when they are asked for: no second copy of a large gallery."""

    def __init__(self, parts: NDArray[np.float32], image_dim: int, *, default_weight: float) -> None:
        """`parts` [N, D_I + D_T] may be mapped from a file."""
        self._parts = parts
        self._image_dim = image_dim
        self._default_weight = default_weight

    @property
    def shape(self) -> tuple[int, ...]:
        """N, D_I + D_T."""
        return self._parts.shape

    def __getitem__(self, rows: slice | NDArray[np.int64]) -> NDArray[np.float32]:
        """Return some rows, fused."""
        chosen = self._parts[rows]
        fused = np.empty(chosen.shape, np.float32)
        for start in range(0, len(chosen), FUSE_BLOCK):  # float64 on the way
            block = chosen[start : start + FUSE_BLOCK]
            image, text = block[:, : self._image_dim], block[:, self._image_dim :]
            fused[start : start + FUSE_BLOCK] = fuse_gallery(image, text, default_weight=self._default_weight)
        return fused


def fuse_query(image: Floats, text: Floats | None, *, weight: float, default_weight: float) -> NDArray[np.float32]:
    """Return query vectors float32 [B, D_I + D_T]; `text` [B, D_T] is used as long as it is.

    It is not normalized, since a soft label vector is the expected text cosine and may be shorter than 1. Pass zeros
    for a query without text on a gallery with text.
    """
    check_weight(weight)
    return fuse_units(unit(image), text, weight=weight, default_weight=default_weight)


def fuse_units(image: Floats, text: Floats | None, *, weight: float, default_weight: float) -> NDArray[np.float32]:
    """Do what `fuse_query` does with image parts that are unit already."""
    if text is None or text.shape[1] == 0:
        return np.asarray(image, np.float32)
    factor = weight / text_factor(default_weight)
    return np.hstack([image, factor * np.asarray(text, np.float64)]).astype(np.float32)


def scores(image_scores: Floats, text_scores: Floats, *, weight: float) -> NDArray[np.float64]:
    """Return (s_I + weight * s_T) / (1 + weight); a missing s_T is given as 0."""
    combined: NDArray[np.float64] = (np.asarray(image_scores, np.float64) + weight * text_scores) / (1 + weight)
    return combined
