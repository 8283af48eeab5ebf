"""A catalog's rows and the batches of a journal in, the rows that the next gallery is built from out.

`ChangedCatalog` is what a build reads; batches that come later are overlaid on the gallery.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from catalog.rows import BadRow, Product
from index_builder.catalog_source import CatalogFile
from index_builder.journal import Journal


class JournalUse(StrEnum):
    """Which batches of a journal a build merges over its catalog; all of them count as merged."""

    NEWER = "newer"  # those written after the catalog file
    ALL = "all"
    NONE = "none"  # the catalog has everything


@dataclass(frozen=True)
class Changes:
    """What a journal says up to `sequence`: each changed product as it is now, None where it was deleted.

    Products stand in the order of their last change.
    """

    sequence: int = 0
    products: Mapping[str, Product | None] = field(default_factory=dict)


def read_changes(journal: Journal, *, since: datetime | None = None, ignore: bool = False) -> Changes:
    """Return what the batches of a journal say.

    Batches before `since` (None: none are), which is when the catalog was written, count as merged but change nothing,
    and with `ignore` so do all: the catalog has them. Raises `JournalError` for a damaged batch: a build must not lose
    a change without a word.
    """
    sequences = journal.sequences()
    products: dict[str, Product | None] = {}
    for sequence in [] if ignore else sequences:
        batch = journal.read(sequence)
        if since is not None and batch.created_at < since:
            continue
        changed: dict[str, Product | None] = {one.product.product_id: one.product for one in batch.upserts}
        changed |= dict.fromkeys(batch.deletes)
        for product_id, product in changed.items():
            products.pop(product_id, None)
            products[product_id] = product
    return Changes(max(sequences, default=0), products)


def overlay(
    rows: Iterable[Product | BadRow], changes: Changes, *, splits: Collection[str] | None = None
) -> Iterator[Product | BadRow]:
    """Yield the catalog's rows with the changes: a changed product in its row's place, new ones at the end.

    A row of a deleted product is left out, and so is a bad row whose product was changed or deleted since. Of the
    changed products only those of `splits` (None: all) are taken, as of the catalog's rows.
    """
    waiting = {
        product_id: product
        for product_id, product in changes.products.items()
        if product is not None and (splits is None or (product.split or "") in splits)
    }
    for row in rows:
        if row.product_id not in changes.products:
            yield row
        elif (product := waiting.pop(row.product_id, None)) is not None:
            yield product
    yield from waiting.values()


@dataclass(frozen=True)
class ChangedCatalog:
    """A catalog file with the changes of a journal, as a `CatalogSource`."""

    file: CatalogFile
    changes: Changes

    @classmethod
    def read(cls, file: CatalogFile, journal: Journal, *, use: JournalUse = JournalUse.NEWER) -> ChangedCatalog:
        """Read what the journal says now. Raises `JournalError` for a damaged batch."""
        since = None
        if use is JournalUse.NEWER and file.path.is_file():  # where it is none, reading it says so
            since = datetime.fromtimestamp(file.path.stat().st_mtime, UTC)
        return cls(file, read_changes(journal, since=since, ignore=use is JournalUse.NONE))

    @property
    def path(self) -> Path:
        """The catalog file."""
        return self.file.path

    @property
    def splits(self) -> tuple[str, ...] | None:
        """The splits whose rows these are, None for all rows."""
        return self.file.splits

    @property
    def sha256(self) -> str:
        """The checksum of the catalog file."""
        return self.file.sha256

    @property
    def journal(self) -> int:
        """The last batch that is in these rows."""
        return self.changes.sequence

    @cached_property
    def key(self) -> str:
        """The file's key, and with changes what they say."""
        if not self.changes.products:
            return self.file.key
        digest = hashlib.sha256(self.file.key.encode())
        for product_id, product in self.changes.products.items():
            told = "" if product is None else product.model_dump_json()
            digest.update(f"\0{product_id}\0{told}".encode())
        return digest.hexdigest()

    def rows(self) -> Iterator[Product | BadRow]:
        """Read the rows from the start."""
        return overlay(self.file.rows(), self.changes, splits=self.splits)
