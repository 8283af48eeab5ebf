"""A model repository on this machine in, the same repository in the bucket out, under a name that its bytes decide."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore import exceptions

from catalog.errors import MalformedError, NotFoundError
from catalog.terminal import progress

FOLDER = "models"
CONFIG_FILE = "config.pbtxt"
SPACE_ID = re.compile(r'key:\s*"space_id"\s+value\s*\{\s*string_value:\s*"([^"]+)"')


def upload_models(s3: Any, repository: Path, bucket: str) -> str:
    """Copy a repository to s3://BUCKET/models/HASH/ and return that address; stopped, run it again and it goes on.

    Raises NotFoundError where the folder holds no model.
    """
    files = sorted(path for path in repository.rglob("*") if path.is_file())
    if not any(repository.glob(f"*/{CONFIG_FILE}")):
        raise NotFoundError(f"no model in {repository}: expected NAME/{CONFIG_FILE}")
    prefix = f"{FOLDER}/{_hash(repository, files)}/"
    there = dict(_objects(s3, bucket, prefix))
    for path in progress(files, description="models", total=len(files)):
        key = prefix + path.relative_to(repository).as_posix()
        if there.get(key) != path.stat().st_size:
            s3.upload_file(str(path), bucket, key)
    return f"s3://{bucket}/{prefix}"


def spaces_of(s3: Any, models_uri: str) -> dict[str, str]:
    """Model name -> space id of a repository in S3; raises NotFoundError where there is no model."""
    bucket, prefix = _parts(models_uri)
    spaces = {}
    try:
        for key, _ in _objects(s3, bucket, prefix):
            if key.endswith(f"/{CONFIG_FILE}"):
                text = s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()
                if (found := SPACE_ID.search(text)) is not None:
                    spaces[key.split("/")[-2]] = found[1]
    except s3.exceptions.NoSuchBucket:
        raise NotFoundError(f"no models at {models_uri}: there is no such bucket") from None
    if not spaces:
        raise NotFoundError(f"no models at {models_uri}: expected NAME/{CONFIG_FILE} with a space_id there")
    return spaces


def read_object(s3: Any, bucket: str, key: str) -> bytes | None:
    """The bytes of an object; None where there is none."""
    try:
        found: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    except exceptions.ClientError as error:
        if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
            return None
        raise
    return found


def _parts(uri: str) -> tuple[str, str]:
    found = urlsplit(uri)
    if found.scheme != "s3" or not found.netloc or not found.path.endswith("/"):
        raise MalformedError(f"{uri!r} names no models, expected a folder or s3://bucket/prefix/")
    return found.netloc, found.path.lstrip("/")


def _objects(s3: Any, bucket: str, prefix: str) -> Iterator[tuple[str, int]]:
    """(key, size in bytes) of what lies under a prefix."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for item in page.get("Contents", []):
            yield item["Key"], item["Size"]


def _hash(repository: Path, files: list[Path]) -> str:
    whole = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        whole.update(f"{path.relative_to(repository).as_posix()} {digest}\n".encode())
    return whole.hexdigest()[:16]
