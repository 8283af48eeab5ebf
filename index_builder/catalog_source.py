"""A catalog in, its entries out one by one: pictures of products, and rows that cannot be used.

This is where catalog rows enter a build. Whatever yields `Product` and `BadRow` in a fixed order, and has a `key` that
changes with them, can take the place of `CatalogFile`.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

from catalog.errors import MalformedError
from catalog.reader import iter_rows
from catalog.rows import BadRow, Box, Product
from index_builder.integrity import sha256_of

FIRST_REASONS = 3


class CatalogSource(Protocol):
    """Rows of a catalog, the same in the same order every time they are asked for."""

    @property
    def path(self) -> Path:
        """The catalog file; pictures' paths are relative to its folder."""

    @property
    def splits(self) -> tuple[str, ...] | None:
        """The splits whose rows these are, None for all rows."""

    @property
    def sha256(self) -> str:
        """The checksum of the catalog file, for the manifest."""

    @property
    def key(self) -> str:
        """What tells these rows from any other."""

    @property
    def journal(self) -> int:
        """The last batch of the store's journal that is in these rows, 0 for none."""

    def rows(self) -> Iterator[Product | BadRow]:
        """Read the rows from the start."""


@dataclass(frozen=True)
class CatalogFile:
    """The rows of a CSV, JSON lines or Parquet file, of some splits (None: of all)."""

    path: Path
    splits: tuple[str, ...] | None = None
    journal: int = 0

    @cached_property
    def sha256(self) -> str:
        """The checksum of the file."""
        return sha256_of(self.path)

    @property
    def key(self) -> str:
        """File content, splits, and the folder that relative paths start from."""
        facts = [self.sha256, None if self.splits is None else sorted(self.splits), str(self.path.resolve().parent)]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    def rows(self) -> Iterator[Product | BadRow]:
        """Read the rows from the start; raises as `catalog.reader.iter_rows`."""
        return iter_rows(self.path, splits=self.splits)


@dataclass(frozen=True)
class CatalogPicture:
    """One picture of a product: `row` is the row in the catalog (0: unknown), `number` the product's number."""

    product: Product
    row: int
    number: int
    image: str
    box: Box | None


Entry = CatalogPicture | BadRow


def entries(source: CatalogSource) -> Iterator[Entry]:
    """Yield all pictures, the further ones of a product right after its main one, and the bad rows between them."""
    number = 0
    for position, row in enumerate(source.rows(), start=1):
        if isinstance(row, BadRow):
            yield row
            continue
        # With splits, rows of other splits are passed over unseen, so the position is not the row's number.
        known = position if source.splits is None else 0
        yield CatalogPicture(row, known, number, row.image, row.box)
        for image in row.images:
            if image != row.image:
                yield CatalogPicture(row, known, number, image, None)
        number += 1


@dataclass
class BadRows:
    """How many rows are bad so far, and the first of them; more than the share `limit` of `total` give a build up."""

    catalog: Path
    limit: float
    count: int = 0
    first: list[BadRow] = field(default_factory=list)

    def add(self, bad: BadRow) -> None:
        """Count one more."""
        self.count += 1
        if len(self.first) < FIRST_REASONS:
            self.first.append(bad)

    def too_many(self, *, total: int) -> bool:
        """Whether these are more than the share that is allowed of `total` rows."""
        return self.count > self.limit * total

    def check(self, *, total: int) -> None:
        """Raise `MalformedError` with the first reasons when there are too many."""
        if self.too_many(total=total):
            reasons = "; then: ".join(_told(bad) for bad in self.first)
            raise MalformedError(
                f"{self.catalog.name}: {self.count:,} of {total:,} rows are bad (limit {self.limit:.3g} of them); "
                f"first: {reasons}"
            )


@dataclass(frozen=True)
class Survey:
    """What a first pass over a catalog found: `total` entries, of them `pictures`, and `bad` rows.

    `label_paths` counts the category paths of the products that carry each of the asked labels.
    """

    pictures: int
    total: int
    bad: BadRows
    label_paths: dict[str, Counter[str]]


def survey(source: CatalogSource, *, labels: Collection[str], limit: float) -> Survey:
    """Read all rows once and count them. Raises `MalformedError` for too many bad rows, or when no row is usable."""
    known = set(labels)
    paths: defaultdict[str, Counter[str]] = defaultdict(Counter)
    bad = BadRows(source.path, limit)
    pictures, last = 0, -1
    for entry in entries(source):
        if isinstance(entry, BadRow):
            bad.add(entry)
            continue
        pictures += 1
        product = entry.product
        if entry.number != last and product.label in known and product.category_path:
            paths[str(product.label)][product.category_path] += 1
        last = entry.number
    total = pictures + bad.count
    bad.check(total=total)
    if not pictures:
        asked = f" of split {', '.join(sorted(source.splits))}" if source.splits else ""
        raise MalformedError(f"{source.path} has no usable row{asked}")
    return Survey(pictures, total, bad, dict(paths))


def chunks(found: Iterator[Entry], size: int) -> Iterator[list[Entry]]:
    """Yield the entries in lists of `size`, the last one maybe shorter."""
    while chunk := list(itertools.islice(found, size)):
        yield chunk


def _told(bad: BadRow) -> str:
    row = f"row {bad.row} " if bad.row else ""
    return f"{row}({bad.product_id or 'no id'}): {bad.reason}"
