"""A sample of fused vectors in, a matrix out that turns or shortens the image part and the text part apart.

The factory strings `PCA256+128,REST` and `OPQ256+128,REST` mean: the image part becomes 256 numbers, the text part 128
(shorter by its principal axes, longer by zeros), then FAISS' REST. The matrix is block-diagonal, so codes of REST that
do not straddle the border hold one part each, and a query of weight 0 gets nothing from the text part's errors. A
FAISS transform of the whole vector mixes both, and then every code's error counts at every weight.

There is no centering (FAISS' own PCA subtracts the mean, which changes inner products by an amount that differs from
row to row): axes are those of the second moments. OPQ is the parametric solution of Ge et al. 2013, "Optimized product
quantization": principal axes dealt out to the sub-spaces so that all have the same product of variances.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.errors import OutOfRangeError

LEAST_VARIANCE = 1e-10  # of the largest; below it is rounding
BLOCK = 16_384


@dataclass(frozen=True)
class PartFactory:
    """A factory string of ours: what becomes of the parts, and FAISS' factory string for what comes after."""

    balanced: bool  # OPQ
    image_out: int
    text_out: int
    inner: str

    @property
    def dim(self) -> int:
        """Numbers in a transformed vector."""
        return self.image_out + self.text_out


def split_factory(factory: str) -> PartFactory | None:
    """Return the parts of a factory string, None when it is one of FAISS' own."""
    found = re.fullmatch(r"(PCA|OPQ)(\d+)\+(\d+),(.+)", factory)
    if found is None:
        return None
    return PartFactory(found[1] == "OPQ", int(found[2]), int(found[3]), inner=found[4])


def fit(sample: NDArray[np.float32], factory: PartFactory, *, image_dim: int) -> NDArray[np.float32]:
    """Return the matrix [D', D] for fused vectors [n, D]. Raises `OutOfRangeError` when the parts do not fit."""
    text_dim = sample.shape[1] - image_dim
    if (text_dim > 0) != (factory.text_out > 0) or factory.image_out < 1:
        raise OutOfRangeError(
            f"the recipe makes parts of {factory.image_out} and {factory.text_out} numbers, "
            f"the gallery's parts have {image_dim} and {text_dim}"
        )
    width = _subspace(factory) if factory.balanced else None
    matrix = np.zeros((factory.dim, sample.shape[1]), np.float32)
    matrix[: factory.image_out, :image_dim] = _axes(_moments(sample[:, :image_dim]), factory.image_out, width)
    if text_dim:
        matrix[factory.image_out :, image_dim:] = _axes(_moments(sample[:, image_dim:]), factory.text_out, width)
    return matrix


def deal_out(variances: NDArray[np.float64], *, width: int) -> NDArray[np.int64]:
    """Return the order of axes [d] (variances given, largest first) in which each `width` of them are a sub-space.

    Each axis goes to the sub-space with room whose variances have the least product so far.
    """
    floor = max(float(variances[0]) * LEAST_VARIANCE, np.finfo(float).tiny)
    weights = np.log(np.maximum(variances, floor) / floor)
    spaces: list[list[int]] = [[] for _ in range(len(variances) // width)]
    totals = [0.0] * len(spaces)
    for axis, weight in enumerate(weights):
        space = min((one for one in range(len(spaces)) if len(spaces[one]) < width), key=totals.__getitem__)
        spaces[space].append(axis)
        totals[space] += float(weight)
    return np.array([axis for space in spaces for axis in space], np.int64)


def _subspace(factory: PartFactory) -> int:
    """Return the width of the sub-spaces of the product quantizer that follows, which must not straddle the parts."""
    found = re.search(r"(?<![A-Z])PQ(\d+)", factory.inner)
    codes = int(found[1]) if found else 0
    width = factory.dim // codes if codes else 0
    if not width or factory.dim % codes or factory.image_out % width:
        raise OutOfRangeError(
            f"OPQ{factory.image_out}+{factory.text_out} needs a PQ whose sub-spaces end where the image part ends, "
            f"got '{factory.inner}'"
        )
    return width


def _moments(part: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the second moments [d, d] of rows [n, d], in blocks."""
    total = np.zeros((part.shape[1], part.shape[1]))
    for start in range(0, len(part), BLOCK):
        block = np.asarray(part[start : start + BLOCK], np.float64)
        total += block.T @ block
    return total / max(len(part), 1)


def _axes(moments: NDArray[np.float64], out: int, width: int | None) -> NDArray[np.float64]:
    """Return orthonormal rows [out, d], the largest moments first (zeros once d are used up), or dealt out."""
    values, vectors = np.linalg.eigh(moments)
    kept = min(out, len(values))
    axes = np.zeros((out, len(values)))
    axes[:kept] = vectors[:, ::-1].T[:kept]
    if width is None:
        return axes
    variances = np.zeros(out)
    variances[:kept] = values[::-1][:kept]
    return axes[deal_out(variances, width=width)]
