"""Batches of a journal in, what they change in a gallery out (`overlaid` shows the two as one).

Rows of changed products come after the gallery's own and are compared one by one. Rows whose product was changed again
or deleted are dead: never a hit, but their number stays theirs, so that an answer's rows mean the same after a change.
Everything here is immutable once made; a later delta shares the storage of the one before it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from index_builder.batch import Batch, ChangedPicture, Upsert
from index_builder.columns import Mask
from index_builder.product_table import SHOWN, ProductTable, shown_columns
from index_builder.ranking import Parts

MOST_CHUNKS = 64  # of the side table, before they are made one
LEAST_ROWS = 256

# The text part [D_T] of a changed picture and whether it has one.
TextOf = Callable[[Upsert, ChangedPicture], tuple[NDArray[np.float32], bool]]


@dataclass(frozen=True)
class Delta:
    """Changes up to a sequence: the side rows [M], which of them and of the gallery's [N] are dead."""

    sequence: int
    vectors: _Vectors
    has_text: Mask  # [M]
    products: NDArray[np.int64]  # [M], a number for each product, a new one each time it changes
    first: Mask  # [M], whether it is the first row of its product
    table: pa.Table  # [M], as `SHOWN`
    thumbnails: tuple[bytes, ...]
    rows_of: dict[str, range]  # product -> its side rows, those alive
    dead: Mask  # [N]
    dead_side: Mask  # [M]

    @classmethod
    def empty(cls, *, sequence: int, count: int, dim: int) -> Delta:
        """No changes to a gallery of N rows and vectors [D_I + D_T]."""
        none = np.zeros(0, np.bool_)
        numbers = np.zeros(0, np.int64)
        table = SHOWN.empty_table()
        return cls(sequence, _Vectors(dim), none, numbers, none, table, (), {}, np.zeros(count, np.bool_), none)

    def applied(self, batches: Sequence[Batch], base: ProductTable, text_of: TextOf) -> Delta:
        """Return the delta after some more batches, in the order of their numbers; those it has already change nothing.

        `base` is the gallery's own table.
        """
        news = sorted((batch for batch in batches if batch.sequence > self.sequence), key=lambda batch: batch.sequence)
        if not news:
            return self
        rows = _NewRows(start=len(self.thumbnails), product=int(self.products.max(initial=-1)) + 1)
        rows_of, gone = dict(self.rows_of), list[range]()
        for batch in news:
            gone += [rows_of.pop(product_id) for product_id in batch.product_ids if product_id in rows_of]
            for upsert in batch.upserts:
                rows_of[upsert.product.product_id] = rows.add(upsert, text_of)
        changed = [product_id for batch in news for product_id in batch.product_ids]
        dead_side = np.concatenate([self.dead_side, np.zeros(len(rows.shown), np.bool_)])
        for some in gone:
            dead_side[some.start : some.stop] = True
        return Delta(
            sequence=news[-1].sequence,
            vectors=self.vectors.appended(rows.vectors),
            has_text=np.concatenate([self.has_text, np.array(rows.has_text, np.bool_)]),
            products=np.concatenate([self.products, np.array(rows.products, np.int64)]),
            first=np.concatenate([self.first, np.array(rows.first, np.bool_)]),
            table=_joined(self.table, rows.shown),
            thumbnails=(*self.thumbnails, *rows.thumbnails),
            rows_of=rows_of,
            dead=self.dead | base.rows_of(changed),
            dead_side=dead_side,
        )

    def parts(self, image_dim: int) -> Parts:
        """What exact scores of the side rows need."""
        return Parts(self.vectors.rows, image_dim, has_text=self.has_text, products=self.products)


class _Vectors:
    """Rows [M, D] in a buffer with room for more, which several share; only the newest writes behind its end."""

    def __init__(self, dim: int) -> None:
        self._buffer = _Buffer(np.zeros((0, dim), np.float32))
        self._count = 0

    @property
    def rows(self) -> NDArray[np.float32]:
        """The rows."""
        return self._buffer.values[: self._count]

    def appended(self, rows: Sequence[NDArray[np.float32]]) -> _Vectors:
        """Return these and more rows; they are copied only where there is no room, or somebody else took it."""
        after = _Vectors.__new__(_Vectors)
        after._count = self._count + len(rows)
        after._buffer = self._buffer
        with self._buffer.lock:
            if self._buffer.used != self._count or after._count > len(self._buffer.values):
                capacity = max(LEAST_ROWS, 2 * after._count)
                after._buffer = _Buffer(np.zeros((capacity, self._buffer.values.shape[1]), np.float32))
                after._buffer.values[: self._count] = self.rows
            if rows:
                after._buffer.values[self._count : after._count] = np.stack(rows)
            after._buffer.used = after._count
        return after


class _Buffer:
    def __init__(self, values: NDArray[np.float32]) -> None:
        self.values = values
        self.used = 0
        self.lock = threading.Lock()


class _NewRows:
    """Rows on their way into a delta, from row `start` and product number `product` on."""

    def __init__(self, *, start: int, product: int) -> None:
        self._start = start
        self._product = product
        self.vectors: list[NDArray[np.float32]] = []
        self.has_text: list[bool] = []
        self.products: list[int] = []
        self.first: list[bool] = []
        self.shown: list[dict[str, Any]] = []
        self.thumbnails: list[bytes] = []

    def add(self, upsert: Upsert, text_of: TextOf) -> range:
        """Add a product and return its rows."""
        start = self._start + len(self.shown)
        for number, picture in enumerate(upsert.pictures):
            text, has_text = text_of(upsert, picture)
            self.vectors.append(np.concatenate([picture.vector, text]))
            self.has_text.append(has_text)
            self.products.append(self._product)
            self.first.append(number == 0)
            self.shown.append(shown_columns(upsert.product, image=picture.image))
            self.thumbnails.append(picture.thumbnail)
        self._product += 1
        return range(start, start + len(upsert.pictures))


def _joined(table: pa.Table, shown: list[dict[str, Any]]) -> pa.Table:
    joined = pa.concat_tables([table, pa.Table.from_pylist(shown, schema=SHOWN)])
    return joined.combine_chunks() if joined["product_id"].num_chunks > MOST_CHUNKS else joined
