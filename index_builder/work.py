"""Where a build keeps its shards until the gallery is published, and what the next build may take from them.

WORK/lock                              held by flock: one builder at a time
WORK/<how pictures are seen>/<what is built>/shard-00000.arrow ...     a build at work, or one that was stopped
WORK/<how pictures are seen>/kept-<what was built>/                    the newest build that was published
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from catalog.errors import OutOfRangeError, ShopcamError
from index_builder.disk import written
from index_builder.earlier import INDEX_FILE, write_index
from index_builder.errors import ConflictError
from index_builder.pictures import Vision
from index_builder.shards import SHARD_FORMAT
from index_builder.store import LocalStore, Store

LOCK_FILE = "lock"
KEPT = "kept-"
GAVE_UP_FILE = "gave-up"
KEY_CHARACTERS = 16


@dataclass(frozen=True)
class BuildFolder:
    """The folder of one build's shards."""

    path: Path

    def shard(self, number: int) -> Path:
        """Return the file of a shard, which may not be there yet."""
        return self.path / f"shard-{number:05}.arrow"

    @property
    def gave_up(self) -> bool:
        """Whether the last run ended because too many rows were bad."""
        return (self.path / GAVE_UP_FILE).exists()

    def note_gave_up(self) -> None:
        """Leave word for the next run, which then looks at the bad pictures again."""
        with written(self.path / GAVE_UP_FILE) as temporary:
            temporary.touch()

    def forget_gave_up(self) -> None:
        """Take the word back: all pictures were looked at."""
        (self.path / GAVE_UP_FILE).unlink(missing_ok=True)


class WorkFolder:
    """A work folder that this process holds."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def build(self, source_key: str, vision: Vision, *, shard_entries: int, resume: bool) -> BuildFolder:
        """Return the folder for the shards of a catalog; without `resume` those that are there are removed."""
        facts = json.dumps([source_key, shard_entries, SHARD_FORMAT])
        name = hashlib.sha256(facts.encode()).hexdigest()[:KEY_CHARACTERS]
        folder = self._seen(vision) / name
        if not resume:
            _remove(folder)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / INDEX_FILE).unlink(missing_ok=True)  # made while another build looked; shards may change now
        return BuildFolder(folder)

    def others(self, build: BuildFolder) -> list[Path]:
        """Return the folders of other builds that saw pictures the same way, the one that was published first."""
        found = [path for path in build.path.parent.iterdir() if path.is_dir() and path != build.path]
        return sorted(found, key=lambda path: (not path.name.startswith(KEPT), path.name))

    def keep(self, build: BuildFolder) -> None:
        """Keep the shards of a published build for the next one, and remove all others.

        Stopped in between, nothing is lost: the next run finds the shards where they were, or where they are kept.
        """
        write_index(build.path)
        kept = build.path.with_name(f"{KEPT}{build.path.name}")
        _remove(kept)
        build.path.rename(kept)
        for seen in self.root.iterdir():
            for other in seen.iterdir() if seen.is_dir() else ():
                if other != kept:
                    _remove(other)
            if seen.is_dir() and seen != kept.parent:
                _remove(seen)

    def _seen(self, vision: Vision) -> Path:
        return self.root / vision.key[:KEY_CHARACTERS]


def default_work(store: Store) -> Path:
    """Return the work folder of a store: beside a folder, `.NAME-work`; in the cache of one on S3, `.work`."""
    if isinstance(store, LocalStore):
        path = store.path.resolve()
        return path.with_name(f".{path.name}-work")
    cache: Path | None = getattr(store, "cache", None)
    if cache is None:
        raise OutOfRangeError(f"the store {store.uri} has no place for a build's work; name a folder with --work")
    return cache / ".work"


@contextmanager
def work_folder(root: Path) -> Iterator[WorkFolder]:
    """Hold a work folder, which is made where it is missing. Raises `ConflictError` while another builder holds it."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / LOCK_FILE).open("w")
    except OSError as error:
        raise ShopcamError(
            f"the work folder {root} can't be made: {error.strerror}; name another with --work"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError(
                f"another build is at work in {root}; wait for it, or give this one its own --work"
            ) from None
        yield WorkFolder(root)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
