"""TensorRT's engines on this machine and in S3: fetched before Triton starts, kept when it has built new ones.

To build engines takes minutes, to fetch them seconds. Every file carries its SHA-256; one that is not what it was is
left out and built again.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from index_builder.s3_bucket import Bucket, connect


@dataclass(frozen=True)
class EngineCache:
    """The files of `folder` and their copies in `bucket`, whose prefix is that of one `engine_key`."""

    bucket: Bucket
    folder: Path

    @classmethod
    def at(cls, uri: str, key: str, folder: Path) -> EngineCache:
        """The cache of one key below s3://bucket/prefix. Raises `StoreError` without credentials."""
        name, _, prefix = uri.removeprefix("s3://").partition("/")
        parts = [part for part in (prefix.strip("/"), key) if part]
        return cls(Bucket(connect(), name, "/".join(parts)), folder)

    def fetch(self) -> int:
        """Copy what is in the bucket and not here; returns the number of files. Raises `StoreError`."""
        fetched = 0
        for name in self.bucket.names():
            path = self.folder / name
            if path.exists() or ".." in PurePosixPath(name).parts:
                continue
            stored, found = self.bucket.head(name), self.bucket.get(name)
            if stored is None or found is None or _sha256(found[0]) != stored.sha256:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            temporary.write_bytes(found[0])
            temporary.replace(path)
            fetched += 1
        return fetched

    def keep(self) -> int:
        """Copy what is here and not, or otherwise, in the bucket; returns the number of files. Raises `StoreError`."""
        kept = 0
        for path in sorted(self.folder.rglob("*")):
            if not path.is_file() or path.name.startswith("."):
                continue
            name, content = path.relative_to(self.folder).as_posix(), path.read_bytes()
            stored = self.bucket.head(name)
            if stored is not None:
                if stored.sha256 == _sha256(content):
                    continue
                self.bucket.delete_one(name)
            kept += self.bucket.put(name, content, etag=None)
        return kept


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
