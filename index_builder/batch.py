"""One batch of changes: products that are new or changed, with their pictures' vectors, and products that are gone.

As a file it is the SHA-256 of the rest in hex, a line end, and a Parquet table with a row for each picture and each
deletion. It holds no text vectors: every gallery makes them of title, category and label with its own words, so that a
batch fits any gallery of the same networks (docs/adr/0015-delta-journal.md).
"""

from __future__ import annotations

import hashlib
import io
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from catalog.errors import OutOfRangeError
from catalog.rows import Product
from index_builder.manifest import FrozenModel, ImageVector, Manifest

FORMAT = 1
MAX_ROWS = 20_000  # beyond it a build is the better way
HEADER = b"shopcam"
UNIT_TOLERANCE = 1e-3
SCHEMA = pa.schema(  # and `vector`, float32 [D_I], zeros where a product is deleted
    [
        ("product_id", pa.string()),
        ("product", pa.string()),  # JSON of `Product`; null: the product is deleted
        ("image", pa.string()),
        ("label", pa.string()),
        ("confidence", pa.float64()),
        ("thumbnail", pa.binary()),
    ]
)
_SHA256_CHARACTERS = 64


class MadeFor(FrozenModel):
    """What image vectors a batch has: of these networks (model name -> space id), this output, so many views."""

    spaces: dict[str, str]
    image_vector: ImageVector
    image_dim: int = Field(ge=1)
    views: int = Field(ge=1)

    @classmethod
    def of(cls, manifest: Manifest) -> MadeFor:
        """What a gallery needs."""
        return cls(
            spaces=manifest.spaces,
            image_vector=manifest.image_vector,
            image_dim=manifest.image_dim,
            views=manifest.views,
        )

    def misfit(self, manifest: Manifest) -> str | None:
        """One sentence when it does not fit a gallery, else None."""
        needed = MadeFor.of(manifest)
        for name in MadeFor.model_fields:
            got, expected = getattr(self, name), getattr(needed, name)
            if got != expected:
                return f"it was made for {name} {got}, gallery {manifest.version} has {expected}"
        return None


@dataclass(frozen=True)
class ChangedPicture:
    """A picture of a changed product: its name in the catalog, unit vector [D_I], thumbnail, what the classifier says.

    `label` is the most probable one and `confidence` its probability.
    """

    image: str
    vector: NDArray[np.float32]
    thumbnail: bytes
    label: str
    confidence: float


@dataclass(frozen=True)
class Upsert:
    """A product that takes the place of all that was known of it.

    Its own `image` and `images` are absolute addresses, so that a later build finds them wherever its catalog lies.
    """

    product: Product
    pictures: tuple[ChangedPicture, ...]


@dataclass(frozen=True)
class Batch:
    """Changes that become visible together; `sequence` is 0 until they are in a journal.

    Raises `OutOfRangeError` for a product that is named twice, has no pictures, or vectors that are not unit [D_I].
    """

    made_for: MadeFor
    upserts: tuple[Upsert, ...] = ()
    deletes: tuple[str, ...] = ()
    sequence: int = 0
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    batch_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        if len(set(self.product_ids)) < len(self.product_ids):
            raise OutOfRangeError("a batch names a product twice, each may change once")
        if self.rows + len(self.deletes) > MAX_ROWS:
            raise OutOfRangeError(
                f"a batch of {self.rows:,} pictures and {len(self.deletes):,} deletions is too large, at most "
                f"{MAX_ROWS:,} fit; build the gallery again, or split it"
            )
        for upsert in self.upserts:
            if not upsert.pictures:
                raise OutOfRangeError(f"product {upsert.product.product_id} has no pictures")
            for picture in upsert.pictures:
                _check_vector(picture.vector, self.made_for.image_dim, upsert.product.product_id)

    @property
    def product_ids(self) -> list[str]:
        """The products that change."""
        return [upsert.product.product_id for upsert in self.upserts] + list(self.deletes)

    @property
    def rows(self) -> int:
        """The number of pictures."""
        return sum(len(upsert.pictures) for upsert in self.upserts)


class _Header(FrozenModel):
    format: int
    batch_id: str
    created_at: datetime
    made_for: MadeFor


def encode(batch: Batch) -> bytes:
    """Return a batch as a file; `sequence` is not in it."""
    header = _Header(format=FORMAT, batch_id=batch.batch_id, created_at=batch.created_at, made_for=batch.made_for)
    table = pa.Table.from_pylist(list(_records(batch)), schema=SCHEMA)
    table = table.append_column("vector", _vectors(batch))
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({HEADER: header.model_dump_json().encode()}), buffer)
    content = buffer.getvalue()
    return _signature(content) + content


def decode(content: bytes, *, sequence: int) -> Batch:
    """Read what `encode` wrote; `ValueError` with the reason when it is anything else."""
    table = content[_SHA256_CHARACTERS + 1 :]
    if not content.startswith(_signature(table)):
        raise ValueError("its sha256 is not the one it begins with")
    try:
        read = pq.read_table(pa.BufferReader(table))
        header = _Header.model_validate_json((read.schema.metadata or {}).get(HEADER, b""))
        if header.format != FORMAT:
            raise ValueError(f"it has format {header.format}, this program reads {FORMAT}")
        vectors = read["vector"].combine_chunks().flatten().to_numpy().reshape(len(read), header.made_for.image_dim)
        upserts, deletes = _changes(read.drop_columns(["vector"]).to_pylist(), vectors)
    except (pa.ArrowException, ValidationError, KeyError, OSError) as error:
        raise ValueError(str(error).splitlines()[0]) from error
    try:
        return Batch(header.made_for, tuple(upserts), tuple(deletes), sequence, header.created_at, header.batch_id)
    except OutOfRangeError as error:
        raise ValueError(str(error)) from error


def _signature(table: bytes) -> bytes:
    return hashlib.sha256(table).hexdigest().encode() + b"\n"


def _records(batch: Batch) -> Iterator[dict[str, Any]]:
    for upsert in batch.upserts:
        source = upsert.product.model_dump_json()
        for picture in upsert.pictures:
            yield {
                "product_id": upsert.product.product_id,
                "product": source,
                "image": picture.image,
                "label": picture.label,
                "confidence": picture.confidence,
                "thumbnail": picture.thumbnail,
            }
    for product_id in batch.deletes:
        yield {"product_id": product_id}


def _vectors(batch: Batch) -> pa.Array:
    rows = [picture.vector for upsert in batch.upserts for picture in upsert.pictures]
    dim = batch.made_for.image_dim
    rows += [np.zeros(dim, np.float32)] * len(batch.deletes)
    return pa.FixedSizeListArray.from_arrays(np.concatenate([np.zeros(0, np.float32), *rows]), dim)


def _changes(records: list[dict[str, Any]], vectors: NDArray[np.float32]) -> tuple[list[Upsert], list[str]]:
    upserts: list[Upsert] = []
    deletes: list[str] = []
    for product_id, group in groupby(enumerate(records), key=lambda numbered: numbered[1]["product_id"]):
        rows = list(group)
        source = rows[0][1]["product"]
        if source is None:
            deletes.append(product_id)
            continue
        pictures = tuple(
            ChangedPicture(row["image"], vectors[number], row["thumbnail"], row["label"], row["confidence"])
            for number, row in rows
        )
        upserts.append(Upsert(Product.model_validate_json(source), pictures))
    return upserts, deletes


def _check_vector(vector: NDArray[np.float32], dim: int, product_id: str) -> None:
    if vector.dtype != np.float32 or vector.shape != (dim,):
        raise OutOfRangeError(
            f"the vector of {product_id} is {vector.dtype} {list(vector.shape)}, expected float32 [{dim}]"
        )
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if not abs(length - 1) < UNIT_TOLERANCE:  # also refuses nan
        raise OutOfRangeError(f"the vector of {product_id} is {length:.3g} long, expected 1")
