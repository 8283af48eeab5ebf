"""Environment variables `SHOPCAM_*` in, checked settings out; all but secrets are flags of `bento serve` too."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from bento.addresses import Network
from catalog.errors import MalformedError
from catalog.machine import usable_cores
from catalog.pictures import PictureLimits

PREFIX = "SHOPCAM_"
MIN_TOKEN = 16
# Never on a command line, where others see them, and never in a sentence.
SECRETS = frozenset({"admin_token", "metrics_token"})
API_KEY_VARIABLE = "SHOPCAM_API_KEY"  # the key that `bento search` sends
OURS_ELSEWHERE = frozenset({"SHOPCAM_PHOTOS", API_KEY_VARIABLE})  # SHOPCAM_PHOTOS is read by loadtests


class LogFormat(StrEnum):
    """How log lines look."""

    TEXT = "text"
    JSON = "json"


class Settings(BaseModel):
    """What one replica of the service needs to know. Times are seconds, sizes bytes and pixels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: Annotated[str, Field(description="folder of the store whose live gallery is served")] = "store"
    triton_url: Annotated[
        str, Field(min_length=1, description="host:port of Triton's gRPC interface; without it `serve` starts one")
    ] = "127.0.0.1:8001"
    triton_metrics_url: Annotated[
        str, Field(description="Triton's metrics page, shown on /metrics too; none: only of a Triton started here")
    ] = ""
    in_process: Annotated[
        bool, Field(description="run the networks of `repository` in the service itself, on CPUs, without Triton")
    ] = False
    repository: Annotated[
        Path, Field(description="model repository that a Triton started here serves, or the service itself")
    ] = Path("model_repository")
    host: Annotated[str, Field(min_length=1, description="address to listen on; 0.0.0.0 for all")] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535, description="port to listen on")] = 3000
    max_bytes: Annotated[int, Field(ge=1, description="largest photo in bytes")] = PictureLimits().max_bytes
    max_pixels: Annotated[int, Field(ge=1, description="largest photo, width times height")] = (
        PictureLimits().max_pixels
    )
    timeout_s: Annotated[
        float, Field(gt=0, le=300, description="longest an upload may take, and a search that does not say otherwise")
    ] = 15.0
    max_timeout_s: Annotated[
        float, Field(gt=0, le=300, description="longest a search may take that asks for more time by X-Timeout-Ms")
    ] = 60.0
    decode_threads: Annotated[
        int,
        Field(ge=0, le=64, description="threads that decode photos; 0: as many as there are cores, at most 4"),
    ] = 0
    max_searches: Annotated[
        int, Field(ge=1, description="requests in progress, uploads included, more are refused with 429; bounds memory")
    ] = 128
    max_wait_ms: Annotated[
        float, Field(gt=0, description="longest a search may take because of others; more are refused with 429")
    ] = 700.0
    query_memory_s: Annotated[
        float, Field(ge=0, description="how long a query_id can be asked again, and an equal photo is known again")
    ] = 600.0
    cache_entries: Annotated[
        int, Field(ge=0, le=1_000_000, description="photos whose vectors and hits are kept, 10 kB each; 0: none")
    ] = 1024
    query_views: Annotated[
        int, Field(ge=1, le=2, description="2 averages a photo with its mirror image; twice the networks' work")
    ] = 1
    allow_private_urls: Annotated[bool, Field(description="whether url may name any address and port")] = False
    url_networks: Annotated[
        str, Field(description="networks that url may name though they are not public, such as 10.1.0.0/16,fd00:1::/64")
    ] = ""
    url_ports: Annotated[str, Field(description="ports that url may name")] = "80,443"
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

    metrics_token: Annotated[
        SecretStr | None, Field(description="bearer token of /metrics, at least 16 characters; none: open")
    ] = None
    api_keys: Annotated[
        Path | None, Field(description="file of API keys, see `bento keys`; without one everybody may search")
    ] = None
    invocations_open: Annotated[
        bool, Field(description="serve /invocations without key and limits, where SageMaker lets in whom IAM allows")
    ] = False
    rate_per_s: Annotated[
        float, Field(ge=0, le=1e6, description="searches a second of each key or client address; 0: any number")
    ] = 0.0
    rate_burst: Annotated[
        int, Field(ge=0, le=1_000_000, description="searches at once before rate_per_s holds; 0: two seconds' worth")
    ] = 0
    quota_per_day: Annotated[
        int, Field(ge=0, description="searches a day (UTC) of each key or client address; 0: any number")
    ] = 0
    trusted_proxies: Annotated[
        str, Field(description="networks of proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8")
    ] = ""
    cors_origins: Annotated[
        str, Field(description="web origins whose pages may call the service, such as https://shop.example")
    ] = ""
    audit_log: Annotated[
        Path | None, Field(description="file to append the audit log to; without one it goes to standard error")
    ] = None

    log_format: Annotated[
        LogFormat, Field(description="text, or json: one object a line, for machines that collect logs")
    ] = LogFormat.TEXT

    @field_validator("api_keys", "audit_log", mode="before")
    @classmethod
    def _none_if_empty(cls, value: object) -> object:
        """An empty variable is one that is not set."""
        return None if value == "" else value

    @field_validator("url_networks", "trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        _networks(value)
        return value

    @field_validator("triton_metrics_url")
    @classmethod
    def _is_a_page(cls, value: str) -> str:
        if value and not re.fullmatch(r"https?://[^/?#@\s]+(/\S*)?", value):
            raise ValueError("expected an address without user name, such as http://127.0.0.1:8002/metrics")
        return value

    @field_validator("url_ports")
    @classmethod
    def _are_ports(cls, value: str) -> str:
        _ports(value)
        return value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: str) -> str:
        for origin in _listed(value):
            if not re.fullmatch(r"https?://[^/?#@*\s]+", origin):
                raise ValueError(f"{origin!r} is no origin, expected https://host or https://host:port")
        return value

    @field_validator("admin_token", "metrics_token")
    @classmethod
    def _long_enough(cls, token: SecretStr | None) -> SecretStr | None:
        """An empty variable is one that is not set."""
        if token is None or not token.get_secret_value():
            return None
        if len(token.get_secret_value()) < MIN_TOKEN:
            raise ValueError(f"should have at least {MIN_TOKEN} characters")
        return token

    @property
    def ports(self) -> frozenset[int]:
        """Ports that `url` may name."""
        return _ports(self.url_ports)

    @property
    def networks(self) -> tuple[Network, ...]:
        """Networks that `url` may name besides the public internet."""
        return _networks(self.url_networks)

    @property
    def proxies(self) -> tuple[Network, ...]:
        """Networks of trusted proxies."""
        return _networks(self.trusted_proxies)

    @property
    def origins(self) -> list[str]:
        """Web origins that may call the service."""
        return _listed(self.cors_origins)

    @property
    def decoders(self) -> int:
        """Threads that decode photos."""
        return self.decode_threads or min(4, usable_cores())

    @property
    def longest_s(self) -> float:
        """The longest that any search may take."""
        return max(self.timeout_s, self.max_timeout_s)

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


def _listed(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _networks(value: str) -> tuple[Network, ...]:
    """Raise ValueError for what is no network; a single address is one of its own."""
    return tuple(ip_network(part) for part in _listed(value))


def _ports(value: str) -> frozenset[int]:
    ports = frozenset(int(part) if part.isdecimal() else 0 for part in _listed(value))
    if not ports or not all(1 <= port <= 65535 for port in ports):
        raise ValueError("expected ports from 1 to 65535, such as 80,443")
    return ports


def flag(name: str) -> str:
    """The flag of a setting."""
    return "--" + name.replace("_", "-")


def settings_table() -> str:
    """Every setting as a row of a Markdown table."""
    rows = ["| variable | flag | default | meaning |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        said = "" if name in SECRETS else f"`{flag(name)}`"
        default = {None: "none", "": "none"}.get(field.default, f"`{field.default}`")
        rows.append(f"| `{variable(name)}` | {said} | {default} | {field.description} |")
    return "\n".join(rows) + "\n"
