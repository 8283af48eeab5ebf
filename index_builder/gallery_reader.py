"""What the service, the gate and the benchmarks ask of an open gallery, wherever its rows lie.

`gallery.Gallery` (FAISS in this process) and `milvus_gallery.MilvusGallery` fulfill it; mypy proves it where
`opening.open_gallery` returns them. Meanings, shapes and errors are those of `Gallery`'s methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from export.words import LabelVectors, WordModel
from index_builder.filters import Filters
from index_builder.manifest import Device, Manifest
from index_builder.search import Hits


class GalleryReader(Protocol):
    """One version of a shop's searchable products. `search` may be called from several threads."""

    folder: Path

    @property
    def manifest(self) -> Manifest:
        """What the gallery holds and how it was made."""

    @property
    def count(self) -> int:
        """The number of rows, those of changed products included; a row is less than this."""

    @property
    def products(self) -> int:
        """The number of products that can be found."""

    @property
    def sequence(self) -> int:
        """The number of the last batch of the journal that it knows."""

    @property
    def device(self) -> Device:
        """Where its index answers."""

    @property
    def words(self) -> WordModel | None:
        """The word vectors it was built with; None unless its text vectors are word vectors."""

    @property
    def labels(self) -> LabelVectors:
        """The text vector of each of the classifier's labels; [V, 0] without text."""

    @property
    def unknown_label(self) -> NDArray[np.float32] | None:
        """The unit text part [D_T] of a query whose label is unknown; None where that is a query without text."""

    def text_part(self, text: str) -> NDArray[np.float32] | None:
        """Return the unit text part [D_T] of free words; None when no word of it is usable."""

    def search(
        self,
        image_vectors: NDArray[np.float32],
        text_vectors: NDArray[np.float32] | None,
        *,
        weight: float | None = None,
        top_k: int = 10,
        candidates: int | None = None,
        expand: int = 0,
        filters: Filters | None = None,
    ) -> Hits:
        """Return the best `top_k` products (all of those that match when there are fewer), best first, of B queries."""

    def product(self, row: int) -> dict[str, Any]:
        """Return the catalog columns of one row."""

    def rows(self, rows: Sequence[int] | NDArray[np.int64]) -> list[dict[str, Any]]:
        """Return the catalog columns of several rows at once."""

    def row_of(self, product_id: str) -> int:
        """Return the first row of a product; `NotFoundError` for an unknown one."""

    def image_vector(self, row: int) -> NDArray[np.float32]:
        """Return the unit image part [D_I] of a row."""

    def text_vector(self, row: int) -> NDArray[np.float32] | None:
        """Return the unit text part [D_T] of a row, None without usable text."""

    def image_bytes(self, row: int) -> bytes:
        """Return the row's picture as JPEG, long side at most 320 px."""

    def category_paths(self) -> dict[str, int]:
        """Return the number of products of each category path."""

    def close(self) -> None:
        """Let go of what it holds; calling it twice is fine."""
