"""Unit parts [N, D_I + D_T] in, block by block, `vectors.npy` out; only a block of them is in memory.

It is written by ordinary writes: a mapped file that meets a full disk ends the process without a word.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from index_builder.fusion import center_texts

BLOCK = 65_536


class VectorFile:
    """Writes N rows in order; use it as a context manager."""

    def __init__(self, path: Path, *, count: int, dim: int) -> None:
        self._file = path.open("wb")
        header = {"descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)), "fortran_order": False}
        np.lib.format.write_array_header_1_0(self._file, {**header, "shape": (count, dim)})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, rows: NDArray[np.float32]) -> None:
        """Append rows [n, D]."""
        self._file.write(np.ascontiguousarray(rows, np.float32).tobytes())


def read_vectors(path: Path) -> NDArray[np.float32]:
    """Return the rows as an array that is mapped from the file."""
    vectors: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    return vectors


def center_in_place(path: Path, *, image_dim: int, has_text: NDArray[np.bool_]) -> NDArray[np.float32] | None:
    """Center the text parts of a file; return their center [D_T], the mean of those there are.

    None when they are all alike, so that centering leaves nothing of them.
    """
    vectors: NDArray[np.float32] = np.load(path, mmap_mode="r+", allow_pickle=False)
    total = np.zeros((1, vectors.shape[1] - image_dim))
    for start in range(0, len(vectors), BLOCK):
        chosen = vectors[start : start + BLOCK, image_dim:][has_text[start : start + BLOCK]]
        # Added one after the other, so that the sum does not depend on the blocks.
        total = np.vstack([total, chosen]).sum(axis=0, keepdims=True)
    center: NDArray[np.float32] = (total[0] / np.count_nonzero(has_text)).astype(np.float32)
    left = False
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK, image_dim:]
        block[:] = center_texts(block, center)
        left = left or bool(block.any())
    vectors.flush()  # type: ignore[attr-defined]
    return center if left else None
