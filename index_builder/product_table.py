"""Gallery rows in, `products.arrow` and `thumbnails.bin` out, and the reader of both.

A row is one picture of a product; rows of one product follow each other. Both files are mapped and not read: a table of
a million rows opens at once and takes next to no memory (docs/adr/0016-filters.md). Thumbnails are JPEG, one after the
other, since a folder of 100,000 small files is slow to copy and to check.
"""

from __future__ import annotations

import io
import json
import mmap
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from catalog.errors import NotFoundError, OutOfRangeError
from catalog.rows import Product
from index_builder.columns import Column
from index_builder.errors import GalleryError
from index_builder.filters import Filters, MaskCache
from index_builder.product_ids import ProductIds
from index_builder.table_reader import TableReader

TABLE_FILE = "products.arrow"
OLD_TABLE_FILE = "products.parquet"  # of galleries before version 0.2; slower to open, and read into memory
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
SHOWN = pa.schema([field for field in SCHEMA if field.name not in _INNER])


_ADDED = ("product", "has_text", "image", "thumbnail_offset", "thumbnail_bytes")


def shown_columns(product: Product, *, image: str) -> dict[str, Any]:
    """Return the columns of a product's row that a hit shows, as the table holds them; `image` is the row's picture."""
    row = {name: getattr(product, name) for name in SCHEMA.names if name not in _ADDED}
    row |= {name: json.dumps(row[name], ensure_ascii=False, default=str) for name in _JSON}
    return row | {"image": image}


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
        self._file = pa.OSFile(str(folder / TABLE_FILE), "wb")
        self._table = pa.ipc.new_file(self._file, SCHEMA)
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
        self._file.close()
        self._thumbnails.close()

    def add(self, product: Product, *, number: int, image: str, has_text: bool, picture: bytes) -> None:
        """Add one row: picture `image` of the product with that number, and its thumbnail's bytes."""
        row = shown_columns(product, image=image) | {"product": number, "has_text": has_text}
        row |= {"thumbnail_offset": self._offset, "thumbnail_bytes": len(picture)}
        self._thumbnails.write(picture)
        self._offset += len(picture)
        self._rows.append(row)
        if len(self._rows) >= WRITE_BLOCK:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._table.write_batch(pa.RecordBatch.from_pylist(self._rows, schema=SCHEMA))
            self._rows = []


class ProductTable:
    """What each row of a gallery shows. Raises `GalleryError` when the files are not what `TableWriter` wrote."""

    def __init__(self, folder: Path, *, count: int, file: str = TABLE_FILE) -> None:
        """`file` is the table's name, `OLD_TABLE_FILE` in an old gallery."""
        table = open_table(folder / file, count)
        self._reader = TableReader(table.select(SHOWN.names))
        self._ids: ProductIds | None = None
        self._lock = threading.Lock()
        self._masks = MaskCache()
        self.products: NDArray[np.int64] = table["product"].to_numpy()
        self.has_text: NDArray[np.bool_] = table["has_text"].to_numpy()
        self._offsets: NDArray[np.int64] = table["thumbnail_offset"].to_numpy()
        self._sizes: NDArray[np.int64] = table["thumbnail_bytes"].to_numpy()
        self.first_rows: NDArray[np.int64] = np.flatnonzero(np.diff(self.products, prepend=-1))
        with (folder / THUMBNAILS_FILE).open("rb") as thumbnails:
            self._thumbnails = mmap.mmap(thumbnails.fileno(), 0, access=mmap.ACCESS_READ)

    def __len__(self) -> int:
        return len(self.products)

    def row_of(self, product_id: str) -> int:
        """Return the first row of a product; `NotFoundError` for an unknown one."""
        with self._lock:
            if self._ids is None:  # made when first asked for, since most searches never are
                self._ids = ProductIds(self._reader.texts("product_id"))
        row = self._ids.row_of(product_id)
        if row is None:
            raise NotFoundError(f"no product '{product_id}' in this gallery")
        return row

    def rows(self, rows: Sequence[int] | NDArray[np.int64]) -> list[dict[str, Any]]:
        """Return the catalog columns of several rows: the fields of `Product` without `images` and `box`."""
        return [shown_product(record) for record in self._reader.rows([self.check(int(row)) for row in rows])]

    def rows_of(self, product_ids: Sequence[str]) -> NDArray[np.bool_]:
        """Tell which rows are of one of these products, bool [N]."""
        return self._reader.is_in("product_id", product_ids)

    def picture(self, row: int) -> bytes:
        """Return the row's picture, JPEG of at most 320 px."""
        self.check(row)
        start = int(self._offsets[row])
        return self._thumbnails[start : start + int(self._sizes[row])]

    def category_paths(self, *, dead: NDArray[np.bool_] | None = None) -> dict[str, int]:
        """Return the number of products of each category path, by path; products without one are left out.

        Nor do products count whose rows are `dead` [N].
        """
        first = self.first_rows if dead is None else self.first_rows[~dead[self.first_rows]]
        return self._reader.category_paths(first)

    def mask(self, filters: Filters) -> NDArray[np.bool_]:
        """Tell which rows match, bool [N], not to be written to; raises what `Filters.check` raises."""
        filters.check(self)
        return self.matching(filters)

    def matching(self, filters: Filters) -> NDArray[np.bool_]:
        """The same without a check: where a column is missing no row matches."""
        return self._masks.get(filters, self)

    def column(self, name: str) -> Column | None:
        """Return a column to filter by, None when no row has it; see `filters.Filters`."""
        return self._reader.column(name)

    def column_names(self) -> list[str]:
        """Return the names that `column` knows."""
        return self._reader.column_names()

    def check(self, row: int) -> int:
        """Return the row, which must be one of the gallery's: `OutOfRangeError` otherwise."""
        if not 0 <= row < len(self):
            raise OutOfRangeError(f"row is {row}, the gallery has rows 0 to {len(self) - 1}")
        return row


def shown_product(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `shown_columns` made as a hit shows it."""
    # Most rows have no unknown columns, and a page of hits is made for every search.
    return {**record, **{name: {} if record[name] == "{}" else json.loads(record[name]) for name in _JSON}}


def open_table(path: Path, count: int) -> pa.Table:
    """Map a gallery's whole table; `GalleryError` when it is not one of so many rows."""
    try:
        if path.name == OLD_TABLE_FILE:
            table = pq.read_table(path, memory_map=True)
        else:
            table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (OSError, pa.ArrowException) as error:
        raise GalleryError(f"{path} cannot be read: {error}") from error
    if table.schema.names != SCHEMA.names or table.num_rows != count:
        raise GalleryError(f"{path} has {table.num_rows} rows or other columns, the manifest says {count}")
    return table


def product_numbers(path: Path, count: int) -> NDArray[np.int64]:
    """Return the product's number of each row [N] of a gallery's table."""
    numbers: NDArray[np.int64] = open_table(path, count)["product"].to_numpy()
    return numbers
