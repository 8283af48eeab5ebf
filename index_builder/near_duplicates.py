"""A gallery in, groups of products whose pictures are nearly the same out: double entries, or one photo for many."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index_builder.gallery import VECTORS_FILE, Gallery
from index_builder.product_table import TABLE_FILE, product_numbers
from index_builder.vector_file import read_vectors

THRESHOLD = 0.98
ALL_ROWS = 10_000  # up to here every row is compared with every other
SAMPLE_ROWS = 2_000  # beyond, so many are looked up by the index
LINKS = 16  # to so many rows before it a row is tied: enough for groups
TOP_K = 20
BLOCK = 1024


@dataclass(frozen=True)
class Duplicates:
    """Groups of rows, one of each product, the largest first; `looked_at` rows were compared with others."""

    groups: list[list[int]]
    looked_at: int


def near_duplicates(gallery: Gallery, *, threshold: float = THRESHOLD, seed: int = 0) -> Duplicates:
    """Return groups of products with pictures whose image cosine is above the threshold.

    Large galleries are looked at in a sample of 2,000 rows, by their index; a group may then be a part of one.
    """
    count = gallery.manifest.count
    products = product_numbers(gallery.folder / TABLE_FILE, count)
    if count <= ALL_ROWS:
        pairs = _all_pairs(read_vectors(gallery.folder / VECTORS_FILE)[:, : gallery.manifest.image_dim], threshold)
        looked_at = count
    else:
        chosen = np.sort(np.random.default_rng(seed).choice(count, size=SAMPLE_ROWS, replace=False))
        pairs = _pairs_by_index(gallery, chosen, threshold)
        looked_at = SAMPLE_ROWS
    return Duplicates(_groups(pairs, products), looked_at)


def _all_pairs(images: NDArray[np.float32], threshold: float) -> Iterator[tuple[int, int]]:
    for start in range(0, len(images), BLOCK):
        block = images[start : start + BLOCK]
        close = block @ images[: start + len(block)].T > threshold
        for place in np.flatnonzero(close.sum(axis=1) > 1):
            row = start + int(place)
            for other in np.flatnonzero(close[place, :row])[:LINKS]:
                yield int(other), row


def _pairs_by_index(gallery: Gallery, rows: NDArray[np.int64], threshold: float) -> Iterator[tuple[int, int]]:
    for row in rows:
        hits = gallery.search(gallery.image_vector(int(row))[None], None, weight=0, top_k=TOP_K)
        for other in hits.rows[0][hits.image_scores[0] > threshold]:
            yield int(row), int(other)


def _groups(pairs: Iterator[tuple[int, int]], products: NDArray[np.int64]) -> list[list[int]]:
    """Join pairs that share a row; pictures of one product are no duplicates of each other."""
    parent: dict[int, int] = {}

    def root(row: int) -> int:
        while (above := parent.setdefault(row, row)) != row:
            parent[row] = row = parent[above]
        return row

    for one, other in pairs:
        parent[root(max(one, other))] = root(min(one, other))
    members: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for row in sorted(parent):
        members[root(row)].setdefault(int(products[row]), row)
    groups = [list(rows.values()) for rows in members.values() if len(rows) > 1]
    return sorted(groups, key=lambda group: (-len(group), group))
