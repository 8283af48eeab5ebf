"""An arm and held-out photos in, what else can be done at query and gallery side out: relevant hits and their time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.arms import Arm
from benchmarks.quality.choose import choose, with_confusion
from benchmarks.quality.outputs import Outputs, View
from benchmarks.quality.search import Choice, Figures, Scene, figures, search
from index_builder.fusion import unit
from index_builder.manifest import LabelMode

EXPANSIONS = (1, 3, 5)


@dataclass(frozen=True)
class Extra:
    """What is done to a plain arm: another arm, more views of the query or the gallery, a search with its own hits."""

    name: str
    arm: Arm
    query_view: View | None = None
    gallery_view: View | None = None
    expand: int = 0

    @property
    def runs(self) -> int:
        """Network runs a query."""
        return 1 if self.query_view is None else 2


def extras_of(arm: Arm) -> list[Extra]:
    """Return the plain arm and everything that is tried beside it."""
    centered = "texts not centered" if arm.centered else "texts centered"
    abstain = "without abstention" if arm.abstain else "with abstention"
    return [
        Extra("soft", arm),
        Extra(f"soft, {centered}", replace(arm, centered=not arm.centered)),
        Extra("hard", replace(arm, label_mode=LabelMode.HARD)),
        Extra("soft, projected label vectors", replace(arm, projected=True)),
        Extra("hard, projected label vectors", replace(arm, projected=True, label_mode=LabelMode.HARD)),
        Extra(f"soft, {abstain}", replace(arm, abstain=not arm.abstain)),
        Extra("soft, mirrored view of the query too", arm, query_view=View.MIRRORED),
        Extra("soft, center crop of the query too", arm, query_view=View.CENTER),
        Extra("soft, mirrored view in the gallery too", arm, gallery_view=View.MIRRORED),
        *(Extra(f"soft, query expansion by {count}", arm, expand=count) for count in EXPANSIONS),
    ]


def measure_extra(
    extra: Extra, scenes: Sequence[Scene], viewed: Callable[[View], Sequence[Scene]]
) -> tuple[NDArray[np.float64], float]:
    """Return the relevant items among each held-out photo's first five [N], and the milliseconds of a search.

    `viewed` returns the same scenes seen another way. An arm's choices are those of the photos as they are.
    """
    choice = choose(extra.arm, scenes).choice
    queries = None if extra.query_view is None else viewed(extra.query_view)
    gallery = None if extra.gallery_view is None else viewed(extra.gallery_view)
    counts, times = [], []
    for number, scene in enumerate(with_confusion(extra.arm, scenes)):
        changed = replace(
            scene,
            gallery=_averaged(scene.gallery, None if gallery is None else gallery[number].gallery),
            queries=_averaged(scene.queries, None if queries is None else queries[number].queries),
        )
        found = _expanded(extra.arm, changed, choice, extra.expand)
        counts.append(found.counts)
        times.append(found.ms)
    return np.concatenate(counts), float(np.mean(times))


def _averaged(outputs: Outputs, other: Outputs | None) -> Outputs:
    """Return the same photos averaged over two views: vectors, at length 1 again, and probabilities."""
    if other is None:
        return outputs
    return replace(
        outputs,
        embedding=unit(outputs.embedding + other.embedding).astype(np.float32),
        pooled=unit(outputs.pooled + other.pooled).astype(np.float32),
        probabilities=((outputs.probabilities + other.probabilities) / 2).astype(np.float32),
    )


def _expanded(arm: Arm, scene: Scene, choice: Choice, count: int) -> Figures:
    """Search; with `count` search again from the mean of each query and its best hits (Chum et al. 2007)."""
    first = search(arm, scene, choice)
    if not count:
        return figures(first, scene)
    best = scene.gallery.embedding[first.rows[:, :count]].sum(axis=1)
    queries = replace(scene.queries, embedding=unit(scene.queries.embedding + best).astype(np.float32))
    again = replace(scene, queries=queries)
    second = search(arm, again, choice)
    return figures(replace(second, ms=first.ms + second.ms), again)
