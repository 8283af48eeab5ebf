"""Drawn points and their index in, a whole gallery of as many products out: published, live, and searchable by photos.

A product is a point: it has the columns and the thumbnail of the row it was drawn around, under an id of its own.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc
from numpy.typing import NDArray

from benchmarks.galleries.building import IndexSpec, built, factory_of, parts_of, searcher_of
from benchmarks.galleries.source import FOLDER, Source, drawn, grocery_source
from index_builder.build import REJECTED_FILE
from index_builder.gallery import INDEX_FILE, VECTORS_FILE
from index_builder.gallery_texts import LABELS_FILE, WORDS_FOLDER
from index_builder.integrity import record_files, write_manifest
from index_builder.manifest import Manifest
from index_builder.product_table import OLD_TABLE_FILE, SCHEMA, TABLE_FILE, THUMBNAILS_FILE, open_table
from index_builder.recall import measure_recall, measured_weights
from index_builder.store import open_store

REFERENCES = "references"
ROW_GROUP = 65_536


@dataclass(frozen=True)
class Ready:
    """A published gallery of drawn points in a store of its own."""

    source: Source
    spec: IndexSpec
    store: Path
    folder: Path


def index_spec(source: Source, count: int, *, max_memory_bytes: int) -> IndexSpec:
    """Return the index that a build takes for `count` points within so much memory."""
    points = drawn(source, count)
    out = points / f"within-{max_memory_bytes // 10**6}-mb"
    return IndexSpec(str(points), str(out), source.image_dim, max_memory_bytes)


def ready_gallery(shared: Path, count: int, *, max_memory_bytes: int, version: str = "blue") -> Ready:
    """Return a published gallery of `count` products, made where that has not been done."""
    source = grocery_source(shared)
    spec = index_spec(source, count, max_memory_bytes=max_memory_bytes)
    store = FOLDER / f"store-{count}-{factory_of(spec)}"  # another recipe is another gallery
    return Ready(source, spec, store, publish_gallery(source, spec, store_folder=store, version=version))


def publish_gallery(source: Source, spec: IndexSpec, *, store_folder: Path, version: str) -> Path:
    """Publish a gallery of the points of `spec` where that has not been done; returns its folder. Nothing is swapped.

    Large files are hard links, so a second version costs no disk.
    """
    store = open_store(str(store_folder))
    if version not in store.versions():
        with store.staging(version) as folder:
            _fill(folder, source, spec)
            write_manifest(folder, _manifest(folder, source, spec, version))
            store.publish(folder, version)
    return store.gallery(version)


def _fill(folder: Path, source: Source, spec: IndexSpec) -> None:
    points, base = Path(spec.points), source.folder
    built(spec)
    os.link(points / VECTORS_FILE, folder / VECTORS_FILE)
    os.link(Path(spec.out) / INDEX_FILE, folder / INDEX_FILE)
    for name in (THUMBNAILS_FILE, LABELS_FILE):
        shutil.copyfile(base / name, folder / name)
    for name in (WORDS_FOLDER, REFERENCES):
        shutil.copytree(base / name, folder / name)
    (folder / REJECTED_FILE).write_text("")
    name = TABLE_FILE if TABLE_FILE in source.manifest.files else OLD_TABLE_FILE
    table = open_table(base / name, source.manifest.count)
    _write_table(folder / TABLE_FILE, table, np.load(points / "centers.npy"), source.manifest)


def _write_table(path: Path, base: pa.Table, centers: NDArray[np.int64], manifest: Manifest) -> None:
    """Write the row of each point's center under an id and a number of its own; reference rows keep their id."""
    kept = {reference.row: reference.product_id for reference in manifest.references}
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, SCHEMA) as writer:
        for start in range(0, len(centers), ROW_GROUP):
            rows = base.take(pa.array(centers[start : start + ROW_GROUP]))
            numbers = range(start, start + len(rows))
            ids = [kept.get(number, f"point-{number}") for number in numbers]
            rows = rows.set_column(SCHEMA.get_field_index("product_id"), "product_id", pa.array(ids))
            rows = rows.set_column(SCHEMA.get_field_index("product"), "product", pa.array(numbers, pa.int64()))
            writer.write_table(rows.cast(SCHEMA).combine_chunks())


def _manifest(folder: Path, source: Source, spec: IndexSpec, version: str) -> Manifest:
    parts, recipe = parts_of(Path(spec.points), spec.image_dim), built(spec).recipe
    weights = measured_weights(1.0, with_text=True)
    recall = measure_recall(searcher_of(spec, parts, recipe), parts, weights=weights, seed=0)
    count = len(parts.vectors)
    return source.manifest.model_copy(
        update={
            "version": version,
            "created_at": datetime.now(UTC),
            "count": count,
            "products": count,
            "default_weight": 1.0,
            "recipe": recipe,
            "recall": recall,
            "files": record_files(folder),
            "catalog": {"points": count, "spec": json.dumps(spec.points)},
        }
    )
