"""Environment variables `SHOPCAM_*` in, checked settings out. Each is also a flag of `python -m bento serve`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from catalog.errors import MalformedError
from catalog.pictures import PictureLimits

PREFIX = "SHOPCAM_"
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
        raise MalformedError(f"{said}: {first['msg']}, got {str(given[name])!r}") from None


def flag(name: str) -> str:
    """The flag of a setting."""
    return "--" + name.replace("_", "-")
