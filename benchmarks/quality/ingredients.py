"""A command's arguments in, what it reads out, one line a file: what its outcome was made of.

Files are told by their bytes. The pictures of a catalog are told together, by their paths and sizes, which is enough to
notice other photos without reading them all.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from catalog.reader import iter_rows
from catalog.rows import Product

# Folders that other commands made: what a run, word vectors and a model repository consist of.
_FOLDER_FLAGS = ("--checkpoint", "--init", "--words")
_IN_FOLDERS = ("run.json", "checkpoint.pt", "words.json", "words.bin", "*/config.pbtxt")


def told(arguments: Sequence[str]) -> str:
    """Return `python -m` with the arguments, and a line for each thing that the command reads, as they are now."""
    made = [f"  {path} {_sha256(path)}" for path in _files_in_folders(arguments)]
    return "".join(f"{line}\n" for line in (f"python -m {shlex.join(arguments)}", *data_read(arguments), *made))


def data_read(arguments: Sequence[str]) -> list[str]:
    """Return a line for each file named in the command, and for each catalog's pictures where the command sees them."""
    lines = []
    for flag, part in pairwise(arguments):
        path = Path(part)
        if not path.is_file():
            continue
        lines.append(f"  {path} {_sha256(path)}")
        if flag == "--catalog" and "words" not in arguments[:2]:  # word vectors are made of the texts alone
            lines.append(f"  pictures of {path} {_pictures(path)}")
    return lines


def files_read(arguments: Sequence[str]) -> list[Path]:
    """Return the files named in the command and those of runs, word vectors and repositories that it reads."""
    return [*(path for path in map(Path, arguments) if path.is_file()), *_files_in_folders(arguments)]


def _files_in_folders(arguments: Sequence[str]) -> list[Path]:
    read_from = (*_FOLDER_FLAGS, "--repository") if arguments[0] == "index_builder" else _FOLDER_FLAGS
    folders = [Path(part) for flag, part in pairwise(arguments) if flag in read_from]
    return [path for folder in folders for name in _IN_FOLDERS for path in sorted(folder.glob(name))]


@dataclass(frozen=True)
class _Version:
    """A file as it is now: what is known of it holds as long as size and time stay."""

    path: Path
    size_bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> _Version:
        about = path.stat()
        return cls(path.resolve(), about.st_size, about.st_mtime_ns)


def _sha256(path: Path) -> str:
    return _hash(_Version.of(path))


@cache
def _hash(version: _Version) -> str:
    with version.path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pictures(catalog: Path) -> str:
    images = _images(_Version.of(catalog))
    lines = sorted(f"{image} {_size_bytes(catalog.parent, image)}\n" for image in images)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@cache
def _images(version: _Version) -> tuple[str, ...]:
    """Return the pictures of a catalog, in file order."""
    rows = [row for row in iter_rows(version.path) if isinstance(row, Product)]
    return tuple(image for row in rows for image in (row.image, *row.images))


def _size_bytes(folder: Path, image: str) -> int | None:
    """Return the size of a picture in bytes, None where it is a URL or not there."""
    path = folder / image
    return path.stat().st_size if "://" not in image and path.is_file() else None
