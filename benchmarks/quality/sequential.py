"""Image search and text search apart, then merged: what one-shot search is compared with.

Two FAISS indexes over the same rows: one of image parts by the recipe asked for, and one of text parts, exact, since
equal texts tear a graph apart. Three ways to merge: reciprocal rank fusion of both lists, and the best rows of one list
re-ranked by the other part. Products of one title have equal text vectors; such rows share their rank, so that the
picture decides among them and not the order in the index. (Where a list ends inside such a group, FAISS decides which
of its rows are still in.)
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from benchmarks.metrics import reciprocal_rank_fusion
from index_builder.faiss_index import RowFinder, faiss, make_index
from index_builder.fusion import unit
from index_builder.recipes import FLAT, Facts, choose_recipe, starting_recipe

DEPTH = 200
CONSTANT = 60.0  # of reciprocal rank fusion, as its authors use it
TIE = 1e-6


class Merge(StrEnum):
    """How two lists become one."""

    RECIPROCAL_RANK = "reciprocal-rank"
    IMAGE_FIRST = "image-first"
    TEXT_FIRST = "text-first"


class SequentialSearcher:
    """Searches of `image` [N, D_I] and `text` [N, D_T] (a zero row: no text), merged. Not for several threads."""

    def __init__(
        self,
        image: NDArray[np.float32],
        text: NDArray[np.float32],
        *,
        recipe: str = "Flat",
        depth: int = DEPTH,
        constant: float = CONSTANT,
        threads: int = 1,
    ) -> None:
        self._image = unit(image).astype(np.float32)
        self._text = unit(text).astype(np.float32)
        self._recipe = choose_recipe(recipe, Facts(len(image), image.shape[1]))
        self._by_image = RowFinder(make_index(self._image, self._recipe))
        self._by_text = make_index(self._text, starting_recipe(FLAT))
        self._depth = min(depth, len(image))
        self._constant = constant
        self._threads = threads

    def search(
        self, image: NDArray[np.float32], text: NDArray[np.float32], *, merge: Merge, top_k: int = 10
    ) -> NDArray[np.int64]:
        """Return rows [B, top_k] for queries `image` [B, D_I] and `text` [B, D_T], best first.

        A query without text (a zero row) is an image search. Raises ValueError when `top_k` exceeds the depth.
        """
        if top_k > self._depth:
            raise ValueError(f"top_k is {top_k}, the lists are {self._depth} long")
        images = np.ascontiguousarray(unit(image), np.float32)
        texts = np.ascontiguousarray(text, np.float32)
        return np.stack([self._one(images[row], texts[row], merge, top_k) for row in range(len(images))])

    def _one(
        self, image: NDArray[np.float32], text: NDArray[np.float32], merge: Merge, top_k: int
    ) -> NDArray[np.int64]:
        if not text.any():
            return self._image_list(image, top_k)
        if merge is Merge.IMAGE_FIRST:
            rows = self._image_list(image, self._depth)
            return rows[np.argsort(-_snap(self._text[rows] @ text), kind="stable")][:top_k]
        if merge is Merge.TEXT_FIRST:
            rows, _ = self._text_list(text)
            return rows[np.argsort(-(self._image[rows] @ image), kind="stable")][:top_k]
        by_image, (by_text, scores) = self._image_list(image, self._depth), self._text_list(text)
        fused, _ = reciprocal_rank_fusion(
            [by_image, by_text],
            [np.arange(1, len(by_image) + 1), shared_ranks(scores)],
            constant=self._constant,
        )
        return fused[:top_k]

    def _image_list(self, query: NDArray[np.float32], count: int) -> NDArray[np.int64]:
        parameters = self._recipe.search_parameters
        return self._by_image.find(query[None], count=count, parameters=parameters, threads=self._threads)[0]

    def _text_list(self, query: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        faiss.omp_set_num_threads(self._threads)
        scores, rows = self._by_text.search(query[None], self._depth)
        return rows[0], scores[0]


def shared_ranks(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the rank from 1 of each score [L], best first; scores within 1e-6 of the one before share its rank."""
    new = np.empty(len(scores), bool)
    new[:1] = True
    new[1:] = scores[:-1] - scores[1:] > TIE
    places = np.arange(1, len(scores) + 1)
    return np.maximum.accumulate(np.where(new, places, 0))


def _snap(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """Make scores that differ by rounding only equal."""
    return np.round(scores.astype(np.float64) / TIE) * TIE
