"""Objects in, verified files of this machine out: by ranges, in parallel; what was fetched before is not asked again.

FOLDER/files/          the gallery to be, each file at its full length from the start
FOLDER/fetched/<n>     what is done of the n-th file: a line for each range, and one once its SHA-256 was right
FOLDER/manifest.json   the gallery that all this is of; another one begins anew
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from botocore import exceptions

from catalog.terminal import progress
from index_builder.errors import GalleryError, StoreError
from index_builder.integrity import MANIFEST, sha256_of
from index_builder.manifest import FileRecord
from index_builder.s3_bucket import GONE, Bucket, Transfer, code_of, in_parallel

FILES = "files"
FETCHED = "fetched"
VERIFIED = "verified"
CHUNK_BYTES = 2**20
STREAM_ATTEMPTS = 3  # botocore repeats a question, not an answer that breaks off
PAUSE_S = 0.5
BROKEN = (exceptions.ReadTimeoutError, exceptions.ResponseStreamingError, exceptions.IncompleteReadError)


def download(
    bucket: Bucket, folder: Path, files: Mapping[str, FileRecord], *, under: str, identity: bytes, transfer: Transfer
) -> Path:
    """Fetch `under`/<name> for every file into `folder` and return the folder of files, all of them verified.

    `identity` are the bytes of the gallery's manifest. Run again after a failure it goes on. Raises `GalleryError`
    when an object is missing or is not what its record says, `StoreError` when S3 or the disk fails.
    """
    _begin(folder, identity)
    ones = [
        _File(bucket, f"{under}/{name}", folder / FILES / name, folder / FETCHED / str(number), record, transfer)
        for number, (name, record) in enumerate(sorted(files.items()))
    ]
    try:
        wrong = _fetch([one for one in ones if not one.is_verified()], transfer)
        # Ranges of an earlier run may not have reached the disk before a power cut: once more, from the start.
        again = [one for one, resumed in wrong if resumed]
        wrong = [(one, False) for one, resumed in wrong if not resumed] + _fetch(again, transfer)
    except OSError as error:
        raise StoreError(f"{folder} can't be written: {error.strerror}; make room, then run it again") from error
    if wrong:
        raise GalleryError(f"{bucket.uri}/{wrong[0][0].name} is damaged: its sha256 is not the manifest's")
    return folder / FILES


def _begin(folder: Path, identity: bytes) -> None:
    """Keep what is there if it is of the same gallery."""
    mark = folder / MANIFEST
    if mark.exists() and mark.read_bytes() == identity:
        return
    for name in (FILES, FETCHED):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir()
    mark.write_bytes(identity)


@dataclass(frozen=True)
class _File:
    bucket: Bucket
    name: str
    path: Path
    journal: Path
    record: FileRecord
    transfer: Transfer

    def is_verified(self) -> bool:
        return VERIFIED in self.done()

    def done(self) -> set[str]:
        """The lines of the journal; one that was cut off in the middle is no range of ours."""
        try:
            return {line.rstrip("\n") for line in self.journal.open() if line.endswith("\n")}
        except FileNotFoundError:
            return set()

    def prepare(self) -> list[tuple[int, int]]:
        """Make room for the file and return its ranges that are missing, [start, end)."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        done = self.done() if self.path.exists() else set()
        with self.path.open("ab") as file:
            file.truncate(self.record.size_bytes)
        step = self.transfer.part_bytes
        starts = range(0, max(self.record.size_bytes, 1), step)  # an empty file is asked for too
        ranges = [(start, min(start + step, self.record.size_bytes)) for start in starts]
        return [one for one in ranges if _line(one) not in done]

    def fetch(self, span: tuple[int, int]) -> None:
        for attempt in range(1, STREAM_ATTEMPTS + 1):
            with self.bucket.errors():
                try:
                    self._fetch_once(*span)
                    break
                except exceptions.FlexibleChecksumError:
                    raise self._damaged("its bytes are not those that S3 was given") from None
                except BROKEN:
                    if attempt == STREAM_ATTEMPTS:
                        raise
            time.sleep(PAUSE_S * attempt)
        with self.journal.open("a") as file:
            file.write(f"{_line(span)}\n")

    def verify(self) -> bool:
        """Compare the whole file with its record; what is wrong is forgotten, so that it is fetched again."""
        if sha256_of(self.path) == self.record.sha256:
            with self.journal.open("a") as file:
                file.write(f"{VERIFIED}\n")
            return True
        self.journal.unlink(missing_ok=True)
        return False

    def _fetch_once(self, start: int, end: int) -> None:
        whole = (start, end) == (0, self.record.size_bytes)
        asked = {} if whole else {"Range": f"bytes={start}-{end - 1}"}
        try:
            answer = self.bucket.client.get_object(Bucket=self.bucket.name, Key=self.bucket.key(self.name), **asked)
        except exceptions.ClientError as error:
            if code_of(error) in GONE:
                raise GalleryError(f"{self.bucket.uri}/{self.name} is missing, so the gallery is incomplete") from None
            if code_of(error) in {"InvalidRange", "416"}:
                stored = self.bucket.head(self.name)
                raise self._wrong_size(stored.size_bytes if stored else 0) from None
            raise
        body = answer["Body"]
        with body:  # which gives another object, one that checks nothing
            total = _total(answer, whole=whole)
            if total != self.record.size_bytes:
                raise self._wrong_size(total)
            with self.path.open("r+b") as file:
                file.seek(start)
                for chunk in body.iter_chunks(CHUNK_BYTES):
                    file.write(chunk)
                if file.tell() != end:
                    raise exceptions.IncompleteReadError(actual_bytes=file.tell() - start, expected_bytes=end - start)

    def _wrong_size(self, got: int) -> GalleryError:
        return self._damaged(f"it has {got} bytes, the manifest says {self.record.size_bytes}")

    def _damaged(self, how: str) -> GalleryError:
        return GalleryError(f"{self.bucket.uri}/{self.name} is damaged: {how}")


def _fetch(files: list[_File], transfer: Transfer) -> list[tuple[_File, bool]]:
    """Fetch what is missing of the files; return those with a wrong checksum and whether an earlier run had a part."""
    missing = {one: one.prepare() for one in files}
    resumed = {one: bool(one.done()) for one in files}
    tasks: list[Callable[[], None]] = [partial(one.fetch, span) for one, spans in missing.items() for span in spans]
    _run(tasks, transfer, description="fetching")
    checks = [partial(_checked, one) for one in files]
    right = dict(in_parallel(checks, workers=transfer.workers))
    return [(one, resumed[one]) for one in files if not right[one]]


def _run(tasks: list[Callable[[], None]], transfer: Transfer, *, description: str) -> None:
    results: Iterator[None] = in_parallel(tasks, workers=transfer.workers)
    for _ in progress(results, description=description, total=len(tasks)):
        pass


def _checked(file: _File) -> tuple[_File, bool]:
    return file, file.verify()


def _line(span: tuple[int, int]) -> str:
    return f"{span[0]} {span[1]}"


def _total(answer: Mapping[str, Any], *, whole: bool) -> int:
    """The length of the whole object, from an answer that may hold a part of it."""
    if whole:
        return int(answer["ContentLength"])
    described = str(answer.get("ContentRange", ""))
    return int(described.rsplit("/", 1)[-1]) if "/" in described else -1
