"""`assumptions.toml` in, checked numbers out, each with the source and the date of what nobody here has measured.

Times are seconds (`_s`), milliseconds (`_ms`), minutes or hours as named, prices US dollars.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from catalog.errors import MalformedError

ASSUMPTIONS = Path(__file__).parent / "assumptions.toml"
T = TypeVar("T")
Positive = Annotated[float, Field(gt=0)]
Hour = Annotated[float, Field(ge=0, lt=24)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Sourced(_Table):
    """Something with the place that it was taken from."""

    date: date
    source: Annotated[str, Field(min_length=1)]


class Number(Sourced, Generic[T]):
    """One assumption."""

    value: T


class Traffic(StrEnum):
    """Shapes of a day."""

    SHOP = "shop"
    SESSIONS = "sessions"
    BATCHES = "batches"


class Shop(Sourced):
    """A shop's customers: a curve over the day with one spike of `spike_factor` times the rate of its hour."""

    hours: Annotated[tuple[Annotated[float, Field(ge=0)], ...], Field(min_length=24, max_length=24)]
    searches_per_day: Positive
    spike_at_h: Hour
    spike_minutes: Positive
    spike_ramp_minutes: Positive
    spike_factor: Annotated[float, Field(ge=1)]


class Sessions(Sourced):
    """People who try something out for a while."""

    sessions: Annotated[int, Field(ge=1)]
    minutes: Positive
    from_h: Hour
    to_h: Annotated[float, Field(gt=0, le=24)]
    searches_per_s: Positive


class Batches(Sourced):
    """Photos in bulk."""

    at_h: tuple[Hour, ...]
    photos: tuple[int, ...]
    photos_per_s: Positive

    @model_validator(mode="after")
    def _as_many(self) -> Self:
        if len(self.at_h) != len(self.photos):
            raise ValueError(f"at_h has {len(self.at_h)} hours, expected one for each of {len(self.photos)} batches")
        return self


class _Days(_Table):
    shop: Shop
    sessions: Sessions
    batches: Batches


class _Starts(_Table):
    instance_minutes: Number[tuple[Positive, ...]]


class Tracking(_Table):
    """What target tracking does by itself; the rest stands in the templates."""

    notice_s: Number[float]
    datapoints_out: Number[int]
    minutes_in: Number[float]
    share_in: Number[float]


class ReplicaNumbers(_Table):
    """What a replica on a GPU is taken to be, beside what was measured on a processor."""

    max_wait_ms: Number[float]
    spread: Number[float]
    gpu_cores: Number[float]
    gpu_networks_ms: Number[float]
    platform_ms: Number[float]


class Serverless(Sourced):
    """A price by the second of work, US dollars."""

    kind: Literal["worker", "request"]
    usd_per_s: Positive
    idle_s: Annotated[float, Field(ge=0)]


class _Use(_Table):
    utilization: Number[float]


class Assumptions(_Table):
    """The whole file."""

    starts: _Starts
    tracking: Tracking
    replica: ReplicaNumbers
    traffic: _Days
    serverless: Mapping[str, Serverless]
    serverless_use: _Use

    @property
    def instance_s(self) -> float:
        """The instance's start that is taken where none is asked for: the middle of those swept."""
        minutes = sorted(self.starts.instance_minutes.value)
        return 60 * minutes[len(minutes) // 2]


def read_assumptions(path: Path = ASSUMPTIONS) -> Assumptions:
    """Read the file; MalformedError names the first thing that is wrong with it."""
    try:
        return Assumptions.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MalformedError(f"{path.name} has a wrong {where}: {first['msg']}") from error
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise MalformedError(f"{path.name} can't be read: {error}") from error
