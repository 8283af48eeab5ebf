"""A bucket and a prefix in, objects by name in and out; what boto3 raises becomes one sentence for a person."""

from __future__ import annotations

import base64
import hashlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore import exceptions
from botocore.config import Config
from botocore.parsers import ResponseParserError

from index_builder.errors import StoreError

T = TypeVar("T")

CONNECT_S = 5
READ_S = 60
ATTEMPTS = 4
WORKERS = 8
PART_BYTES = 16 * 2**20
MAX_PARTS = 10_000  # of one object, by S3's rules
SHA256 = "sha256"  # metadata of every object of a gallery
GONE = frozenset({"NoSuchKey", "404", "NotFound"})
CHANGED = frozenset({"PreconditionFailed", "412", "ConditionalRequestConflict", "409"})
DENIED = frozenset({"AccessDenied", "403", "Forbidden", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"})


@dataclass(frozen=True)
class Transfer:
    """How galleries travel. S3 takes parts of 5 MiB to 5 GiB; `part_bytes` times `workers` is the memory it takes."""

    part_bytes: int = PART_BYTES
    workers: int = WORKERS

    def part_bytes_of(self, size_bytes: int) -> int:
        """The size of the parts of one file, greater where there would be too many."""
        return max(self.part_bytes, -(-size_bytes // MAX_PARTS))


@dataclass(frozen=True)
class Stored:
    """What S3 says of an object without sending it."""

    size_bytes: int
    sha256: str | None  # None: it was not put here by a gallery store
    modified_at: datetime


@dataclass(frozen=True)
class Bucket:
    """Objects of a bucket by their name after the prefix. Methods may be called from several threads."""

    client: Any
    name: str
    prefix: str

    @property
    def uri(self) -> str:
        """The address of the prefix."""
        return f"s3://{self.name}/{self.prefix}" if self.prefix else f"s3://{self.name}"

    def key(self, name: str) -> str:
        """The key of an object."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def errors(self) -> AbstractContextManager[None]:
        """A context in which boto3's errors become a `StoreError`."""
        return s3_errors(self.uri, bucket=self.name)

    def get(self, name: str) -> tuple[bytes, str] | None:
        """The bytes of a small object and its ETag, None when there is none."""
        with self.errors():
            try:
                answer = self.client.get_object(Bucket=self.name, Key=self.key(name))
                body = answer["Body"]
                with body:  # which gives another object, one that checks nothing
                    return body.read(), answer["ETag"]
            except exceptions.ClientError as error:
                if code_of(error) not in GONE:
                    raise
        return None

    def put(self, name: str, content: bytes, *, etag: str | None) -> bool:
        """Write an object if its ETag still is this (None: if there is none); False otherwise."""
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        digest = hashlib.sha256(content)
        with self.errors():
            try:
                self.client.put_object(
                    Bucket=self.name,
                    Key=self.key(name),
                    Body=content,
                    ChecksumAlgorithm="SHA256",
                    ChecksumSHA256=base64.b64encode(digest.digest()).decode(),
                    Metadata={SHA256: digest.hexdigest()},
                    **condition,
                )
            except exceptions.ClientError as error:
                if code_of(error) not in CHANGED and not (etag is not None and code_of(error) in GONE):
                    raise
                # An answer may be lost and the request sent again, which then meets what it wrote itself.
                now = self.get(name)
                return now is not None and now[0] == content
        return True

    def head(self, name: str) -> Stored | None:
        """What S3 says of an object, None when there is none."""
        with self.errors():
            try:
                answer = self.client.head_object(Bucket=self.name, Key=self.key(name))
            except exceptions.ClientError as error:
                if code_of(error) not in GONE:
                    raise
                return None
        return Stored(answer["ContentLength"], answer.get("Metadata", {}).get(SHA256), answer["LastModified"])

    def names(self, under: str = "", *, after: str = "") -> Iterator[str]:
        """The names that begin with `under`, in order, from the one that follows `after` on."""
        start = {"StartAfter": self.key(after)} if after else {}
        for page in self._pages("list_objects_v2", Prefix=self.key(under), **start):
            for item in page.get("Contents", ()):
                yield self._name(item["Key"])

    def folders(self, under: str) -> list[str]:
        """What stands between `under` and the next slash, once each."""
        pages = self._pages("list_objects_v2", Prefix=self.key(under), Delimiter="/")
        found = [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", ())]
        return [self._name(prefix).removeprefix(under).rstrip("/") for prefix in found]

    def uploads(self, under: str) -> Iterator[tuple[str, str]]:
        """Name and id of the multipart uploads that were begun and not ended, the oldest first."""
        for page in self._pages("list_multipart_uploads", Prefix=self.key(under)):
            for item in page.get("Uploads", ()):
                yield self._name(item["Key"]), item["UploadId"]

    def delete_one(self, name: str) -> None:
        """Remove an object; nothing to do when it is gone already."""
        with self.errors():
            self.client.delete_object(Bucket=self.name, Key=self.key(name))

    def delete(self, under: str) -> None:
        """Remove every object and every unfinished upload whose name begins with `under`."""
        for name, upload_id in list(self.uploads(under)):
            with self.errors():
                try:
                    self.client.abort_multipart_upload(Bucket=self.name, Key=self.key(name), UploadId=upload_id)
                except exceptions.ClientError as error:
                    if code_of(error) != "NoSuchUpload":
                        raise
        names = iter(list(self.names(under)))
        while some := list(itertools.islice(names, 1000)):
            with self.errors():
                keys = [{"Key": self.key(name)} for name in some]
                answer = self.client.delete_objects(Bucket=self.name, Delete={"Objects": keys, "Quiet": True})
            if failed := answer.get("Errors"):
                raise StoreError(f"{self.uri}: {failed[0]['Key']} could not be removed: {failed[0].get('Message')}")

    def _pages(self, operation: str, **question: Any) -> Iterator[dict[str, Any]]:
        with self.errors():
            yield from self.client.get_paginator(operation).paginate(Bucket=self.name, **question)

    def _name(self, key: str) -> str:
        return key.removeprefix(f"{self.prefix}/") if self.prefix else key


def connect(*, endpoint_url: str | None = None, workers: int = WORKERS) -> Any:
    """An S3 client; credentials, region and, without `endpoint_url`, the endpoint are found by boto3 itself."""

    def client(style: str) -> Any:
        config = Config(
            connect_timeout=CONNECT_S,
            read_timeout=READ_S,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            max_pool_connections=workers,
            s3={"addressing_style": style},
        )
        return boto3.session.Session().client("s3", endpoint_url=endpoint_url or None, config=config)

    with s3_errors(endpoint_url or "S3"):
        made = client("auto")
        host = urlsplit(made.meta.endpoint_url).hostname or ""
        # An endpoint of one's own has no name per bucket.
        return made if host.endswith((".amazonaws.com", ".amazonaws.com.cn")) else client("path")


@contextmanager
def s3_errors(uri: str, *, bucket: str = "") -> Iterator[None]:
    """Turn what boto3 raises inside the block into a `StoreError` of one sentence."""
    try:
        yield
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        raise StoreError(
            f"no AWS credentials were found for {uri}; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE"
        ) from error
    except exceptions.ProfileNotFound as error:
        raise StoreError(f"{error}; AWS_PROFILE names a profile of ~/.aws/config") from error
    except (exceptions.ConnectionError, exceptions.HTTPClientError) as error:
        raise StoreError(f"the store {uri} was not reached ({error}); check the network and --endpoint-url") from error
    except exceptions.ClientError as error:
        raise StoreError(_refusal(error, uri, bucket)) from error
    except ResponseParserError as error:
        raise StoreError(f"what answers for {uri} is not S3; check --endpoint-url") from error
    except (exceptions.BotoCoreError, ValueError) as error:
        raise StoreError(f"the store {uri} can't be asked this way: {error}") from error


def _refusal(error: exceptions.ClientError, uri: str, bucket: str) -> str:
    code, said = code_of(error), error.response.get("Error", {}).get("Message") or "no reason given"
    if code == "NoSuchBucket":
        return f"the bucket {bucket} of the store {uri} does not exist; make it first, or check the name"
    if code in DENIED:
        return f"the store {uri} refuses {error.operation_name}: {said} ({code}); check credentials and bucket policy"
    if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
        return f"the store {uri} fails at {error.operation_name}, {ATTEMPTS} times: {said} ({code}); try again later"
    return f"the store {uri} refused {error.operation_name}: {said} ({code})"


def code_of(error: exceptions.ClientError) -> str:
    """S3's name of what went wrong."""
    return str(error.response.get("Error", {}).get("Code", ""))


def in_parallel(tasks: Sequence[Callable[[], T]], *, workers: int) -> Iterator[T]:
    """Yield what the tasks return, as they end; the first failure stops those that have not begun and is raised."""
    with ThreadPoolExecutor(workers, thread_name_prefix="s3") as pool:
        futures = [pool.submit(task) for task in tasks]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
