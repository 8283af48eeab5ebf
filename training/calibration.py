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


def hold_out(labels: Sequence[str | None], share: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows to train on and those held out: the last `share` of each label's rows, in the catalog's order.

    Neighboring rows are often photos of one scene; a run of them keeps scenes on one side. A label keeps at least one
    row to train on. Raises `OutOfRangeError` for a share outside of 0 to below 1.
    """
    if not 0 <= share < 1:
        raise OutOfRangeError(f"--calibrate-share is {share}, expected 0 to below 1")
    rows_of: dict[str | None, list[int]] = {}
    for row, label in enumerate(labels):
        rows_of.setdefault(label, []).append(row)
    held = sorted(
        row for rows in rows_of.values() for row in rows[len(rows) - min(round(share * len(rows)), len(rows) - 1) :]
    )
    kept = np.setdiff1d(np.arange(len(labels)), held)
    return kept.astype(np.int64), np.array(held, np.int64)
