"""A store in, its journal without the batches that every one of its galleries has merged out."""

from __future__ import annotations

from collections.abc import Collection

from index_builder.errors import GalleryError
from index_builder.store_interface import Store


def prune_journal(store: Store, *, without: Collection[str] = (), dry_run: bool = False) -> list[int]:
    """Remove the batches that no gallery of the store needs, and return their numbers; see `Journal.prune`.

    Galleries of `without` do not count. While a gallery's manifest is damaged, every batch may be needed.
    """
    try:
        merged = [store.manifest(version).journal for version in store.versions() if version not in without]
    except GalleryError:
        return []
    return store.journal().prune(through=min(merged, default=0), dry_run=dry_run)
