"""Galleries that have something wrong with them, and what a service says and holds of those it answers from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from prometheus_client.parser import text_string_to_metric_families

from index_builder.gallery import Gallery
from index_builder.integrity import read_manifest, record_files, write_manifest
from index_builder.live_gallery import LiveGallery
from index_builder.manifest import LivePointer, ModelPair
from index_builder.product_table import TABLE_FILE, open_table
from index_builder.store import LocalStore
from tests.bento.conftest import Oracle, Serve


def publish_as(
    store: LocalStore, like: str, version: str, *, files: Mapping[str, bytes | None] | None = None, **changes: Any
) -> None:
    """Publish a whole copy of a gallery under another name, with other files (None: without) or manifest fields."""
    folder = store.path.parent / f"{store.path.name}-{version}"
    shutil.copytree(store.gallery(like), folder)
    for name, content in (files or {}).items():
        if content is None:
            (folder / name).unlink()
        else:
            (folder / name).write_bytes(content)
    manifest = read_manifest(folder)
    changes = {"version": version, "created_at": datetime.now(UTC), "files": record_files(folder)} | changes
    write_manifest(folder, manifest.model_copy(update=changes))
    store.publish(folder, version)
    shutil.rmtree(folder)


def shuffled_vectors(store: LocalStore, version: str, path: Path) -> bytes:
    """The vectors of a gallery in another order than its index has."""
    vectors = np.load(store.gallery(version) / "vectors.npy")
    np.save(path, np.roll(vectors, 7, axis=0))
    return path.read_bytes()


def living(folder: Path) -> LiveGallery:
    """A gallery of a local store with the store's journal."""
    return LiveGallery(Gallery.open(folder), LocalStore(folder.parents[1]).journal())


def heavy_table(store: LocalStore, version: str, path: Path, *, size_bytes: int) -> bytes:
    """The product table of a gallery, as old galleries have it, with so many more bytes, which memory holds."""
    table = open_table(store.gallery(version) / TABLE_FILE, store.manifest(version).count)
    rng = np.random.default_rng(0)
    extra = [json.dumps({"filler": rng.bytes(size_bytes // len(table) // 2).hex()}) for _ in range(len(table))]
    column = table.schema.get_field_index("extra")
    pq.write_table(table.set_column(column, table.schema.field(column), pa.array(extra)), path)
    return path.read_bytes()


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def point_to(store: LocalStore, version: str) -> None:
    """Move the pointer as somebody would who checks nothing."""
    now, state = store._look()
    pointer = LivePointer(
        live=ModelPair(gallery=version, models=store.manifest("blue").spaces),
        previous=now and now.live,
        updated_at=datetime.now(UTC),
    )
    assert store._write_pointer(pointer.to_json(), state=state)


def answers(client: httpx.Client) -> str:
    """The version that answers."""
    return str(client.get("/gallery").json()["version"])


def following(client: httpx.Client) -> dict[str, Any]:
    body: dict[str, Any] = client.get("/gallery").json()["following"]
    return body


def metric(client: httpx.Client, name: str, **labels: str) -> float | None:
    """The value of a sample; None where there is none with these labels."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    found = [one.value for one in samples if one.name == name and labels.items() <= one.labels.items()]
    return found[0] if found else None


def best_ids(oracle: Oracle, photo: bytes, *, top_k: int, weight: float) -> list[str]:
    """What a gallery answers to a photo, by exact search."""
    outputs = oracle.outputs(photo)
    text = oracle.text_part(outputs.probabilities[0], "hard")
    return [hit[0] for hit in oracle.rank(outputs.embedding[0], text, weight=weight)[:top_k]]


def processes(service: Serve) -> list[psutil.Process]:
    parent = psutil.Process(service.process.pid)
    return [parent, *parent.children(recursive=True)]


def mapped(service: Serve, version: str) -> list[str]:
    """The files of a gallery that a process of the service has mapped or open, from what the kernel says."""
    found = []
    for process in processes(service):
        try:
            lines = Path(f"/proc/{process.pid}/maps").read_text().splitlines()
            links = [str(link.readlink()) for link in Path(f"/proc/{process.pid}/fd").iterdir()]
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        paths = [line.split(maxsplit=5)[-1] for line in lines if "/" in line] + links
        found += [path for path in paths if f"/galleries/{version}/" in path]
    return found


def worker(service: Serve, version: str) -> psutil.Process:
    """The process that has a gallery open."""
    return next(
        process
        for process in processes(service)
        if f"/galleries/{version}/" in Path(f"/proc/{process.pid}/maps").read_text()
    )
