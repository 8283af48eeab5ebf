"""The store's live pointer in, the alias on Milvus behind it: PREFIX_live names the live collection.

`live.json` is the truth and changes by compare-and-set; the alias follows in a second step and is for those who look
at Milvus without the store. Whoever moved the pointer moves the alias and then looks at the pointer again, so of two
swaps at once the last one to finish leaves the alias right. Only a death in between leaves it behind, until the next
swap, rollback or `verify`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from catalog.errors import NotReadyError, ShopcamError
from index_builder.manifest import Manifest
from index_builder.milvus_server import MilvusAddress, MilvusServer

if TYPE_CHECKING:
    from index_builder.store_interface import Store


def follow(store: Store, *, address: MilvusAddress | None = None) -> str | None:
    """Make the alias name the store's live collection; return what it named before, if that was another ("": nothing).

    None when there was nothing to do: it did, nothing is live, or the live gallery is not on Milvus. `address` None is
    that of SHOPCAM_MILVUS_URI. Raises `NotReadyError` when the alias stays behind.
    """
    before: str | None = None
    while (manifest := _live(store)) is not None and manifest.milvus is not None:
        rows = manifest.milvus
        try:
            with MilvusServer(address or MilvusAddress.given()) as server:
                named = server.alias(rows.alias)
                server.point(rows.alias, rows.collection)
        except ShopcamError as error:
            raise NotReadyError(
                f"gallery {manifest.version} is live, but the alias {rows.alias} does not follow yet: {error}; "
                f"`verify` repairs it"
            ) from error
        if named != rows.collection:
            before = named or ""
        now = _live(store)
        if now is not None and now.milvus == rows:
            return before
    return before


def drop_rows(manifest: Manifest, *, address: MilvusAddress | None = None) -> None:
    """Drop the collection of a gallery that is removed from the store; nothing to do when its rows are files."""
    if manifest.milvus is None:
        return
    with MilvusServer(address or MilvusAddress.given()) as server:
        server.drop(manifest.milvus.collection)


def _live(store: Store) -> Manifest | None:
    pointer = store.live()
    return None if pointer is None else store.manifest(pointer.live.gallery)
