"""A version in, a folder that only this process writes out; what a killed process left behind is swept away.

PARENT/.staging-<version>/lock       held by flock while the owner lives: no process id, so a reused id or another host
PARENT/.staging-<version>/gallery/   that shares the folder does no harm
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from index_builder.errors import ConflictError

PREFIX = ".staging-"
GALLERY = "gallery"
LOCK = "lock"
WAIT_S = 0.2


@contextmanager
def staging_folder(parent: Path, version: str) -> Iterator[Path]:
    """Give an empty folder to build `version` in; it is removed at the end unless it was moved away.

    Raises `ConflictError` while another process (or thread) builds the same version there.
    """
    parent.mkdir(parents=True, exist_ok=True)
    sweep(parent)
    folder = parent / f"{PREFIX}{version}"
    lock = _take(folder)
    if lock is None:
        raise ConflictError(f"gallery '{version}' is being built in {parent} right now; give another --version or wait")
    with lock:
        try:
            built = folder / GALLERY
            _remove(built)
            built.mkdir()
            yield built
        finally:
            _remove(folder)


@contextmanager
def locked_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to one process after the other: wait for it, and leave in it what is there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    while (lock := _take(folder)) is None:
        time.sleep(WAIT_S)
    with lock:
        yield folder


def sweep(parent: Path) -> list[Path]:
    """Remove the folders of builds that no longer live, and return them."""
    swept = []
    for folder in parent.glob(f"{PREFIX}*"):
        lock = _take(folder)
        if lock is not None:
            with lock:
                _remove(folder)
            swept.append(folder)
    return swept


def sync_tree(folder: Path) -> None:
    """Bring a folder and all in it to the disk, so that a rename never shows something empty after a power cut."""
    for path in (*folder.rglob("*"), folder):
        sync(path)


def sync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _take(folder: Path) -> IO[str] | None:
    """The open lock file of a folder, which is made where it is missing; None while somebody else holds it."""
    while True:
        try:
            folder.mkdir(exist_ok=True)
            file = (folder / LOCK).open("w")
        except FileNotFoundError:
            continue  # its owner removed the folder between the two lines
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        if _is_at(file, folder / LOCK):
            return file
        file.close()  # a lock on a file that was removed meanwhile says nothing


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
