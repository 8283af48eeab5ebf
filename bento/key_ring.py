"""The key file of a running service: a key in, its record out; changes of the file are noticed within a second."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from starlette.datastructures import Headers

from bento.keys import ID_LENGTH, ApiKey, id_of, read_keys
from bento.threads import in_thread
from catalog.errors import ForbiddenError, ShopcamError, UnauthorizedError

LOOK_S = 1.0
HINT = "give an API key, as in `Authorization: Bearer KEY` or `X-API-Key: KEY`"
# What an unknown id is compared with, so that it takes the same time as a known one.
_NOBODY = ApiKey(id="0" * ID_LENGTH, sha256="0" * 64, created_at=datetime.fromtimestamp(0, UTC))

logger = logging.getLogger("shopcam")


class DisabledKeyError(ForbiddenError):
    """The key was revoked or its time is over."""

    code = "key_disabled"


class KeyRing:
    """Belongs to one event loop. The first reading blocks and raises as `read_keys`.

    A file that is gone or broken later leaves the keys as they were: neither is everybody let in nor everybody shut
    out; the log says so once.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._seen = _fingerprint(path)
        self._keys: Mapping[str, ApiKey] = read_keys(path)
        self._looked_s = clock()

    async def key_of(self, headers: Headers) -> ApiKey:
        """Return whose key a request brings.

        Raises UnauthorizedError without a known key, DisabledKeyError for one that was revoked or has expired.
        """
        given = given_key(headers)
        if given is None:
            raise UnauthorizedError(HINT)
        await self._look()
        key = self._keys.get(id_of(given) or "", _NOBODY)
        if not key.fits(given):
            raise UnauthorizedError(f"this API key is not known; {HINT}")
        if key.disabled:
            raise DisabledKeyError(f"the API key {key.id} was revoked")
        if key.expired(datetime.now(UTC)):
            raise DisabledKeyError(f"the API key {key.id} has expired")
        return key

    async def _look(self) -> None:
        """Read the file again if it is another one than a second ago; one request does so, the others go on."""
        if self._clock() - self._looked_s < LOOK_S:
            return
        self._looked_s = self._clock()
        await in_thread(self._read, name="keys")

    def _read(self) -> None:
        seen = _fingerprint(self._path)
        if seen == self._seen:
            return
        try:
            self._keys = read_keys(self._path)
            logger.info("%d API keys are known now", len(self._keys))
        except ShopcamError as error:
            logger.error("the API keys stay as they were: %s", error)
        self._seen = seen


def given_key(headers: Headers) -> str | None:
    """The key of a request; X-API-Key wins, so that a proxy may use Authorization for itself."""
    if given := headers.get("x-api-key", "").strip():
        return given
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return given.strip() or None if scheme.lower() == "bearer" else None


def _fingerprint(path: Path) -> tuple[int, ...] | None:
    """Differs between any two contents of a file that is replaced, not written into; None without a file."""
    try:
        found = os.stat(path)  # noqa: PTH116  # follows the links that mounted secrets are made of
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_mode
