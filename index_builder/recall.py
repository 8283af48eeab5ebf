"""An index and its exact parts in, measured recall@10 out, at the weights a shop will ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from index_builder.fusion import MAX_WEIGHT, unit
from index_builder.manifest import RecallRow
from index_builder.search import Hits, Parts

QUERIES = 100
TOP_K = 10
# A query is a row moved by so much: about the cosine (0.9) of two photos of one product.
NOISE = 0.5
NEAR = 30
BLOCK = 8192
TIE = 1e-5


class Ranker(Protocol):
    """What recall is measured of: `search.Searcher`, or a collection on Milvus."""

    def search(
        self, image: NDArray[np.float32], text: NDArray[np.float32] | None, *, weight: float, top_k: int
    ) -> Hits:
        """Return the best rows, as `search.Searcher.search` does."""


@dataclass(frozen=True)
class Questions:
    """Queries that are no rows: `images` [Q, D_I] at unit length, `texts` [Q, D_T] of the rows they come from."""

    images: NDArray[np.float32]
    texts: NDArray[np.float32]


def measured_weights(default_weight: float, *, with_text: bool) -> list[float]:
    """Return 0, the default, and four times the default (at most 25); without text the weight changes nothing."""
    if not with_text:
        return [0.0]
    return sorted({0.0, default_weight, min(4 * default_weight, MAX_WEIGHT)})


def measure_recall(searcher: Ranker, parts: Parts, *, weights: list[float], seed: int) -> list[RecallRow]:
    """Return recall@10 against exact search for `held_out` queries of this seed.

    `searcher` must rank rows, not products.
    """
    questions = held_out(parts, seed=seed)
    top_k = min(TOP_K, len(parts.vectors))
    rows = []
    for weight in weights:
        found = searcher.search(questions.images, questions.texts, weight=weight, top_k=top_k).scores
        share = recall_of(found, tenth_best(parts, questions, weight=weight))
        rows.append(RecallRow(weight=weight, recall_at_10=share))
    return rows


def held_out(parts: Parts, *, seed: int, count: int = QUERIES) -> Questions:
    """Return queries made of rows: each moved along the difference of two rows near it, with the row's own text.

    A row itself is too easy a query: it is a node of the graph that is searched, linked to the very rows that are asked
    for, and leaving it out of the hits does not change that. Leaving rows out of the gallery would cost their products.
    So rows are moved, in a direction in which rows do differ where they are: noise all around leaves the surface that
    the rows lie on, and the difference of any two rows leads out of a row's own cluster, to where no photo is. Recall
    then comes out within a few points of that of rows that were left out. Reads all rows once.
    """
    rng = np.random.default_rng(seed)
    total = len(parts.vectors)
    count = min(count, total)
    chosen = np.sort(rng.choice(total, size=count, replace=False))
    vectors = np.array(parts.vectors[chosen])
    near = _nearest(parts, chosen)
    places = np.arange(count)
    ends = [near[places, rng.integers(0, near.shape[1], count)] for _ in range(2)]
    moves = unit(_images(parts, ends[0]) - _images(parts, ends[1]))
    images = unit(vectors[:, : parts.image_dim] + NOISE * moves).astype(np.float32)
    return Questions(images, vectors[:, parts.image_dim :])


def _nearest(parts: Parts, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows [n, NEAR] nearest to each row, itself among them, in no order; fewer where there are fewer."""
    queries = np.array(parts.vectors[rows]).T
    best, found = np.zeros((len(rows), 0), np.float32), np.zeros((len(rows), 0), np.int64)
    for start in range(0, len(parts.vectors), BLOCK):
        block = (parts.vectors[start : start + BLOCK] @ queries).T
        numbers = np.broadcast_to(np.arange(start, start + block.shape[1]), block.shape)
        scores, listed = np.hstack([best, block]), np.hstack([found, numbers])
        last = min(NEAR, scores.shape[1]) - 1
        first = np.argpartition(-scores, last, axis=1)[:, : last + 1]
        best, found = np.take_along_axis(scores, first, axis=1), np.take_along_axis(listed, first, axis=1)
    return found


def tenth_best(parts: Parts, questions: Questions, *, weight: float) -> NDArray[np.float32]:
    """Return the exact score [Q, 1] of the tenth best row (the last one where there are fewer) for each query."""
    top_k = min(TOP_K, len(parts.vectors))
    images, texts = questions.images, questions.texts
    queries = np.hstack([images, weight * texts]).astype(np.float32).T / np.float32(1 + weight)
    best = np.full((len(images), top_k), -np.inf, np.float32)
    for start in range(0, len(parts.vectors), BLOCK):
        block = (parts.vectors[start : start + BLOCK] @ queries).T
        best = -np.sort(-np.hstack([best, block]), axis=1)[:, :top_k]
    return best[:, -1:]


def recall_of(found: NDArray[np.float32], border: NDArray[np.float32]) -> float:
    """Return the share of exact scores [Q, K] that reach the border [Q, 1]: equal rows may stand for each other."""
    return float(np.mean(found >= border - TIE))


def _images(parts: Parts, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    order = np.argsort(rows)  # a mapped file is read from its beginning to its end
    images = np.empty((len(rows), parts.image_dim), np.float32)
    images[order] = parts.vectors[rows[order], : parts.image_dim]
    return images
