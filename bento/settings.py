"""Environment variables `SHOPCAM_*` in, checked settings out; all but secrets are flags of `bento serve` too."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from catalog.errors import MalformedError
from catalog.pictures import PictureLimits

PREFIX = "SHOPCAM_"
MIN_TOKEN = 16
SECRETS = frozenset({"admin_token"})  # never on a command line, where others see them, and never in a sentence
OURS_ELSEWHERE = frozenset({"SHOPCAM_PHOTOS"})  # read by loadtests


class Settings(BaseModel):
    """What one replica of the service needs to know. Times are seconds, sizes bytes and pixels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: Annotated[str, Field(description="folder of the store whose live gallery is served")] = "store"
    triton_url: Annotated[
        str, Field(min_length=1, description="host:port of Triton's gRPC interface; without it `serve` starts one")
    ] = "127.0.0.1:8001"
    repository: Annotated[Path, Field(description="model repository that a Triton started here serves")] = Path(
        "model_repository"
    )
    host: Annotated[str, Field(min_length=1, description="address to listen on; 0.0.0.0 for all")] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535, description="port to listen on")] = 3000
    max_bytes: Annotated[int, Field(ge=1, description="largest photo in bytes")] = PictureLimits().max_bytes
    max_pixels: Annotated[int, Field(ge=1, description="largest photo, width times height")] = (
        PictureLimits().max_pixels
    )
    timeout_s: Annotated[float, Field(gt=0, le=300, description="longest a search or an upload may take")] = 15.0
    decode_threads: Annotated[
        int, Field(ge=1, le=64, description="threads that decode photos; as many as cores not taken by networks")
    ] = min(4, os.cpu_count() or 1)
    max_searches: Annotated[
        int, Field(ge=1, description="searches in progress, more are refused with 429; bounds memory and waiting")
    ] = 128
    query_memory_s: Annotated[float, Field(ge=0, description="how long a query_id can be asked again")] = 600.0
    query_views: Annotated[
        int, Field(ge=1, le=2, description="2 averages a photo with its mirror image; twice the networks' work")
    ] = 1
    allow_private_urls: Annotated[bool, Field(description="whether url may name an address that is not public")] = False
    follow_s: Annotated[
        float, Field(ge=0, le=3600, description="pause between looks at the store's pointer; 0: only after /admin/swap")
    ] = 2.0
    journal_s: Annotated[
        float, Field(ge=0, le=3600, description="pause between looks at the journal of changes; 0: never")
    ] = 1.0
    instance_id: Annotated[
        str, Field(max_length=256, description="name of this replica, which decides whether it tries a canary")
    ] = ""
    samples: Annotated[
        str, Field(max_length=1000, description="photos to try on the page, as in 'photos/*.jpg'; none: products")
    ] = ""
    admin_token: Annotated[
        SecretStr | None, Field(description="bearer token of the admin routes, at least 16 characters; none: no routes")
    ] = None

    @field_validator("admin_token")
    @classmethod
    def _long_enough(cls, token: SecretStr | None) -> SecretStr | None:
        """An empty variable is one that is not set."""
        if token is None or not token.get_secret_value():
            return None
        if len(token.get_secret_value()) < MIN_TOKEN:
            raise ValueError(f"should have at least {MIN_TOKEN} characters")
        return token

    @property
    def instance(self) -> str:
        """The replica's name; without one, host and port, which stay when it is started again."""
        return self.instance_id or f"{socket.gethostname()}:{self.port}"

    @property
    def limits(self) -> PictureLimits:
        """The limits of the one decoder."""
        return PictureLimits(max_bytes=self.max_bytes, max_pixels=self.max_pixels)


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def from_environment(
    environment: Mapping[str, str] = os.environ, *, flags: Mapping[str, Any] | None = None
) -> Settings:
    """Read and check the settings; `flags` (setting -> value) win over variables.

    Raises MalformedError naming the variable or flag that is unknown or does not fit.
    """
    variables = {
        name: value for name, value in environment.items() if name.startswith(PREFIX) and name not in OURS_ELSEWHERE
    }
    known = {variable(name): name for name in Settings.model_fields}
    if unknown := sorted(set(variables) - set(known)):
        raise MalformedError(f"unknown setting {unknown[0]}; known are {', '.join(sorted(known))}")
    flags = flags or {}
    given = {known[name]: value for name, value in variables.items()} | dict(flags)
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        said = flag(name) if name in flags else variable(name)
        got = "" if name in SECRETS else f", got {str(given[name])!r}"
        raise MalformedError(f"{said}: {first['msg']}{got}") from None


def to_environment(settings: Settings) -> dict[str, str]:
    """The variables that `from_environment` makes the same settings of."""
    values = {
        name: value.get_secret_value() if isinstance(value, SecretStr) else value
        for name, value in settings.model_dump().items()
    }
    return {variable(name): str(value) for name, value in values.items() if value is not None}


def flag(name: str) -> str:
    """The flag of a setting."""
    return "--" + name.replace("_", "-")
