"""A published gallery folder in, hits, products and pictures out: the reader that the service and the benchmarks use.

It refuses what does not fit (`GalleryError`) before FAISS sees a byte: schema, missing or changed files, another model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from export.words import LabelVectors, WordModel, WordsError
from index_builder.errors import GalleryError
from index_builder.faiss_index import read_index
from index_builder.fusion import center_texts, unit
from index_builder.gpu import gpu_count, to_gpu
from index_builder.integrity import check_files, check_spaces, read_manifest
from index_builder.manifest import Device, Manifest, TextVector, UnknownLabel
from index_builder.product_table import TABLE_FILE, THUMBNAILS_FILE, ProductTable
from index_builder.search import Hits, Parts, Searcher
from index_builder.texts import unknown_vector

__all__ = ["Gallery", "GalleryError", "Hits"]

INDEX_FILE = "index.faiss"
VECTORS_FILE = "vectors.npy"
LABELS_FILE = "labels.npz"
CENTER_FILE = "text_center.npy"
WORDS_FOLDER = "words"
_NEEDED = (INDEX_FILE, VECTORS_FILE, LABELS_FILE, TABLE_FILE, THUMBNAILS_FILE)


@dataclass(frozen=True)
class _Opened:
    manifest: Manifest
    parts: Parts
    table: ProductTable
    labels: LabelVectors
    words: WordModel | None
    center: NDArray[np.float32] | None
    searcher: Searcher


class Gallery:
    """One version of a shop's searchable products. `search` may be called from several threads."""

    def __init__(self, folder: Path, opened: _Opened) -> None:
        self.folder = folder
        self._opened: _Opened | None = opened

    @classmethod
    def open(
        cls, folder: Path, *, spaces: Mapping[str, str] | None = None, verify: bool = True, threads: int = 1
    ) -> Self:
        """Open a gallery folder; `spaces` (model name -> space id) are the networks that will ask it.

        `verify=False` leaves out the checksums, not the sizes; `threads` is the number of cores one search may use.
        Raises `GalleryError` with one sentence for anything that is missing, damaged or does not fit.
        """
        manifest = read_manifest(folder)
        if spaces is not None:
            check_spaces(manifest, spaces)
        needed = (*_NEEDED, CENTER_FILE) if manifest.text.centered else _NEEDED
        if missing := [name for name in needed if name not in manifest.files]:
            raise GalleryError(f"gallery {manifest.version} is incomplete: its manifest does not list {missing[0]}")
        check_files(folder, manifest, verify=verify)
        table = ProductTable(folder, count=manifest.count)
        vectors = _read_vectors(folder / VECTORS_FILE, manifest)
        parts = Parts(vectors, image_dim=manifest.image_dim, has_text=table.has_text, products=table.products)
        index = read_index(folder / INDEX_FILE, dim=manifest.image_dim + manifest.text_dim, count=manifest.count)
        if manifest.recipe.device is Device.GPU and gpu_count():
            index = to_gpu(index)  # elsewhere the file's own index answers
        labels, words = _read_texts(folder, manifest)
        center = _read_center(folder / CENTER_FILE, manifest) if manifest.text.centered else None
        searcher = Searcher(
            index, parts, recipe=manifest.recipe, default_weight=manifest.default_weight, threads=threads
        )
        return cls(folder, _Opened(manifest, parts, table, labels, words, center, searcher))

    @property
    def manifest(self) -> Manifest:
        """What the gallery holds and how it was made."""
        return self._now.manifest

    @property
    def words(self) -> WordModel | None:
        """The word vectors it was built with; None unless its text vectors are word vectors.

        For vectors to search with ask `text_part`, which centers them where the gallery is.
        """
        return self._now.words

    @property
    def labels(self) -> LabelVectors:
        """The text vector of each of the classifier's labels; [V, 0] without text."""
        return self._now.labels

    @property
    def unknown_label(self) -> NDArray[np.float32] | None:
        """The unit text part [D_T] of a query whose label is unknown; None where that is a query without text."""
        if self.manifest.text.unknown is not UnknownLabel.DELTA0:
            return None
        return self._centered(unknown_vector(len(self.labels.labels)))

    def text_part(self, text: str) -> NDArray[np.float32] | None:
        """Return the unit text part [D_T] of free words, treated as the gallery's texts were.

        None without word vectors, or when no word of it is usable.
        """
        vector = None if self.words is None else self.words.sentence_vector(text)
        return None if vector is None else self._centered(unit(vector[None]).astype(np.float32)[0])

    def search(
        self,
        image_vectors: NDArray[np.float32],
        text_vectors: NDArray[np.float32] | None,
        *,
        weight: float | None = None,
        top_k: int = 10,
        candidates: int | None = None,
        expand: int = 0,
    ) -> Hits:
        """Return the best `top_k` products (all of them when there are fewer) for B queries, best first.

        `image_vectors` [B, D_I] of any length; `text_vectors` [B, D_T] at most 1 long, used as they are, a zero row or
        None is a query without text. `weight` None is the gallery's default. `candidates` rows are taken from the
        index before exact ranking; None lets the gallery choose. With `expand` each query's image part becomes the unit
        mean of itself and of its so many best hits' (average query expansion, Chum et al. 2007, "Total Recall"), and
        is searched again. Raises `OutOfRangeError` for anything out of range.
        """
        weight = self.manifest.default_weight if weight is None else weight
        searcher = self._now.searcher
        if expand:
            image_vectors = searcher.expand(
                image_vectors, text_vectors, weight=weight, count=expand, candidates=candidates
            )
        return searcher.search(image_vectors, text_vectors, weight=weight, top_k=top_k, candidates=candidates)

    def product(self, row: int) -> dict[str, Any]:
        """Return the catalog columns of one row; unknown columns are under `extra`. `OutOfRangeError` for no row."""
        return self._now.table.rows([row])[0]

    def rows(self, rows: Sequence[int] | NDArray[np.int64]) -> list[dict[str, Any]]:
        """Return the catalog columns of several rows at once, which is quicker than one by one."""
        return self._now.table.rows(rows)

    def row_of(self, product_id: str) -> int:
        """Return the first row of a product; `NotFoundError` for an unknown one."""
        return self._now.table.row_of(product_id)

    def image_vector(self, row: int) -> NDArray[np.float32]:
        """Return the unit image part [D_I] of a row."""
        parts = self._now.parts
        return np.array(parts.vectors[self._now.table.check(row), : parts.image_dim])

    def text_vector(self, row: int) -> NDArray[np.float32] | None:
        """Return the unit text part [D_T] of a row, None without usable text."""
        parts = self._now.parts
        if not parts.has_text[self._now.table.check(row)]:
            return None
        return np.array(parts.vectors[row, parts.image_dim :])

    def image_bytes(self, row: int) -> bytes:
        """Return the row's picture as JPEG, long side at most 320 px."""
        return self._now.table.picture(row)

    def category_paths(self) -> dict[str, int]:
        """Return the number of products of each category path."""
        return self._now.table.category_paths()

    def close(self) -> None:
        """Let go of the index and the mapped files; calling it twice is fine, a later search is a `GalleryError`."""
        self._opened = None

    def _centered(self, text: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Return a unit text [D_T] as the gallery's rows have it, None when nothing is left of it."""
        center = self._now.center
        if center is None:
            return text
        centered = center_texts(text[None], center)[0]
        return centered if centered.any() else None

    @property
    def _now(self) -> _Opened:
        if self._opened is None:
            raise GalleryError(f"the gallery at {self.folder} was closed; open it again")
        return self._opened


def _read_vectors(path: Path, manifest: Manifest) -> NDArray[np.float32]:
    try:
        vectors: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise GalleryError(f"{path} cannot be read: {error}") from error
    expected = (manifest.count, manifest.image_dim + manifest.text_dim)
    if vectors.dtype != np.float32 or vectors.shape != expected:
        raise GalleryError(
            f"{path} is {vectors.dtype} {list(vectors.shape)}, the manifest says float32 {list(expected)}"
        )
    return vectors


def _read_center(path: Path, manifest: Manifest) -> NDArray[np.float32]:
    try:
        center: NDArray[np.float32] = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise GalleryError(f"{path} cannot be read: {error}") from error
    if center.dtype != np.float32 or center.shape != (manifest.text_dim,):
        raise GalleryError(
            f"{path} is {center.dtype} {list(center.shape)}, the manifest says float32 [{manifest.text_dim}]"
        )
    return center


def _read_texts(folder: Path, manifest: Manifest) -> tuple[LabelVectors, WordModel | None]:
    try:
        labels = LabelVectors.load(folder / LABELS_FILE)
        words = WordModel.load(folder / WORDS_FOLDER) if manifest.text_vector is TextVector.WORDVECTOR else None
    except WordsError as error:
        raise GalleryError(f"gallery {manifest.version}: {error}") from error
    if labels.vectors.shape[1] != manifest.text_dim or list(labels.labels) != manifest.labels:
        raise GalleryError(
            f"gallery {manifest.version}: {LABELS_FILE} has {len(labels.labels)} labels of dim "
            f"{labels.vectors.shape[1]}, the manifest says {len(manifest.labels)} of dim {manifest.text_dim}"
        )
    if words is not None and words.dim != manifest.text_dim:
        raise GalleryError(
            f"gallery {manifest.version}: its word vectors have dim {words.dim}, the manifest says {manifest.text_dim}"
        )
    return labels, words
