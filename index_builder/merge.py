"""A catalog's rows and the batches of a journal in, the rows that the next gallery is built from out.

changes = read_changes(store.journal())                    # before the catalog is read
rows = overlay(iter_rows(catalog, splits=splits), changes, splits=splits)
... Manifest(journal=changes.sequence, ...)                # later batches are overlaid on the gallery
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from catalog.rows import BadRow, Product
from index_builder.journal import Journal


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
