"""A finished gallery folder in, the same gallery with its rows on Milvus out: a collection and a small folder."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from index_builder.gallery import INDEX_FILE, VECTORS_FILE, read_vectors
from index_builder.integrity import check_files, read_manifest, record_files, write_manifest
from index_builder.manifest import Manifest
from index_builder.milvus_filters import KnownColumns
from index_builder.milvus_gallery import CATEGORIES_FILE
from index_builder.milvus_rows import SourceRows
from index_builder.milvus_schema import MilvusIndex, check_index, recipe_of, rows_of
from index_builder.milvus_search import MilvusSearcher
from index_builder.milvus_server import MilvusAddress, MilvusServer
from index_builder.milvus_upload import upload
from index_builder.product_table import THUMBNAILS_FILE
from index_builder.recall import measure_recall, measured_weights
from index_builder.search import Parts

# What the collection holds instead; a product table is one of two files, by the gallery's age.
_ROW_FILES = (INDEX_FILE, VECTORS_FILE, THUMBNAILS_FILE, "products.parquet", "products.arrow")


@dataclass(frozen=True)
class MilvusTarget:
    """Where rows go: the server, what its collections' names begin with, and the kind of index."""

    address: MilvusAddress
    prefix: str = "shopcam"
    index: MilvusIndex = MilvusIndex.HNSW

    def __post_init__(self) -> None:
        check_index(self.index, self.address)


def to_milvus(folder: Path, made: Path, *, version: str, target: MilvusTarget) -> Manifest:
    """Send the rows of the gallery in `folder` to Milvus and write the rest as gallery `version` into `made`, empty.

    The manifest is written last, when the collection is whole and its recall measured. Stopped, it can be run again and
    goes on. Raises what `milvus_upload.upload` raises, `GalleryError` for a damaged folder, and `OutOfRangeError` for a
    version that no collection can be named by.
    """
    manifest = read_manifest(folder)
    rows = rows_of(target.prefix, version, target.index)
    check_files(folder, manifest)
    parts = read_vectors(folder / VECTORS_FILE, manifest)
    source = SourceRows.of(folder, manifest, parts)
    for name in manifest.files:
        if name not in _ROW_FILES:
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, made / name)
    paths = json.dumps(source.table.category_paths(), ensure_ascii=False)
    (made / CATEGORIES_FILE).write_text(paths, encoding="utf-8")
    KnownColumns.of(source.products()).write(made)
    changes = {
        "version": version,
        "milvus": rows,
        "recipe": recipe_of(target.index),
        "created_at": datetime.now(UTC),
        "files": record_files(made),
    }
    moved = manifest.model_copy(update=changes)
    with MilvusServer(target.address) as server:
        upload(source, server, rows)
        by_row = Parts(parts, manifest.image_dim, source.table.has_text, products=np.arange(manifest.count))
        weights = measured_weights(manifest.default_weight, with_text=manifest.text_dim > 0)
        recall = measure_recall(MilvusSearcher(server, moved, by_row=True), by_row, weights=weights, seed=0)
    moved = moved.model_copy(update={"recall": recall})
    write_manifest(made, moved)
    return moved
