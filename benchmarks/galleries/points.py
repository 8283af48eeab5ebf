"""Real vectors with their classes in, as many alike in out: blocks of points for a gallery, and queries never in it.

A point is a center (one of the given vectors) moved within the class's own subspace (of 32 dimensions, fitted by SVD to
the class's vectors) by 0.5 of the class's standard deviation in each direction, and in all directions alike by 0.1 of
the class's spread (the root mean square distance of its vectors from their mean); then it is made unit length. So the
intrinsic dimension, which decides how hard a search is, stays that of real data however many points are drawn.

Point number i is the same whatever the size of the blocks, and however many points are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SUBSPACE_DIM = 32
WITHIN = 0.5
AROUND = 0.1
CHUNK = 4096  # points drawn by one random generator
GALLERY, QUERIES = 0, 1  # streams of random numbers that never meet
SAMPLE = 2000


@dataclass(frozen=True)
class Block:
    """`vectors` float32 [n, D] at unit length, made of the centers of these numbers [n]."""

    vectors: NDArray[np.float32]
    centers: NDArray[np.int64]


@dataclass(frozen=True)
class IntrinsicDimension:
    """How many dimensions points fill, by two estimators that look at different scales.

    `participation` is (sum of l)^2 / sum of l^2 over the variances l along the principal axes: how many axes the cloud
    as a whole spreads over. `two_nn` is that of Facco et al. 2017, "Estimating the intrinsic dimension of datasets by a
    minimal neighborhood information" (maximum likelihood): in how many directions a point has neighbors.
    """

    participation: float
    two_nn: float


class Points:
    """A source of points around centers [C, D] of classes [C] (any names)."""

    def __init__(
        self,
        centers: NDArray[np.float32],
        classes: NDArray[np.generic],
        *,
        subspace_dim: int = SUBSPACE_DIM,
        within: float = WITHIN,
        around: float = AROUND,
        seed: int = 0,
    ) -> None:
        """Raises ValueError when there is no center, or not one class for each."""
        if centers.ndim != 2 or len(centers) == 0 or len(classes) != len(centers):
            raise ValueError(f"centers are {list(centers.shape)}, classes {list(classes.shape)}, expected [C, D], [C]")
        self._centers = np.asarray(centers, np.float32)
        self._seed = seed
        _, self._class_of = np.unique(classes, return_inverse=True)
        members = [self._centers[self._class_of == one] for one in range(int(self._class_of.max()) + 1)]
        self._axes = np.stack([within * class_axes(one, subspace_dim) for one in members])  # [classes, S, D]
        self._around = np.array([around * class_spread(one) for one in members]) / np.sqrt(self.dim)

    @property
    def dim(self) -> int:
        """D."""
        return int(self._centers.shape[1])

    def blocks(self, count: int, *, block_rows: int = 65_536) -> Iterator[Block]:
        """Yield `count` points of a gallery, `block_rows` at a time (the last block may be smaller)."""
        return self._blocks(GALLERY, count, block_rows=block_rows)

    def queries(self, count: int) -> Block:
        """Return `count` points drawn the same way that are in no gallery."""
        return next(self._blocks(QUERIES, count, block_rows=max(count, 1)))

    def intrinsic_dimension(self, *, sample: int = SAMPLE) -> IntrinsicDimension:
        """Return the intrinsic dimension of the first `sample` points of a gallery."""
        vectors = next(self.blocks(sample, block_rows=sample)).vectors
        return IntrinsicDimension(participation_ratio(vectors), two_nn(vectors))

    def _blocks(self, stream: int, count: int, *, block_rows: int) -> Iterator[Block]:
        if count < 1 or block_rows < 1:
            raise ValueError(f"{count} points in blocks of {block_rows} were asked for, at least 1 is needed of each")
        number, drawn = -1, None  # the last chunk, which the next block may begin with
        for start in range(0, count, block_rows):
            end = min(start + block_rows, count)
            vectors = np.empty((end - start, self.dim), np.float32)
            centers = np.empty(end - start, np.int64)
            for chunk in range(start // CHUNK, -(-end // CHUNK)):
                if drawn is None or chunk != number:
                    number, drawn = chunk, self._chunk(stream, chunk)
                first, last = max(start, chunk * CHUNK), min(end, (chunk + 1) * CHUNK)
                taken = slice(first - chunk * CHUNK, last - chunk * CHUNK)
                vectors[first - start : last - start] = drawn.vectors[taken]
                centers[first - start : last - start] = drawn.centers[taken]
            yield Block(vectors, centers)

    def _chunk(self, stream: int, number: int) -> Block:
        rng = np.random.default_rng([self._seed, stream, number])
        centers = rng.integers(0, len(self._centers), CHUNK)
        within = rng.standard_normal((CHUNK, self._axes.shape[1]), np.float32)
        vectors = rng.standard_normal((CHUNK, self.dim), np.float32)
        vectors *= self._around[self._class_of[centers], None].astype(np.float32)
        vectors += self._centers[centers]
        for one in np.unique(self._class_of[centers]):
            mine = self._class_of[centers] == one
            vectors[mine] += within[mine] @ self._axes[one].astype(np.float32)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return Block(np.divide(vectors, norms, out=vectors, where=norms > 0), centers)


def class_axes(vectors: NDArray[np.float32], subspace_dim: int) -> NDArray[np.float64]:
    """Return the principal axes [subspace_dim, D] of vectors [n, D], each as long as their deviation along it.

    Axes that n vectors cannot have (they have n - 1 at most) are zero.
    """
    wide = np.asarray(vectors, np.float64)
    axes = np.zeros((subspace_dim, wide.shape[1]))
    _, lengths, directions = np.linalg.svd(wide - wide.mean(axis=0), full_matrices=False)
    kept = min(subspace_dim, len(lengths), len(wide) - 1)
    axes[:kept] = directions[:kept] * lengths[:kept, None] / np.sqrt(len(wide))
    return axes


def class_spread(vectors: NDArray[np.float32]) -> float:
    """Return the root mean square distance of vectors [n, D] from their mean."""
    wide = np.asarray(vectors, np.float64)
    return float(np.sqrt(np.mean(np.sum((wide - wide.mean(axis=0)) ** 2, axis=1))))


def participation_ratio(vectors: NDArray[np.float32]) -> float:
    """Return the participation ratio of points [n, D]; see `IntrinsicDimension`."""
    wide = np.asarray(vectors, np.float64)
    variances = np.linalg.svd(wide - wide.mean(axis=0), compute_uv=False) ** 2
    return float(variances.sum() ** 2 / (variances**2).sum())


def two_nn(vectors: NDArray[np.float32], *, block_rows: int = 1024) -> float:
    """Return the two-nearest-neighbors estimate for points [n, D], n > 2; equal points are left out."""
    wide = np.asarray(vectors, np.float64)
    squares = np.einsum("nd,nd->n", wide, wide)
    logs = []
    for start in range(0, len(wide), block_rows):
        block = slice(start, start + block_rows)
        distances = np.maximum(squares[block, None] + squares - 2 * wide[block] @ wide.T, 0)
        own = np.arange(len(distances))
        distances[own, start + own] = np.inf
        nearest = np.sqrt(np.partition(distances, 1, axis=1)[:, :2])
        apart = nearest[nearest[:, 0] > 1e-6]
        logs.append(np.log(apart[:, 1] / apart[:, 0]))
    every = np.concatenate(logs)
    return float(len(every) / every.sum())
