"""A store in (a folder of galleries and `live.json`), the gallery that is live out; changed by compare-and-set only.

STORE/galleries/<version>/    immutable once there: built in STORE/.staging-*, then renamed
STORE/live.json               the pair that answers now and the one before it
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from catalog.errors import MalformedError, NotFoundError, OutOfRangeError
from index_builder.errors import ConflictError, GalleryError
from index_builder.gallery import Gallery
from index_builder.integrity import read_manifest
from index_builder.manifest import LivePointer, ModelPair

__all__ = ["NOTHING", "ConflictError", "LocalStore", "open_store"]

NOTHING = ""  # `expected` for "no gallery is live yet"
LIVE_FILE = "live.json"
LOCK_FILE = ".lock"
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def open_store(uri: str | Path) -> LocalStore:
    """Return the store at a folder, which need not exist yet. Raises `MalformedError` for any other address."""
    if "://" in str(uri):
        raise MalformedError(f"the store '{uri}' is not a folder; stores on S3 come later, give a folder now")
    path = Path(uri)
    if path.exists() and not path.is_dir():
        raise MalformedError(f"the store '{uri}' is a file, a folder is needed")
    return LocalStore(path)


class LocalStore:
    """Galleries in a folder of this machine. Several processes may use it at once."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def gallery(self, version: str) -> Path:
        """Return the folder of a published gallery; `NotFoundError` when there is none of that version."""
        folder = self.path / "galleries" / check_version(version)
        if not folder.is_dir():
            known = ", ".join(self.versions()[-5:]) or "none"
            raise NotFoundError(f"no gallery '{version}' in {self.path}; published are: {known}")
        return folder

    def versions(self) -> list[str]:
        """Return the published versions, the oldest first."""
        folders = [path for path in (self.path / "galleries").glob("*") if path.is_dir()]
        made = {path.name: _created_at(path) for path in folders if VERSION.fullmatch(path.name)}
        return sorted(made, key=lambda version: (made[version], version))

    def live(self) -> LivePointer | None:
        """Return the pointer, None before the first swap. Raises `GalleryError` when `live.json` is damaged."""
        path = self.path / LIVE_FILE
        try:
            return LivePointer.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError as error:
            raise GalleryError(
                f"{path} is damaged: {error.errors()[0]['msg']}; remove it and swap to a version again"
            ) from None

    @contextmanager
    def staging(self, version: str) -> Iterator[Path]:
        """Give an empty folder inside the store to build a gallery in; it is removed unless `publish` took it."""
        self._refuse_published(version)
        self.path.mkdir(parents=True, exist_ok=True)
        self._sweep()
        folder = self.path / f".staging-{version}-{os.getpid()}"
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, staging_folder: Path, version: str) -> Path:
        """Move a finished gallery in, in one step, and return its folder.

        Raises `ConflictError` when the version exists, `GalleryError` when the folder is no whole gallery of it.
        """
        manifest = read_manifest(staging_folder)
        if manifest.version != version:
            raise GalleryError(f"{staging_folder} holds the gallery {manifest.version}, not {version}")
        for path in staging_folder.rglob("*"):
            _sync(path)
        folder = self.path / "galleries" / check_version(version)
        with self._locked():
            self._refuse_published(version)
            folder.parent.mkdir(exist_ok=True)
            staging_folder.rename(folder)
        _sync(folder.parent)
        return folder

    def swap(
        self, version: str, *, expected: str | None = None, spaces: Mapping[str, str] | None = None
    ) -> LivePointer:
        """Make a published gallery the live one and return the new pointer.

        `expected` is the version that must be live now (`NOTHING`: none); `spaces` are the running networks' ids.
        Raises `GalleryError` when the gallery does not verify or fit, `ConflictError` when another swap came first.
        """
        folder, before = self.gallery(version), self.live()
        _check_expected(before, expected)
        gallery = Gallery.open(folder, spaces=spaces)
        pair = ModelPair(gallery=version, models=gallery.manifest.spaces)
        gallery.close()
        if before is not None and before.live == pair:
            return before
        return self._set(LivePointer(live=pair, previous=before and before.live, updated_at=_now()), before=before)

    def rollback(self, *, spaces: Mapping[str, str] | None = None) -> LivePointer:
        """Make the previous gallery live again; the two change places. `NotFoundError` when there is none."""
        before = self.live()
        if before is None or before.previous is None:
            raise NotFoundError(f"nothing to roll back to in {self.path}: no gallery was live before this one")
        return self.swap(before.previous.gallery, expected=before.live.gallery, spaces=spaces)

    def _set(self, pointer: LivePointer, *, before: LivePointer | None) -> LivePointer:
        """Write the pointer if it is still the one seen before the gallery was verified."""
        with self._locked():
            if (now := self.live()) != before:
                other = now.live.gallery if now else "none"
                raise ConflictError(f"another swap came first: the live gallery is {other} now; look again")
            temporary = self.path / f".{LIVE_FILE}.{os.getpid()}.tmp"
            temporary.write_text(pointer.model_dump_json(indent=1) + "\n", encoding="utf-8")
            _sync(temporary)
            temporary.replace(self.path / LIVE_FILE)
        return pointer

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.path / LOCK_FILE).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # given back when the file is closed, also when the process dies
            yield

    def _refuse_published(self, version: str) -> None:
        if (self.path / "galleries" / check_version(version)).exists():
            raise ConflictError(f"gallery '{version}' exists in {self.path} already; give another --version")

    def _sweep(self) -> None:
        """Remove what killed builds left behind."""
        for folder in self.path.glob(".staging-*"):
            if not Path("/proc", folder.name.rsplit("-", 1)[-1]).exists():
                shutil.rmtree(folder, ignore_errors=True)


def check_version(version: str) -> str:
    """Return the version if it can name a folder: `OutOfRangeError` otherwise."""
    if not VERSION.fullmatch(version):
        raise OutOfRangeError(f"version '{version}' is not usable: letters, digits, '.', '_' and '-', at most 128")
    return version


def _check_expected(before: LivePointer | None, expected: str | None) -> None:
    live = NOTHING if before is None else before.live.gallery
    if expected is not None and expected != live:
        raise ConflictError(
            f"the live gallery is {live or 'none'}, expected {expected or 'none'}; look again before swapping"
        )


def _created_at(folder: Path) -> datetime:
    try:
        return read_manifest(folder).created_at
    except GalleryError:
        return datetime.min.replace(tzinfo=UTC)  # listed all the same, so that it can be seen and removed


def _now() -> datetime:
    return datetime.now(UTC)


def _sync(path: Path) -> None:
    """Bring a file or a folder to the disk, so that a rename never shows something empty after a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
