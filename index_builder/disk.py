"""Files that are whole or not there, and one sentence for a disk that is full."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from catalog.errors import ShopcamError
from index_builder.staging import sync

FULL = (errno.ENOSPC, errno.EDQUOT)
SAID_OF_FULL = ("no space left", "disk is full", "disk quota exceeded")


class DiskFullError(ShopcamError):
    """There is no room for what is to be written."""

    status, code = 507, "disk_full"


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """Give a name to write a file under; afterwards it is brought to the disk and has its own name, or is gone."""
    temporary = path.with_name(f".{path.name}.tmp")  # one is enough: one builder owns a work folder
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def full_disk_is_told(*folders: Path) -> Iterator[None]:
    """Turn what FAISS, Arrow, SQLite and Python say of a full disk into one `DiskFullError`."""
    try:
        yield
    except (OSError, RuntimeError, sqlite3.Error) as error:
        if not _is_full(error):
            raise
        fullest = min((folder for folder in folders if folder.exists()), key=lambda one: shutil.disk_usage(one).free)
        free = shutil.disk_usage(fullest).free
        raise DiskFullError(
            f"the disk of {fullest} is full ({free:,} bytes are free); make room there and run the same command again, "
            "it goes on where it stopped"
        ) from error


def _is_full(error: Exception) -> bool:
    said = str(error).lower()
    return getattr(error, "errno", None) in FULL or any(words in said for words in SAID_OF_FULL)
