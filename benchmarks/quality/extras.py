"""An arm and held-out photos in, what else can be done at query and gallery side out: relevant hits and their time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.arms import Arm
from benchmarks.quality.choose import choose, with_confusion
from benchmarks.quality.outputs import Outputs, View
from benchmarks.quality.search import Scene, figures, search
from index_builder.manifest import LabelMode
from index_builder.views import mean_of_views, mean_probabilities

EXPANSIONS = (1, 3, 5)


@dataclass(frozen=True)
class Extra:
    """What is done to a plain arm: another arm, more views of the query or the gallery, a search with its own hits.

    Views and query expansion are the product's own (index_builder).
    """

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
        found = figures(search(extra.arm, changed, choice, expand=extra.expand), changed)
        counts.append(found.counts)
        times.append(found.ms)
    return np.concatenate(counts), float(np.mean(times))


def _averaged(outputs: Outputs, other: Outputs | None) -> Outputs:
    """Return the same photos averaged over two views, as builder and service do."""
    if other is None:
        return outputs

    def in_turn(name: str) -> NDArray[np.float32]:
        two = np.stack([getattr(outputs, name), getattr(other, name)], axis=1)
        return two.reshape(-1, two.shape[2])

    return replace(
        outputs,
        embedding=mean_of_views(in_turn("embedding"), 2),
        pooled=mean_of_views(in_turn("pooled"), 2),
        probabilities=mean_probabilities(in_turn("probabilities"), 2),
    )
