"""A profile and prices in, what a month costs out: at the least, the expected and the most load."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from infra.pieces import Piece, pieces_of
from infra.prices import Prices
from infra.settings import BuilderSettings, Profile, ServiceServing, Serving

HOURS_A_MONTH = 730.0
IMAGE_GB = 12.0  # one container image: Triton's is most of it
LOG_GB_PER_REPLICA = 2.0  # a replica's log of a month
WORK_GB = 20.0  # unfinished work of builds
FAST_ALARM_S = 60  # an alarm of a shorter period costs more


@dataclass(frozen=True)
class Cost:
    """One line of the estimate: US dollars a month at the least, the expected and the most load."""

    what: str
    least: float
    expected: float
    most: float
    how: str


def monthly_costs(profile: Profile, prices: Prices) -> list[Cost]:
    """The estimate of a profile. Raises NotFoundError where a price is not known.

    Left out, since they are small or not known before: requests, data transfer, metrics, what a free tier takes off.
    """
    return list(_lines(profile, prices))


def total(costs: list[Cost]) -> Cost:
    """The sum of all lines."""
    return Cost(
        what="a month",
        least=sum(cost.least for cost in costs),
        expected=sum(cost.expected for cost in costs),
        most=sum(cost.most for cost in costs),
        how="",
    )


def _lines(profile: Profile, prices: Prices) -> Iterator[Cost]:
    stored = profile.store.stored_gb
    yield _same("store", stored * prices.other.s3_gb_month, f"{stored:g} GB at {prices.other.s3_gb_month:g}")
    images = profile.store.kept_images * IMAGE_GB
    one_image = IMAGE_GB * prices.other.image_gb_month
    yield Cost(
        "images",
        least=one_image,
        expected=one_image * min(2, profile.store.kept_images),
        most=images * prices.other.image_gb_month,
        how=f"1, 2 or {profile.store.kept_images} of {IMAGE_GB:g} GB at {prices.other.image_gb_month:g}",
    )
    if profile.serving is not None:
        yield from _serving(profile.serving, prices)
        yield from _watching(pieces_of(profile), prices)
    if profile.builder is not None:
        yield from _builder(profile.builder, prices)


def _serving(serving: Serving, prices: Prices) -> Iterator[Cost]:
    hour = prices.instance_hour(serving.instance_type)
    replicas = (serving.min_replicas, serving.average_replicas, serving.max_replicas)
    month = [count * HOURS_A_MONTH * hour for count in replicas]
    counts = ", ".join(f"{count:g}" for count in replicas)
    yield _at_loads("replicas", month, how=f"{counts} of {serving.instance_type}, {HOURS_A_MONTH:g} h at {hour:g}")
    logs = [count * LOG_GB_PER_REPLICA * prices.other.log_gb for count in replicas]
    yield _at_loads("logs", logs, how=f"{LOG_GB_PER_REPLICA:g} GB a replica at {prices.other.log_gb:g}")
    if isinstance(serving, ServiceServing):
        balancer = HOURS_A_MONTH * prices.other.balancer_hour
        yield _same(
            "load balancer", balancer, f"{HOURS_A_MONTH:g} h at {prices.other.balancer_hour:g}, without its LCUs"
        )
        addresses = [(2 + count) * HOURS_A_MONTH * prices.other.address_hour for count in replicas]
        yield _at_loads(
            "public addresses", addresses, how=f"2 and one a replica at {prices.other.address_hour:g} an hour"
        )


def _watching(pieces: list[Piece], prices: Prices) -> Iterator[Cost]:
    """Alarms and dashboards, counted in the templates."""
    made = Counter(kind for piece in pieces for _, kind in piece.template.resources(piece.settings))
    periods = [
        resource["Properties"]["Period"]
        for piece in pieces
        for resource in piece.template.content["Resources"].values()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    ]
    fast = sum(period < FAST_ALARM_S for period in periods)
    alarms = fast * prices.other.fast_alarm_month + (len(periods) - fast) * prices.other.alarm_month
    yield _same("alarms", alarms, f"{len(periods)}, {fast} of them looked at twice a minute")
    pages = made["AWS::CloudWatch::Dashboard"]
    if pages:
        yield _same("dashboard", pages * prices.other.dashboard_month, f"{pages} at {prices.other.dashboard_month:g}")


def _builder(builder: BuilderSettings, prices: Prices) -> Iterator[Cost]:
    on_demand = prices.instance_hour(builder.instance_type)
    spot = on_demand * prices.spot_share
    yield Cost(
        "builds",
        least=0.0,
        expected=builder.hours_per_month * spot,
        most=builder.hours_per_month * on_demand,
        how=f"0 or {builder.hours_per_month:g} h of {builder.instance_type}, spot at {spot:.3f}, or at {on_demand:g}",
    )
    yield _same(
        "unfinished builds", WORK_GB * prices.other.work_gb_month, f"{WORK_GB:g} GB at {prices.other.work_gb_month:g}"
    )


def _same(what: str, dollars: float, how: str) -> Cost:
    return Cost(what, least=dollars, expected=dollars, most=dollars, how=how)


def _at_loads(what: str, dollars: list[float], how: str) -> Cost:
    least, expected, most = dollars
    return Cost(what, least=least, expected=expected, most=most, how=how)
