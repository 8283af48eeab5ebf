"""An address in, the store of galleries there out: a folder of this machine, or `s3://bucket/prefix`.

<store>/galleries/<version>/    immutable once published
<store>/live.json               the pair that answers now and the one before it; changed by compare-and-set only
"""

from __future__ import annotations

from pathlib import Path

from catalog.errors import MalformedError
from index_builder.errors import ConflictError
from index_builder.local_store import LocalStore
from index_builder.store_interface import NOTHING, Gate, Store, check_expected, check_version

__all__ = ["NOTHING", "ConflictError", "Gate", "LocalStore", "Store", "check_expected", "check_version", "open_store"]


def open_store(uri: str | Path, *, endpoint_url: str | None = None, cache: Path | None = None) -> Store:
    """Return the store at a folder or at s3://bucket/prefix, which need not exist yet.

    For S3, `endpoint_url` is the address of one that is not AWS (None: what AWS_ENDPOINT_URL or the AWS configuration
    says), and `cache` the folder that galleries are copied to (None: one under ~/.cache/shopcam). Raises
    `MalformedError` for any other address.
    """
    address = str(uri)
    if address.startswith("s3://"):
        from index_builder.s3_store import S3Store  # late: only those who keep galleries in S3 need boto3

        return S3Store.at(address, endpoint_url=endpoint_url, cache=cache)
    if "://" in address:
        raise MalformedError(f"the store '{address}' is neither a folder nor s3://bucket/prefix")
    path = Path(uri)
    if path.exists() and not path.is_dir():
        raise MalformedError(f"the store '{address}' is a file, a folder is needed")
    return LocalStore(path)
