"""What every store can do, wherever its galleries lie: swap, try, roll back, prune by compare-and-set of `live.json`.

A store of one kind (`local_store`, `s3_store`) brings the few steps below that know where files are.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from functools import partial
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
from index_builder.pointer_moves import (
    canary_of,
    check_canary,
    dropped,
    previous_of,
    promoted,
    refuse_on_trial,
    rolled_back,
    swapped,
    touched,
    with_canary,
)

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
    def journal(self) -> Journal:
        """Return the journal of changes since the builds, which need not exist yet."""

    @abstractmethod
    def sweep(self) -> list[str]:
        """Remove what killed builds and uploads left, and return what it was."""

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
        `ConflictError` when another swap came first or a canary runs. The alias of a gallery on Milvus moves behind the
        pointer; `NotReadyError` when it does not, although the gallery is live then.
        """
        before, state = self._look()
        check_expected(before, expected)
        refuse_on_trial(before, version)
        with self._opened(version, before, spaces=spaces, cache_folder=cache_folder) as gallery:
            return self._make_live(gallery, before=before, state=state, gate=gate)

    def swap_opened(
        self, gallery: GalleryReader, *, expected: str | None = None, gate: Gate | None = None
    ) -> LivePointer:
        """`swap` to a gallery of this store that the caller has opened, with its checksums and spaces checked."""
        before, state = self._look()
        check_expected(before, expected)
        _check_stays(gallery.manifest.version, before)
        self.check(gallery.manifest.version, deep=False)
        return self._make_live(gallery, before=before, state=state, gate=gate)

    def rollback(self, *, expected: str | None = None, spaces: Mapping[str, str] | None = None) -> LivePointer:
        """Make the previous gallery live again; the two change places. `NotFoundError` when there is none.

        It has been live, so it is checked as far as that needs no transfer: going back must be quick. A canary ends.
        """
        before, state = self._look()
        check_expected(before, expected)
        pair = previous_of(before, uri=self.uri)
        return self._move_back(rolled_back, pair, before=before, state=state, spaces=spaces)

    def canary(
        self,
        version: str,
        *,
        share: float,
        spaces: Mapping[str, str] | None = None,
        gate: Gate | None = None,
        cache_folder: Path | None = None,
    ) -> LivePointer:
        """Let a share of the replicas, above 0 and up to 1, answer from a published gallery; again: another share.

        Raises as `swap` does; `ConflictError` while another gallery is on trial, `OutOfRangeError` for the live one.
        """
        seen, state = self._look()
        before = check_canary(seen, version, share=share)
        with self._opened(version, before, spaces=spaces, cache_folder=cache_folder) as gallery:
            forced = gate(gallery, self._live_manifest(before)) if gate else None
            pair = ModelPair(gallery=version, models=gallery.manifest.spaces)
        step = partial(with_canary, pair=pair, share=share, forced=forced)
        return self._move(step, version, before=before, state=state)

    def promote(self, *, expected: str | None = None) -> LivePointer:
        """Make the canary live everywhere. `NotFoundError` when none runs; `expected` as in `swap`."""
        before, state = self._look()
        check_expected(before, expected)
        return self._move_back(promoted, canary_of(before), before=before, state=state)

    def drop(self) -> LivePointer:
        """End the canary: all replicas answer from the live gallery. `NotFoundError` when none runs."""
        before, state = self._look()
        canary_of(before)
        return self._move(dropped, None, before=before, state=state)

    def prune(self, *, keep: int = 0, dry_run: bool = False) -> list[str]:
        """Remove galleries, the oldest first, but live, previous, a canary and the `keep` newest others.

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
            if self._write_pointer(touched(pointer, removing=doomed).to_json(), state=state):
                return doomed

    def _unmark(self, doomed: list[str]) -> None:
        while True:
            pointer, state = self._look()
            if pointer is None or not set(doomed) & set(pointer.removing):
                return
            rest = [version for version in pointer.removing if version not in doomed]
            if self._write_pointer(touched(pointer, removing=rest).to_json(), state=state):
                return

    @contextmanager
    def _opened(
        self,
        version: str,
        before: LivePointer | None,
        *,
        spaces: Mapping[str, str] | None,
        cache_folder: Path | None,
    ) -> Iterator[GalleryReader]:
        """Fetch, verify and open a gallery that shall be named by the pointer."""
        _check_stays(version, before)
        self.check(version, deep=False)
        gallery = open_gallery(self.fetch(version, cache_folder), spaces=spaces)
        try:
            yield gallery
        finally:
            gallery.close()

    def _make_live(
        self, gallery: GalleryReader, *, before: LivePointer | None, state: str | None, gate: Gate | None
    ) -> LivePointer:
        manifest = gallery.manifest
        forced = gate(gallery, self._live_manifest(before)) if gate else None
        pair = ModelPair(gallery=manifest.version, models=manifest.spaces)
        step = partial(swapped, pair=pair, forced=forced)
        pointer = self._move(step, manifest.version, before=before, state=state)
        follow(self)
        return pointer

    def _move_back(
        self,
        step: Callable[[LivePointer], LivePointer],
        pair: ModelPair,
        *,
        before: LivePointer | None,
        state: str | None,
        spaces: Mapping[str, str] | None = None,
    ) -> LivePointer:
        """Move to a gallery that the pointer names already, so that it has been checked and answered before."""
        manifest = self.manifest(pair.gallery)
        if spaces is not None:
            check_spaces(manifest, spaces)
        self.check(pair.gallery)
        check_rows(manifest)
        pointer = self._move(step, pair.gallery, before=before, state=state)
        follow(self)
        return pointer

    def _move(
        self, step: Callable[..., LivePointer], version: str | None, *, before: LivePointer | None, state: str | None
    ) -> LivePointer:
        """Write what `step` makes of the pointer, if that still names what it did before `version` was verified."""
        while True:
            pointer = step(before)
            if pointer is before or self._write_pointer(pointer.to_json(), state=state):
                return pointer
            seen, state = self._look()
            if _pairs(seen) != _pairs(before):
                other = seen.live.gallery if seen else "none"
                raise ConflictError(f"another swap came first: the live gallery is {other} now; look again")
            if version is not None:  # only a prune came in between
                _check_stays(version, seen)
                self.check(version, deep=False)
            before = seen

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
        raise OutOfRangeError(f"version {version!r} is not usable: letters, digits, '.', '_' and '-', at most 128")
    return version


def check_expected(before: LivePointer | None, expected: str | None) -> None:
    """Raise `ConflictError` unless the live version is the `expected` one (`NOTHING`: none is, None: any is fine)."""
    live = NOTHING if before is None else before.live.gallery
    if expected is not None and expected != live:
        raise ConflictError(
            f"the live gallery is {live or 'none'}, expected {expected or 'none'}; look again before swapping"
        )


def _check_stays(version: str, pointer: LivePointer | None) -> None:
    if pointer is not None and version in pointer.removing:
        raise ConflictError(f"gallery '{version}' is being removed; `prune` again if the one at work was stopped")


def _pairs(pointer: LivePointer | None) -> object:
    return pointer and (pointer.live, pointer.previous, pointer.canary, pointer.canary_share)
