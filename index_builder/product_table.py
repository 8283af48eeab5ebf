"""Gallery rows in, `products.parquet` and `thumbnails.bin` out, and the reader of both.

A row is one picture of a product; rows of one product follow each other. Thumbnails are JPEG, one after the other in
one file that is mapped, since a folder of 100,000 small files is slow to copy and to check.
"""

from __future__ import annotations

import io
import json
import mmap
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from catalog.errors import NotFoundError, OutOfRangeError
from catalog.rows import Product
from index_builder.errors import GalleryError

TABLE_FILE = "products.parquet"
THUMBNAILS_FILE = "thumbnails.bin"
THUMBNAIL_SIDE_PX = 320
THUMBNAIL_QUALITY = 85
WRITE_BLOCK = 4096

SCHEMA = pa.schema(
    [
        ("product_id", pa.string()),
        ("product", pa.int64()),  # the product's number, equal for all of its rows
        ("image", pa.string()),
        ("title", pa.string()),
        ("category_path", pa.string()),
        ("description", pa.string()),
        ("price", pa.float64()),
        ("url", pa.string()),
        ("label", pa.string()),
        ("cluster", pa.string()),
        ("split", pa.string()),
        ("attributes", pa.string()),  # JSON
        ("extra", pa.string()),  # JSON
        ("has_text", pa.bool_()),
        ("thumbnail_offset", pa.int64()),
        ("thumbnail_bytes", pa.int64()),
    ]
)
_INNER = ("product", "has_text", "thumbnail_offset", "thumbnail_bytes")
_JSON = ("attributes", "extra")


def thumbnail(image: Image.Image) -> bytes:
    """Return an RGB picture as JPEG with a long side of at most 320 px."""
    small = image.copy()
    small.thumbnail((THUMBNAIL_SIDE_PX, THUMBNAIL_SIDE_PX))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=THUMBNAIL_QUALITY)
    return buffer.getvalue()


class TableWriter:
    """Writes both files row by row in a folder; use it as a context manager."""

    def __init__(self, folder: Path) -> None:
        self._table = pq.ParquetWriter(folder / TABLE_FILE, SCHEMA)
        self._thumbnails = (folder / THUMBNAILS_FILE).open("wb")
        self._rows: list[dict[str, Any]] = []
        self._offset = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._flush()
        self._table.close()
        self._thumbnails.close()

    def add(self, product: Product, *, number: int, image: str, has_text: bool, picture: bytes) -> None:
        """Add one row: picture `image` of the product with that number, and its thumbnail's bytes."""
        row = {name: getattr(product, name) for name in SCHEMA.names if hasattr(product, name)}
        row |= {name: json.dumps(row[name], ensure_ascii=False, default=str) for name in _JSON}
        row |= {"product": number, "image": image, "has_text": has_text}
        row |= {"thumbnail_offset": self._offset, "thumbnail_bytes": len(picture)}
        self._thumbnails.write(picture)
        self._offset += len(picture)
        self._rows.append(row)
        if len(self._rows) >= WRITE_BLOCK:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._table.write_table(pa.Table.from_pylist(self._rows, schema=SCHEMA))
            self._rows = []


class ProductTable:
    """What each row of a gallery shows. Raises `GalleryError` when the files are not what `TableWriter` wrote."""

    def __init__(self, folder: Path, *, count: int) -> None:
        path = folder / TABLE_FILE
        try:
            self._table = pq.read_table(path, memory_map=True).combine_chunks()
        except (OSError, pa.ArrowException) as error:
            raise GalleryError(f"{path} cannot be read: {error}") from error
        if self._table.schema.names != SCHEMA.names or self._table.num_rows != count:
            raise GalleryError(f"{path} has {self._table.num_rows} rows or other columns, the manifest says {count}")
        self._count: int = count
        self.products: NDArray[np.int64] = self._numbers("product")
        self.has_text: NDArray[np.bool_] = self._numbers("has_text")
        self._offsets = self._numbers("thumbnail_offset")
        self._sizes = self._numbers("thumbnail_bytes")
        self._shown = self._table.drop_columns(list(_INNER))
        ids = self._table["product_id"].to_pylist()
        self._row_of: dict[str, int] = {product_id: row for row, product_id in reversed(list(enumerate(ids)))}
        with (folder / THUMBNAILS_FILE).open("rb") as file:
            self._thumbnails = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __len__(self) -> int:
        return self._count

    def row_of(self, product_id: str) -> int:
        """Return the first row of a product; `NotFoundError` for an unknown one."""
        try:
            return self._row_of[product_id]
        except KeyError:
            raise NotFoundError(f"no product '{product_id}' in this gallery") from None

    def rows(self, rows: Sequence[int] | NDArray[np.int64]) -> list[dict[str, Any]]:
        """Return the catalog columns of several rows: the fields of `Product` without `images` and `box`."""
        for row in rows:
            self.check(int(row))
        found: list[dict[str, Any]] = self._shown.take(pa.array(rows, pa.int64())).to_pylist()
        for product in found:
            product.update({name: json.loads(product[name]) for name in _JSON})
        return found

    def picture(self, row: int) -> bytes:
        """Return the row's picture, JPEG of at most 320 px."""
        self.check(row)
        start = int(self._offsets[row])
        return self._thumbnails[start : start + int(self._sizes[row])]

    def category_paths(self) -> dict[str, int]:
        """Return the number of products of each category path, by path; products without one are left out."""
        paths = self._table["category_path"].take(pa.array(sorted(self._row_of.values()), pa.int64()))
        counts = {entry["values"]: entry["counts"] for entry in paths.value_counts().to_pylist()}
        return {path: counts[path] for path in sorted(counts) if path}

    def check(self, row: int) -> int:
        """Return the row, which must be one of the gallery's: `OutOfRangeError` otherwise."""
        if not 0 <= row < len(self):
            raise OutOfRangeError(f"row is {row}, the gallery has rows 0 to {len(self) - 1}")
        return row

    def _numbers(self, column: str) -> NDArray[Any]:
        values: NDArray[Any] = self._table[column].to_numpy()
        return values
