"""Gallery folder in, its manifest out, once every file has been found to be what the manifest says.

Index files are untrusted input: nothing here is parsed by FAISS, and nothing is handed to it before this has passed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from index_builder.errors import GalleryError
from index_builder.manifest import SCHEMA_VERSION, FileRecord, Manifest, PartSums

MANIFEST = "manifest.json"
HASHED_AT_ONCE = 4  # files, or parts of large ones
PART_BYTES = 256 * 2**20
BLOCK_BYTES = 2**20


def record_files(folder: Path, *, part_bytes: int = PART_BYTES) -> dict[str, FileRecord]:
    """Return size and checksum of every file of a folder but its manifest, by path inside the folder.

    Files of more than `part_bytes` have checksums of their parts, too.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {path.relative_to(folder).as_posix(): _record(path, part_bytes) for path in files}


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest, the last file of a gallery."""
    temporary = folder / f".{MANIFEST}.{os.getpid()}.tmp"
    temporary.write_bytes(manifest.to_json())
    temporary.replace(folder / MANIFEST)


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest alone. Raises `GalleryError` when it is missing, damaged or of another schema."""
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise GalleryError(f"no gallery at {folder}: {MANIFEST} is missing") from None
    return parse_manifest(content, path=path)


def parse_manifest(content: bytes, *, path: str | Path) -> Manifest:
    """Check the bytes of a manifest that lies at `path`. Raises `GalleryError` when damaged or of another schema."""
    try:
        data = json.loads(content)
    except ValueError:
        raise GalleryError(f"{path} is damaged: it is not JSON") from None
    got = data.get("schema_version") if isinstance(data, dict) else None
    if got != SCHEMA_VERSION:
        raise GalleryError(f"{path} has schema version {got}, this program reads {SCHEMA_VERSION}; build it again")
    try:
        return Manifest.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise GalleryError(f"{path} is damaged: {where}: {first['msg']}") from None


def check_files(folder: Path, manifest: Manifest, *, verify: bool = True) -> None:
    """Refuse a gallery with a missing file or a wrong size, and with `verify` a wrong checksum: `GalleryError`."""
    check_names(manifest, path=folder / MANIFEST)
    for name, record in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise GalleryError(f"gallery {manifest.version} is incomplete: {name} is missing")
        if (size := path.stat().st_size) != record.size_bytes:
            raise GalleryError(
                f"gallery {manifest.version} is damaged: {name} has {size} bytes, the manifest says {record.size_bytes}"
            )
    if verify:
        _check_sums(folder, manifest)


def _check_sums(folder: Path, manifest: Manifest) -> None:
    """Hash the files, a few at a time: it is most of the time that opening a large gallery takes."""
    wanted = [one for name, record in manifest.files.items() for one in _sums_of(folder, name, record)]
    with ThreadPoolExecutor(HASHED_AT_ONCE, thread_name_prefix="hash") as pool:
        found = pool.map(lambda one: _sum_of(one.path, one.first_byte, one.size_bytes), wanted)
        for one, sha256 in zip(wanted, found, strict=True):
            if sha256 != one.sha256:
                pool.shutdown(wait=False, cancel_futures=True)
                raise GalleryError(
                    f"gallery {manifest.version} is damaged: {one.name} has sha256 {sha256[:12]}..., "
                    f"the manifest says {one.sha256[:12]}..."
                )


def check_names(manifest: Manifest, *, path: str | Path) -> None:
    """Refuse a manifest (that lies at `path`) with a file outside the gallery folder: `GalleryError`."""
    for name in manifest.files:
        path_inside = PurePosixPath(name)
        if path_inside.is_absolute() or ".." in path_inside.parts or not path_inside.parts:
            raise GalleryError(f"{path} names the file '{name}' outside the gallery")


def check_spaces(manifest: Manifest, spaces: Mapping[str, str]) -> None:
    """Refuse a gallery whose vectors were made by other networks than `spaces` (model name -> space id)."""
    for model, space in manifest.spaces.items():
        if (running := spaces.get(model)) != space:
            raise GalleryError(
                f"gallery {manifest.version} was built with another model: {model} is {running or 'missing'} here, "
                f"the gallery's is {space}; build the gallery again with this model"
            )


@dataclass(frozen=True)
class _Sum:
    """What a stretch of a file should have as its checksum."""

    path: Path
    name: str
    first_byte: int
    size_bytes: int
    sha256: str


def _sums_of(folder: Path, name: str, record: FileRecord) -> list[_Sum]:
    """The checksums that cover a file; GalleryError when those of its parts do not."""
    path, parts = folder / name, record.parts
    if parts is None:
        return [_Sum(path, name, 0, record.size_bytes, record.sha256)]
    stretches = _stretches(record.size_bytes, parts.part_bytes)
    if len(stretches) != len(parts.sha256):
        raise GalleryError(f"{folder / MANIFEST} is damaged: the parts of {name} are not the whole file")
    return [
        _Sum(path, f"{name} from byte {first:,} on", first, size, sha256)
        for (first, size), sha256 in zip(stretches, parts.sha256, strict=True)
    ]


def _stretches(size_bytes: int, part_bytes: int) -> list[tuple[int, int]]:
    """(first byte, length) of each part."""
    return [(first, min(part_bytes, size_bytes - first)) for first in range(0, size_bytes, part_bytes)]


def _record(path: Path, part_bytes: int) -> FileRecord:
    size_bytes = path.stat().st_size
    parts = None
    if size_bytes > part_bytes:
        sums = tuple(_sum_of(path, first, size) for first, size in _stretches(size_bytes, part_bytes))
        parts = PartSums(part_bytes=part_bytes, sha256=sums)
    return FileRecord(size_bytes=size_bytes, sha256=sha256_of(path), parts=parts)


def _sum_of(path: Path, first_byte: int, size_bytes: int) -> str:
    digest, block = hashlib.sha256(), memoryview(bytearray(BLOCK_BYTES))
    with path.open("rb", buffering=0) as file:
        file.seek(first_byte)
        left = size_bytes
        while left and (read := file.readinto(block[: min(left, BLOCK_BYTES)])):
            digest.update(block[:read])
            left -= read
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    """The checksum of a file, as manifests have it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
