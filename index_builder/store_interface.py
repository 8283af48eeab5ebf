"""What every store can do, wherever its galleries lie: swap, roll back and prune by compare-and-set of `live.json`.

A store of one kind (`local_store`, `s3_store`) brings the few steps below that know where files are.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from catalog.errors import NotFoundError, OutOfRangeError
from index_builder.errors import ConflictError, GalleryError
from index_builder.gallery_reader import GalleryReader
from index_builder.integrity import check_spaces
from index_builder.journal import Journal
from index_builder.manifest import Forced, LivePointer, Manifest, ModelPair
from index_builder.milvus_alias import drop_rows, follow
from index_builder.opening import check_rows, open_gallery

NOTHING = ""  # `expected` for "no gallery is live yet"
GALLERIES = "galleries"
LIVE_FILE = "live.json"
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
LONG_AGO = datetime.min.replace(tzinfo=UTC)

# The gallery that would become live and the manifest of the one that is (None: there is none to compare with) in;
# None out when it may, `Forced` when somebody takes the blame; raises `GateError` otherwise.
Gate = Callable[[GalleryReader, Manifest | None], Forced | None]


class Store(ABC):
    """Galleries, each immutable once it is published, and the pointer to the live one. Many processes may use it."""

    uri: str

    @abstractmethod
    def exists(self) -> bool:
        """Whether anything is there at all."""

    @abstractmethod
    def versions(self) -> list[str]:
        """Return the published versions, the oldest first."""

    @abstractmethod
    def manifest(self, version: str) -> Manifest:
        """Return the manifest of a published gallery. `NotFoundError` for none, `GalleryError` when it is damaged."""

    @abstractmethod
    def where(self, version: str) -> str:
        """Return the address of a gallery in the store, for a person to read."""

    @abstractmethod
    def staging(self, version: str) -> AbstractContextManager[Path]:
        """Give an empty folder of this machine to build a gallery in; it is removed unless `publish` took it.

        Raises `ConflictError` when the version is taken or another process here builds it.
        """

    @abstractmethod
    def publish(self, folder: Path, version: str) -> None:
        """Take in a finished gallery folder: all of it or, when stopped, nothing that anybody would see.

        A folder of `staging` may be moved, any other is copied. Stopped, it can be run again. Raises `ConflictError`
        when the version is taken, `GalleryError` when the folder is no whole gallery of that version.
        """

    @abstractmethod
    def fetch(self, version: str, cache_folder: Path | None = None) -> Path:
        """Return a folder of this machine with the gallery, for `open_gallery`; `NotFoundError` when there is none.

        A local store gives its own folder. S3 copies into `cache_folder`/<version> (None: the store's default), which
        belongs to this store alone, verifies every file, and can be stopped and run again.
        """

    @abstractmethod
    def check(self, version: str, *, deep: bool = True) -> None:
        """Refuse a gallery whose files are not those of its manifest: `GalleryError`.

        `deep` compares checksums where no transfer is needed: of files in a folder, of what S3 noted on the way in.
        """

    @abstractmethod
    def sweep(self) -> list[str]:
        """Remove what killed builds and uploads left, and return what it was."""

    @abstractmethod
    def journal(self) -> Journal:
        """Return the journal of changes since the builds, which need not exist yet."""

    @abstractmethod
    def _remove(self, version: str) -> None:
        """Remove a gallery, its manifest first; nothing to do when it is gone already."""

    @abstractmethod
    def _read_pointer(self) -> tuple[bytes, str] | None:
        """Return the bytes of `live.json` and what tells this state of it from any other."""

    @abstractmethod
    def _write_pointer(self, content: bytes, *, state: str | None) -> bool:
        """Write `live.json` if it is still in this state (None: absent); False when somebody came first."""

    def gallery(self, version: str) -> Path:
        """Return a folder of this machine with a published gallery: `fetch` with the store's own cache."""
        return self.fetch(version)

    def live(self) -> LivePointer | None:
        """Return the pointer, None before the first swap. Raises `GalleryError` when `live.json` is damaged."""
        return self._look()[0]

    def swap(
        self,
        version: str,
        *,
        expected: str | None = None,
        spaces: Mapping[str, str] | None = None,
        gate: Gate | None = None,
        cache_folder: Path | None = None,
    ) -> LivePointer:
        """Make a published gallery the live one and return the new pointer.

        `expected` is the version that must be live now (`NOTHING`: none); `spaces` are the running networks' ids.
        Raises `GalleryError` when the gallery does not verify or fit, `GateError` when it does not pass the gate,
        `ConflictError` when another swap came first. The alias of a gallery on Milvus moves behind the pointer;
        `NotReadyError` when it does not, although the gallery is live then.
        """
        before, state = self._look()
        _check_expected(before, expected)
        _check_stays(version, before)
        self.check(version, deep=False)
        gallery = open_gallery(self.fetch(version, cache_folder), spaces=spaces)
        try:
            forced = gate(gallery, self._live_manifest(before)) if gate else None
            pair = ModelPair(gallery=version, models=gallery.manifest.spaces)
        finally:
            gallery.close()
        pointer = self._move(pair, before=before, state=state, forced=forced)
        follow(self)
        return pointer

    def rollback(self, *, spaces: Mapping[str, str] | None = None) -> LivePointer:
        """Make the previous gallery live again; the two change places. `NotFoundError` when there is none.

        It has been live, so it is checked as far as that needs no transfer: going back must be quick.
        """
        before, state = self._look()
        if before is None or before.previous is None:
            raise NotFoundError(f"nothing to roll back to in {self.uri}: no gallery was live before this one")
        version = before.previous.gallery
        manifest = self.manifest(version)
        if spaces is not None:
            check_spaces(manifest, spaces)
        self.check(version)
        check_rows(manifest)
        pointer = self._move(ModelPair(gallery=version, models=manifest.spaces), before=before, state=state)
        follow(self)
        return pointer

    def prune(self, *, keep: int = 0, dry_run: bool = False) -> list[str]:
        """Remove galleries, the oldest first, but the live one, the one before it and the `keep` newest others.

        Returns what was removed, or with `dry_run` what would be. No lock can keep a swap on another machine away, so
        the pointer first says what is being removed, by compare-and-set: a swap to one of these is refused from then
        on, and one that came first is seen. Stopped in between, the next prune goes on.
        """
        if keep < 0:
            raise OutOfRangeError(f"keep is {keep}, at least 0 is needed")
        doomed = self._mark_doomed(keep, dry_run=dry_run)
        if dry_run:
            return doomed
        removed = []
        for version in doomed:
            pointer = self.live()  # whatever happened to it meanwhile, a named gallery stays
            if pointer is not None and version not in pointer.named:
                self._drop_rows(version)  # first, while the manifest says where they are
                self._remove(version)
                removed.append(version)
        self._unmark(doomed)
        self.sweep()
        return removed

    def refuse_taken(self, version: str) -> None:
        """Raise `ConflictError` when a prune still removes a gallery of this name."""
        _check_stays(version, self.live())

    def _drop_rows(self, version: str) -> None:
        try:
            manifest = self.manifest(version)
        except (GalleryError, NotFoundError):
            return  # damaged, or removed by a prune that was stopped
        drop_rows(manifest)

    def _mark_doomed(self, keep: int, *, dry_run: bool) -> list[str]:
        while True:
            pointer, state = self._look()
            if pointer is None:
                raise NotFoundError(f"no gallery is live in {self.uri}, so prune can't tell what is in use; swap first")
            others = [version for version in self.versions() if version not in pointer.named]
            doomed = others[: max(len(others) - keep, 0)]
            doomed += [version for version in pointer.removing if version not in doomed]  # of a prune that was stopped
            if dry_run or not doomed:
                return doomed
            if self._write_pointer(_touched(pointer, removing=doomed).to_json(), state=state):
                return doomed

    def _unmark(self, doomed: list[str]) -> None:
        while True:
            pointer, state = self._look()
            if pointer is None or not set(doomed) & set(pointer.removing):
                return
            rest = [version for version in pointer.removing if version not in doomed]
            if self._write_pointer(_touched(pointer, removing=rest).to_json(), state=state):
                return

    def _move(
        self, pair: ModelPair, *, before: LivePointer | None, state: str | None, forced: Forced | None = None
    ) -> LivePointer:
        """Point to `pair` if the pointer still is what was seen before the gallery was verified."""
        if before is not None and before.live == pair:
            return before  # again: the way back is not lost
        while True:
            pointer = LivePointer(
                live=pair,
                previous=before and before.live,
                updated_at=_now(),
                forced=forced,
                removing=before.removing if before else [],
            )
            if self._write_pointer(pointer.to_json(), state=state):
                return pointer
            now, state = self._look()
            if _pairs(now) != _pairs(before):
                other = now.live.gallery if now else "none"
                raise ConflictError(f"another swap came first: the live gallery is {other} now; look again")
            _check_stays(pair.gallery, now)  # only a prune came in between
            self.check(pair.gallery, deep=False)
            before = now

    def _look(self) -> tuple[LivePointer | None, str | None]:
        read = self._read_pointer()
        if read is None:
            return None, None
        content, state = read
        try:
            return LivePointer.model_validate_json(content), state
        except ValidationError as error:
            raise GalleryError(
                f"{self.uri}/{LIVE_FILE} is damaged: {error.errors()[0]['msg']}; remove it and swap to a version again"
            ) from None

    def _live_manifest(self, pointer: LivePointer | None) -> Manifest | None:
        try:
            return None if pointer is None else self.manifest(pointer.live.gallery)
        except (GalleryError, NotFoundError):
            return None  # a damaged live gallery must not keep a good one out


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


def _check_stays(version: str, pointer: LivePointer | None) -> None:
    if pointer is not None and version in pointer.removing:
        raise ConflictError(f"gallery '{version}' is being removed; `prune` again if the one at work was stopped")


def _pairs(pointer: LivePointer | None) -> object:
    return pointer and (pointer.live, pointer.previous, pointer.canary)


def _touched(pointer: LivePointer, *, removing: list[str]) -> LivePointer:
    """The pointer with other removals; the time makes its bytes new, so that no state ever comes back."""
    return pointer.model_copy(update={"removing": removing, "updated_at": _now()})


def _now() -> datetime:
    return datetime.now(UTC)
