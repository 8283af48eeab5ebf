"""Clusters and labels of pictures in, the pictures of each step out: a few views each of several clusters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from training.loop import Batches


def cluster_batches(
    clusters: NDArray[np.int64],
    labels: Sequence[str | None],
    *,
    batch: int,
    views: int,
    labels_a_batch: int,
    seed: int,
    rows: NDArray[np.int64] | None = None,
    singles: bool = False,
) -> Batches:
    """Return batches of about `batch / views` clusters x `views` pictures; an epoch shows about as many as there are.

    Every cluster is as likely as any other, however many pictures it has. `labels_a_batch` kinds of product share a
    step, so that negatives are alike; 0 draws clusters of any label. `rows` are those to draw from (default: all);
    clusters of one picture take part with `singles`.
    """
    chosen_rows = np.arange(len(clusters)) if rows is None else rows
    own = clusters[chosen_rows]
    # One stable sort finds every cluster's rows; searching for each cluster by itself is quadratic.
    order = np.argsort(own, kind="stable")
    starts = np.flatnonzero(np.diff(own[order], prepend=-1))
    rows_of = [chosen_rows[part] for part in np.split(order, starts[1:])]
    usable = [part for part in rows_of if len(part) > 1 or singles]
    by_label: dict[str, list[int]] = {}
    for number, part in enumerate(usable):
        by_label.setdefault(labels[int(part[0])] or "" if labels_a_batch else "", []).append(number)
    groups = [np.array(by_label[label]) for label in sorted(by_label)]
    wanted = max(2, batch // views)
    steps = max(1, len(chosen_rows) // (wanted * views))

    def of(epoch: int) -> list[NDArray[np.int64]]:
        rng = np.random.default_rng((seed, epoch))
        return [one(rng) for _ in range(steps)]

    def one(rng: np.random.Generator) -> NDArray[np.int64]:
        chosen: list[int] = []
        for kinds, group in enumerate(rng.permutation(len(groups))):
            if len(chosen) >= wanted:
                break
            # Rounded up over the kinds still wanted; once those are used up, any further kind fills the step.
            share = -(-(wanted - len(chosen)) // max(1, labels_a_batch - kinds))
            members = groups[group]
            chosen += rng.choice(members, size=min(share, len(members)), replace=False).tolist()
        return np.concatenate([_views(usable[cluster], views, rng) for cluster in chosen])

    return of


def _views(rows: NDArray[np.int64], views: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw `views` pictures of one cluster; fewer pictures than that come several times, each augmented differently."""
    return rng.choice(rows, size=views, replace=len(rows) < views)
