"""A published gallery folder in, its reader out: FAISS in this process, or Milvus where its manifest says so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from index_builder.gallery import Gallery
from index_builder.gallery_reader import GalleryReader
from index_builder.integrity import read_manifest
from index_builder.manifest import Manifest


def open_gallery(
    folder: Path,
    *,
    spaces: Mapping[str, str] | None = None,
    milvus_uri: str | None = None,
    verify: bool = True,
    threads: int = 1,
) -> GalleryReader:
    """Open a gallery folder as `Gallery.open` does, wherever its rows lie.

    `milvus_uri` is the address of the server (None: SHOPCAM_MILVUS_URI), the token is SHOPCAM_MILVUS_TOKEN; both are
    needed by a gallery on Milvus only. `threads` is for FAISS. Raises what `Gallery.open` and `MilvusGallery.open` do.
    """
    if read_manifest(folder).milvus is None:
        return Gallery.open(folder, spaces=spaces, verify=verify, threads=threads)
    from index_builder.milvus_gallery import MilvusGallery  # late: pymilvus is an extra
    from index_builder.milvus_server import MilvusAddress

    return MilvusGallery.open(folder, MilvusAddress.given(milvus_uri), spaces=spaces, verify=verify)


def check_rows(manifest: Manifest, *, milvus_uri: str | None = None) -> None:
    """Refuse a gallery whose collection is missing or not whole; nothing to do when its rows are files.

    Raises as `MilvusGallery.open`. Quick: no row is read.
    """
    if manifest.milvus is None:
        return
    from index_builder.milvus_gallery import check_collection
    from index_builder.milvus_server import MilvusAddress, MilvusServer
    from index_builder.milvus_upload import check_count

    with MilvusServer(MilvusAddress.given(milvus_uri)) as server:
        check_collection(server, manifest)
        server.load(manifest.milvus.collection)
        check_count(server, manifest.milvus, manifest)
