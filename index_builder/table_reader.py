"""A table of shown columns in, records of single rows and columns to filter by out; for mapped tables and small ones.

What filters need of a column is made when first asked for and kept, a bounded number of JSON keys at a time.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from index_builder.columns import CategoryColumn, CodedColumn, Column, EitherColumn, NumberColumn, TextColumn
from index_builder.json_columns import JsonTexts

CATEGORY = "category"  # label and category path as one column
KEYS_KEPT = 16
_JSON = ("attributes", "extra")
_NUMBERS = ("price",)


class TableReader:
    """Reads a table with the columns of `product_table.SHOWN`. Methods may be called from several threads."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._batches = [pa.RecordBatch.from_struct_array(part) for part in table.to_struct_array().chunks]
        self._starts = [0, *accumulate(len(batch) for batch in self._batches)]
        self._lock = threading.RLock()
        self._coded: dict[str, CodedColumn] = {}
        self._objects: dict[str, JsonTexts] = {}
        self._keys: OrderedDict[str, Column] = OrderedDict()
        self._names: list[str] | None = None

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def texts(self, name: str) -> pa.ChunkedArray:
        """Return a column as it lies."""
        return self._table[name]

    def rows(self, rows: Sequence[int]) -> list[dict[str, Any]]:
        """Return the records of some rows, in their order. Only the record batches they lie in are looked at."""
        places: dict[int, list[int]] = {}
        for place, row in enumerate(rows):
            places.setdefault(bisect_right(self._starts, row) - 1, []).append(place)
        found: list[dict[str, Any]] = [{}] * len(rows)
        for batch, here in places.items():
            start = self._starts[batch]
            records = self._batches[batch].take(pa.array([rows[place] - start for place in here], pa.int64()))
            for place, record in zip(here, records.to_pylist(), strict=True):
                found[place] = record
        return found

    def is_in(self, name: str, values: Sequence[str]) -> NDArray[np.bool_]:
        """Tell which rows have one of these texts, bool [N]."""
        return TextColumn(self._table[name]).one_of(frozenset(values), frozenset())

    def category_paths(self, rows: NDArray[np.int64]) -> dict[str, int]:
        """Return how many of some rows have each category path, by path; those without one are left out."""
        with self._lock:
            paths = self._coded_column("category_path")
        codes = paths.codes[rows]
        counts = np.bincount(codes[codes >= 0], minlength=len(paths.distinct))
        return {path: int(count) for path, count in sorted(zip(paths.distinct, counts, strict=True)) if path and count}

    def column(self, name: str) -> Column | None:
        """Return a column to filter by: a catalog column, `category`, or a key of attributes and unknown columns."""
        if name == CATEGORY:
            with self._lock:
                return CategoryColumn(self._coded_column("label"), self._coded_column("category_path"))
        if name in _NUMBERS:
            return NumberColumn(self._table[name].to_numpy())
        if name in self._table.column_names and name not in _JSON:
            return TextColumn(self._table[name])
        with self._lock:
            if name in self._keys:
                self._keys.move_to_end(name)
            elif (column := self._key_column(name)) is not None:
                self._keys[name] = column
                while len(self._keys) > KEYS_KEPT:
                    self._keys.popitem(last=False)
            return self._keys.get(name)

    def column_names(self) -> list[str]:
        """Return all names that `column` knows; the first call reads every JSON object."""
        with self._lock:
            if self._names is None:
                own = [name for name in self._table.column_names if name not in _JSON]
                keys = set[str]().union(*(self._json_texts(name).keys() for name in _JSON))
                self._names = sorted({CATEGORY, *own, *keys})
            return self._names

    def _key_column(self, key: str) -> Column | None:
        found: list[Column] = [column for name in _JSON if (column := self._json_texts(name).key(key)) is not None]
        if len(found) < 2:
            return found[0] if found else None
        return EitherColumn(*found)

    def _json_texts(self, name: str) -> JsonTexts:
        if name not in self._objects:
            self._objects[name] = JsonTexts.of(self._table[name])
        return self._objects[name]

    def _coded_column(self, name: str) -> CodedColumn:
        if name not in self._coded:
            self._coded[name] = CodedColumn.of(self._table[name])
        return self._coded[name]
