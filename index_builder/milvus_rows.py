"""Rows of a finished gallery folder in, rows of a collection out; what they hold beyond the catalog's columns is here.

`facts` are what a row can be filtered by as fixed-length hashes, `numbers` what it has for ranges. Hashes of column and
value keep every text of a shopper out of Milvus' expressions, and fit whatever the text.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from index_builder.errors import GalleryError
from index_builder.fusion import FusedRows
from index_builder.manifest import Manifest
from index_builder.milvus_schema import JSON_TEXTS, MOST_FACTS, MOST_TEXT_BYTES, SHOWN, TEXTS
from index_builder.product_table import ProductTable

MOST_NUMBERS = 8  # numbers under one key of a row that ranges look at
CATEGORY = "category"  # label and category path as one column
READ_BLOCK = 4096
_HASH_BYTES = 10
_NUMERIC = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")  # texts that count as numbers too: all of a CSV file are texts
_SMALLER = ((320, 70), (320, 50), (240, 50), (160, 50))  # long side in px and quality of pictures that are too large


@dataclass(frozen=True)
class SourceRows:
    """The rows of a gallery folder: `vectors` [N, D_I + D_T] fused when asked for."""

    manifest: Manifest
    table: ProductTable
    vectors: FusedRows

    @classmethod
    def of(cls, folder: Path, manifest: Manifest, parts: NDArray[np.float32]) -> SourceRows:
        """Return those of a gallery folder with the unit parts [N, D_I + D_T]."""
        vectors = FusedRows(parts, manifest.image_dim, default_weight=manifest.default_weight)
        return cls(manifest, ProductTable(folder, count=manifest.count), vectors)

    def products(self) -> Iterator[dict[str, Any]]:
        """Yield what each row shows."""
        for start in range(0, self.manifest.count, READ_BLOCK):
            yield from self.table.rows(range(start, min(start + READ_BLOCK, self.manifest.count)))

    def batch(self, start: int, stop: int) -> list[dict[str, Any]]:
        """Return rows `start` to `stop` (exclusive) as Milvus takes them. `GalleryError` for one that it cannot."""
        fused = self.vectors[slice(start, stop)]
        shown = self.table.rows(range(start, stop))
        return [self._row(start + k, product, fused[k]) for k, product in enumerate(shown)]

    def _row(self, row: int, product: Mapping[str, Any], vector: NDArray[np.float32]) -> dict[str, Any]:
        found, numbers = facts_of(product)
        if len(found) > MOST_FACTS:
            raise GalleryError(
                f"product {product['product_id']} has {len(found)} values to filter by, Milvus takes {MOST_FACTS}"
            )
        record: dict[str, Any] = {name: product[name] for name in SHOWN}
        record |= {name: json.dumps(product[name], ensure_ascii=False) for name in JSON_TEXTS}
        for name in (*TEXTS, *JSON_TEXTS):
            size = len((record[name] or "").encode())
            if size > MOST_TEXT_BYTES:
                raise GalleryError(
                    f"{name} of product {product['product_id']} has {size:,} bytes, Milvus takes {MOST_TEXT_BYTES:,}"
                )
        return record | {
            "row": row,
            "vector": vector,
            "product": int(self.table.products[row]),
            "has_text": bool(self.table.has_text[row]),
            "facts": sorted(found),
            "numbers": numbers,
            "thumbnail": _fitting(self.table.picture(row)),
        }


def facts_of(product: Mapping[str, Any]) -> tuple[set[str], dict[str, list[float]]]:
    """Return the hashed facts of a product, and its numbers by hashed column (the price has a field of its own)."""
    facts: set[str] = set()
    numbers: dict[str, list[float]] = {}
    for name, value in values_of(product):
        facts.add(fact(name, value))
        if isinstance(value, float):
            under = numbers.setdefault(hashed(name), [])
            if len(under) < MOST_NUMBERS:
                under.append(value)
    if label := product["label"]:
        facts.add(label_fact(label))
    facts.update(path_facts(product["category_path"]))
    return facts, numbers


def values_of(product: Mapping[str, Any]) -> Iterator[tuple[str, str | float]]:
    """Yield column and value of all that a product can be filtered by, but `category`."""
    for name in TEXTS:
        if product[name] is not None:
            yield name, product[name]
    if product["price"] is not None:
        yield "price", float(product["price"])
    for held in JSON_TEXTS:
        for name, value in product[held].items():
            if name not in (*TEXTS, "price", CATEGORY):
                for one in value if isinstance(value, list) else [value]:
                    yield from ((name, kind) for kind in _kinds(one))


def fact(name: str, value: str | float) -> str:
    """The hash that says that a row has this value in this column."""
    return hashed("text", name, value) if isinstance(value, str) else hashed("number", name, repr(value + 0.0))


def label_fact(label: str) -> str:
    """The hash that says that a row has this label, however it is written."""
    return hashed("label", label.strip().casefold())


def path_facts(path: str) -> list[str]:
    """The hashes of a category path and its beginnings, the shortest first; none for an empty one."""
    levels = [level.strip().casefold() for level in path.split(">")]
    return [hashed("path", *levels[:depth]) for depth in range(1, len(levels) + 1)] if any(levels) else []


def hashed(*words: str) -> str:
    """A fixed-length name of some words, letters and digits only."""
    written = json.dumps(words, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(written, digest_size=_HASH_BYTES).hexdigest()


def picture_of(thumbnail: str) -> bytes:
    """Return the JPEG of a `thumbnail` field."""
    return base64.b64decode(thumbnail)


def _kinds(value: Any) -> Iterator[str | float]:
    """The value as a text, as a number, or as both; nothing of null and of objects."""
    if isinstance(value, bool):
        yield "true" if value else "false"
    elif isinstance(value, str):
        yield value
        if _NUMERIC.fullmatch(value):
            yield float(value)
    elif isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            return
        if math.isfinite(number):
            yield number


def _fitting(picture: bytes) -> str:
    """Return a JPEG in base64, made smaller where it would not fit a field (more than 48 KiB, which is rare)."""
    text = base64.b64encode(picture).decode()
    for side_px, quality in _SMALLER:
        if len(text) <= MOST_TEXT_BYTES:
            break
        image = Image.open(io.BytesIO(picture))
        image.thumbnail((side_px, side_px))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        text = base64.b64encode(buffer.getvalue()).decode()
    return text
