"""Stored parts and one query in, rows by their exact scores out: one hit a product, best first.

Scores are computed in float64 from the unit parts of each row, so they do not depend on the default weight, the recipe,
or the company a row is in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index_builder.fusion import scores

TIE = 1e-5
SCAN_BLOCK = 8192


@dataclass(frozen=True)
class Hits:
    """The K best products of B queries, best first; K = min(top_k, products of the gallery), nothing is missing.

    `rows` int64 [B, K]; `scores`, `image_scores`, `text_scores` float32 [B, K], where a text score is nan when the
    query or the row has no text.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]
    image_scores: NDArray[np.float32]
    text_scores: NDArray[np.float32]


@dataclass(frozen=True)
class Parts:
    """What exact scores need: `vectors` float32 [N, D_I + D_T], each part at unit length (zero text: none).

    `has_text` bool [N]; `products` int64 [N] is the product's number of each row.
    """

    vectors: NDArray[np.float32]
    image_dim: int
    has_text: NDArray[np.bool_]
    products: NDArray[np.int64]

    @property
    def text_dim(self) -> int:
        """D_T, 0 in a gallery without text."""
        return int(self.vectors.shape[1]) - self.image_dim


@dataclass(frozen=True)
class Ranked:
    """Rows of one query, best first, with float64 scores."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    image: NDArray[np.float64]
    text: NDArray[np.float64]

    def take(self, order: NDArray[np.int64]) -> Ranked:
        """Return some of them, in that order."""
        return Ranked(self.rows[order], self.scores[order], self.image[order], self.text[order])


NOTHING_RANKED = Ranked(np.zeros(0, np.int64), np.zeros(0), np.zeros(0), np.zeros(0))


def rank(
    parts: Parts, rows: NDArray[np.int64], image: NDArray[np.float64], text: NDArray[np.float64], *, weight: float
) -> Ranked:
    """Return the rows with their exact scores for one query (image [D_I] at unit length, text [D_T]), best first."""
    vectors = np.asarray(parts.vectors[rows], np.float64)
    # einsum adds each row up by itself; a matrix product may give equal rows unequal last digits.
    image_scores = np.einsum("kd,d->k", vectors[:, : parts.image_dim], image)
    text_scores = np.full(len(rows), np.nan)
    if text.any():
        usable = parts.has_text[rows]
        text_scores[usable] = np.einsum("kd,d->k", vectors[usable, parts.image_dim :], text)
    combined = scores(image_scores, text_scores, weight=weight)
    order = np.lexsort((rows, -combined))
    return Ranked(rows, combined, image_scores, text_scores).take(order)


def best_of_products(ranked: Ranked, parts: Parts) -> Ranked:
    """Keep the best row of each product, best first."""
    _, first = np.unique(parts.products[ranked.rows], return_index=True)
    return ranked.take(np.sort(first))


def scan(
    parts: Parts,
    image: NDArray[np.float64],
    text: NDArray[np.float64],
    *,
    weight: float,
    top_k: int,
    rows: NDArray[np.int64] | None = None,
) -> Ranked:
    """Return the `top_k` best products for one query by looking at every one of `rows`, ascending (None: all).

    float32 finds which rows can be among them, float64 ranks those.
    """
    rows = np.arange(len(parts.vectors)) if rows is None else rows
    query = (np.concatenate([image, weight * text]) / (1 + weight)).astype(np.float32)
    rough = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), SCAN_BLOCK):
        rough[start : start + SCAN_BLOCK] = parts.vectors[rows[start : start + SCAN_BLOCK]] @ query
    order = np.argsort(-rough, kind="stable")
    _, first = np.unique(parts.products[rows[order]], return_index=True)
    first.sort()
    last = first[min(top_k, len(first)) - 1]
    ranked = rank(parts, rows[rough >= rough[order[last]] - TIE], image, text, weight=weight)
    best = best_of_products(ranked, parts)
    return best.take(np.arange(min(top_k, len(best.rows))))


def stack(found: list[Ranked], *, top_k: int) -> Hits:
    """Return the rankings of B queries, all of the same length K <= top_k, as one table; K = top_k where B is 0."""

    def table(arrays: list[NDArray[Any]], dtype: type) -> NDArray[Any]:
        return np.stack(arrays).astype(dtype) if arrays else np.zeros((0, top_k), dtype)

    return Hits(
        rows=table([ranked.rows for ranked in found], np.int64),
        scores=table([ranked.scores for ranked in found], np.float32),
        image_scores=table([ranked.image for ranked in found], np.float32),
        text_scores=table([ranked.text for ranked in found], np.float32),
    )
