"""Gallery folder in, its manifest out, once every file has been found to be what the manifest says.

Index files are untrusted input: nothing here is parsed by FAISS, and nothing is handed to it before this has passed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from pydantic import ValidationError

from index_builder.errors import GalleryError
from index_builder.manifest import SCHEMA_VERSION, FileRecord, Manifest

MANIFEST = "manifest.json"
HASHED_AT_ONCE = 4  # files


def record_files(folder: Path) -> dict[str, FileRecord]:
    """Return size and checksum of every file of a folder but its manifest, by path inside the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {
        path.relative_to(folder).as_posix(): FileRecord(size_bytes=path.stat().st_size, sha256=sha256_of(path))
        for path in files
    }


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
    with ThreadPoolExecutor(HASHED_AT_ONCE, thread_name_prefix="hash") as pool:
        sums = pool.map(lambda name: sha256_of(folder / name), manifest.files)
        for (name, record), sha256 in zip(manifest.files.items(), sums, strict=True):
            if sha256 != record.sha256:
                pool.shutdown(wait=False, cancel_futures=True)
                raise GalleryError(
                    f"gallery {manifest.version} is damaged: {name} has sha256 {sha256[:12]}..., "
                    f"the manifest says {record.sha256[:12]}..."
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


def sha256_of(path: Path) -> str:
    """The checksum of a file, as manifests have it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
