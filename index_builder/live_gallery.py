"""An open gallery and its store's journal in, the gallery as it is now out: what every replica of the service asks.

live = LiveGallery(Gallery.open(folder), store.journal())
live.refresh()              # every second or so, in a thread of its own; quick when nothing is new
live.gallery.search(...)    # never waits for a refresh; take the reader once a request
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from catalog.errors import ShopcamError
from index_builder.batch import Batch
from index_builder.errors import JournalError
from index_builder.gallery import Gallery
from index_builder.gallery_reader import GalleryReader
from index_builder.journal import Journal

APPLY_ROWS = 5_000  # pictures of batches that are held in memory before they are applied


@dataclass(frozen=True)
class JournalState:
    """How far a gallery follows its journal.

    `sequence` is the last batch that was dealt with; `applied` and `skipped` count those since the gallery was opened,
    `misfits` says why the last few were skipped. `reason` is why it does not go on, None when it does.
    """

    sequence: int
    applied: int = 0
    skipped: int = 0
    misfits: tuple[str, ...] = ()
    reason: str | None = None


class LiveGallery:
    """A gallery that follows a journal. Threads may ask for `gallery` at any time; refreshes go one at a time.

    One whose rows lie elsewhere (Milvus) takes no changes in: they wait for the next build.
    """

    def __init__(self, gallery: GalleryReader, journal: Journal) -> None:
        self._gallery = gallery
        self._journal = journal
        self._state = JournalState(gallery.sequence)
        self._lock = threading.Lock()

    @property
    def gallery(self) -> GalleryReader:
        """The reader with all changes so far. An older one goes on answering as it did, and its rows mean the same."""
        return self._gallery

    @property
    def state(self) -> JournalState:
        """How far it follows, as the last refresh found it."""
        return self._state

    def refresh(self) -> JournalState:
        """Take in what is new in the journal and return the new state.

        Raises nothing of the journal's: where that is damaged or not reached, the last state stays and says why. A
        batch of other networks is skipped, since a gallery of those may be on its way.
        """
        with self._lock:
            if not isinstance(self._gallery, Gallery):
                self._state = replace(self._state, reason=self._left_out())
                return self._state
            sequence, reason, misfits = self._state.sequence, None, list(self._state.misfits)
            applied, skipped, waiting = self._state.applied, self._state.skipped, list[Batch]()
            try:
                for number in self._journal.sequences(after=sequence):
                    if number != sequence + 1:
                        raise JournalError(
                            f"batch {sequence + 1} of {self._journal.uri} is missing; build the gallery again"
                        )
                    batch = self._journal.read(number)
                    if (misfit := batch.made_for.misfit(self._gallery.manifest)) is None:
                        waiting, applied = [*waiting, batch], applied + 1
                    else:
                        misfits, skipped = [*misfits[-2:], f"batch {number} was skipped: {misfit}"], skipped + 1
                    sequence = number
                    if sum(one.rows for one in waiting) > APPLY_ROWS:
                        waiting = self._apply(waiting)
            except ShopcamError as error:
                reason = str(error)
            self._apply(waiting)
            self._state = JournalState(sequence, applied, skipped, tuple(misfits), reason)
            return self._state

    def to_cpu(self) -> None:
        """Answer without the GPU from now on; see `Gallery.to_cpu`."""
        with self._lock:
            if isinstance(self._gallery, Gallery):
                self._gallery.to_cpu()

    def close(self) -> None:
        """Let go of the gallery; readers that were taken before are let go of by those who took them."""
        with self._lock:
            self._gallery.close()

    def _left_out(self) -> str | None:
        """Why changes are not here, of a gallery that takes none in; None while there are none."""
        try:
            waiting = len(self._journal.sequences(after=self._state.sequence))
        except ShopcamError as error:
            return str(error)
        if not waiting:
            return None
        return f"{waiting} batches of changes wait for the next build, since this gallery's rows lie on Milvus"

    def _apply(self, batches: list[Batch]) -> list[Batch]:
        if batches and isinstance(self._gallery, Gallery):
            self._gallery = self._gallery.with_changes(batches)
        return []
