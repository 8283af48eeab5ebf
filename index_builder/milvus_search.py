"""Query vectors in, hits out, as `search.Searcher` gives them: candidates from Milvus, exact scores from their parts.

Milvus lists the rows with the best fused inner product and hands their vectors over; both unit parts are computed from
these (to 1e-7), so scores depend neither on the index nor on the default weight. It lists 16,384 rows at most: when
those hold too few products, it is asked again without the products that were found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.errors import OutOfRangeError
from index_builder.fusion import check_weight, fuse_query, text_factor
from index_builder.manifest import Manifest
from index_builder.milvus_schema import MOST_LISTED, MilvusIndex, search_parameters
from index_builder.milvus_server import MilvusServer
from index_builder.ranking import TIE, Hits, Parts, best_of_products, rank
from index_builder.search import CANDIDATES_FOR, EXACT_MARGIN, WIDEST_TIE, check_queries

ANSWER_BYTES = 64 * 2**20  # of the vectors in one answer; servers send 100 MB at most
ANSWER_ROWS = 4096  # of several queries in one answer, so that it comes in time
FIELDS = ("product", "has_text", "vector")


@dataclass(frozen=True)
class _Candidates:
    """Rows that Milvus listed, ascending, with their unit parts."""

    rows: NDArray[np.int64]
    parts: Parts

    def joined(self, other: _Candidates) -> _Candidates:
        """Return the rows of both."""
        rows, first = np.unique(np.concatenate([self.rows, other.rows]), return_index=True)
        mine, more = self.parts, other.parts
        parts = Parts(
            np.vstack([mine.vectors, more.vectors])[first],
            mine.image_dim,
            np.concatenate([mine.has_text, more.has_text])[first],
            np.concatenate([mine.products, more.products])[first],
        )
        return _Candidates(rows, parts)


@dataclass(frozen=True)
class _Found:
    """The best rows of one query, best first."""

    rows: NDArray[np.int64]
    scores: NDArray[np.float64]
    image: NDArray[np.float64]
    text: NDArray[np.float64]
    last: float  # the score of the worst candidate


class MilvusSearcher:
    """Searches one collection. With `by_row` each row is a hit of its own, as recall is measured."""

    def __init__(self, server: MilvusServer, manifest: Manifest, *, by_row: bool = False) -> None:
        if manifest.milvus is None:
            raise OutOfRangeError(f"the rows of gallery {manifest.version} are not on Milvus")
        self._server = server
        self._collection = manifest.milvus.collection
        self._manifest = manifest
        self._by_row = by_row
        self._exact = manifest.milvus.index == MilvusIndex.FLAT
        self._products = manifest.count if by_row else manifest.products
        self._dim = manifest.image_dim + manifest.text_dim
        self._most = min(MOST_LISTED, ANSWER_BYTES // (4 * self._dim))

    def search(
        self,
        image: NDArray[np.float32],
        text: NDArray[np.float32] | None,
        *,
        weight: float,
        top_k: int,
        candidates: int | None = None,
        condition: str = "",
    ) -> Hits:
        """Return the best products for B queries, as `search.Searcher.search`.

        Only rows that fulfill the `condition`, an expression of Milvus, may be hits; K is min(top_k, their products).
        """
        check_weight(weight)
        images, texts = check_queries(image, text, image_dim=self._manifest.image_dim, text_dim=self._manifest.text_dim)
        if top_k < 1:
            raise OutOfRangeError(f"top_k is {top_k}, at least 1 is needed")
        if candidates is not None and candidates < 1:
            raise OutOfRangeError(f"candidates is {candidates}, at least 1 is needed")
        top_k = min(top_k, self._products)
        fused = fuse_query(images, texts, weight=weight, default_weight=self._manifest.default_weight)
        asked = [_Query(fused[k], images[k], texts[k], weight, top_k, condition) for k in range(len(images))]
        found: list[_Found | None] = [None] * len(asked)
        count, limit = self._candidates(top_k, candidates), min(self._manifest.count, self._most)
        open_queries = list(range(len(asked)))
        while open_queries:
            listed = self._list([asked[k] for k in open_queries], count)
            for k, rows in zip(open_queries, listed, strict=True):
                found[k] = self._settle(asked[k], rows, count=count, limit=limit)
            open_queries = [k for k in open_queries if found[k] is None]
            count = min(4 * count, limit)
        return _stack([one for one in found if one is not None], top_k=top_k)

    def vectors(self, rows: Sequence[int]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the unit parts [R, D_I + D_T] of some rows in their order, and whether each has text."""
        wanted = np.asarray(rows, np.int64)
        distinct = np.unique(wanted)
        blocks = [self._block(distinct[start : start + self._most]) for start in range(0, len(distinct), self._most)]
        if not blocks:
            return np.zeros((0, self._dim), np.float32), np.zeros(0, np.bool_)
        place = np.searchsorted(distinct, wanted)
        vectors = np.vstack([block.parts.vectors for block in blocks])
        return vectors[place], np.concatenate([block.parts.has_text for block in blocks])[place]

    def _block(self, rows: NDArray[np.int64]) -> _Candidates:
        found = self._server.rows(self._collection, ("row", *FIELDS), condition=f"row in {rows.tolist()}")
        return self._of([record["row"] for record in found], found)

    def _list(self, asked: Sequence[_Query], count: int) -> list[_Candidates]:
        """Return `count` candidates of each query, in as many calls as their vectors need."""
        step = max(1, min(ANSWER_BYTES // (4 * self._dim), ANSWER_ROWS) // count)
        listed = []
        for start in range(0, len(asked), step):
            block = asked[start : start + step]
            hits = self._server.search(
                self._collection,
                np.stack([query.fused for query in block]),
                count=count,
                fields=FIELDS,
                parameters=search_parameters(self._manifest.recipe, count=count),
                condition=block[0].condition,
            )
            listed += [self._of([hit["row"] for hit in one], [hit["entity"] for hit in one]) for one in hits]
        return listed

    def _of(self, rows: Sequence[int], records: Sequence[Any]) -> _Candidates:
        image_dim = self._manifest.image_dim
        vectors = np.array([record["vector"] for record in records], np.float32).reshape(len(records), self._dim)
        if self._manifest.text_dim:
            vectors[:, image_dim:] /= np.float32(text_factor(self._manifest.default_weight))
        numbers = np.asarray(rows, np.int64)
        products = numbers if self._by_row else np.array([record["product"] for record in records], np.int64)
        has_text = np.array([record["has_text"] for record in records], np.bool_)
        order = np.argsort(numbers)
        parts = Parts(vectors[order], image_dim, has_text[order], products[order])
        return _Candidates(numbers[order], parts)

    def _settle(self, query: _Query, listed: _Candidates, *, count: int, limit: int) -> _Found | None:
        """Return the best rows by product, or None when more candidates are needed to be sure of them."""
        found = _best(listed, query)
        enough = len(found.rows) >= query.top_k
        if enough:
            # Equal rows at the border: which of them are listed is chance, so look at all of them.
            sure = not self._exact or count >= min(limit, WIDEST_TIE)
            return found if sure or found.scores[query.top_k - 1] - found.last >= TIE else None
        if len(listed.rows) < count and self._exact:
            return found  # there are no more
        # An index that lists fewer than it was asked for gains nothing by being asked for more.
        return self._complete(query, listed) if count >= limit or len(listed.rows) < count else None

    def _complete(self, query: _Query, listed: _Candidates) -> _Found:
        """Ask again without the products found, until there are `top_k` or no more."""
        field = "row" if self._by_row else "product"
        while True:
            found = _best(listed, query)
            if len(found.rows) >= query.top_k:
                return found
            known = f"{field} not in {np.unique(listed.parts.products).tolist()}" if len(listed.rows) else ""
            rest = query.under(" and ".join(f"({one})" for one in (query.condition, known) if one))
            more = self._list([rest], min(self._manifest.count, self._most))[0]
            if not len(more.rows):  # an index need not list all that it could
                records = self._server.rows(
                    self._collection, ("row", *FIELDS), condition=rest.condition, limit=self._most
                )
                more = self._of([record["row"] for record in records], records)
            if not len(more.rows):
                return found
            listed = listed.joined(more)

    def _candidates(self, top_k: int, asked: int | None) -> int:
        least = self._manifest.recipe.candidates
        default = max(-(-top_k * least // CANDIDATES_FOR), least)
        if self._exact and self._products == self._manifest.count:
            default = top_k + EXACT_MARGIN
        return min(max(top_k, asked or default), self._manifest.count, self._most)


@dataclass(frozen=True)
class _Query:
    """One query: `fused` [D_I + D_T] for Milvus, `image` and `text` for the exact scores."""

    fused: NDArray[np.float32]
    image: NDArray[np.float64]
    text: NDArray[np.float64]
    weight: float
    top_k: int
    condition: str

    def under(self, condition: str) -> _Query:
        """Return the same under another condition."""
        return _Query(self.fused, self.image, self.text, self.weight, self.top_k, condition)


def _best(listed: _Candidates, query: _Query) -> _Found:
    """Rank the candidates exactly and keep the best row of each product, at most `top_k`."""
    ranked = rank(listed.parts, np.arange(len(listed.rows)), query.image, query.text, weight=query.weight)
    last = float(ranked.scores[-1]) if len(ranked.rows) else -np.inf
    best = best_of_products(ranked, listed.parts)
    best = best.take(np.arange(min(query.top_k, len(best.rows))))
    return _Found(listed.rows[best.rows], best.scores, best.image, best.text, last)


def _stack(found: Sequence[_Found], *, top_k: int) -> Hits:
    """Return the hits of B queries, [B, K]; all have as many, since they were asked under one condition."""
    top_k = max((len(one.rows) for one in found), default=top_k)
    rows = np.full((len(found), top_k), -1, np.int64)
    scores, image, text = (np.full((len(found), top_k), np.nan, np.float32) for _ in range(3))
    for k, one in enumerate(found):
        count = len(one.rows)
        rows[k, :count], scores[k, :count] = one.rows, one.scores
        image[k, :count], text[k, :count] = one.image, one.text
    return Hits(rows, scores, image, text)
