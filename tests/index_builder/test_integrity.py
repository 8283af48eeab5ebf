"""Checksums of files and of their parts; oracle: sha256 of the bytes themselves."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index_builder.errors import GalleryError
from index_builder.gallery import Gallery
from index_builder.integrity import check_files, record_files, write_manifest
from index_builder.manifest import Manifest, PartSums

PART_BYTES = 100


def in_parts(folder: Path) -> Manifest:
    """The folder's manifest with checksums of parts of 100 bytes."""
    manifest = Gallery.open(folder).manifest
    manifest = manifest.model_copy(update={"files": record_files(folder, part_bytes=PART_BYTES)})
    write_manifest(folder, manifest)
    return manifest


def test_parts_are_those_of_the_file(folder: Path) -> None:
    for name, record in in_parts(folder).files.items():
        data = (folder / name).read_bytes()
        assert (record.size_bytes, record.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        parts = [data[first : first + PART_BYTES] for first in range(0, len(data), PART_BYTES)]
        sums = tuple(hashlib.sha256(part).hexdigest() for part in parts)
        assert record.parts == (PartSums(part_bytes=PART_BYTES, sha256=sums) if len(parts) > 1 else None)


def test_a_gallery_with_parts_opens_and_any_other_byte_is_seen(folder: Path) -> None:
    manifest = in_parts(folder)
    Gallery.open(folder).close()
    path = folder / "index.faiss"
    whole = path.read_bytes()

    @given(st.integers(0, len(whole) - 1), st.integers(1, 255))
    def flipped(place: int, change: int) -> None:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ change]) + whole[place + 1 :])
        first = place // PART_BYTES * PART_BYTES
        with pytest.raises(GalleryError, match=rf"index.faiss from byte {first:,} on has sha256"):
            check_files(folder, manifest)

    flipped()


def test_parts_that_leave_bytes_out_are_refused(folder: Path) -> None:
    manifest = in_parts(folder)
    record = manifest.files["index.faiss"]
    assert record.parts is not None
    fewer = record.parts.model_copy(update={"sha256": record.parts.sha256[:-1]})
    files = {**manifest.files, "index.faiss": record.model_copy(update={"parts": fewer})}
    with pytest.raises(GalleryError, match=r"the parts of index\.faiss are not the whole file"):
        check_files(folder, manifest.model_copy(update={"files": files}))
