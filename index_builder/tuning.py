"""A built index in, its recipe with the cheapest search parameters that find enough out, and what else there was."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index_builder.faiss_index import is_exact
from index_builder.manifest import IndexRecipe, OperatingPoint, RecallRow
from index_builder.recall import TOP_K, held_out, recall_of, tenth_best
from index_builder.recipes import has_graph_of_lists, is_compressed, is_refined, list_count
from index_builder.search import Parts, Searcher

QUERIES = 200
ENOUGH = 0.998  # a sweep stops here, or when two steps in a row gain next to nothing
LEAST_GAIN = 0.001
CANDIDATES = (16, 24, 32, 64, 128, 256, 512)
REFINE_FACTORS = (1, 2, 4, 8, 16, 32)
EF_SEARCH = (16, 32, 64, 128, 256, 512, 1024)
QUANTIZER_EF_SEARCH = 64


def tune(
    index: Any,
    parts: Parts,
    recipe: IndexRecipe,
    *,
    default_weight: float,
    weights: list[float],
    seed: int,
) -> IndexRecipe:
    """Return the recipe with the quickest setting that reaches its target recall at the default weight.

    When none does, with the one that finds most. Settings are measured on `recall.held_out` queries of this seed, one
    query at a time on one thread, exact re-ranking included; `parts` must have a product a row. What is chosen depends
    on times, so a busy machine may choose another setting that reaches the target. An exact index is left as it is.
    """
    if is_exact(index):
        return recipe
    asker = _Asker(index, parts, recipe, default_weight=default_weight, weights=weights, seed=seed)
    points = list(_measured(recipe, asker))
    target = recipe.target_recall or 0.0
    chosen = choose(points, weight=default_weight, target=target)
    return recipe.model_copy(
        update={
            "search_parameters": chosen.search_parameters,
            "candidates": chosen.candidates,
            "tuned_recall": recall_at(chosen, default_weight),
            "points": pareto(points, weight=default_weight),
        }
    )


def choose(points: Iterable[OperatingPoint], *, weight: float, target: float) -> OperatingPoint:
    """Return the quickest point that reaches the target at this weight, else the one that finds most."""
    by_time = sorted(points, key=lambda point: point.ms_per_query)
    enough = [point for point in by_time if recall_at(point, weight) >= target]
    return enough[0] if enough else max(by_time, key=lambda point: recall_at(point, weight))


def pareto(points: Iterable[OperatingPoint], *, weight: float) -> list[OperatingPoint]:
    """Return the points that find more than every quicker one, the quickest first."""
    front: list[OperatingPoint] = []
    for point in sorted(points, key=lambda point: (point.ms_per_query, -recall_at(point, weight))):
        if not front or recall_at(point, weight) > recall_at(front[-1], weight):
            front.append(point)
    return front


def recall_at(point: OperatingPoint, weight: float) -> float:
    """Return a point's recall@10 at a measured weight."""
    return next(row.recall_at_10 for row in point.recall if row.weight == weight)


def efforts(factory: str) -> list[dict[str, int | float]]:
    """Return what may be said to an index of this recipe about how far to look, the least first."""
    if lists := list_count(factory):
        probes = [2**power for power in range(lists.bit_length()) if 2**power <= lists]
        if not has_graph_of_lists(factory):
            return [{"nprobe": nprobe} for nprobe in probes]
        return [{"nprobe": one, "quantizer_efSearch": max(QUANTIZER_EF_SEARCH, 2 * one)} for one in probes]
    return [{"efSearch": steps} for steps in EF_SEARCH] if "HNSW" in factory else [{}]


def depths(factory: str, *, count: int) -> list[tuple[int, dict[str, int | float]]]:
    """Return how many candidates may be listed, and by what factor more to choose them from where FAISS refines.

    An index that compares whole rows lists them in their true order: more of them find nothing more.
    """
    if is_refined(factory):
        return [(CANDIDATES[0], {"k_factor_rf": factor}) for factor in REFINE_FACTORS]
    if not is_compressed(factory):
        return [(CANDIDATES[0], {})]
    return [(CANDIDATES[0], {}), *((number, {}) for number in CANDIDATES[1:] if number <= count)]


def _measured(recipe: IndexRecipe, asker: _Asker) -> Iterator[OperatingPoint]:
    """Measure the settings worth a try: each depth with growing effort until that gains nothing more."""
    for candidates, depth in depths(recipe.factory, count=asker.count):
        best, idle = -1.0, 0
        for effort in efforts(recipe.factory):
            point = asker.ask({**effort, **depth}, candidates)
            yield point
            found = recall_at(point, asker.default_weight)
            idle = 0 if found >= best + LEAST_GAIN else idle + 1
            best = max(best, found)
            if best >= ENOUGH or idle == 2:
                break


class _Asker:
    """Asks an index the same queries by different settings."""

    def __init__(
        self, index: Any, parts: Parts, recipe: IndexRecipe, *, default_weight: float, weights: list[float], seed: int
    ) -> None:
        self.count = len(parts.vectors)
        self.default_weight = default_weight
        self._index, self._parts, self._recipe = index, parts, recipe
        self._questions = held_out(parts, seed=seed, count=QUERIES)
        self._borders = {weight: tenth_best(parts, self._questions, weight=weight) for weight in weights}

    def ask(self, parameters: dict[str, int | float], candidates: int) -> OperatingPoint:
        """Measure recall at every weight, and the time at the default one."""
        recipe = self._recipe.model_copy(update={"search_parameters": parameters, "candidates": candidates})
        searcher = Searcher(self._index, self._parts, recipe=recipe, default_weight=self.default_weight)
        recall, ms = [], 0.0
        for weight, border in self._borders.items():
            started = time.perf_counter()
            scores = self._one_by_one(searcher, weight=weight)
            if weight == self.default_weight:
                ms = 1e3 * (time.perf_counter() - started) / len(scores)
            recall.append(RecallRow(weight=weight, recall_at_10=recall_of(scores, border)))
        return OperatingPoint(search_parameters=parameters, candidates=candidates, recall=recall, ms_per_query=ms)

    def _one_by_one(self, searcher: Searcher, *, weight: float) -> NDArray[np.float32]:
        images, texts = self._questions.images, self._questions.texts
        top_k = min(TOP_K, self.count)
        queries = (slice(one, one + 1) for one in range(len(images)))
        return np.vstack([searcher.search(images[q], texts[q], weight=weight, top_k=top_k).scores for q in queries])
