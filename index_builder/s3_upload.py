"""Files of this machine in, objects out: in parallel, big ones in parts; what is there already is not sent again.

S3 is told the SHA-256 of whatever it gets and refuses what changed on the way. Each object also carries its SHA-256 as
metadata, which is how a second run, and `Store.check`, know it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from botocore import exceptions

from catalog.terminal import progress
from index_builder.errors import StoreError
from index_builder.manifest import FileRecord
from index_builder.s3_bucket import SHA256, Bucket, Stored, Transfer, code_of, in_parallel


def upload(bucket: Bucket, folder: Path, files: Mapping[str, FileRecord], *, to: str, transfer: Transfer) -> None:
    """Send the files of a folder to `to`/<name>; run again it sends only what is missing.

    Raises `StoreError` when S3 refuses, or ends up with something else than the file.
    """
    looks = [partial(_held, bucket, f"{to}/{name}", record) for name, record in files.items()]
    held = dict(in_parallel(looks, workers=transfer.workers))
    missing = {name: record for name, record in files.items() if not held[f"{to}/{name}"]}
    small = {name: record for name, record in missing.items() if record.size_bytes <= transfer.part_bytes}
    big = [
        _Multipart(bucket, folder / name, f"{to}/{name}", record, transfer)
        for name, record in missing.items()
        if name not in small
    ]
    sends: list[Callable[[], None]] = [
        partial(_send, bucket, folder / name, f"{to}/{name}", record) for name, record in small.items()
    ]
    for one in big:
        one.begin()
        sends += one.sends()
    for _ in progress(in_parallel(sends, workers=transfer.workers), description="sending", total=len(sends)):
        pass
    for one in big:
        one.end()


def holds(stored: Stored | None, record: FileRecord) -> bool:
    """Whether an object is the file of this record, by what was noted when it was sent."""
    return stored is not None and (stored.size_bytes, stored.sha256) == (record.size_bytes, record.sha256)


def _held(bucket: Bucket, name: str, record: FileRecord) -> tuple[str, bool]:
    return name, holds(bucket.head(name), record)


def _send(bucket: Bucket, path: Path, name: str, record: FileRecord) -> None:
    content = path.read_bytes()
    with bucket.errors():
        bucket.client.put_object(
            Bucket=bucket.name,
            Key=bucket.key(name),
            Body=content,
            ChecksumAlgorithm="SHA256",
            ChecksumSHA256=base64.b64encode(bytes.fromhex(record.sha256)).decode(),
            Metadata={SHA256: record.sha256},
        )


class _Multipart:
    """A file on its way in parts: goes on with an upload that was stopped, as far as the parts are the same."""

    def __init__(self, bucket: Bucket, path: Path, name: str, record: FileRecord, transfer: Transfer) -> None:
        self._bucket, self._path, self._name, self._record = bucket, path, name, record
        self._part_bytes = transfer.part_bytes_of(record.size_bytes)
        self._upload_id = ""
        self._there: dict[int, dict[str, Any]] = {}
        self._sent: dict[int, dict[str, Any]] = {}

    @property
    def _where(self) -> dict[str, str]:
        return {"Bucket": self._bucket.name, "Key": self._bucket.key(self._name), "UploadId": self._upload_id}

    def begin(self) -> None:
        """Find the upload that was stopped, or open one."""
        begun = [upload_id for name, upload_id in self._bucket.uploads(self._name) if name == self._name]
        with self._bucket.errors():
            if begun:
                self._upload_id = begun[-1]
                self._there = {part["PartNumber"]: part for part in self._listed()}
                return
            answer = self._bucket.client.create_multipart_upload(
                Bucket=self._bucket.name,
                Key=self._bucket.key(self._name),
                ChecksumAlgorithm="SHA256",
                Metadata={SHA256: self._record.sha256},
            )
            self._upload_id = answer["UploadId"]

    def sends(self) -> list[Callable[[], None]]:
        """One call a part."""
        count = -(-self._record.size_bytes // self._part_bytes)
        return [partial(self._send, number) for number in range(1, count + 1)]

    def end(self) -> None:
        """Make the parts one object."""
        parts = [{"PartNumber": number, **self._sent[number]} for number in sorted(self._sent)]
        with self._bucket.errors():
            try:
                self._bucket.client.complete_multipart_upload(**self._where, MultipartUpload={"Parts": parts})
            except exceptions.ClientError as error:
                if code_of(error) != "NoSuchUpload":  # another run of this very upload ended it
                    raise
        if not holds(stored := self._bucket.head(self._name), self._record):
            got = "nothing" if stored is None else f"{stored.size_bytes} bytes, sha256 {(stored.sha256 or 'none')[:12]}"
            raise StoreError(
                f"{self._bucket.uri}/{self._name} is {got} after the upload, expected {self._record.size_bytes} bytes, "
                f"sha256 {self._record.sha256[:12]}; another upload of this version is at work, or the store failed"
            )

    def _send(self, number: int) -> None:
        with self._path.open("rb") as file:
            file.seek((number - 1) * self._part_bytes)
            content = file.read(self._part_bytes)
        checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
        etag = self._etag_there(number, content, checksum)
        if etag is None:
            with self._bucket.errors():
                answer = self._bucket.client.upload_part(
                    **self._where,
                    PartNumber=number,
                    Body=content,
                    ChecksumAlgorithm="SHA256",
                    ChecksumSHA256=checksum,
                )
            etag = answer["ETag"]
        self._sent[number] = {"ETag": etag, "ChecksumSHA256": checksum}

    def _etag_there(self, number: int, content: bytes, checksum: str) -> str | None:
        """The ETag of a part that was sent before and is the same; None otherwise."""
        part = self._there.get(number)
        if part is None or part["Size"] != len(content):
            return None
        etag = str(part["ETag"])
        if "ChecksumSHA256" in part:
            return etag if part["ChecksumSHA256"] == checksum else None
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()  # what ETags are made of
        return etag if etag.strip('"') == md5 else None

    def _listed(self) -> Iterator[dict[str, Any]]:
        for page in self._bucket.client.get_paginator("list_parts").paginate(**self._where):
            yield from page.get("Parts", ())
