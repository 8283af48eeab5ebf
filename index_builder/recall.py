"""An index and its exact parts in, measured recall@10 out, at the weights a shop will ask for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from index_builder.fusion import MAX_WEIGHT, unit
from index_builder.manifest import RecallRow
from index_builder.search import Parts, Searcher

QUERIES = 100
TOP_K = 10
# A query is a row moved by noise of this length: about the cosine (0.9) of two photos of one product.
NOISE = 0.5
BLOCK = 8192
TIE = 1e-5


def measured_weights(default_weight: float, *, with_text: bool) -> list[float]:
    """Return 0, the default, and four times the default (at most 25); without text the weight changes nothing."""
    if not with_text:
        return [0.0]
    return sorted({0.0, default_weight, min(4 * default_weight, MAX_WEIGHT)})


def measure_recall(searcher: Searcher, parts: Parts, *, weights: list[float], seed: int) -> list[RecallRow]:
    """Return recall@10 against exact search for queries that are no rows: moved rows with the rows' own text.

    A found row counts when its exact score reaches the tenth best one, so equal rows may stand for each other.
    `searcher` must rank rows, not products.
    """
    images, texts = _queries(parts, seed=seed)
    top_k = min(TOP_K, len(parts.vectors))
    rows = []
    for weight in weights:
        found = searcher.search(images, texts, weight=weight, top_k=top_k).scores
        border = _best_scores(parts, images, texts, weight=weight, top_k=top_k)[:, -1:]
        rows.append(RecallRow(weight=weight, recall_at_10=float(np.mean(found >= border - TIE))))
    return rows


def _queries(parts: Parts, *, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    count = len(parts.vectors)
    chosen = np.sort(rng.choice(count, size=min(QUERIES, count), replace=False))
    vectors = np.array(parts.vectors[chosen])
    noise = unit(rng.normal(size=(len(chosen), parts.image_dim)))
    images = unit(vectors[:, : parts.image_dim] + NOISE * noise).astype(np.float32)
    return images, vectors[:, parts.image_dim :]


def _best_scores(
    parts: Parts, images: NDArray[np.float32], texts: NDArray[np.float32], *, weight: float, top_k: int
) -> NDArray[np.float32]:
    """Return the `top_k` best scores [Q, top_k] over all rows, best first."""
    queries = np.hstack([images, weight * texts]).astype(np.float32).T / np.float32(1 + weight)
    best = np.full((len(images), top_k), -np.inf, np.float32)
    for start in range(0, len(parts.vectors), BLOCK):
        block = (parts.vectors[start : start + BLOCK] @ queries).T
        best = -np.sort(-np.hstack([best, block]), axis=1)[:, :top_k]
    return best
