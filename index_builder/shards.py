"""Entries of a catalog and what became of each in, an immutable Arrow file of them out, and the reader of it.

A shard holds a fixed range of a catalog's entries, one line each and in order, so that no build can lose a row or have
it twice. A line has a `reason` where there is no gallery row. Equal lines give equal bytes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from catalog.rows import BadRow, Box, Product
from index_builder.catalog_source import CatalogPicture
from index_builder.disk import written
from index_builder.errors import GalleryError
from index_builder.fetching import is_url
from index_builder.pictures import DIGEST_BYTES, Embedded, Job, Vision

SHARD_ENTRIES = 2048
SHARD_FORMAT = 1
PLACE_BYTES = 16
NO_FILE = -1


@dataclass(frozen=True)
class Stamp:
    """Size and time of a picture's file before it was read: unchanged, nobody needs to read it again.

    Both are -1 for a URL, and for a file that was not there.
    """

    size_bytes: int = NO_FILE
    mtime_ns: int = NO_FILE

    @property
    def is_of_a_file(self) -> bool:
        """Whether there is a file to compare with."""
        return self.size_bytes != NO_FILE


@dataclass(frozen=True)
class Line:
    """One entry and what became of it: `made` or a `reason`, never both. A bad row of the catalog has no `picture`."""

    entry: CatalogPicture | BadRow
    stamp: Stamp
    made: Embedded | None
    reason: str | None

    @property
    def rejected(self) -> BadRow | None:
        """The picture as a bad row, where it cannot be used."""
        if self.reason is None or isinstance(self.entry, BadRow):
            return None
        return BadRow(self.entry.row, self.entry.product.product_id, self.reason)


@dataclass(frozen=True)
class Row:
    """A line that is a gallery row; `picture` is its number among the pictures of the shard, usable or not."""

    picture: int
    product: Product
    number: int  # of the product
    image: str
    made: Embedded

    @property
    def job(self) -> Job:
        """The picture, to be loaded again; a product's box is of its main picture."""
        return Job(self.image, self.product.box if self.image == self.product.image else None)


def stamp_of(image: str, *, base: Path) -> Stamp:
    """Return the stamp of a picture as it is now."""
    if is_url(image):
        return Stamp()
    try:
        found = (base / image).stat()
    except (OSError, ValueError):
        return Stamp()
    return Stamp(found.st_size, found.st_mtime_ns)


def place_of(image: str, box: Box | None, *, base: Path) -> bytes:
    """Return a short name [16 bytes] of where a picture lies and which part of it is meant."""
    where = image if is_url(image) else os.path.abspath(base / image)  # noqa: PTH100 - links are left as they are
    return hashlib.sha256(f"{where}\n{box and tuple(box)}".encode()).digest()[:PLACE_BYTES]


def write_shard(path: Path, lines: Sequence[Line], vision: Vision, *, base: Path) -> None:
    """Write a shard in one step."""
    table = pa.Table.from_pylist([_record(line, base) for line in lines], schema=schema(vision))
    with (
        written(path) as temporary,
        pa.OSFile(str(temporary), "wb") as sink,
        pa.ipc.new_file(sink, table.schema) as out,
    ):
        out.write_table(table, max_chunksize=len(lines))


def schema(vision: Vision) -> pa.Schema:
    """Return the columns of a shard of pictures that are seen this way."""
    vector = pa.list_(pa.float32(), vision.image_dim)
    return pa.schema(
        [
            ("row", pa.int64()),  # in the catalog, 0: unknown
            ("product_id", pa.string()),
            ("product", pa.string()),  # JSON; null for a bad row of the catalog
            ("number", pa.int64()),  # of the product; equal for all of its pictures
            ("image", pa.string()),
            ("place", pa.binary(PLACE_BYTES)),
            ("size_bytes", pa.int64()),
            ("mtime_ns", pa.int64()),
            ("reason", pa.string()),
            ("digest", pa.binary(DIGEST_BYTES)),
            ("vector", vector),
            *([] if vision.views == 1 else [("plain", vector)]),
            ("label", pa.int32()),
            ("probability", pa.float32()),
            ("thumbnail", pa.binary()),
        ],
        metadata={"format": str(SHARD_FORMAT)},
    )


class Shard:
    """A shard that was written, mapped into memory: columns are read when they are asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._map = pa.memory_map(str(path))
        self._table = pa.ipc.open_file(self._map).read_all()

    def __len__(self) -> int:
        return int(self._table.num_rows)

    def column(self, name: str) -> list[Any]:
        """Return one column as Python values."""
        values: list[Any] = self._table[name].to_pylist()
        return values

    def stamps(self) -> list[Stamp]:
        """Return the stamp of each line."""
        pairs = zip(self.column("size_bytes"), self.column("mtime_ns"), strict=True)
        return [Stamp(size_bytes, mtime_ns) for size_bytes, mtime_ns in pairs]

    def embedded(self, line: int) -> Embedded:
        """Return what was made of the picture of a line, which must have no `reason`."""
        vector = self._vector("vector", line)
        if vector is None:
            raise GalleryError(f"{self.path} has no vector in line {line}; remove the work folder and build again")
        return Embedded(
            digest=self._table["digest"][line].as_py(),
            vector=vector,
            plain=self._vector("plain", line),
            label=self._table["label"][line].as_py(),
            probability=self._table["probability"][line].as_py(),
            thumbnail=self._table["thumbnail"][line].as_py(),
        )

    def rows(self) -> Iterator[Row]:
        """Yield the lines that are gallery rows, in order."""
        columns = zip(*(self.column(name) for name in ("reason", "product", "number", "image")), strict=True)
        picture = 0
        for line, (reason, text, number, image) in enumerate(columns):
            if reason is None:
                yield Row(picture, Product.model_validate_json(text), number, image, self.embedded(line))
            picture += text is not None

    @property
    def pictures(self) -> int:
        """The number of lines that are pictures, usable or not."""
        return len(self) - int(self._table["product"].null_count)

    def bad_rows(self, *, of_catalog: bool) -> Iterator[BadRow]:
        """Yield the lines without a gallery row: bad rows of the catalog, or else pictures that cannot be used."""
        columns = ("row", "product_id", "product", "reason")
        for row, product_id, product, reason in zip(*(self.column(name) for name in columns), strict=True):
            if reason is not None and (product is None) == of_catalog:
                yield BadRow(row, product_id, reason)

    def close(self) -> None:
        """Give the file back."""
        self._map.close()

    def _vector(self, name: str, line: int) -> NDArray[np.float32] | None:
        scalar = self._table[name][line] if name in self._table.column_names else None
        if scalar is None or not scalar.is_valid:
            return None
        vector: NDArray[np.float32] = scalar.values.to_numpy().copy()
        return vector


def _record(line: Line, base: Path) -> dict[str, Any]:
    entry, made = line.entry, line.made
    record: dict[str, Any] = {"row": entry.row, "reason": line.reason}
    record |= {"size_bytes": line.stamp.size_bytes, "mtime_ns": line.stamp.mtime_ns}
    if isinstance(entry, BadRow):
        return record | {"product_id": entry.product_id, "number": -1}
    product = entry.product
    record |= {"product_id": product.product_id, "product": product.model_dump_json()}
    record |= {"number": entry.number, "image": entry.image, "place": place_of(entry.image, entry.box, base=base)}
    if made is not None:
        record |= {"digest": made.digest, "vector": made.vector, "plain": made.plain}
        record |= {"label": made.label, "probability": made.probability, "thumbnail": made.thumbnail}
    return record
