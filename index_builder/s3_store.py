"""A store in S3, or in what speaks S3.

PREFIX/galleries/<version>/...             the gallery; manifest.json comes last, so half an upload is no gallery
PREFIX/publishing/<version>.json           which gallery is on its way in under this name; gone once it is whole
PREFIX/journal/<sequence>.batch            changes since the builds
PREFIX/live.json                           the pair that answers now; changed by conditional PUT only
CACHE/<version>/                           a verified copy of a gallery on this machine
CACHE/.staging-<version>, .fetch-<version> what is being built, what is being fetched
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from pydantic import BaseModel, ValidationError

from catalog.errors import MalformedError, NotFoundError, ShopcamError
from index_builder import staging
from index_builder.errors import ConflictError, GalleryError
from index_builder.integrity import MANIFEST, check_files, check_names, parse_manifest, read_manifest
from index_builder.local_store import LocalStore
from index_builder.manifest import Manifest
from index_builder.s3_bucket import Bucket, Stored, Transfer, connect, in_parallel
from index_builder.s3_download import download
from index_builder.s3_journal import S3Journal
from index_builder.s3_upload import upload
from index_builder.store_interface import GALLERIES, LIVE_FILE, LONG_AGO, VERSION, Store, check_version

ADDRESS = re.compile(r"s3://(?P<bucket>[A-Za-z0-9][A-Za-z0-9._-]{1,62})(?:/(?P<prefix>[A-Za-z0-9/!_.*'()=@+-]*))?")
PUBLISHING = "publishing"
UNSENT = "unsent"  # in the cache: a local store with what was built but could not be sent
ABANDONED_AFTER = timedelta(days=1)


class _Publishing(BaseModel):
    """That a gallery is being sent: which one, so that a second run can tell whether it is its own."""

    manifest_sha256: str


class S3Store(Store):
    """Galleries under a prefix of a bucket."""

    def __init__(self, bucket: Bucket, *, cache: Path, transfer: Transfer | None = None) -> None:
        self.uri = bucket.uri
        self.cache = cache
        self._bucket = bucket
        self._transfer = transfer or Transfer()

    @classmethod
    def at(
        cls, uri: str, *, endpoint_url: str | None = None, cache: Path | None = None, transfer: Transfer | None = None
    ) -> S3Store:
        """The store at s3://bucket/prefix; `MalformedError` for another address. Nothing is asked yet."""
        match = ADDRESS.fullmatch(uri)
        parts = [] if match is None else [part for part in (match["prefix"] or "").split("/") if part]
        if match is None or {".", ".."} & set(parts):
            raise MalformedError(f"the store '{uri}' has no usable bucket and prefix, expected s3://bucket/prefix")
        transfer = transfer or Transfer()
        client = connect(endpoint_url=endpoint_url, workers=transfer.workers)
        bucket = Bucket(client, match["bucket"], "/".join(parts))
        return cls(bucket, cache=cache or _default_cache(f"{client.meta.endpoint_url} {bucket.uri}"), transfer=transfer)

    def exists(self) -> bool:
        """Whether any object has the prefix."""
        return next(self._bucket.names(), None) is not None

    def versions(self) -> list[str]:
        """Return the published versions, the oldest first; half uploads are none."""
        found = [name for name in self._bucket.folders(f"{GALLERIES}/") if VERSION.fullmatch(name)]
        asks = [partial(self._created_at, version) for version in found]
        made = in_parallel(asks, workers=self._transfer.workers)
        return [version for when, version in sorted((when, version) for version, when in made if when is not None)]

    def where(self, version: str) -> str:
        """Return the address of a gallery."""
        return f"{self.uri}/{_folder(version)}"

    def manifest(self, version: str) -> Manifest:
        """Return the manifest of a published gallery."""
        return self._read(version)[1]

    def check(self, version: str, *, deep: bool = True) -> None:  # noqa: ARG002 - one question an object tells both
        """Refuse a gallery with a missing object or one of another size, or another SHA-256 by what S3 noted of it."""
        self._check_stored(self.manifest(version))

    def fetch(self, version: str, cache_folder: Path | None = None) -> Path:
        """Return a verified copy of a gallery in `cache_folder`/<version>; only what is missing there is asked for."""
        content, manifest = self._read(version)
        cache = cache_folder or self.cache
        folder = cache / version
        with staging.locked_folder(cache / f".fetch-{version}") as work:
            if not _is_copy(folder, content, manifest):
                files = download(
                    self._bucket,
                    work,
                    manifest.files,
                    under=_folder(version),
                    identity=content,
                    transfer=self._transfer,
                )
                (files / MANIFEST).write_bytes(content)
                staging.sync_tree(files)
                if folder.exists():  # damaged, or of another gallery that had the name
                    folder.rename(work / "old")
                files.rename(folder)
            shutil.rmtree(work, ignore_errors=True)
        return folder

    @contextmanager
    def staging(self, version: str) -> Iterator[Path]:
        """Give an empty folder of the cache. A gallery that was finished but could not be sent is kept aside."""
        self.refuse_taken(version)
        with staging.staging_folder(self.cache, version) as folder:
            try:
                yield folder
            except ShopcamError as error:
                if not (folder / MANIFEST).exists():
                    raise
                unsent = LocalStore(self.cache / UNSENT)
                unsent.publish(folder, version)
                raise type(error)(
                    f"{error}; the gallery is finished and kept: send it with `python -m index_builder publish "
                    f"--store {unsent.path} --version {version} --to {self.uri}`"
                ) from error

    def publish(self, folder: Path, version: str) -> None:
        """Send a finished gallery, its manifest last; stopped in between, the next run sends what is missing.

        Published already with the very same manifest, there is nothing to do.
        """
        manifest = read_manifest(folder)
        if manifest.version != version:
            raise GalleryError(f"{folder} holds the gallery {manifest.version}, not {version}")
        content = (folder / MANIFEST).read_bytes()
        check_files(folder, manifest)
        self.refuse_taken(version, unless=content)
        claim = f"{PUBLISHING}/{version}.json"
        self._claim(claim, version, content)
        upload(self._bucket, folder, manifest.files, to=_folder(version), transfer=self._transfer)
        self._check_stored(manifest)
        if not self._bucket.put(f"{_folder(version)}/{MANIFEST}", content, etag=None):
            self.refuse_taken(version)
        self._bucket.delete_one(claim)

    def refuse_taken(self, version: str, *, unless: bytes | None = None) -> None:
        """Raise `ConflictError` when the version is published, `unless` with this manifest, or being removed."""
        there = self._bucket.get(f"{_folder(version)}/{MANIFEST}")
        if there is not None and there[0] != unless:
            raise ConflictError(f"gallery '{version}' exists in {self.uri} already; give another --version")
        super().refuse_taken(version)

    def sweep(self) -> list[str]:
        """Remove uploads that were begun more than a day ago and not ended, and killed builds of this machine."""
        swept = [str(folder) for folder in staging.sweep(self.cache)]
        for name in list(self._bucket.names(f"{PUBLISHING}/")):
            version = name.removeprefix(f"{PUBLISHING}/").removesuffix(".json")
            claim = self._bucket.head(name)
            if claim is None or datetime.now(UTC) - claim.modified_at < ABANDONED_AFTER:
                continue
            if self._bucket.head(f"{_folder(version)}/{MANIFEST}") is None:
                self._bucket.delete(f"{_folder(version)}/")
                swept.append(self.where(version))
            self._bucket.delete_one(name)
        return swept

    def journal(self) -> S3Journal:
        """Return the journal under the store's prefix."""
        return S3Journal(self._bucket)

    def _read(self, version: str) -> tuple[bytes, Manifest]:
        name = f"{_folder(version)}/{MANIFEST}"
        got = self._bucket.get(name)
        if got is None:
            known = ", ".join(self.versions()[-5:]) or "none"
            raise NotFoundError(f"no gallery '{version}' in {self.uri}; published are: {known}")
        path = f"{self.uri}/{name}"
        manifest = parse_manifest(got[0], path=path)
        check_names(manifest, path=path)
        return got[0], manifest

    def _check_stored(self, manifest: Manifest) -> None:
        heads = [partial(self._head, manifest.version, name) for name in manifest.files]
        for name, stored in in_parallel(heads, workers=self._transfer.workers):
            expected = manifest.files[name]
            where = f"{self.where(manifest.version)}/{name}"
            if stored is None:
                raise GalleryError(f"gallery {manifest.version} is incomplete: {where} is missing")
            if stored.size_bytes != expected.size_bytes:
                raise GalleryError(
                    f"gallery {manifest.version} is damaged: {where} has {stored.size_bytes} bytes, "
                    f"the manifest says {expected.size_bytes}"
                )
            if stored.sha256 not in (None, expected.sha256):
                raise GalleryError(
                    f"gallery {manifest.version} is damaged: {where} has sha256 {stored.sha256[:12]}..., "
                    f"the manifest says {expected.sha256[:12]}..."
                )

    def _head(self, version: str, name: str) -> tuple[str, Stored | None]:
        return name, self._bucket.head(f"{_folder(version)}/{name}")

    def _created_at(self, version: str) -> tuple[str, datetime | None]:
        name = f"{_folder(version)}/{MANIFEST}"
        got = self._bucket.get(name)
        if got is None:
            return version, None
        try:
            return version, parse_manifest(got[0], path=name).created_at
        except GalleryError:
            return version, LONG_AGO  # listed all the same, so that it can be seen and removed

    def _claim(self, claim: str, version: str, content: bytes) -> None:
        """Say which gallery comes under this name, so that two of them never mix."""
        mine = _Publishing(manifest_sha256=hashlib.sha256(content).hexdigest())
        if self._bucket.put(claim, mine.model_dump_json().encode(), etag=None):
            return
        got = self._bucket.get(claim)
        try:
            other = None if got is None else _Publishing.model_validate_json(got[0])
        except ValidationError:
            other = _Publishing(manifest_sha256="damaged")
        if other is not None and other != mine:
            raise ConflictError(
                f"another gallery '{version}' is on its way into {self.uri}; give another --version, or if that upload "
                "was given up, `prune` removes it after a day"
            )

    def _remove(self, version: str) -> None:
        self._bucket.delete_one(f"{_folder(version)}/{MANIFEST}")  # without it the rest is no gallery
        self._bucket.delete(f"{_folder(version)}/")

    def _read_pointer(self) -> tuple[bytes, str] | None:
        return self._bucket.get(LIVE_FILE)

    def _write_pointer(self, content: bytes, *, state: str | None) -> bool:
        return self._bucket.put(LIVE_FILE, content, etag=state)


def _folder(version: str) -> str:
    return f"{GALLERIES}/{check_version(version)}"


def _is_copy(folder: Path, content: bytes, manifest: Manifest) -> bool:
    """Whether a folder is a whole copy of the gallery with this manifest."""
    try:
        if (folder / MANIFEST).read_bytes() != content:
            return False
        check_files(folder, manifest)
    except (FileNotFoundError, GalleryError):
        return False
    return True


def _default_cache(address: str) -> Path:
    """A folder for the copies of one store, whatever others there are."""
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "shopcam" / "galleries" / hashlib.sha256(address.encode()).hexdigest()[:16]
