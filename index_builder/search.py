"""Query vectors in, hits out: candidates from the index, exact scores from the stored parts, one hit a product.

Scores never come from the index: they are computed in float64 from the unit parts of the candidates, so they do not
depend on the default weight, the recipe, or the company a row is in.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.errors import OutOfRangeError
from index_builder.faiss_index import Parameters, filtered_parameters, find_rows, is_exact
from index_builder.fusion import check_weight, fuse_query, scores, unit
from index_builder.manifest import IndexRecipe

EXACT_MARGIN = 16  # more than top_k, so that float32 noise of the index cannot cut off a hit
WIDEST_TIE = 4096
TIE = 1e-5
SCAN_BLOCK = 8192
CANDIDATES_FOR = 16  # up to this top_k the recipe's number of candidates is listed, in proportion more beyond


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
class _Ranked:
    """Rows of one query, best first, with float64 scores."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    image: NDArray[np.float64]
    text: NDArray[np.float64]

    def take(self, order: NDArray[np.int64]) -> _Ranked:
        return _Ranked(self.rows[order], self.scores[order], self.image[order], self.text[order])


@dataclass(frozen=True)
class _Choice:
    """The rows that may be hits: `count` of `products` products; how to ask the index for them (None: do not)."""

    allowed: NDArray[np.bool_] | None
    count: int
    products: int
    parameters: Parameters | None

    def must_scan(self, candidates: int) -> bool:
        """Whether comparing with each of them is cheaper than listing so many by the index."""
        return self.parameters is None or (self.allowed is not None and candidates >= self.count)

    def rows(self) -> NDArray[np.int64] | None:
        return None if self.allowed is None else np.flatnonzero(self.allowed)


class Searcher:
    """An index and its parts. Searches of the index go one at a time; the re-ranking runs in the caller's thread."""

    def __init__(
        self, index: Any, parts: Parts, *, recipe: IndexRecipe, default_weight: float, threads: int = 1
    ) -> None:
        self._index = index
        self._exact = is_exact(index)
        self._parts = parts
        self._parameters = recipe.search_parameters
        self._least_candidates = recipe.candidates
        self._default_weight = default_weight
        self._threads = threads
        self._lock = threading.Lock()
        numbers, product = np.unique(parts.products, return_inverse=True)
        self._product_count = len(numbers)
        self._grouped = self._product_count < len(parts.products)
        self._product: NDArray[np.int64] | None = product if self._grouped else None

    def search(
        self,
        image: NDArray[np.float32],
        text: NDArray[np.float32] | None,
        *,
        weight: float,
        top_k: int,
        candidates: int | None = None,
        allowed: NDArray[np.bool_] | None = None,
    ) -> Hits:
        """Return the best products for B queries; see `Gallery.search`.

        With `allowed` [N] only those rows may be hits, and K is min(top_k, products with such a row): where the index
        is not the cheapest way to the best of them (`faiss_index.filtered_parameters`), or lists too few, all of them
        are compared.
        """
        check_weight(weight)
        images, texts = self._queries(image, text)
        if top_k < 1:
            raise OutOfRangeError(f"top_k is {top_k}, at least 1 is needed")
        choice = self._choice(allowed)
        top_k = min(top_k, choice.products)
        if top_k == 0:
            return _stack([], top_k=0, queries=len(images))
        fused = fuse_query(images, texts, weight=weight, default_weight=self._default_weight)
        found: list[_Ranked | None] = [None] * len(images)
        count = self._candidates(top_k, candidates, limit=choice.count)
        open_queries = list(range(len(images)))
        while open_queries and not choice.must_scan(count):
            for query, rows in zip(open_queries, self._find(fused[open_queries], count, choice), strict=True):
                ranked = rank(self._parts, rows, images[query], texts[query], weight=weight)
                found[query] = self._settle(ranked, count=count, top_k=top_k, limit=choice.count)
            open_queries = [query for query in open_queries if found[query] is None]
            # An index that cannot list what is there gains nothing by being asked for more of it.
            if count >= choice.count or (choice.allowed is not None and not self._exact):
                break
            count = min(4 * count, choice.count)
        for query in open_queries:
            found[query] = scan(
                self._parts, images[query], texts[query], weight=weight, top_k=top_k, rows=choice.rows()
            )
        return _stack([ranked for ranked in found if ranked is not None], top_k=top_k, queries=len(images))

    def expand(
        self,
        image: NDArray[np.float32],
        text: NDArray[np.float32] | None,
        *,
        weight: float,
        count: int,
        candidates: int | None = None,
    ) -> NDArray[np.float32]:
        """Return image parts [B, D_I]: the unit mean of each query and its `count` best hits; see `Gallery.search`."""
        if count < 1:
            raise OutOfRangeError(f"expand is {count}, 0 (not at all) or more is needed")
        rows = self.search(image, text, weight=weight, top_k=count, candidates=candidates).rows
        best = np.asarray(self._parts.vectors[rows, : self._parts.image_dim], np.float64)  # [B, count, D_I]
        return unit(unit(image) + best.sum(axis=1)).astype(np.float32)

    def _find(self, queries: NDArray[np.float32], count: int, choice: _Choice) -> list[NDArray[np.int64]]:
        with self._lock:
            return find_rows(
                self._index,
                queries,
                count=count,
                parameters=choice.parameters or {},
                threads=self._threads,
                allowed=choice.allowed,
            )

    def _choice(self, allowed: NDArray[np.bool_] | None) -> _Choice:
        total = len(self._parts.vectors)
        if allowed is None:
            return _Choice(None, total, self._product_count, self._parameters)
        if allowed.dtype != np.bool_ or allowed.shape != (total,):
            raise OutOfRangeError(f"allowed is {allowed.dtype} {list(allowed.shape)}, expected bool [{total}]")
        count = int(np.count_nonzero(allowed))
        if count == total:
            return self._choice(None)
        products = count
        if self._product is not None:
            seen = np.zeros(self._product_count, bool)
            seen[self._product[allowed]] = True
            products = int(np.count_nonzero(seen))
        parameters = filtered_parameters(self._index, self._parameters, allowed=count) if count else None
        return _Choice(allowed, count, products, parameters)

    def _candidates(self, top_k: int, asked: int | None, *, limit: int) -> int:
        if asked is not None and asked < 1:
            raise OutOfRangeError(f"candidates is {asked}, at least 1 is needed")
        least = self._least_candidates
        default = max(-(-top_k * least // CANDIDATES_FOR), least)
        if self._exact and not self._grouped:
            default = top_k + EXACT_MARGIN
        return min(max(top_k, asked or default), limit)

    def _settle(self, ranked: _Ranked, *, count: int, top_k: int, limit: int) -> _Ranked | None:
        """Return the best rows by product, or None when more candidates are needed to be sure of them."""
        best = best_of_products(ranked, self._parts)
        if len(best.rows) < top_k:
            return None
        complete = not self._exact or count >= min(limit, WIDEST_TIE)
        # Equal rows at the border: which of them the index lists is chance, so look at all of them.
        if not complete and best.scores[top_k - 1] - ranked.scores[-1] < TIE:
            return None
        return best.take(np.arange(top_k))

    def _queries(
        self, image: NDArray[np.float32], text: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        image_dim, text_dim = self._parts.image_dim, self._parts.text_dim
        if image.ndim != 2 or image.shape[1] != image_dim:
            raise OutOfRangeError(f"image vectors are {list(image.shape)}, the gallery expects [B, {image_dim}]")
        if text is None or text_dim == 0:
            return unit(image), np.zeros((len(image), text_dim))
        if text.shape != (len(image), text_dim):
            raise OutOfRangeError(f"text vectors are {list(text.shape)}, expected [{len(image)}, {text_dim}]")
        texts = np.asarray(text, np.float64)
        longest = float(np.sqrt(np.einsum("bd,bd->b", texts, texts)).max(initial=0))
        if not longest <= 1.001:
            raise OutOfRangeError(f"a text vector of a query is {longest:.3g} long, at most 1 is expected")
        return unit(image), texts


def rank(
    parts: Parts, rows: NDArray[np.int64], image: NDArray[np.float64], text: NDArray[np.float64], *, weight: float
) -> _Ranked:
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
    return _Ranked(rows, combined, image_scores, text_scores).take(order)


def best_of_products(ranked: _Ranked, parts: Parts) -> _Ranked:
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
) -> _Ranked:
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


def _stack(found: list[_Ranked], *, top_k: int, queries: int) -> Hits:
    def table(arrays: list[NDArray[Any]], dtype: type) -> NDArray[Any]:
        return np.stack(arrays).astype(dtype) if arrays else np.zeros((queries, top_k), dtype)

    return Hits(
        rows=table([ranked.rows for ranked in found], np.int64),
        scores=table([ranked.scores for ranked in found], np.float32),
        image_scores=table([ranked.image for ranked in found], np.float32),
        text_scores=table([ranked.text for ranked in found], np.float32),
    )
