"""Gallery vectors in, indexes of other libraries at their documented defaults out: what ours is measured against.

Inner product over the same fused vectors; a search returns rows, which are scored exactly by whoever asked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.terminal import progress
from index_builder.faiss_index import Rows

TOP_K = 10
BLOCK = 16_384
BUILD_THREADS = 2
EFFORTS = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)


class Rival(ABC):
    """A graph index of another library. `effort` is what its own name for efSearch is."""

    name: str

    @abstractmethod
    def add(self, block: NDArray[np.float32], first: int) -> None:
        """Add rows [n, D] numbered from `first`."""

    @abstractmethod
    def search(self, queries: NDArray[np.float32], *, effort: int) -> NDArray[np.int64]:
        """Return rows [B, 10], best first; one thread."""

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write the index to a file."""

    @abstractmethod
    def load(self, path: Path) -> None:
        """Read it back into memory."""

    @property
    @abstractmethod
    def memory_bytes(self) -> int:
        """What the index holds in memory."""

    def fill(self, rows: Rows) -> None:
        """Add all rows [N, D]."""
        count = rows.shape[0]
        for start in progress(range(0, count, BLOCK), description=f"building {self.name}", total=-(-count // BLOCK)):
            self.add(rows[start : min(start + BLOCK, count)], start)


class Hnswlib(Rival):
    """hnswlib with M 16 and ef_construction 200, the values of its README."""

    def __init__(self, dim: int, count: int) -> None:
        import hnswlib

        self.name = "hnswlib float32"
        self._dim, self._count = dim, count
        self._index: Any = hnswlib.Index(space="ip", dim=dim)
        self._index.init_index(max_elements=count, M=16, ef_construction=200, random_seed=0)

    def add(self, block: NDArray[np.float32], first: int) -> None:
        """Add rows."""
        self._index.add_items(block, np.arange(first, first + len(block)), num_threads=BUILD_THREADS)

    def search(self, queries: NDArray[np.float32], *, effort: int) -> NDArray[np.int64]:
        """Search with `ef`."""
        self._index.set_ef(effort)
        labels, _ = self._index.knn_query(queries, k=TOP_K, num_threads=1)
        return np.asarray(labels, np.int64)

    def save(self, path: Path) -> None:
        """Write the index."""
        self._index.save_index(str(path))

    def load(self, path: Path) -> None:
        """Read the index."""
        self._index.load_index(str(path), max_elements=self._count)

    @property
    def memory_bytes(self) -> int:
        """The size of its file, which holds what memory does."""
        return int(self._index.index_file_size())


class Usearch(Rival):
    """usearch with its default connectivity 16 and expansion_add 128; `dtype` f32, or its quantized f16 and i8."""

    def __init__(self, dim: int, *, dtype: str = "f32") -> None:
        from usearch.index import Index

        self.name = {"f32": "usearch float32", "f16": "usearch f16", "i8": "usearch i8"}[dtype]
        self._index: Any = Index(ndim=dim, metric="ip", dtype=dtype, connectivity=16, expansion_add=128)

    def add(self, block: NDArray[np.float32], first: int) -> None:
        """Add rows."""
        self._index.add(np.arange(first, first + len(block)), block, threads=BUILD_THREADS)

    def search(self, queries: NDArray[np.float32], *, effort: int) -> NDArray[np.int64]:
        """Search with `expansion_search`."""
        self._index.expansion_search = effort
        keys = self._index.search(queries, TOP_K, threads=1).keys
        return np.asarray(keys, np.int64).reshape(len(queries), -1)

    def save(self, path: Path) -> None:
        """Write the index."""
        self._index.save(str(path))

    def load(self, path: Path) -> None:
        """Read the index."""
        self._index.load(str(path))

    @property
    def memory_bytes(self) -> int:
        """What it says of itself: vectors and graph."""
        return int(self._index.serialized_length)


def made(rival: Rival, rows: Rows, path: Path) -> Rival:
    """Fill the index with rows [N, D], or load it where that was done before."""
    if path.exists():
        rival.load(path)
        return rival
    rival.fill(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    rival.save(temporary)
    temporary.rename(path)
    return rival
