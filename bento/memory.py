"""Vectors of recent queries under an id, so that a slider re-ranks without a second upload. Photos are not kept."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.errors import NotFoundError
from catalog.rows import Box

MAX_QUERIES = 2048


@dataclass(frozen=True)
class Remembered:
    """What the networks said of one photo: `image` [D_I] unit, `probabilities` [V] (None: a product's own vectors)."""

    space: Hashable  # of the networks that made the vectors
    image: NDArray[np.float32]
    probabilities: NDArray[np.float32] | None
    box: Box | None
    product_id: str | None = None
    photo: Hashable = None  # equal for equal photos, boxes and networks; None: not to be recognized


class QueryMemory:
    """The last queries, for a limited time; belongs to one event loop."""

    def __init__(self, *, keep_s: float, most: int = MAX_QUERIES) -> None:
        self._keep_s = keep_s
        self._most = most
        self._kept: OrderedDict[str, tuple[float, Remembered]] = OrderedDict()

    def add(self, remembered: Remembered) -> str:
        """Keep the vectors and return their new query_id; the oldest make room."""
        query_id = secrets.token_urlsafe(12)
        self._kept[query_id] = (time.monotonic(), remembered)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)
        return query_id

    def get(self, query_id: str, *, space: Hashable) -> Remembered:
        """Return what was kept; NotFoundError when it was never given out, is too old, or is of another space.

        A gallery that another one takes the place of does no harm as long as the same networks made both.
        """
        kept = self._kept.get(query_id)
        if kept is None or time.monotonic() - kept[0] > self._keep_s or kept[1].space != space:
            self._kept.pop(query_id, None)
            raise NotFoundError("this query_id is unknown or too old; send the photo again")
        return kept[1]
