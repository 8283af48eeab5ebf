"""The rows of a gallery folder in, a collection with all of them out: in batches, and after a kill from where it ended.

A collection says what it is filled from, so a second run knows its own and goes on. Rows are sent in order and each
batch is confirmed before the next, so what is there is a beginning, which one count proves; anything else is dropped
and sent again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator

from catalog.errors import NotReadyError
from catalog.terminal import progress
from index_builder.errors import ConflictError, GalleryError
from index_builder.manifest import Manifest, MilvusRows
from index_builder.milvus_rows import SourceRows
from index_builder.milvus_schema import MilvusIndex, index_of, schema_of
from index_builder.milvus_server import BUILD_TIMEOUT_S, MilvusServer

FORMAT = "1"  # of the fields; another one makes another collection
BATCH_BYTES = 16 * 2**20  # a quarter of what a server takes in one message
BATCH_ROWS = 1000
OTHER_BYTES = 32 * 2**10  # of a row beside its vector: a picture and some texts
POLL_S = 1.0


def upload(source: SourceRows, server: MilvusServer, rows: MilvusRows) -> None:
    """Fill the collection with all rows and have it indexed and loaded; its count is right when this returns.

    Raises `ConflictError` when another gallery has a collection of this name, `GalleryError` when rows are missing.
    """
    start = _begin(source, server, rows)
    batch = _batch_rows(source)
    starts = range(start, source.manifest.count, batch)
    for first in progress(starts, description=f"batches of {batch} rows", total=len(starts)):
        # The first batch of a second run may be on its way still, from the first one.
        rest = source.batch(first, min(first + batch, source.manifest.count))
        server.write(rows.collection, rest, replace=first == start > 0)
    server.finish(rows.collection)
    _wait_for_index(server, rows)
    check_count(server, rows, source.manifest)


def check_count(server: MilvusServer, rows: MilvusRows, manifest: Manifest) -> None:
    """Refuse a collection that does not hold as many rows as the manifest says: `GalleryError`."""
    count = server.count(rows.collection)
    if count != manifest.count:
        raise GalleryError(
            f"the collection {rows.collection} has {count:,} rows, the manifest says {manifest.count:,}; "
            f"run to-milvus again"
        )


def source_name(manifest: Manifest, index: str) -> str:
    """What a collection is filled from: the same for the same vectors, table, pictures, fields and index."""
    files = sorted((name, record.sha256) for name, record in manifest.files.items())
    said = repr((FORMAT, index, manifest.default_weight, manifest.count, files))
    return hashlib.sha256(said.encode()).hexdigest()


def _begin(source: SourceRows, server: MilvusServer, rows: MilvusRows) -> int:
    """Return the row to go on with in a collection that is there and holds exactly the rows before it."""
    name = source_name(source.manifest, rows.index)
    if server.has(rows.collection):
        if server.source_of(rows.collection) != name:
            raise ConflictError(
                f"the collection {rows.collection} exists and holds other rows; "
                f"give another --as or --milvus-prefix, or drop it"
            )
        server.load(rows.collection)
        there = server.count(rows.collection)
        if there <= source.manifest.count and server.count(rows.collection, below=there) == there:
            return there
        server.drop(rows.collection)
    index = index_of(MilvusIndex(rows.index), count=source.manifest.count, embedded=server.address.embedded)
    server.create(rows.collection, schema_of(source.vectors.shape[1]), index, source=name)
    return 0


def _batch_rows(source: SourceRows) -> int:
    return max(1, min(BATCH_ROWS, BATCH_BYTES // (4 * source.vectors.shape[1] + OTHER_BYTES)))


def _wait_for_index(server: MilvusServer, rows: MilvusRows) -> None:
    """Return when no row waits to be indexed, so that what is measured then is what will answer."""
    for waiting in _waiting(server, rows):
        if not waiting:
            return
    raise NotReadyError(f"the index of the collection {rows.collection} was not ready within {BUILD_TIMEOUT_S:g} s")


def _waiting(server: MilvusServer, rows: MilvusRows) -> Iterator[int]:
    until = time.monotonic() + BUILD_TIMEOUT_S
    while time.monotonic() < until:
        yield (waiting := server.waiting_for_index(rows.collection))
        if waiting:
            time.sleep(POLL_S)
