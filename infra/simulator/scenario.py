"""A profile and what it is tried with in, days of it out: where settings, prices and measurements meet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from catalog.errors import MalformedError
from infra.prices import Prices
from infra.settings import Profile
from infra.simulator.assumptions import Assumptions, Batches, Sessions, Shop, Traffic
from infra.simulator.day import Day, simulate
from infra.simulator.fleet import Starts
from infra.simulator.measured import Device, Replica, container_start, replica_of
from infra.simulator.outcome import HOURS, Figures, figures_of, fixed_fleet, serverless_usd, without_spike
from infra.simulator.policy import Policy, policy_of
from infra.simulator.traffic import Arrivals, arrivals_of

USUAL = {
    "realtime": Traffic.SHOP,
    "service": Traffic.SHOP,
    "component": Traffic.SESSIONS,
    "async": Traffic.BATCHES,
}
# Settings that every kind of serving has.
SHARED = ("max_replicas", "average_replicas", "concurrency_per_replica", "scale_in_cooldown_s")
FLEET_DAYS = 3
PLACEHOLDER_ARN = "arn:aws:acm:eu-central-1:111122223333:certificate/of-nobody"


@dataclass(frozen=True)
class Scenario:
    """A day of `traffic` on a profile's policy. The same seed gives the same requests and the same work."""

    profile: Profile
    policy: Policy
    traffic: Traffic
    shape: Shop | Sessions | Batches
    replica: Replica
    assumptions: Assumptions
    container_s: float
    usd_per_hour: float
    seed: int = 0

    @cached_property
    def arrivals(self) -> Arrivals:
        """When requests come."""
        return arrivals_of(self.shape, generator=np.random.default_rng((self.seed, 0)))

    def day(self, instance_s: float) -> Day:
        """The day, with an instance's start of so many seconds."""
        starts = Starts(self.assumptions.tracking.notice_s.value, instance_s, self.container_s)
        generator = np.random.default_rng((self.seed, 1))
        return simulate(
            self.arrivals, self.policy, self.replica, starts, self.assumptions.tracking, generator=generator
        )

    def figures(self, instance_s: Sequence[float]) -> dict[float, Figures]:
        """The day's figures for each start of an instance."""
        for one_s in instance_s:
            if one_s not in self._known:
                self._known[one_s] = figures_of(self.day(one_s))
        return {one_s: self._known[one_s] for one_s in instance_s}

    @cached_property
    def _known(self) -> dict[float, Figures]:
        """Days that were simulated already."""
        return {}

    def usd(self, figures: Figures) -> float:
        """What the replicas of a day cost."""
        return figures.replica_hours * self.usd_per_hour

    @cached_property
    def fleet(self) -> int:
        """Replicas of the fleet that is always on and gets through a day's busiest minutes, its spike included."""
        return self._fleet(lambda arrivals: arrivals)

    @cached_property
    def diurnal_fleet(self) -> int:
        """The same for a day without its spike."""
        return self._fleet(without_spike)

    def fleet_usd(self, replicas: int) -> float:
        """What so many replicas cost that are always on."""
        return replicas * HOURS * self.usd_per_hour

    def serverless(self) -> dict[str, float]:
        """Name of a price by the second -> the day's dollars."""
        utilization = self.assumptions.serverless_use.utilization.value
        prices = self.assumptions.serverless
        on_cpu = replica_of(Device.CPU, self.assumptions.replica)
        return {
            name: serverless_usd(
                self.arrivals,
                on_cpu if price.kind == "request" else self.replica,
                price,
                utilization=utilization,
            )
            for name, price in prices.items()
        }

    def with_policy(self, **changes: float) -> Scenario:
        """The same day on another policy, such as target=4."""
        return replace(self, policy=replace(self.policy, **changes))  # type: ignore[arg-type]  # names are the caller's

    def _fleet(self, part: Callable[[Arrivals], Arrivals]) -> int:
        """Enough for a part of each of some days: nobody buys a fleet for one evening's luck."""
        return max(
            fixed_fleet(
                part(arrivals_of(self.shape, generator=generator)),
                self.policy,
                self.replica,
                self.assumptions.tracking,
                generator=generator,
            )
            for generator in (np.random.default_rng((self.seed, 2, number)) for number in range(FLEET_DAYS))
        )


def scenario_of(
    profile: Profile,
    assumptions: Assumptions,
    *,
    traffic: Traffic | None = None,
    device: Device = Device.GPU,
    searches_per_day: float | None = None,
    seed: int = 0,
) -> Scenario:
    """A day of the traffic that the profile's kind of serving is for, or of another."""
    policy = policy_of(profile)
    traffic = traffic or USUAL[policy.kind]
    shape: Shop | Sessions | Batches = getattr(assumptions.traffic, traffic)
    if searches_per_day is not None:
        if not isinstance(shape, Shop):
            raise MalformedError(f"searches a day belong to the traffic of a shop, got traffic {traffic.value!r}")
        shape = shape.model_copy(update={"searches_per_day": searches_per_day})
    if profile.serving is None:  # policy_of has refused it
        raise MalformedError(f"profile {profile.name!r} has no serving table")
    return Scenario(
        profile=profile,
        policy=policy,
        traffic=traffic,
        shape=shape,
        replica=replica_of(device, assumptions.replica),
        assumptions=assumptions,
        container_s=container_start().value,
        usd_per_hour=Prices(profile.region).instance_hour(profile.serving.instance_type),
        seed=seed,
    )


def with_kind(profile: Profile, kind: str) -> Profile:
    """The profile with another kind of serving; what the kinds do not share has its default."""
    if profile.serving is None:
        raise MalformedError(f"profile {profile.name!r} has no serving table, so there is nothing to simulate")
    if profile.serving.kind == kind:
        return profile
    given = profile.serving.model_dump(include=set(SHARED))
    instance_type = "ml." + profile.serving.instance_type.removeprefix("ml.")
    if kind == "service":
        given["certificate_arn"] = PLACEHOLDER_ARN
        instance_type = instance_type.removeprefix("ml.")
    if kind in ("service", "realtime"):
        given["average_replicas"] = max(1, given["average_replicas"])
    serving = given | {"kind": kind, "instance_type": instance_type}
    return Profile.model_validate(profile.model_dump() | {"serving": serving})
