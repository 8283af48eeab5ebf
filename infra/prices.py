"""A region in, its prices in US dollars out: from `infra/prices.toml`, which says as of when and from where."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from catalog.errors import NotFoundError

TABLE = Path(__file__).parent / "prices.toml"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OtherPrices(_Table):
    """Prices of what is no instance; each name ends in its unit."""

    s3_gb_month: float
    image_gb_month: float
    alarm_month: float
    fast_alarm_month: float
    dashboard_month: float
    log_gb: float
    balancer_hour: float
    address_hour: float
    work_gb_month: float


class _Region(_Table):
    instance_hour: Mapping[str, float]
    other: OtherPrices


class _Spot(_Table):
    share: float


class _Prices(_Table):
    as_of: date
    source: str
    regions: Mapping[str, _Region]
    spot: _Spot


class Prices:
    """Prices of one region. Raises NotFoundError where the table has none for it."""

    def __init__(self, region: str, *, path: Path = TABLE) -> None:
        table = _Prices.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        if region not in table.regions:
            known = ", ".join(sorted(table.regions))
            raise NotFoundError(f"there are no prices of {region} in {path.name}, only of {known}")
        self.region = region
        self.as_of = table.as_of
        self.source = table.source
        self.spot_share = table.spot.share
        self.other = table.regions[region].other
        self._instances = table.regions[region].instance_hour
        self._file = path.name

    def instance_hour(self, instance_type: str) -> float:
        """Dollars for an hour of an instance on demand; NotFoundError where the table does not have it."""
        if instance_type not in self._instances:
            raise NotFoundError(f"there is no price of {instance_type} in {self.region} in {self._file}; add it")
        return self._instances[instance_type]
