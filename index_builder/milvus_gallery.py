"""A published gallery folder whose rows lie on Milvus in, hits, products and pictures out: a `GalleryReader`.

The folder keeps what is small (manifest, labels, words, reference photos), so pointer, gate and space ids work as for
any gallery. The collection is the one its manifest names, never the alias: the store's pointer says what is live.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from catalog.errors import NotFoundError, OutOfRangeError
from export.words import LabelVectors, WordModel
from index_builder.errors import GalleryError
from index_builder.fusion import unit
from index_builder.gallery_texts import GalleryTexts
from index_builder.integrity import check_files, check_spaces, read_manifest
from index_builder.manifest import Device, Manifest
from index_builder.milvus_filters import KnownColumns, ParsedFilters, condition_of
from index_builder.milvus_rows import fact, picture_of
from index_builder.milvus_schema import JSON_TEXTS, MOST_LISTED, SHOWN
from index_builder.milvus_search import MilvusSearcher
from index_builder.milvus_server import MilvusAddress, MilvusServer
from index_builder.milvus_upload import check_count
from index_builder.search import Hits

CATEGORIES_FILE = "category_paths.json"


@dataclass(frozen=True)
class _Opened:
    server: MilvusServer
    collection: str
    texts: GalleryTexts
    searcher: MilvusSearcher
    category_paths: dict[str, int]
    columns: KnownColumns


class MilvusGallery:
    """One version of a shop's searchable products, on Milvus. Methods may be called from several threads."""

    def __init__(self, folder: Path, manifest: Manifest, opened: _Opened) -> None:
        self.folder = folder
        self._manifest = manifest
        self._opened: _Opened | None = opened

    @classmethod
    def open(
        cls,
        folder: Path,
        address: MilvusAddress,
        *,
        spaces: Mapping[str, str] | None = None,
        verify: bool = True,
    ) -> Self:
        """Open a gallery folder and its collection; arguments as `Gallery.open`.

        Raises `GalleryError` when the collection is missing, has another dimension or another number of rows than the
        manifest says, and `NotReadyError` when the server does not answer in time or refuses the token.
        """
        manifest = read_manifest(folder)
        if manifest.milvus is None:
            raise GalleryError(f"gallery {manifest.version} is not on Milvus: its rows are files of {folder}")
        if spaces is not None:
            check_spaces(manifest, spaces)
        check_files(folder, manifest, verify=verify)
        texts = GalleryTexts.read(folder, manifest)
        paths, columns = _read_paths(folder), KnownColumns.read(folder)
        server = MilvusServer(address)
        try:
            check_collection(server, manifest)
            server.load(manifest.milvus.collection)
            check_count(server, manifest.milvus, manifest)
        except BaseException:
            server.close()
            raise
        searcher = MilvusSearcher(server, manifest)
        return cls(folder, manifest, _Opened(server, manifest.milvus.collection, texts, searcher, paths, columns))

    @property
    def manifest(self) -> Manifest:
        """What the gallery holds and how it was made."""
        _ = self._now
        return self._manifest

    @property
    def count(self) -> int:
        """The number of rows."""
        return self.manifest.count

    @property
    def products(self) -> int:
        """The number of products."""
        return self.manifest.products

    @property
    def sequence(self) -> int:
        """The last batch of the journal that its build merged; later ones wait for the next build."""
        return self.manifest.journal

    @property
    def device(self) -> Device:
        """The CPU, as far as this process is concerned."""
        return Device.CPU

    @property
    def words(self) -> WordModel | None:
        """The word vectors it was built with; None unless its text vectors are word vectors."""
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
        """Return the unit text part [D_T] of free words; None when no word of it is usable."""
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
        filters: ParsedFilters | None = None,
    ) -> Hits:
        """Return the best `top_k` products for B queries, as `Gallery.search` does.

        With `filters` only rows that match are hits; `expand` looks at all of them even so.
        """
        condition = ""
        if filters is not None:
            filters.check(self._now.columns)
            condition = condition_of(filters)
        weight = self.manifest.default_weight if weight is None else weight
        searcher = self._now.searcher
        if expand:
            found = searcher.search(image_vectors, text_vectors, weight=weight, top_k=_positive(expand))
            image_vectors = self._expanded(image_vectors, found.rows)
        return searcher.search(
            image_vectors, text_vectors, weight=weight, top_k=top_k, candidates=candidates, condition=condition
        )

    def product(self, row: int) -> dict[str, Any]:
        """Return the catalog columns of one row; unknown columns are under `extra`. `OutOfRangeError` for no row."""
        return self.rows([row])[0]

    def rows(self, rows: Sequence[int] | NDArray[np.int64]) -> list[dict[str, Any]]:
        """Return the catalog columns of several rows at once, which is quicker than one by one."""
        records = self._records([self._check(int(row)) for row in rows], SHOWN)
        found = []
        for row in rows:
            record = records[int(row)]
            shown = {name: record[name] for name in SHOWN}
            found.append(shown | {name: json.loads(record[name]) for name in JSON_TEXTS})
        return found

    def row_of(self, product_id: str) -> int:
        """Return the first row of a product; `NotFoundError` for an unknown one."""
        now = self._now
        condition = f'array_contains(facts, "{fact("product_id", product_id)}")'
        found = now.server.rows(now.collection, ("row",), condition=condition, limit=MOST_LISTED)
        if not found:
            raise NotFoundError(f"no product '{product_id}' in this gallery")
        return min(int(record["row"]) for record in found)

    def image_vector(self, row: int) -> NDArray[np.float32]:
        """Return the unit image part [D_I] of a row."""
        vectors, _ = self._now.searcher.vectors([self._check(row)])
        return vectors[0, : self._manifest.image_dim]

    def text_vector(self, row: int) -> NDArray[np.float32] | None:
        """Return the unit text part [D_T] of a row, None without usable text."""
        vectors, has_text = self._now.searcher.vectors([self._check(row)])
        return vectors[0, self._manifest.image_dim :] if has_text[0] else None

    def image_bytes(self, row: int) -> bytes:
        """Return the row's picture as JPEG, long side at most 320 px."""
        return picture_of(self._records([self._check(row)], ("thumbnail",))[row]["thumbnail"])

    def category_paths(self) -> dict[str, int]:
        """Return the number of products of each category path."""
        return dict(self._now.category_paths)

    def close(self) -> None:
        """Let go of the connection; calling it twice is fine, a later search is a `GalleryError`."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.server.close()

    def _records(self, rows: Sequence[int], fields: Sequence[str]) -> dict[int, dict[str, Any]]:
        now = self._now
        found: dict[int, dict[str, Any]] = {}
        wanted = sorted(set(rows))
        for start in range(0, len(wanted), MOST_LISTED):
            block = wanted[start : start + MOST_LISTED]
            records = now.server.rows(now.collection, ("row", *fields), condition=f"row in {block}")
            found |= {int(record["row"]): record for record in records}
        if len(found) < len(wanted):
            lost = next(row for row in wanted if row not in found)
            raise GalleryError(f"the collection {now.collection} has lost row {lost}; run to-milvus again")
        return found

    def _expanded(self, image: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return image parts [B, D_I]: the unit mean of each query and its hits, rows [B, K]."""
        vectors, _ = self._now.searcher.vectors(rows.ravel().tolist())
        best = vectors[:, : self._manifest.image_dim].astype(np.float64).reshape(*rows.shape, -1)
        return unit(unit(image) + best.sum(axis=1)).astype(np.float32)

    def _check(self, row: int) -> int:
        if not 0 <= row < self._manifest.count:
            raise OutOfRangeError(f"row is {row}, the gallery has rows 0 to {self._manifest.count - 1}")
        return row

    @property
    def _now(self) -> _Opened:
        if self._opened is None:
            raise GalleryError(f"the gallery at {self.folder} was closed; open it again")
        return self._opened


def check_collection(server: MilvusServer, manifest: Manifest) -> None:
    """Refuse a missing collection, or one whose vectors have another dimension than the manifest's: `GalleryError`."""
    if manifest.milvus is None:
        return
    name = manifest.milvus.collection
    if not server.has(name):
        raise GalleryError(
            f"Milvus at {server.address.shown} has no collection {name}, which gallery {manifest.version} names; "
            f"look at the address, or run to-milvus again"
        )
    fields = {field["name"]: field for field in server.describe(name)["fields"]}
    got = int(fields.get("vector", {}).get("params", {}).get("dim", 0))
    expected = manifest.image_dim + manifest.text_dim
    if got != expected:
        raise GalleryError(f"the collection {name} has vectors of dim {got}, the manifest says {expected}")


def _read_paths(folder: Path) -> dict[str, int]:
    try:
        return dict(json.loads((folder / CATEGORIES_FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise GalleryError(f"{folder / CATEGORIES_FILE} cannot be read: {error}") from error


def _positive(expand: int) -> int:
    if expand < 1:
        raise OutOfRangeError(f"expand is {expand}, 0 (not at all) or more is needed")
    return expand
