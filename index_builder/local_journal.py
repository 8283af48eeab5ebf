"""A journal in a folder: a batch is written beside it and linked to its number, which fails where that is taken."""

from __future__ import annotations

import contextlib
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from index_builder import staging
from index_builder.errors import StoreError
from index_builder.journal import Journal, file_name, sequence_of

WRITING = ".writing-"
ABANDONED_AFTER = timedelta(days=1)


class LocalJournal(Journal):
    """Batches in a folder, which need not be there yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = str(folder)

    def sequences(self, *, after: int = 0) -> list[int]:
        """Return the numbers of the batches after one, ascending."""
        try:
            names = [path.name for path in self.folder.iterdir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"{self.uri} can't be read: {error.strerror}") from error
        return sorted(found for name in names if (found := sequence_of(name)) is not None and found > after)

    def _create(self, sequence: int, content: bytes) -> bool:
        temporary = self.folder / f"{WRITING}{uuid.uuid4().hex}"
        try:
            if not self.folder.is_dir():
                self.folder.mkdir(parents=True)
            temporary.write_bytes(content)
            staging.sync(temporary)
            (self.folder / file_name(sequence)).hardlink_to(temporary)
            staging.sync(self.folder)
        except OSError as error:
            if isinstance(error, FileExistsError) and self.folder.is_dir():
                return False  # the number is taken
            raise StoreError(f"{self.uri} can't be written: {error.strerror}") from error
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink()
        return True

    def _read(self, sequence: int) -> bytes | None:
        try:
            return (self.folder / file_name(sequence)).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"batch {sequence} of {self.uri} can't be read: {error.strerror}") from error

    def _written_at(self, sequence: int) -> datetime | None:
        return _changed_at(self.folder / file_name(sequence))

    def _remove(self, sequence: int) -> None:
        (self.folder / file_name(sequence)).unlink(missing_ok=True)

    def sweep(self) -> list[str]:
        """Remove what writers left that were killed more than a day ago, and return what it was."""
        swept = []
        for path in self.folder.glob(f"{WRITING}*"):
            when = _changed_at(path)
            if when is not None and datetime.now(UTC) - when > ABANDONED_AFTER:
                path.unlink(missing_ok=True)
                swept.append(str(path))
        return swept


def _changed_at(path: Path) -> datetime | None:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return None
