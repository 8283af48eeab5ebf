"""Changes of a catalog between two builds: batches in, numbered and never changed again, batches out in their order.

JOURNAL/<sequence>.batch    12 digits from 1, without gaps; made in one step that fails when the number is taken

A journal of one kind (`local_journal`, `s3_journal`) brings the few steps below that know where files are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta

from index_builder.batch import Batch, decode, encode
from index_builder.errors import ConflictError, JournalError

JOURNAL = "journal"
SUFFIX = ".batch"
DIGITS = 12
ATTEMPTS = 100  # numbers that others may take before us
YOUNG = timedelta(days=1)  # a build that began before a batch was merged may still need it


class Journal(ABC):
    """The batches of one store. Many processes may write and read it at once."""

    uri: str

    @abstractmethod
    def sequences(self, *, after: int = 0) -> list[int]:
        """Return the numbers of the batches after one, ascending. `StoreError` when the store is not reached."""

    @abstractmethod
    def _create(self, sequence: int, content: bytes) -> bool:
        """Write a batch, all of it or nothing that anybody would see; False when the number is taken."""

    @abstractmethod
    def _read(self, sequence: int) -> bytes | None:
        """Return the bytes of a batch, None when there is none of this number."""

    @abstractmethod
    def _written_at(self, sequence: int) -> datetime | None:
        """Return when a batch was written, None when it is gone."""

    @abstractmethod
    def _remove(self, sequence: int) -> None:
        """Remove a batch; nothing to do when it is gone already."""

    def last(self, *, after: int = 0) -> int:
        """Return the number of the newest batch, `after` where none follows it."""
        return max(self.sequences(after=after), default=after)

    def append(self, batch: Batch, *, after: int = 0) -> int:
        """Write a batch under the next number, which is returned; `after` is one that is known to be taken.

        Stopped at any moment, the journal has all of the batch or nothing. Raises `ConflictError` when others always
        come first, `StoreError` when the store is not reached.
        """
        content = encode(batch)
        for _ in range(ATTEMPTS):
            after = self.last(after=after)
            if self._create(after + 1, content):
                return after + 1
        raise ConflictError(f"{ATTEMPTS} others wrote into {self.uri} before this batch; run it again")

    def read(self, sequence: int) -> Batch:
        """Return a batch. Raises `JournalError` when it is missing or damaged."""
        content = self._read(sequence)
        where = f"batch {sequence} of {self.uri}"
        if content is None:
            raise JournalError(f"{where} is missing, although later ones may be there; build the gallery again")
        try:
            return decode(content, sequence=sequence)
        except ValueError as error:
            raise JournalError(f"{where} is damaged: {error}; build the gallery again") from error

    def prune(self, *, through: int, dry_run: bool = False) -> list[int]:
        """Remove the batches up to a number that all galleries have merged; return which.

        The newest batch stays, so that no number is ever given twice, and so do batches younger than a day.
        """
        removed = []
        for sequence in self.sequences()[:-1]:
            written = self._written_at(sequence)
            if sequence > through or written is None or datetime.now(UTC) - written < YOUNG:
                break  # in order, so that what stays has no gaps
            if not dry_run:
                self._remove(sequence)
            removed.append(sequence)
        return removed


def file_name(sequence: int) -> str:
    """The name of a batch."""
    return f"{sequence:0{DIGITS}d}{SUFFIX}"


def sequence_of(name: str) -> int | None:
    """The number in a batch's name, None for any other name."""
    digits = name.removesuffix(SUFFIX)
    return int(digits) if name.endswith(SUFFIX) and len(digits) == DIGITS and digits.isdecimal() else None
