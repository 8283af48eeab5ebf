"""The name of a profile in, its checked settings out. The profiles stand in `infra/profiles.toml`.

Times are seconds (`_s`), sizes megabytes or gigabytes (`_mb _gb`), prices US dollars.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from catalog.errors import MalformedError, NotFoundError, OutOfRangeError

PROFILES = Path(__file__).parent / "profiles.toml"
PROFILE_TAG = "shopcam:profile"

Share = Annotated[float, Field(gt=0, le=1)]
Seconds = Annotated[int, Field(ge=0, le=3600)]
# What CloudWatch Logs can keep for.
LogDays = Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400]


class Settings(BaseModel):
    """One table of the file: no name that is not known, no value that changes later."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Shift(StrEnum):
    """How a release takes over on an endpoint that always has a replica."""

    CANARY = "canary"
    LINEAR = "linear"


class StoreSettings(Settings):
    """The bucket of galleries and models, and the registry of images."""

    noncurrent_days: Annotated[int, Field(ge=1, description="days that a replaced object stays restorable")]
    noncurrent_versions: Annotated[int, Field(ge=1, le=100, description="replaced versions kept beyond those days")]
    kept_images: Annotated[
        int, Field(ge=2, description="newest images that stay; what is served must be one of them")
    ] = 10
    stored_gb: Annotated[float, Field(ge=0, description="galleries, models and images, for the cost")] = 20


class AlertSettings(Settings):
    """Who is told, and from which monthly cost on."""

    monthly_budget_usd: Annotated[int, Field(ge=1)]
    email: Annotated[str, Field(pattern=r"^([^@\s]+@[^@\s]+)?$", description="empty: the topic has no reader yet")] = ""


class ServingSettings(Settings):
    """What every kind of serving has. `average_replicas` is the expected mean of a month, for the cost."""

    instance_type: str
    min_replicas: Annotated[int, Field(ge=0)] = 0
    max_replicas: Annotated[int, Field(ge=1, le=100)]
    average_replicas: Annotated[float, Field(ge=0)]
    concurrency_per_replica: Annotated[int, Field(ge=1, le=1000)] = 4
    scale_in_cooldown_s: Seconds = 300
    start_s: Annotated[int, Field(ge=60, le=3600, description="longest start of a replica")] = 900
    latency_limit_ms: Annotated[int, Field(ge=1, description="p95 above this rolls a rollout back")] = 1000
    errors_per_minute: Annotated[int, Field(ge=1, description="server errors that roll a rollout back")] = 5
    log_days: LogDays = 14

    @model_validator(mode="after")
    def _replicas_fit(self) -> Self:
        if not self.min_replicas <= self.average_replicas <= self.max_replicas:
            raise ValueError(
                f"average_replicas is {self.average_replicas:g}, expected between min_replicas {self.min_replicas} "
                f"and max_replicas {self.max_replicas}"
            )
        return self


class RealtimeServing(ServingSettings):
    """A SageMaker endpoint that always has a replica; a release shifts over by canary or linear steps."""

    kind: Literal["realtime"]
    min_replicas: Annotated[int, Field(ge=1)] = 1
    shift: Shift = Shift.CANARY
    shift_percent: Annotated[int, Field(ge=1, le=50)] = 10
    shift_wait_s: Seconds = 600
    bake_s: Seconds = 600


class ComponentServing(ServingSettings):
    """A SageMaker inference component: scales to zero, woken by the first request, which fails."""

    kind: Literal["component"]
    min_replicas: Literal[0] = 0
    copy_memory_mb: Annotated[int, Field(ge=128)] = 8192
    shift_wait_s: Seconds = 300


class AsyncServing(ServingSettings):
    """An asynchronous SageMaker endpoint: a queue that replicas follow, down to zero."""

    kind: Literal["async"]
    min_replicas: Literal[0] = 0
    backlog_per_replica: Annotated[int, Field(ge=1)] = 10_000


class ServiceServing(ServingSettings):
    """An ECS service on GPU instances behind a load balancer: the page and all routes."""

    kind: Literal["service"]
    min_replicas: Annotated[int, Field(ge=1)] = 1
    requests_per_replica: Annotated[int, Field(ge=1, description="a minute")] = 4_000
    task_memory_mb: Annotated[int, Field(ge=512)] = 12288
    certificate_arn: Annotated[str, Field(pattern=r"^arn:[a-z-]+:acm:")]


Serving = Annotated[RealtimeServing | ComponentServing | AsyncServing | ServiceServing, Field(discriminator="kind")]


class GallerySettings(Settings):
    """How a gallery alone is rolled out: on trial with a share of the replicas, watched, then live everywhere."""

    share: Share = 0.1
    bake_s: Annotated[int, Field(ge=0, description="how long alarms are watched before it goes live")] = 900
    min_recall: Annotated[float, Field(ge=0, le=1)] = 0.8
    count_band: Share = 0.5

    def with_values(self, given: Mapping[str, float]) -> Self:
        """These settings with other values; OutOfRangeError for one that does not fit."""
        try:
            return self.model_validate({**self.model_dump(), **given})
        except ValidationError as error:
            first = error.errors()[0]
            raise OutOfRangeError(f"{first['loc'][0]} is {first['input']}: {first['msg']}") from None


class BuilderSettings(Settings):
    """The index builder as a job. `hours_per_month` is for the cost."""

    image_tag: Annotated[str, Field(min_length=1, description="of this package with its extras build and gpu")]
    instance_type: str
    cores: Annotated[int, Field(ge=1)] = 4
    memory_mb: Annotated[int, Field(ge=1024)] = 14000
    catalog_key: str = "catalog/catalog.csv"
    words_key: str = "words/"
    schedule: str = "cron(0 3 * * ? *)"
    attempts: Annotated[int, Field(ge=1, le=10)] = 5
    timeout_s: Annotated[int, Field(ge=600)] = 6 * 3600
    log_days: LogDays = 30
    hours_per_month: Annotated[float, Field(ge=0)] = 30


class Profile(Settings):
    """Everything that one copy of shopcam in the cloud is made of. Without `serving`: the store and the registry."""

    name: str
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    name_prefix: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40)]
    protected: Annotated[bool, Field(description="`down` is refused, here and by CloudFormation")]
    tags: dict[str, str] = Field(default_factory=dict)
    store: StoreSettings
    alerts: AlertSettings | None = None
    serving: Serving | None = None
    gallery: GallerySettings = GallerySettings()
    builder: BuilderSettings | None = None

    @model_validator(mode="after")
    def _pieces_fit(self) -> Self:
        if self.serving is not None and self.alerts is None:
            raise ValueError("serving needs alerts, which its alarms write to")
        if self.builder is not None and self.serving is None:
            raise ValueError("builder needs serving, whose release says which models it builds with")
        return self

    @property
    def endpoint_name(self) -> str:
        """Name of the endpoint, or of the ECS service."""
        return self.name_prefix

    @property
    def all_tags(self) -> dict[str, str]:
        """Tags of everything made, with the one that costs are counted by."""
        return {**self.tags, PROFILE_TAG: self.name}


def load_profile(name: str, *, path: Path = PROFILES) -> Profile:
    """The settings of profile `name`; raises NotFoundError for an unknown one, MalformedError for a wrong file."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFoundError(f"the settings file {path} does not exist") from error
    except tomllib.TOMLDecodeError as error:
        raise MalformedError(f"the settings file {path} is not TOML: {error}") from error
    if name not in tables:
        raise NotFoundError(f"there is no profile {name!r} in {path.name}; known profiles: {', '.join(sorted(tables))}")
    try:
        return Profile.model_validate({"name": name, **tables[name]})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "settings"
        raise MalformedError(f"profile {name!r} in {path.name} has a wrong {where}: {first['msg']}") from error
