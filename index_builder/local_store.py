"""A store in a folder of this machine, which other hosts may share.

STORE/galleries/<version>/    immutable once there: built in STORE/.staging-*, then renamed
STORE/journal/<sequence>.batch   changes since the builds
STORE/live.json               the pair that answers now and the one before it; written under a lock, then renamed
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from catalog.errors import NotFoundError
from index_builder import staging
from index_builder.errors import ConflictError, GalleryError
from index_builder.integrity import MANIFEST, check_files, read_manifest
from index_builder.journal import JOURNAL
from index_builder.local_journal import LocalJournal
from index_builder.manifest import Manifest
from index_builder.store_interface import GALLERIES, LIVE_FILE, LONG_AGO, VERSION, Store, check_version

LOCK_FILE = ".lock"
REMOVED = ".removed-"


class LocalStore(Store):
    """Galleries in a folder. Several processes may use it at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.uri = str(path)

    def exists(self) -> bool:
        """Whether the folder is there."""
        return self.path.is_dir()

    def versions(self) -> list[str]:
        """Return the published versions, the oldest first."""
        folders = [path for path in (self.path / GALLERIES).glob("*") if path.is_dir()]
        made = {path.name: _created_at(path) for path in folders if VERSION.fullmatch(path.name)}
        return sorted(made, key=lambda version: (made[version], version))

    def where(self, version: str) -> str:
        """Return the folder of a gallery."""
        return str(self.path / GALLERIES / check_version(version))

    def manifest(self, version: str) -> Manifest:
        """Return the manifest of a published gallery."""
        return read_manifest(self.fetch(version))

    def fetch(self, version: str, cache_folder: Path | None = None) -> Path:  # noqa: ARG002 - nothing to copy here
        """Return the folder of a published gallery; `NotFoundError` when there is none of that version."""
        folder = Path(self.where(version))
        if not folder.is_dir():
            known = ", ".join(self.versions()[-5:]) or "none"
            raise NotFoundError(f"no gallery '{version}' in {self.path}; published are: {known}")
        return folder

    def check(self, version: str, *, deep: bool = True) -> None:
        """Refuse a gallery with missing or changed files; only their sizes are looked at unless `deep`."""
        folder = self.fetch(version)
        check_files(folder, read_manifest(folder), verify=deep)

    @contextmanager
    def staging(self, version: str) -> Iterator[Path]:
        """Give an empty folder inside the store to build a gallery in; it is removed unless `publish` took it."""
        self.refuse_taken(version)
        with staging.staging_folder(self.path, version) as folder:
            yield folder

    def publish(self, folder: Path, version: str) -> None:
        """Move a finished gallery in from `staging`, or a copy of one from elsewhere, in one step."""
        manifest = read_manifest(folder)
        if manifest.version != version:
            raise GalleryError(f"{folder} holds the gallery {manifest.version}, not {version}")
        if folder.parent.parent == self.path and folder.parent.name.startswith(staging.PREFIX):
            self._take_in(folder, version)
            return
        check_files(folder, manifest, verify=False)
        with self.staging(version) as copy:
            for name in (*manifest.files, MANIFEST):
                (copy / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / name, copy / name)
            check_files(copy, manifest)
            self._take_in(copy, version)

    def refuse_taken(self, version: str) -> None:
        """Raise `ConflictError` when the version is published or being removed."""
        if Path(self.where(version)).exists():
            raise ConflictError(f"gallery '{version}' exists in {self.path} already; give another --version")
        super().refuse_taken(version)

    def sweep(self) -> list[str]:
        """Remove what killed builds, updates and removals left."""
        for folder in self.path.glob(f"{REMOVED}*"):
            shutil.rmtree(folder, ignore_errors=True)
        return [str(folder) for folder in staging.sweep(self.path)] + self.journal().sweep()

    def journal(self) -> LocalJournal:
        """Return the journal in the store's folder."""
        return LocalJournal(self.path / JOURNAL)

    def _take_in(self, folder: Path, version: str) -> None:
        staging.sync_tree(folder)
        target = Path(self.where(version))
        with self._locked():
            self.refuse_taken(version)
            target.parent.mkdir(exist_ok=True)
            folder.rename(target)
        staging.sync(target.parent)

    def _remove(self, version: str) -> None:
        gone = self.path / f"{REMOVED}{check_version(version)}"
        shutil.rmtree(gone, ignore_errors=True)
        with self._locked():
            if Path(self.where(version)).exists():
                Path(self.where(version)).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def _read_pointer(self) -> tuple[bytes, str] | None:
        try:
            content = (self.path / LIVE_FILE).read_bytes()
        except FileNotFoundError:
            return None
        return content, hashlib.sha256(content).hexdigest()

    def _write_pointer(self, content: bytes, *, state: str | None) -> bool:
        with self._locked():
            now = self._read_pointer()
            if (now and now[1]) != state:
                return False
            temporary = self.path / f".{LIVE_FILE}.tmp"  # one is enough under the lock
            temporary.write_bytes(content)
            staging.sync(temporary)
            temporary.replace(self.path / LIVE_FILE)
        return True

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.path / LOCK_FILE).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # given back when the file is closed, also when the process dies
            yield


def _created_at(folder: Path) -> datetime:
    try:
        return read_manifest(folder).created_at
    except GalleryError:
        return LONG_AGO  # listed all the same, so that it can be seen and removed
