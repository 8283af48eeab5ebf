"""Query vectors in, hits out: candidates from the index, exact scores from the stored parts, one hit a product.

Scores never come from the index but from `ranking`.
"""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from catalog.errors import OutOfRangeError
from index_builder.faiss_index import Parameters, RowFinder, filtered_parameters, is_exact
from index_builder.fusion import check_weight, fuse_units, unit
from index_builder.manifest import IndexRecipe
from index_builder.ranking import (
    NOTHING_RANKED,
    TIE,
    Hits,
    Parts,
    Ranked,
    best_of_products,
    hits_of,
    rank,
    rank_all,
    rank_table,
    scan,
    split,
    stack,
)

__all__ = ["Hits", "Parts", "Searcher", "best_of_products", "check_expand", "rank", "scan"]

EXACT_MARGIN = 16  # more than top_k, so that float32 noise of the index cannot cut off a hit
WIDEST_TIE = 4096
FEW_DEAD = 0.25  # up to this share of dead rows they are dropped from what the index lists
CANDIDATES_FOR = 16  # up to this top_k the recipe's number of candidates is listed, in proportion more beyond


@dataclass(frozen=True)
class _Choice:
    """The rows that may be hits: `count` of `products` products; how to ask the index for them (None: do not).

    `allowed` is what the index is told to list, `dead` what is dropped from its list.
    """

    count: int
    products: int
    parameters: Parameters | None
    allowed: NDArray[np.bool_] | None = None
    dead: NDArray[np.bool_] | None = None

    @property
    def listed(self) -> int:
        """The number of rows that the index may list."""
        return self.count if self.dead is None else len(self.dead)

    def must_scan(self, candidates: int) -> bool:
        """Whether comparing with each of them is cheaper than listing so many by the index."""
        return self.parameters is None or (self.allowed is not None and candidates >= self.count)

    def rows(self) -> NDArray[np.int64] | None:
        """The rows, None for all."""
        if self.allowed is not None:
            return np.flatnonzero(self.allowed)
        return None if self.dead is None else np.flatnonzero(~self.dead)


@dataclass(frozen=True)
class _Asked:
    """Checked queries: parts [B, D_I] and [B, D_T], fused ones [B, D], and how many candidates to list first."""

    images: NDArray[np.float64]
    texts: NDArray[np.float64]
    weight: float
    fused: NDArray[np.float32]
    choice: _Choice
    top_k: int
    count: int


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
        self._finder = RowFinder(index, image_dim=parts.image_dim)
        self._product, self._product_count = _numbered(parts.products)
        self._grouped = self._product_count < len(parts.products)
        self._dead: NDArray[np.bool_] | None = None
        self._all = _Choice(len(parts.products), self._product_count, self._parameters)

    @property
    def index(self) -> Any:
        """The index of FAISS that lists candidates."""
        return self._index

    @property
    def products(self) -> int:
        """The number of products that can be hits."""
        return self._all.products

    def without(self, dead: NDArray[np.bool_]) -> Self:
        """Return a searcher over the same index in which `dead` rows [N] are no hits; for whole products."""
        other = copy.copy(self)
        other._dead = dead
        other._all = other._alive(dead)
        return other

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
        asked = self._asked(image, text, weight=weight, top_k=top_k, candidates=candidates, allowed=allowed)
        table = self._at_once(asked)
        return stack(self._ranked(asked), top_k=asked.top_k) if table is None else hits_of(table)

    def ranked(
        self,
        image: NDArray[np.float32],
        text: NDArray[np.float32] | None,
        *,
        weight: float,
        top_k: int,
        candidates: int | None = None,
        allowed: NDArray[np.bool_] | None = None,
    ) -> list[Ranked]:
        """Return the K best rows of each query; arguments and errors as `search`."""
        asked = self._asked(image, text, weight=weight, top_k=top_k, candidates=candidates, allowed=allowed)
        table = self._at_once(asked)
        return self._ranked(asked) if table is None else split(table)

    def _asked(
        self,
        image: NDArray[np.float32],
        text: NDArray[np.float32] | None,
        *,
        weight: float,
        top_k: int,
        candidates: int | None,
        allowed: NDArray[np.bool_] | None,
    ) -> _Asked:
        check_weight(weight)
        images, texts = self.queries(image, text)
        if top_k < 1:
            raise OutOfRangeError(f"top_k is {top_k}, at least 1 is needed")
        choice = self._choice(allowed)
        top_k = min(top_k, choice.products)
        fused = fuse_units(images, texts, weight=weight, default_weight=self._default_weight)
        return _Asked(images, texts, weight, fused, choice, top_k, self._candidates(top_k, candidates, choice))

    def _at_once(self, asked: _Asked) -> Ranked | None:
        """Return the best rows of all queries as one table, None where a query needs a look of its own."""
        alike = not (self._grouped or self._exact) and asked.choice.dead is None and asked.count >= asked.top_k > 0
        if not alike or not len(asked.fused) or asked.choice.must_scan(asked.count):
            return None
        lists = self._find(asked.fused, asked.count, asked.choice)
        if any(len(rows) != asked.count for rows in lists):
            return None
        table = rank_table(self._parts, np.stack(lists), asked.images, asked.texts, weight=asked.weight)
        return table.first(asked.top_k)

    def _ranked(self, asked: _Asked) -> list[Ranked]:
        images, texts, weight, choice = asked.images, asked.texts, asked.weight, asked.choice
        top_k, count = asked.top_k, asked.count
        if top_k == 0:
            return [NOTHING_RANKED] * len(images)
        found: list[Ranked | None] = [None] * len(images)
        open_queries = list(range(len(images)))
        while open_queries and not choice.must_scan(count):
            lists = self._find(asked.fused[open_queries], count, choice)
            tables = rank_all(self._parts, lists, images[open_queries], texts[open_queries], weight=weight)
            for query, ranked in zip(open_queries, tables, strict=True):
                found[query] = self._settle(ranked, count=count, top_k=top_k, limit=choice.listed)
            open_queries = [query for query in open_queries if found[query] is None]
            # An index that cannot list what is there gains nothing by being asked for more of it.
            if count >= choice.listed or (choice.allowed is not None and not self._exact):
                break
            count = min(4 * count, choice.listed)
        for query in open_queries:
            found[query] = scan(
                self._parts, images[query], texts[query], weight=weight, top_k=top_k, rows=choice.rows()
            )
        return [ranked for ranked in found if ranked is not None]

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
        check_expand(count)
        rows = self.search(image, text, weight=weight, top_k=count, candidates=candidates).rows
        best = np.asarray(self._parts.vectors[rows, : self._parts.image_dim], np.float64)  # [B, count, D_I]
        return unit(unit(image) + best.sum(axis=1)).astype(np.float32)

    def part(self, row: int) -> tuple[NDArray[np.float32], bool]:
        """Return the stored parts [D_I + D_T] of a row, and whether it has text."""
        return np.array(self._parts.vectors[row]), bool(self._parts.has_text[row])

    def _find(self, queries: NDArray[np.float32], count: int, choice: _Choice) -> list[NDArray[np.int64]]:
        parameters = choice.parameters or {}
        with self._lock:
            found = self._finder.find(
                queries, count=count, parameters=parameters, threads=self._threads, allowed=choice.allowed
            )
        return found if choice.dead is None else [rows[~choice.dead[rows]] for rows in found]

    def _choice(self, allowed: NDArray[np.bool_] | None) -> _Choice:
        if allowed is None:
            return self._all
        total = len(self._parts.vectors)
        if allowed.dtype != np.bool_ or allowed.shape != (total,):
            raise OutOfRangeError(f"allowed is {allowed.dtype} {list(allowed.shape)}, expected bool [{total}]")
        if self._dead is not None:
            allowed = allowed & ~self._dead
        count = int(np.count_nonzero(allowed))
        if count == self._all.count:
            return self._all
        parameters = filtered_parameters(self._index, self._parameters, allowed=count) if count else None
        return _Choice(count, self._count_products(allowed, count), parameters, allowed=allowed)

    def _alive(self, dead: NDArray[np.bool_]) -> _Choice:
        """All rows that are not dead: by dropping the others where they are few, or the index takes no selection."""
        count = len(dead) - int(np.count_nonzero(dead))
        if count == len(dead):
            return _Choice(count, self._product_count, self._parameters)
        alive = ~dead
        products = self._count_products(alive, count)
        if len(dead) - count <= FEW_DEAD * len(dead):
            return _Choice(count, products, self._parameters, dead=dead)
        parameters = filtered_parameters(self._index, self._parameters, allowed=count) if count else None
        return _Choice(count, products, parameters, allowed=alive)

    def _count_products(self, allowed: NDArray[np.bool_], count: int) -> int:
        if not self._grouped:
            return count
        seen = np.zeros(self._product_count, bool)
        seen[self._product[allowed]] = True
        return int(np.count_nonzero(seen))

    def _candidates(self, top_k: int, asked: int | None, choice: _Choice) -> int:
        if asked is not None and asked < 1:
            raise OutOfRangeError(f"candidates is {asked}, at least 1 is needed")
        least = self._least_candidates
        default = max(-(-top_k * least // CANDIDATES_FOR), least)
        if self._exact and not self._grouped:
            default = top_k + EXACT_MARGIN
        count = max(top_k, asked or default)
        count += min(choice.listed - choice.count, count)  # some of them may be dead
        return min(count, choice.listed)

    def _settle(self, ranked: Ranked, *, count: int, top_k: int, limit: int) -> Ranked | None:
        """Return the best rows by product, or None when more candidates are needed to be sure of them."""
        best = best_of_products(ranked, self._parts) if self._grouped else ranked
        if len(best.rows) < top_k:
            return None
        complete = not self._exact or count >= min(limit, WIDEST_TIE)
        # Equal rows at the border: which of them the index lists is chance, so look at all of them.
        if not complete and best.scores[top_k - 1] - ranked.scores[-1] < TIE:
            return None
        return best.first(top_k)

    def queries(
        self, image: NDArray[np.float32], text: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return checked queries, image parts [B, D_I] at unit length and text parts [B, D_T]."""
        return check_queries(image, text, image_dim=self._parts.image_dim, text_dim=self._parts.text_dim)


def check_queries(
    image: NDArray[np.float32], text: NDArray[np.float32] | None, *, image_dim: int, text_dim: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return queries as they are compared: image parts [B, D_I] at unit length, text parts [B, D_T] as they are.

    Raises `OutOfRangeError` for other dimensions, and for a text part longer than 1.
    """
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


def check_expand(count: int) -> None:
    """Refuse a number of hits to expand a query with that is none: `OutOfRangeError`."""
    if count < 1:
        raise OutOfRangeError(f"expand is {count}, 0 (not at all) or more is needed")


def _numbered(products: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Return products by consecutive numbers from 0, and how many there are."""
    steps = np.diff(products)
    if not (steps >= 0).all():
        numbers, inverse = np.unique(products, return_inverse=True)
        return inverse, len(numbers)
    numbered = np.zeros(len(products), np.int64)
    np.cumsum(steps > 0, out=numbered[1:])
    return numbered, int(numbered[-1]) + 1 if len(products) else 0
