"""API keys: a file of one JSON object a line in, who a key belongs to and what it may do out. Keys are never kept.

A key is `shopcam_ID_SECRET` with 256 random bits in SECRET. The file has its SHA-256, which is enough for a secret that
nobody can guess (ADR 0020), and its id, by which it is found.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from bento.routes import DATA_ROUTES
from catalog.errors import MalformedError, NotFoundError

PREFIX = "shopcam"
ID_LENGTH = 12
MODE = 0o600
WRITABLE_BY_OTHERS = 0o022
MAX_FILE_BYTES = 64 * 1024 * 1024
_FORM = re.compile(rf"{PREFIX}_([0-9a-f]{{{ID_LENGTH}}})_([A-Za-z0-9_-]{{43}})")


class ApiKey(BaseModel):
    """One line of the file. What is None is as the service's settings have it; `routes` None is all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, Field(pattern=rf"^[0-9a-f]{{{ID_LENGTH}}}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", repr=False)]
    name: Annotated[str, Field(max_length=100, description="whose key it is, for people")] = ""
    routes: tuple[str, ...] | None = None
    rate_per_s: Annotated[float | None, Field(gt=0, le=1e6, allow_inf_nan=False)] = None
    burst: Annotated[int | None, Field(ge=1, le=1_000_000)] = None
    quota_per_day: Annotated[int | None, Field(ge=1)] = None
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    disabled: bool = False

    @field_validator("routes")
    @classmethod
    def _are_known(cls, routes: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if unknown := sorted(set(routes or ()) - set(DATA_ROUTES)):
            raise ValueError(f"{unknown[0]!r} is no route, expected some of {', '.join(DATA_ROUTES)}")
        return routes

    def expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and now >= self.expires_at

    def fits(self, given: str) -> bool:
        """Whether `given` is this key, compared in a time that does not tell how much of it is right."""
        return hmac.compare_digest(hash_of(given), self.sha256)


def hash_of(key: str) -> str:
    """SHA-256 of a whole key, in hexadecimal."""
    return hashlib.sha256(key.encode()).hexdigest()


def id_of(given: str) -> str | None:
    """The id within something that has the form of a key."""
    found = _FORM.fullmatch(given)
    return found and found[1]


def read_keys(path: Path) -> dict[str, ApiKey]:
    """All keys by their ids.

    Raises NotFoundError without the file, MalformedError for one that others may write, or for a line that is no key.
    """
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_mode & WRITABLE_BY_OTHERS:
                raise MalformedError(f"the key file {path} may be written by others; `chmod go-w` it")
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise NotFoundError(f"the key file {path} cannot be read: {error.strerror}") from None
    if len(content) > MAX_FILE_BYTES:
        raise MalformedError(f"the key file {path} has more than {MAX_FILE_BYTES:,} bytes")
    keys: dict[str, ApiKey] = {}
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            key = ApiKey.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(map(str, first["loc"])) or "the line"
            raise MalformedError(f"the key file {path}, line {number}: {field}: {first['msg']}") from None
        if key.id in keys:
            raise MalformedError(f"the key file {path}, line {number}: the id {key.id} is there twice")
        keys[key.id] = key
    return keys


def create_key(
    path: Path,
    *,
    name: str = "",
    routes: tuple[str, ...] | None = None,
    rate_per_s: float | None = None,
    burst: int | None = None,
    quota_per_day: int | None = None,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Add a key to the file, which is made if need be. Return its record and the key, which nobody sees again.

    Raises MalformedError for a value that does not fit, or as `read_keys`.
    """
    key_id = secrets.token_hex(ID_LENGTH // 2)
    secret = f"{PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"
    try:
        key = ApiKey(
            id=key_id,
            sha256=hash_of(secret),
            name=name,
            routes=routes,
            rate_per_s=rate_per_s,
            burst=burst,
            quota_per_day=quota_per_day,
            created_at=datetime.now(UTC).replace(microsecond=0),
            expires_at=expires_at,
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise MalformedError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    with _locked(path):
        keys = read_keys(path) if path.exists() else {}
        _write(path, {**keys, key.id: key})
    return key, secret


def revoke_key(path: Path, key_id: str) -> ApiKey:
    """Disable a key; its line stays, so that logs can be read. Raises NotFoundError for an unknown id."""
    with _locked(path):
        keys = read_keys(path)
        if key_id not in keys:
            raise NotFoundError(f"the key file {path} has no key {key_id!r}")
        keys[key_id] = keys[key_id].model_copy(update={"disabled": True})
        _write(path, keys)
    return keys[key_id]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Only one command at a time changes the file."""
    try:
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
    except OSError as error:
        raise NotFoundError(f"the key file {path} cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _write(path: Path, keys: Mapping[str, ApiKey]) -> None:
    """Replace the file in one step; readers see the old one or the new one."""
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "w", encoding="utf-8") as file:
            file.writelines(key.model_dump_json(exclude_defaults=True) + "\n" for key in keys.values())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise NotFoundError(f"the key file {path} cannot be written: {error.strerror}") from None
