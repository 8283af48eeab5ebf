"""A published gallery folder in, hits, products and pictures out: the reader that the service and the benchmarks use.

It refuses what does not fit (`GalleryError`) before FAISS sees a byte: schema, missing or changed files, another model.
`with_changes` gives another reader over the same gallery that knows batches of the store's journal, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from export.words import LabelVectors, WordModel
from index_builder.batch import Batch
from index_builder.changed_texts import changed_text
from index_builder.delta import Delta
from index_builder.errors import GalleryError, JournalError
from index_builder.faiss_index import read_index
from index_builder.filters import Filters
from index_builder.gallery_texts import CENTER_FILE, LABELS_FILE, GalleryTexts
from index_builder.gpu import gpu_count, to_gpu
from index_builder.integrity import check_files, check_spaces, read_manifest
from index_builder.manifest import Device, Manifest
from index_builder.overlaid import OverlaidSearcher, OverlaidTable
from index_builder.product_table import OLD_TABLE_FILE, TABLE_FILE, THUMBNAILS_FILE, ProductTable
from index_builder.search import Hits, Parts, Searcher

__all__ = ["Gallery", "GalleryError", "Hits"]

INDEX_FILE = "index.faiss"
VECTORS_FILE = "vectors.npy"
_LOST: list[Any] = []  # indexes whose GPU failed; no other is asked in this process
_NEEDED = (INDEX_FILE, VECTORS_FILE, LABELS_FILE, THUMBNAILS_FILE)


@dataclass(frozen=True)
class _Opened:
    manifest: Manifest
    texts: GalleryTexts
    parts: Parts
    own_table: ProductTable
    own_searcher: Searcher
    table: ProductTable | OverlaidTable  # with the changes of the delta
    searcher: Searcher | OverlaidSearcher
    delta: Delta
    threads: int
    device: Device


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
        table_file = OLD_TABLE_FILE if OLD_TABLE_FILE in manifest.files else TABLE_FILE
        needed = [*_NEEDED, table_file] + [CENTER_FILE] * manifest.text.centered
        if missing := [name for name in needed if name not in manifest.files]:
            raise GalleryError(f"gallery {manifest.version} is incomplete: its manifest does not list {missing[0]}")
        check_files(folder, manifest, verify=verify)
        table = ProductTable(folder, count=manifest.count, file=table_file)
        vectors = read_vectors(folder / VECTORS_FILE, manifest)
        parts = Parts(vectors, image_dim=manifest.image_dim, has_text=table.has_text, products=table.products)
        index = read_index(folder / INDEX_FILE, dim=manifest.image_dim + manifest.text_dim, count=manifest.count)
        device = manifest.recipe.device if gpu_count() and not _LOST else Device.CPU
        if device is Device.GPU:
            index = to_gpu(index)  # elsewhere the file's own index answers
        texts = GalleryTexts.read(folder, manifest)
        searcher = Searcher(
            index, parts, recipe=manifest.recipe, default_weight=manifest.default_weight, threads=threads
        )
        dim = manifest.image_dim + manifest.text_dim
        delta = Delta.empty(sequence=manifest.journal, count=manifest.count, dim=dim)
        return cls(folder, _Opened(manifest, texts, parts, table, searcher, table, searcher, delta, threads, device))

    def with_changes(self, batches: Sequence[Batch]) -> Self:
        """Return a reader of this gallery with further batches of the journal; this one stays as it is.

        Batches apply in the order of their numbers, those it has already change nothing. Both share what is in memory
        and each is closed for itself; a row keeps its meaning in all later readers. Raises `JournalError` for a batch
        of other networks or views.
        """
        now = self._now
        for batch in batches:
            if (misfit := batch.made_for.misfit(now.manifest)) is not None:
                raise JournalError(f"batch {batch.sequence} of the journal can't be used: {misfit}")
        delta = now.delta.applied(batches, now.own_table, partial(changed_text, self))
        table = OverlaidTable(now.own_table, delta)
        searcher = OverlaidSearcher(now.own_searcher, delta, image_dim=now.manifest.image_dim)
        return type(self)(self.folder, replace(now, delta=delta, table=table, searcher=searcher))

    @property
    def manifest(self) -> Manifest:
        """What the gallery holds and how it was made; changes since then do not change it."""
        return self._now.manifest

    @property
    def count(self) -> int:
        """The number of rows, those of changed products included; a row is less than this."""
        return len(self._now.table)

    @property
    def products(self) -> int:
        """The number of products that can be found."""
        return self._now.searcher.products

    @property
    def sequence(self) -> int:
        """The number of the last batch of the journal that it knows, by its build or by `with_changes`."""
        return self._now.delta.sequence

    @property
    def device(self) -> Device:
        """Where the index answers now: one built for a GPU uses the CPU where there is none, and after `to_cpu`."""
        return self._now.device

    def to_cpu(self) -> None:
        """Answer from the file's own index from now on, since the GPU failed; the caller lets nobody search meanwhile.

        The GPU's copy is never freed: that would ask the lost device, and FAISS ends a process whose device is silent.
        """
        now = self._now
        manifest = now.manifest
        index = read_index(self.folder / INDEX_FILE, dim=manifest.image_dim + manifest.text_dim, count=manifest.count)
        own = Searcher(
            index, now.parts, recipe=manifest.recipe, default_weight=manifest.default_weight, threads=now.threads
        )
        _LOST.append(now.own_searcher.index)
        searcher: Searcher | OverlaidSearcher = own
        if isinstance(now.searcher, OverlaidSearcher):
            searcher = OverlaidSearcher(own, now.delta, image_dim=manifest.image_dim)
        self._opened = replace(now, own_searcher=own, searcher=searcher, device=Device.CPU)

    @property
    def words(self) -> WordModel | None:
        """The word vectors it was built with; None unless its text vectors are word vectors.

        For vectors to search with ask `text_part`, which centers them where the gallery is.
        """
        return self._now.texts.words

    @property
    def labels(self) -> LabelVectors:
        """The text vector of each of the classifier's labels; [V, 0] without text."""
        return self._now.texts.labels

    @property
    def unknown_label(self) -> NDArray[np.float32] | None:
        """The unit text part [D_T] of a query whose label is unknown; None where that is a query without text."""
        return self._now.texts.unknown_label

    def text_part(self, text: str) -> NDArray[np.float32] | None:
        """Return the unit text part [D_T] of free words, treated as the gallery's texts were.

        None without word vectors, or when no word of it is usable.
        """
        return self._now.texts.part(text)

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
        """Return the best `top_k` products (all of them when there are fewer) for B queries, best first.

        `image_vectors` [B, D_I] of any length; `text_vectors` [B, D_T] at most 1 long, used as they are, a zero row or
        None is a query without text. `weight` None is the gallery's default. `candidates` rows are taken from the
        index before exact ranking; None lets the gallery choose. With `expand` each query's image part becomes the unit
        mean of itself and of its so many best hits' (average query expansion, Chum et al. 2007, "Total Recall"), and
        is searched again. With `filters` only rows that match are hits; `expand` looks at all of them even so. Raises
        `OutOfRangeError` for anything out of range.
        """
        allowed = self.mask(filters) if filters else None
        weight = self.manifest.default_weight if weight is None else weight
        searcher = self._now.searcher
        if expand:
            image_vectors = searcher.expand(
                image_vectors, text_vectors, weight=weight, count=expand, candidates=candidates
            )
        return searcher.search(
            image_vectors, text_vectors, weight=weight, top_k=top_k, candidates=candidates, allowed=allowed
        )

    def mask(self, filters: Filters) -> NDArray[np.bool_]:
        """Tell which rows match, bool [count], not to be written to; quick when asked again.

        Raises `OutOfRangeError` for a column that no product has, or values of another kind than the column's.
        """
        return self._now.table.mask(filters)

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
        vector, _ = self._now.searcher.part(self._now.table.check(row))
        return vector[: self.manifest.image_dim]

    def text_vector(self, row: int) -> NDArray[np.float32] | None:
        """Return the unit text part [D_T] of a row, None without usable text."""
        vector, has_text = self._now.searcher.part(self._now.table.check(row))
        return vector[self.manifest.image_dim :] if has_text else None

    def image_bytes(self, row: int) -> bytes:
        """Return the row's picture as JPEG, long side at most 320 px."""
        return self._now.table.picture(row)

    def category_paths(self) -> dict[str, int]:
        """Return the number of products of each category path."""
        return self._now.table.category_paths()

    def close(self) -> None:
        """Let go of the index and the mapped files; calling it twice is fine, a later search is a `GalleryError`."""
        self._opened = None

    def centered(self, text: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Return a unit text [D_T] as the gallery's rows have it, None when nothing is left of it."""
        return self._now.texts.centered(text)

    @property
    def _now(self) -> _Opened:
        if self._opened is None:
            raise GalleryError(f"the gallery at {self.folder} was closed; open it again")
        return self._opened


def read_vectors(path: Path, manifest: Manifest) -> NDArray[np.float32]:
    """Map the unit parts [N, D_I + D_T]; `GalleryError` when they are not those that the manifest describes."""
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
