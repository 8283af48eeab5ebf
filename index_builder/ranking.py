"""Stored parts and one query in, rows by their exact scores out: one hit a product, best first.

Scores are computed from the unit parts of each row, each by itself, so they do not depend on the default weight, the
recipe, or the company a row is in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index_builder.faiss_index import inner_products
from index_builder.fusion import scores

TIE = 1e-5
SCAN_BLOCK = 8192
RANKED_AT_ONCE = 4096  # rows: as many as leave their queries in the processor's cache


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

    def of(self, query: int) -> Hits:
        """Return the hits of one of the queries, [1, K], as copies: to keep them is not to keep the others'."""
        one = slice(query, query + 1)
        return Hits(
            self.rows[one].copy(),
            self.scores[one].copy(),
            self.image_scores[one].copy(),
            self.text_scores[one].copy(),
        )


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
    """Rows of one query [C], best first, or of B queries [B, C]."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    image: NDArray[np.float64]
    text: NDArray[np.float64]

    def first(self, count: int) -> Ranked:
        """Return the best of them."""
        some = (..., slice(count))
        return Ranked(self.rows[some], self.scores[some], self.image[some], self.text[some])

    def take(self, order: NDArray[np.int64]) -> Ranked:
        """Return some of them, in that order."""
        return Ranked(self.rows[order], self.scores[order], self.image[order], self.text[order])


NOTHING_RANKED = Ranked(np.zeros(0, np.int64), np.zeros(0), np.zeros(0), np.zeros(0))


def rank(
    parts: Parts, rows: NDArray[np.int64], image: NDArray[np.float64], text: NDArray[np.float64], *, weight: float
) -> Ranked:
    """Return the rows with their exact scores for one query (image [D_I] at unit length, text [D_T]), best first."""
    return split(rank_table(parts, rows[None], image[None], text[None], weight=weight))[0]


def rank_all(
    parts: Parts,
    lists: Sequence[NDArray[np.int64]],
    images: NDArray[np.float64],
    texts: NDArray[np.float64],
    *,
    weight: float,
) -> list[Ranked]:
    """Return the rows of each of B lists as `rank` does, for queries [B, D_I] and [B, D_T]; equal lengths are quick."""
    if len({len(rows) for rows in lists}) == 1:
        return split(rank_table(parts, np.stack(lists), images, texts, weight=weight))
    each = zip(lists, images, texts, strict=True)
    return [rank(parts, rows, image, text, weight=weight) for rows, image, text in each]


def rank_table(
    parts: Parts,
    rows: NDArray[np.int64],
    images: NDArray[np.float64],
    texts: NDArray[np.float64],
    *,
    weight: float,
) -> Ranked:
    """Return rows [B, C] as `rank` does, each query's best first, for queries [B, D_I] and [B, D_T]."""
    step = max(1, RANKED_AT_ONCE // max(rows.shape[1], 1))
    if len(rows) <= step:
        return _rank_table(parts, rows, images, texts, weight=weight)
    some = (slice(start, start + step) for start in range(0, len(rows), step))
    ranked = [_rank_table(parts, rows[one], images[one], texts[one], weight=weight) for one in some]
    fields = ((one.rows, one.scores, one.image, one.text) for one in ranked)
    return Ranked(*(np.concatenate(blocks) for blocks in zip(*fields, strict=True)))


def split(table: Ranked) -> list[Ranked]:
    """Return the rankings of B queries one by one."""
    return [Ranked(*each) for each in zip(table.rows, table.scores, table.image, table.text, strict=True)]


def _rank_table(
    parts: Parts,
    rows: NDArray[np.int64],
    images: NDArray[np.float64],
    texts: NDArray[np.float64],
    *,
    weight: float,
) -> Ranked:
    asked = texts.any(axis=1, keepdims=True)
    image_scores, text_scores = _part_scores(parts, rows, images, texts if asked.any() else None)
    combined = scores(image_scores, text_scores, weight=weight)
    text_scores[~(parts.has_text[rows] & asked)] = np.nan
    order = (np.arange(len(rows))[:, None], np.lexsort((rows, -combined), axis=-1))
    return Ranked(rows[order], combined[order], image_scores[order], text_scores[order])


def _part_scores(
    parts: Parts,
    rows: NDArray[np.int64],
    images: NDArray[np.float64],
    texts: NDArray[np.float64] | None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the inner products [B, C] of both parts; zero where queries or rows have no text."""
    queries = np.zeros((len(rows), 1 if texts is None else 2, parts.vectors.shape[1]), np.float32)
    queries[:, 0, : parts.image_dim] = images
    if texts is not None:
        queries[:, 1, parts.image_dim :] = texts
        rows = rows.repeat(2, axis=0)  # a row's second part is read while it is in the cache
    found = inner_products(parts.vectors, rows, queries.reshape(len(rows), -1)).astype(np.float64)
    return (found, np.zeros(rows.shape)) if texts is None else (found[::2], found[1::2])


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

    A matrix product finds which rows can be among them, exact scores rank those.
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
    if not found:
        empty = np.zeros((0, top_k))
        return hits_of(Ranked(empty.astype(np.int64), empty, empty, empty))
    fields = ((one.rows, one.scores, one.image, one.text) for one in found)
    return hits_of(Ranked(*(np.stack(rows) for rows in zip(*fields, strict=True))))


def hits_of(table: Ranked) -> Hits:
    """Return the rankings of B queries [B, K] as hits."""
    narrow = (one.astype(np.float32) for one in (table.scores, table.image, table.text))
    return Hits(table.rows, *narrow)
