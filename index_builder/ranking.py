"""Stored parts and one query in, rows by their exact scores out: one hit a product, best first.

Scores are computed in float64 from the unit parts of each row, so they do not depend on the default weight, the recipe,
or the company a row is in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index_builder.fusion import scores

TIE = 1e-5
SCAN_BLOCK = 8192
RANKED_AT_ONCE = 512  # rows whose vectors fit the processor's cache


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

    def first(self, count: int) -> Ranked:
        """Return the best of them."""
        return Ranked(self.rows[:count], self.scores[:count], self.image[:count], self.text[:count])

    def take(self, order: NDArray[np.int64]) -> Ranked:
        """Return some of them, in that order."""
        return Ranked(self.rows[order], self.scores[order], self.image[order], self.text[order])


NOTHING_RANKED = Ranked(np.zeros(0, np.int64), np.zeros(0), np.zeros(0), np.zeros(0))


def rank(
    parts: Parts, rows: NDArray[np.int64], image: NDArray[np.float64], text: NDArray[np.float64], *, weight: float
) -> Ranked:
    """Return the rows with their exact scores for one query (image [D_I] at unit length, text [D_T]), best first."""
    return _rank_table(parts, rows[None], image[None], text[None], weight=weight)[0]


def rank_all(
    parts: Parts,
    lists: Sequence[NDArray[np.int64]],
    images: NDArray[np.float64],
    texts: NDArray[np.float64],
    *,
    weight: float,
) -> list[Ranked]:
    """Return the rows of each of B lists as `rank` does, for queries [B, D_I] and [B, D_T]; equal lengths are quick."""
    count = len(lists[0]) if lists else 0
    if any(len(rows) != count for rows in lists):
        each = zip(lists, images, texts, strict=True)
        return [rank(parts, rows, image, text, weight=weight) for rows, image, text in each]
    step = max(1, RANKED_AT_ONCE // max(count, 1))
    ranked: list[Ranked] = []
    for start in range(0, len(lists), step):
        some = slice(start, start + step)
        ranked += _rank_table(parts, np.stack(lists[some]), images[some], texts[some], weight=weight)
    return ranked


def _rank_table(
    parts: Parts,
    rows: NDArray[np.int64],
    images: NDArray[np.float64],
    texts: NDArray[np.float64],
    *,
    weight: float,
) -> list[Ranked]:
    """Rank rows [B, C] for queries [B, D_I] and [B, D_T]."""
    vectors = np.asarray(parts.vectors)[rows.ravel()].astype(np.float64)
    vectors = vectors.reshape(*rows.shape, vectors.shape[1])
    # einsum adds each row up by itself; a matrix product may give equal rows unequal last digits.
    image_scores = np.einsum("bcd,bd->bc", vectors[:, :, : parts.image_dim], images)
    text_scores = np.full(rows.shape, np.nan)
    asked: NDArray[np.bool_] = np.any(texts, axis=1)  # [B]
    if asked.any():
        usable = parts.has_text[rows] & asked[:, None]
        text_scores = np.where(usable, np.einsum("bcd,bd->bc", vectors[:, :, parts.image_dim :], texts), np.nan)
    combined = scores(image_scores, text_scores, weight=weight)
    order = np.lexsort((rows, -combined), axis=-1)
    sorted_ = (np.take_along_axis(each, order, axis=1) for each in (rows, combined, image_scores, text_scores))
    return [Ranked(*each) for each in zip(*sorted_, strict=True)]


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
    return best.first(top_k)


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
