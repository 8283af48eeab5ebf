"""Logits of pictures that were not trained on and their labels in, the temperature that makes them honest out.

Probabilities are softmax(logits / T): one number that keeps the order of the labels and changes only how sure the
network claims to be (Guo et al., "On Calibration of Modern Neural Networks", 2017, section 4.2).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from catalog.errors import MalformedError, OutOfRangeError

LEAST, GREATEST = 0.01, 100.0
_HALVINGS = 60


def fit_temperature(logits: Tensor, targets: Tensor) -> float:
    """Return T in [0.01, 100] with the least mean negative log likelihood of targets int64 [N] under logits [N, V].

    In b = 1 / T that likelihood is convex, with the slope mean(sum of p z - z of the target), so halving an interval
    by the sign of the slope finds the one minimum. Where every picture is right, or nothing is learned, an end of the
    range is the answer. Raises `MalformedError` for no pictures or logits that are no numbers.
    """
    if not len(logits) or not bool(torch.isfinite(logits).all()):
        raise MalformedError(f"{len(logits)} pictures with finite logits cannot set a temperature")
    scores = logits.double()
    right = scores.gather(1, targets[:, None])[:, 0]

    def slope(b: float) -> float:
        return float(((functional.softmax(scores * b, dim=1) * scores).sum(dim=1) - right).mean())

    low, high = np.log(1 / GREATEST), np.log(1 / LEAST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if slope(float(np.exp(middle))) > 0:
            high = middle
        else:
            low = middle
    return float(np.exp(-(low + high) / 2))


def hold_out(
    labels: Sequence[str | None], clusters: Sequence[str], share: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows to train on and those held out: of each label the last clusters, in the order they first appear.

    A cluster is all that one label has of it, and stays whole: a product's pictures on both sides would make the
    network look surer than it is. Neighbors in a catalog are often alike too, hence a run of them. As many clusters go
    as come nearest to `share` of the label's rows (the fewer of two); at least one is left to train on. Raises
    `OutOfRangeError` for a share outside of 0 to below 1, or above 0 where it holds out nothing.
    """
    if not 0 <= share < 1:
        raise OutOfRangeError(f"--calibrate-share is {share}, expected 0 to below 1")
    rows_of: dict[str | None, dict[str, list[int]]] = {}
    for row, (label, cluster) in enumerate(zip(labels, clusters, strict=True)):
        rows_of.setdefault(label, {}).setdefault(cluster, []).append(row)
    held = sorted(row for own in rows_of.values() for row in _last(list(own.values()), share))
    if share and not held:
        raise OutOfRangeError(
            f"--calibrate-share {share} holds out none of {len(labels)} pictures, since clusters stay whole and each "
            "label keeps one; give a larger share or --calibrate-split"
        )
    kept = np.setdiff1d(np.arange(len(labels)), held)
    return kept.astype(np.int64), np.array(held, np.int64)


def _last(clusters: list[list[int]], share: float) -> list[int]:
    """Return the rows of so many of the last clusters, not all, that their number is nearest to a share of all rows."""
    wanted = share * sum(map(len, clusters))
    sizes = [sum(map(len, clusters[first:])) for first in range(len(clusters), 0, -1)]
    count = min(range(len(clusters)), key=lambda count: abs(sizes[count] - wanted))
    return [row for cluster in clusters[len(clusters) - count :] for row in cluster]
