"""Vectors of photos whose labels were never trained on in, Top-4 accuracy out (after Kim et al., Table II).

Two photos of each unseen label are drawn; each photo queries all others; its partner must be among the first four. The
paper has 322 clusters of two pictures; here 50 draws of 40 pairs stand in for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.metrics import partner_accuracy

DRAWS = 50
FIRST = 4


@dataclass(frozen=True)
class ClusterScore:
    """Top-4 accuracy of each draw, [draws], as a share."""

    draws: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Mean over draws."""
        return float(self.draws.mean())

    @property
    def spread(self) -> float:
        """Standard deviation over draws."""
        return float(self.draws.std(ddof=1)) if len(self.draws) > 1 else 0.0


def unseen_labels(labels: Sequence[str]) -> list[str]:
    """Return the distinct labels at odd positions (1, 3 ..., counted from 0) of their alphabetical list."""
    return sorted(set(labels))[1::2]


def draw_pairs(labels: Sequence[str], wanted: Sequence[str], *, seed: int) -> NDArray[np.int64]:
    """Return two different rows of each wanted label, [2 * len(wanted)], the two of a label next to each other.

    Raises ValueError for a label with fewer than two rows.
    """
    names = np.array(labels)
    rng = np.random.default_rng(seed)
    pairs = []
    for label in wanted:
        rows = np.flatnonzero(names == label)
        if len(rows) < 2:
            raise ValueError(f"label {label!r} has {len(rows)} photos, two are needed")
        pairs.append(rng.choice(rows, 2, replace=False))
    return np.concatenate(pairs).astype(np.int64)


def unseen_clusters(
    vectors: NDArray[np.float32], labels: Sequence[str], *, draws: int = DRAWS, k: int = FIRST
) -> ClusterScore:
    """Top-k accuracy on the unseen labels of photos with `vectors` [N, D] and `labels` [N]; draw d has seed d."""
    wanted = unseen_labels(labels)
    partner = np.arange(2 * len(wanted)) ^ 1  # 0 and 1 belong together, 2 and 3 ...
    scores = [partner_accuracy(vectors[draw_pairs(labels, wanted, seed=seed)], partner, k=k) for seed in range(draws)]
    return ClusterScore(np.array(scores))
