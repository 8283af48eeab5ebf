"""A gallery's own table and searcher and a `Delta` in, the same two with its changes out; they ask both and merge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.errors import NotFoundError, OutOfRangeError
from index_builder.columns import Mask
from index_builder.delta import Delta
from index_builder.filters import Filters
from index_builder.fusion import unit
from index_builder.product_table import ProductTable, shown_product
from index_builder.ranking import Hits, Ranked, scan, stack
from index_builder.search import Searcher, check_expand
from index_builder.table_reader import TableReader


class OverlaidTable:
    """A gallery's table with the changes of a delta; rows N and above are those of the delta."""

    def __init__(self, base: ProductTable, delta: Delta) -> None:
        self._base = base
        self._delta = delta
        self._side = TableReader(delta.table)

    def __len__(self) -> int:
        return len(self._base) + len(self._side)

    def row_of(self, product_id: str) -> int:
        """Return the first row of a product; `NotFoundError` for an unknown or deleted one."""
        if product_id in self._delta.rows_of:
            return len(self._base) + self._delta.rows_of[product_id].start
        row = self._base.row_of(product_id)
        if self._delta.dead[row]:
            raise NotFoundError(f"no product '{product_id}' in this gallery: it was deleted")
        return row

    def rows(self, rows: Sequence[int] | NDArray[np.int64]) -> list[dict[str, Any]]:
        """Return the catalog columns of several rows; those of a dead row are as they were."""
        count = len(self._base)
        numbers = [self.check(int(row)) for row in rows]
        of_base = iter(self._base.rows([row for row in numbers if row < count]))
        of_side = iter(self._side.rows([row - count for row in numbers if row >= count]))
        return [next(of_base) if row < count else shown_product(next(of_side)) for row in numbers]

    def picture(self, row: int) -> bytes:
        """Return the row's picture, JPEG of at most 320 px."""
        count = len(self._base)
        return self._base.picture(row) if self.check(row) < count else self._delta.thumbnails[row - count]

    def category_paths(self) -> dict[str, int]:
        """Return the number of products of each category path, by path."""
        counts = self._base.category_paths(dead=self._delta.dead)
        alive = np.flatnonzero(self._delta.first & ~self._delta.dead_side)
        for path, count in self._side.category_paths(alive).items():
            counts[path] = counts.get(path, 0) + count
        return dict(sorted(counts.items()))

    def mask(self, filters: Filters) -> Mask:
        """Tell which rows match, bool [N + M]; dead ones never do. Raises what `Filters.check` raises."""
        filters.check(self._base, self._side)
        base = self._base.matching(filters) & ~self._delta.dead
        return np.concatenate([base, filters.rows(self._side) & ~self._delta.dead_side])

    def check(self, row: int) -> int:
        """Return the row, which must be one of these: `OutOfRangeError` otherwise."""
        if not 0 <= row < len(self):
            raise OutOfRangeError(f"row is {row}, the gallery has rows 0 to {len(self) - 1}")
        return row


class OverlaidSearcher:
    """A gallery's searcher with the changes of a delta: the index without its dead rows, and every side row."""

    def __init__(self, base: Searcher, delta: Delta, *, image_dim: int) -> None:
        self._base = base.without(delta.dead)
        self._count = len(delta.dead)
        self._parts = delta.parts(image_dim)
        self._alive = ~delta.dead_side

    @property
    def products(self) -> int:
        """The number of products that can be hits."""
        return self._base.products + len(np.unique(self._parts.products[self._alive]))

    def search(
        self,
        image: NDArray[np.float32],
        text: NDArray[np.float32] | None,
        *,
        weight: float,
        top_k: int,
        candidates: int | None = None,
        allowed: Mask | None = None,
    ) -> Hits:
        """Return the best products for B queries; see `Searcher.search`, `allowed` is bool [N + M]."""
        total = self._count + len(self._alive)
        if allowed is not None and allowed.shape != (total,):
            raise OutOfRangeError(f"allowed is {allowed.dtype} {list(allowed.shape)}, expected bool [{total}]")
        of_base = None if allowed is None else allowed[: self._count]
        found = self._base.ranked(image, text, weight=weight, top_k=top_k, candidates=candidates, allowed=of_base)
        rows = np.flatnonzero(self._alive if allowed is None else self._alive & allowed[self._count :])
        if len(rows):
            images, texts = self._base.queries(image, text)
            for number, ranked in enumerate(found):
                side = scan(self._parts, images[number], texts[number], weight=weight, top_k=top_k, rows=rows)
                found[number] = _merged(ranked, side, count=self._count, top_k=top_k)
        return stack(found, top_k=min(top_k, self.products))

    def expand(
        self,
        image: NDArray[np.float32],
        text: NDArray[np.float32] | None,
        *,
        weight: float,
        count: int,
        candidates: int | None = None,
    ) -> NDArray[np.float32]:
        """Return image parts [B, D_I]; see `Searcher.expand`."""
        check_expand(count)
        rows = self.search(image, text, weight=weight, top_k=count, candidates=candidates).rows
        dim = self._parts.image_dim
        best = np.array([[self.part(int(row))[0][:dim] for row in hits] for hits in rows], np.float64)
        return unit(unit(image) + best.reshape(len(rows), -1, dim).sum(axis=1)).astype(np.float32)

    def part(self, row: int) -> tuple[NDArray[np.float32], bool]:
        """Return the stored parts [D_I + D_T] of a row, and whether it has text."""
        if row < self._count:
            return self._base.part(row)
        return np.array(self._parts.vectors[row - self._count]), bool(self._parts.has_text[row - self._count])


def _merged(base: Ranked, side: Ranked, *, count: int, top_k: int) -> Ranked:
    """Return the best of both; no product is in both."""
    both = Ranked(
        np.concatenate([base.rows, side.rows + count]),
        np.concatenate([base.scores, side.scores]),
        np.concatenate([base.image, side.image]),
        np.concatenate([base.text, side.text]),
    )
    return both.take(np.lexsort((both.rows, -both.scores))[:top_k])
