"""Shards of earlier builds in, their rows by content hash or by place out, so that only what changed is embedded.

FOLDER/shard-*.arrow    the rows
FOLDER/index.sqlite     where each of them is
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from index_builder.disk import written
from index_builder.errors import GalleryError
from index_builder.pictures import DIGEST_BYTES, Embedded
from index_builder.shards import Shard, Stamp

INDEX_FILE = "index.sqlite"
OPEN_SHARDS = 8
_TABLE = "CREATE TABLE pictures (digest BLOB, place BLOB, size_bytes INT, mtime_ns INT, shard TEXT, line INT)"
_INSERT = "INSERT INTO pictures VALUES (?, ?, ?, ?, ?, ?)"


def shard_files(folder: Path) -> list[Path]:
    """Return the shards of a folder, the first first."""
    return sorted(folder.glob("shard-*.arrow"))


def write_index(folder: Path) -> None:
    """Write the index of a folder's shards."""
    with written(folder / INDEX_FILE) as temporary, contextlib.closing(sqlite3.connect(temporary)) as database:
        database.execute("PRAGMA journal_mode = OFF")  # a file that was not finished is thrown away
        database.execute(_TABLE)
        for path in shard_files(folder):
            database.executemany(_INSERT, _places(path))
        for column in ("digest", "place"):
            database.execute(f"CREATE INDEX by_{column} ON pictures ({column})")
        database.commit()


@dataclass(frozen=True)
class Found:
    """Where a row is."""

    shard: Path
    line: int


class EarlierRows:
    """The rows of several folders of shards; those without an index get one."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._databases: list[tuple[Path, sqlite3.Connection]] = []
        self._shards: OrderedDict[Path, Shard] = OrderedDict()
        for folder in folders:
            if not (folder / INDEX_FILE).exists():
                write_index(folder)
            # No second thread asks; the one that asks may be another than the one that opened it.
            self._databases.append((folder, sqlite3.connect(folder / INDEX_FILE, check_same_thread=False)))

    def known(self) -> NDArray[np.bytes_]:
        """Return the content hashes of all rows, sorted, of numpy type S32."""
        found = [np.zeros(0, f"S{DIGEST_BYTES}")]
        for _, database in self._databases:
            digests = (row[0] for row in database.execute("SELECT digest FROM pictures"))
            found.append(np.fromiter(digests, f"S{DIGEST_BYTES}"))
        return np.unique(np.concatenate(found))

    def by_digest(self, digest: bytes) -> Found | None:
        """Return a row with this content hash."""
        return self._find("SELECT shard, line FROM pictures WHERE digest = ?", digest)

    def by_place(self, place: bytes, stamp: Stamp) -> Found | None:
        """Return the row of the picture at this place, if its file had the same stamp then."""
        asked = "SELECT shard, line FROM pictures WHERE place = ? AND size_bytes = ? AND mtime_ns = ?"
        return self._find(asked, place, stamp.size_bytes, stamp.mtime_ns)

    def read(self, found: Found) -> Embedded:
        """Return a row. Raises `GalleryError` when its shard is damaged."""
        return self._shard(found.shard).embedded(found.line)

    def close(self) -> None:
        """Give all files back."""
        for _, database in self._databases:
            database.close()
        for shard in self._shards.values():
            shard.close()
        self._databases, self._shards = [], OrderedDict()

    def _find(self, question: str, *values: Any) -> Found | None:
        for folder, database in self._databases:
            row = database.execute(question, values).fetchone()
            if row is not None:
                return Found(folder / row[0], row[1])
        return None

    def _shard(self, path: Path) -> Shard:
        """A few shards stay open: unless the catalog was shuffled, neighbors were neighbors before."""
        if path not in self._shards:
            if len(self._shards) >= OPEN_SHARDS:
                self._shards.popitem(last=False)[1].close()
            try:
                self._shards[path] = Shard(path)
            except (OSError, pa.ArrowException) as error:
                raise GalleryError(f"{path} can't be read: {error}; build with --no-reuse") from error
        self._shards.move_to_end(path)
        return self._shards[path]


def _places(path: Path) -> list[tuple[Any, ...]]:
    try:
        shard = Shard(path)
    except (OSError, pa.ArrowException):
        return []  # damaged: what it held is embedded again
    try:
        columns = [shard.column(name) for name in ("digest", "place", "size_bytes", "mtime_ns")]
    finally:
        shard.close()
    rows = enumerate(zip(*columns, strict=True))
    return [(*values, path.name, line) for line, values in rows if values[0] is not None]
