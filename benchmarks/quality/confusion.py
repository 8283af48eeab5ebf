"""Out-of-fold label probabilities and true labels in, label vectors that lie close where labels are confused out.

C[l, m] = P(true label m | said label l) is counted on photos whose labels the network did not learn; the projected
vector of l is n(sum_m C[l, m] v_m). A query then asks for what its label tends to be, not only for what it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.folds import contiguous_folds
from benchmarks.quality.outputs import Outputs
from index_builder.fusion import unit

SMOOTHING = 1.0

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Confusion:
    """What Q queries are projected by: `shares` [P, V, V], `part` [Q], which of the P each query uses."""

    shares: NDArray[np.float64]
    part: NDArray[np.int64]

    def __post_init__(self) -> None:
        if len(self.part) and not 0 <= self.part.min() <= self.part.max() < len(self.shares):
            raise ValueError(f"parts are {self.part.min()}..{self.part.max()}, there are {len(self.shares)}")


def confusion(probabilities: Floats, truth: NDArray[np.int64], *, smoothing: float = SMOOTHING) -> NDArray[np.float64]:
    """Return C [V, V] from probabilities [N, V] and the numbers of the true labels [N]; rows sum to 1.

    A photo counts for its most probable label, and not at all where `truth` is -1. Smoothing adds so many photos to
    each label that are what they are said to be: C[l, m] = (n_lm + smoothing [l = m]) / (n_l + smoothing), so that a
    label that is never said stays itself. (Adding to every m would pull rare labels to the mean of all.)

    Raises ValueError for a smoothing that is not above 0.
    """
    if not smoothing > 0:
        raise ValueError(f"smoothing must be above 0, got {smoothing}")
    labels = probabilities.shape[1]
    counts = smoothing * np.eye(labels)
    known = truth >= 0
    np.add.at(counts, (probabilities.argmax(axis=1)[known], truth[known]), 1.0)
    shares: NDArray[np.float64] = counts / counts.sum(axis=1, keepdims=True)
    return shares


def project(table: Floats, shares: NDArray[np.float64]) -> Floats:
    """Return n(C v) [V, D_T] of label vectors v [V, D_T] and C [V, V]."""
    return unit(shares @ table.astype(np.float64)).astype(np.float32)


def confusion_for(queries: Outputs, known: Sequence[Outputs]) -> Confusion:
    """Return what all of `queries` are projected by: the confusion on the photos `known`, which are others."""
    return Confusion(_counted(known, labels=queries.labels)[None], np.zeros(len(queries), np.int64))


def cross_confusions(queries: Sequence[Outputs]) -> list[Confusion]:
    """Return what the queries of each scene are projected by, never counted on the photos it is used for.

    With several scenes it is counted on the other ones; the photos of one alone are cut into two halves of each label's
    rows, in order, since neighbors are of one shop visit, and each half uses what the other says.
    """
    if len(queries) > 1:
        return [
            confusion_for(one, [other for place, other in enumerate(queries) if place != own])
            for own, one in enumerate(queries)
        ]
    only = queries[0]
    half = contiguous_folds(only.truth, folds=2)
    shares = [_counted([only.take(np.flatnonzero(half != own))], labels=only.labels) for own in (0, 1)]
    return [Confusion(np.stack(shares), half)]


def _counted(known: Sequence[Outputs], *, labels: tuple[str, ...]) -> NDArray[np.float64]:
    """Return the confusion on several sets of photos; ValueError where their networks' labels are others."""
    if any(one.labels != labels for one in known):
        raise ValueError("confusion was counted over other labels than the queries' network has")
    number = {label: place for place, label in enumerate(labels)}
    truth = np.array([number.get(label, -1) for one in known for label in one.truth], np.int64)
    return confusion(np.concatenate([one.probabilities for one in known]), truth)
