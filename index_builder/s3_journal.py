"""A journal under a prefix of a bucket: a batch is one conditional PUT, which fails where the number is taken."""

from __future__ import annotations

from datetime import datetime

from index_builder.journal import JOURNAL, Journal, file_name, sequence_of
from index_builder.s3_bucket import Bucket


class S3Journal(Journal):
    """Batches beside the galleries of a bucket. A look for new ones is one LIST from the last name on."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self.uri = f"{bucket.uri}/{JOURNAL}"

    def sequences(self, *, after: int = 0) -> list[int]:
        """Return the numbers of the batches after one, ascending."""
        under = f"{JOURNAL}/"
        names = (name.removeprefix(under) for name in self._bucket.names(under, after=_name(after)))
        return sorted(found for name in names if (found := sequence_of(name)) is not None)

    def _create(self, sequence: int, content: bytes) -> bool:
        return self._bucket.put(_name(sequence), content, etag=None)

    def _read(self, sequence: int) -> bytes | None:
        got = self._bucket.get(_name(sequence))
        return None if got is None else got[0]

    def _written_at(self, sequence: int) -> datetime | None:
        stored = self._bucket.head(_name(sequence))
        return None if stored is None else stored.modified_at

    def _remove(self, sequence: int) -> None:
        self._bucket.delete_one(_name(sequence))


def _name(sequence: int) -> str:
    return f"{JOURNAL}/{file_name(sequence)}"
