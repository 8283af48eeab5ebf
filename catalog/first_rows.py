"""Ids in, the row where each stood first out, in 12 bytes an id: a catalog of millions is read in little memory.

An id is known by 64 bits of Python's own hash; among 15 million ids two share them with a chance of one in 160,000, and
then count as equal.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

_RECENT = 1 << 14  # ids kept as Python objects, until they are sorted in among the others
_BITS = 2**64 - 1


class FirstRows:
    """Rows of ids that were seen so far; rows are numbers from 0 to 2^32 - 1."""

    def __init__(self, *, recent: int = _RECENT) -> None:
        self._most_recent = recent
        self._recent: dict[int, int] = {}
        self._keys = np.zeros(0, np.uint64)  # sorted
        self._rows = np.zeros(0, np.uint32)  # of the keys
        self._view = self._keys.data  # whose items are Python's numbers, without an array's detour

    def first(self, product_id: str, row: int) -> int:
        """Return the row where this id stood first: `row`, if it was not seen before."""
        key = hash(product_id) & _BITS
        seen = self._recent.get(key)
        if seen is not None:
            return seen
        place = bisect_left(self._view, key)
        if place < len(self._view) and self._view[place] == key:
            return int(self._rows[place])
        self._recent[key] = row
        if len(self._recent) >= self._most_recent:
            self._sort_in()
        return row

    def _sort_in(self) -> None:
        keys = np.fromiter(self._recent.keys(), np.uint64, len(self._recent))
        rows = np.fromiter(self._recent.values(), np.uint32, len(self._recent))
        self._recent.clear()
        order = np.argsort(keys)
        places = np.searchsorted(self._keys, keys[order])
        self._keys = np.insert(self._keys, places, keys[order])
        self._rows = np.insert(self._rows, places, rows[order])
        self._view = self._keys.data
