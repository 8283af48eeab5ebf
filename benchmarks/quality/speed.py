"""Times of competing searches and networks in, ratios out; always interleaved in one process, medians of many rounds.

What shares the machine slows both sides of a round alike, so a ratio stands where milliseconds do not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.search import Vectors, one_shot_searcher
from benchmarks.quality.sequential import Merge, SequentialSearcher
from catalog.terminal import progress
from export.onnx_runtime import OnnxRuntimeNetworks
from index_builder.faiss_index import faiss
from index_builder.fusion import fuse_gallery, fuse_query, unit
from index_builder.recipes import FLAT

EXACT_ROWS = 20_000  # where a build takes an exact index
GRAPH_ROWS = 60_000  # where it takes a graph
ROUNDS = 400
INDEXES = 5
IMAGE_DIM, TEXT_DIM = 1024, 110
INTRINSIC_DIM = 24
TEXTS = 500
NETWORK_ROUNDS = 60
NETWORK_THREADS = 2
TOP_K = 10

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Times:
    """Median seconds of each side."""

    seconds: Mapping[str, float]

    def ratio(self, first: str, second: str) -> float:
        """How many times longer `first` takes than `second`."""
        return self.seconds[first] / self.seconds[second]

    def ms(self, name: str) -> float:
        """Milliseconds of one side."""
        return 1000 * self.seconds[name]


def interleave(sides: Mapping[str, Callable[[int], object]], *, rounds: int, description: str = "") -> Times:
    """Call each side once a round with the round's number, in turning order, and return the medians."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    names = list(sides)
    for name in names:  # the first call of anything is a slow one
        sides[name](0)
    for number in progress(range(rounds), description=description or "timing", total=rounds):
        turn = number % len(names)
        for name in (*names[turn:], *names[:turn]):
            start = time.perf_counter()
            sides[name](number)
            taken[name].append(time.perf_counter() - start)
    return Times({name: float(np.median(seconds)) for name, seconds in taken.items()})


def dimension_times(*, rows: int = EXACT_ROWS, rounds: int = ROUNDS // INDEXES, indexes: int = INDEXES) -> list[Times]:
    """Exact search, one query at a time, one thread: "fused" is 1134-d (image and text), "image" is 1024-d.

    Both indexes are made anew several times, one result each: how fast an index is read depends on where it happens to
    lie in memory, and that does not average out over rounds.
    """
    found = []
    for seed in range(indexes):
        rng = np.random.default_rng(seed)
        image, text = realistic_parts(rows, rng)
        ask_image, ask_text = realistic_parts(rounds, rng)
        fused = _flat(fuse_gallery(image, text, default_weight=1.0))
        plain = _flat(fuse_gallery(image, None, default_weight=1.0))
        queries = fuse_query(ask_image, ask_text, weight=1.0, default_weight=1.0)
        plain_queries = fuse_query(ask_image, None, weight=0.0, default_weight=1.0)
        faiss.omp_set_num_threads(1)
        sides = {"fused": _asking(fused, queries), "image": _asking(plain, plain_queries)}
        found.append(interleave(sides, rounds=rounds, description=f"{IMAGE_DIM + TEXT_DIM}-d and {IMAGE_DIM}-d search"))
    return found


def realistic_parts(rows: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return unit image parts [rows, 1024] of low intrinsic dimension, as of photos, and text parts [rows, 110]."""
    shape = np.random.default_rng(1)  # one space for gallery and queries
    spread = shape.normal(size=(INTRINSIC_DIM, IMAGE_DIM))
    image = np.maximum(rng.normal(size=(rows, INTRINSIC_DIM)) @ spread + 0.1 * rng.normal(size=(rows, IMAGE_DIM)), 0)
    texts = shape.normal(size=(TEXTS, TEXT_DIM))
    return unit(image).astype(np.float32), unit(texts[rng.integers(0, TEXTS, rows)]).astype(np.float32)


def tiled(parts: Vectors, *, rows: int, noise: float = 0.05, seed: int = 0) -> Vectors:
    """Repeat a gallery's parts up to `rows`, each repetition of an image moved by `noise` of its length."""
    rng = np.random.default_rng(seed)
    count, dim = parts.image.shape
    chosen = np.arange(rows) % count
    moves = rng.normal(scale=noise / np.sqrt(dim), size=(rows, dim))
    moves[:count] = 0
    image = unit(parts.image[chosen] + moves).astype(np.float32)
    return replace(parts, image=image, text=parts.text[chosen])


def sequential_times(parts: Vectors, *, weight: float, recipe: str = "auto", rounds: int = ROUNDS) -> Times:
    """One-shot search of an arm's parts against two searches and their merge, by each way to merge.

    Each side goes from the two parts of one query to its ranked rows, one thread: "one-shot" fuses them, searches the
    index and ranks the candidates by exact scores, as the product does; the values of `Merge` search two indexes and
    merge or re-rank the lists. The recipe and search parameters are those of the fused and of the image index.
    """
    together = one_shot_searcher(parts, recipe=recipe)
    apart = SequentialSearcher(parts.image, parts.text, recipe=recipe)

    def query(number: int) -> tuple[Floats, Floats]:
        place = number % len(parts.query_image)
        return parts.query_image[place : place + 1], parts.query_text[place : place + 1]

    def one_shot(number: int) -> object:
        return together.search(*query(number), weight=weight, top_k=TOP_K)

    def merged(merge: Merge) -> Callable[[int], object]:
        return lambda number: apart.search(*query(number), merge=merge, top_k=TOP_K)

    sides = {"one-shot": one_shot, **{merge.value: merged(merge) for merge in Merge}}
    return interleave(sides, rounds=rounds, description=f"one-shot and sequential search, {recipe}")


def graph_recall(parts: Vectors, *, weight: float, recipe: str) -> float:
    """Return recall@10 of one-shot search by a recipe against exact search, over all queries."""
    queries = (parts.query_image, parts.query_text)
    found = [
        one_shot_searcher(parts, recipe=one).search(*queries, weight=weight, top_k=TOP_K).rows for one in (recipe, FLAT)
    ]
    return float(np.mean([len(set(got) & set(want)) / TOP_K for got, want in zip(*found, strict=True)]))


def network_times(
    repositories: Mapping[str, Path], *, rounds: int = NETWORK_ROUNDS, threads: int = NETWORK_THREADS, seed: int = 0
) -> Times:
    """All answers for one photo (batch 1) by ONNX Runtime, one side for each model repository."""
    opened = {name: OnnxRuntimeNetworks(path, threads=threads) for name, path in repositories.items()}
    rng = np.random.default_rng(seed)
    photos = {
        name: rng.integers(0, 256, (1, networks.info.size_px, networks.info.size_px, 3), np.uint8)
        for name, networks in opened.items()
    }

    def answer(name: str) -> Callable[[int], object]:
        return lambda _: opened[name].infer(photos[name])

    try:
        return interleave(
            {name: answer(name) for name in opened}, rounds=rounds, description="networks, photo by photo"
        )
    finally:
        for networks in opened.values():
            networks.close()


def _asking(index: Any, queries: Floats) -> Callable[[int], object]:
    return lambda number: index.search(queries[number : number + 1], TOP_K)


def _flat(rows: Floats) -> Any:
    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(np.ascontiguousarray(rows, np.float32))
    return index
