"""The name of a bucket in, an empty bucket out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from infra.aws import CloudError


def empty_bucket(
    s3: Any, bucket: str, *, on_removed: Callable[[int], None] = lambda _: None, page_size: int = 1000
) -> int:
    """Remove every version, delete marker and unfinished upload of `bucket`; returns how many things were removed.

    `on_removed` is told the count so far. A bucket that is gone counts as empty. Raises CloudError where an object
    can't be removed.
    """
    try:
        return _empty(s3, bucket, on_removed, page_size)
    except s3.exceptions.NoSuchBucket:
        return 0  # removed by hand; its stack may go all the same


def _empty(s3: Any, bucket: str, on_removed: Callable[[int], None], page_size: int) -> int:
    removed = 0
    # Always the first page: what it listed is gone when it is asked for again.
    while found := _first_page(s3, bucket, page_size):
        failed = s3.delete_objects(Bucket=bucket, Delete={"Objects": found, "Quiet": True}).get("Errors", [])
        if failed:
            first = failed[0]
            raise CloudError(f"{len(failed)} objects of {bucket} stay; first: {first['Key']} ({first['Message']})")
        removed += len(found)
        on_removed(removed)
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
        for upload in page.get("Uploads", []):
            s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
            removed += 1
    return removed


def _first_page(s3: Any, bucket: str, page_size: int) -> list[dict[str, str]]:
    page = s3.list_object_versions(Bucket=bucket, MaxKeys=page_size)
    found = page.get("Versions", []) + page.get("DeleteMarkers", [])
    return [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]
