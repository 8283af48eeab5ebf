"""A profile in, the scaling policy that its template deploys out: nothing of it is written down a second time.

Numbers are looked up in the template's resources; where it refers to a parameter, the profile's value counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from catalog.errors import MalformedError
from infra.pieces import SERVING, Piece, pieces_of
from infra.settings import Profile

TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"
ALARM = "AWS::CloudWatch::Alarm"
TRACKING, STEPS = "TargetTrackingScaling", "StepScaling"


class Metric(StrEnum):
    """What target tracking keeps to, for each replica."""

    CONCURRENCY = "requests in progress"
    BACKLOG = "waiting requests"
    REQUESTS = "requests a minute"


class Routing(StrEnum):
    """How requests find a replica."""

    RANDOM = "random"
    LEAST_OUTSTANDING = "least outstanding"
    QUEUE = "queue"


# AWS's name of a metric -> what it counts, seconds between its datapoints.
METRICS = {
    "SageMakerVariantConcurrentRequestsPerModelHighResolution": (Metric.CONCURRENCY, 10),
    "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution": (Metric.CONCURRENCY, 10),
    "ApproximateBacklogSizePerInstance": (Metric.BACKLOG, 60),
    "ALBRequestCountPerTarget": (Metric.REQUESTS, 60),
}


@dataclass(frozen=True)
class WakeUp:
    """The alarm that rings when somebody asks and nobody is there, and what it adds."""

    period_s: int
    periods: int
    threshold: float
    adds: int
    cooldown_s: float


@dataclass(frozen=True)
class Policy:
    """How many replicas there are: between `least` and `most`, so that `metric` stays at `target` for each.

    `serial` says that nothing else changes while replicas start: an endpoint that is being updated refuses.
    """

    kind: str
    metric: Metric
    period_s: int
    target: float
    out_cooldown_s: float
    in_cooldown_s: float
    least: int
    most: int
    routing: Routing
    serial: bool
    wake_up: WakeUp | None


def policy_of(profile: Profile) -> Policy:
    """The policy of a profile; MalformedError for one that serves nothing."""
    for piece in pieces_of(profile):
        if piece.part == SERVING:
            return read_policy(piece)
    raise MalformedError(f"profile {profile.name!r} has no serving table, so there is nothing to simulate")


def read_policy(piece: Piece) -> Policy:
    """The policy that this stack makes."""
    found: Mapping[str, Any] = piece.template.content["Resources"]
    value = _Values(piece)
    (bounds,) = (item["Properties"] for item in found.values() if item["Type"] == TARGET)
    policies = {
        item["Properties"]["PolicyType"]: item["Properties"] for item in found.values() if item["Type"] == POLICY
    }
    tracking = policies[TRACKING]["TargetTrackingScalingPolicyConfiguration"]
    metric, period_s = _metric(tracking)
    return Policy(
        kind=piece.template.name,
        metric=metric,
        period_s=period_s,
        target=value.number(tracking["TargetValue"]),
        out_cooldown_s=value.number(tracking["ScaleOutCooldown"]),
        in_cooldown_s=value.number(tracking["ScaleInCooldown"]),
        least=int(value.number(bounds["MinCapacity"])),
        most=int(value.number(bounds["MaxCapacity"])),
        routing=_routing(found),
        serial=bounds["ServiceNamespace"] == "sagemaker",
        wake_up=_wake_up(found, value),
    )


class _Values:
    """Numbers of a template: literal, or a parameter with the profile's value or its default."""

    def __init__(self, piece: Piece) -> None:
        self._given = piece.settings
        self._parameters = piece.template.parameters

    def number(self, term: Any) -> float:
        if isinstance(term, Mapping):
            name = term["Ref"]
            term = self._given[name] if name in self._given else self._parameters[name]["Default"]
        return float(term)


def _metric(tracking: Mapping[str, Any]) -> tuple[Metric, int]:
    predefined = tracking.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
    name = predefined or tracking["CustomizedMetricSpecification"]["MetricName"]
    if name not in METRICS:
        raise MalformedError(f"the template tracks {name}, expected one of {', '.join(METRICS)}")
    return METRICS[name]


def _routing(resources: Mapping[str, Any]) -> Routing:
    """SageMaker and load balancers choose at random or in turn unless they are told otherwise."""
    if any("AsyncInferenceConfig" in item.get("Properties", {}) for item in resources.values()):
        return Routing.QUEUE
    strategies = [
        variant["RoutingConfig"]["RoutingStrategy"].lower()
        for item in resources.values()
        for variant in item.get("Properties", {}).get("ProductionVariants", [])
        if "RoutingConfig" in variant
    ] + [
        str(attribute["Value"])
        for item in resources.values()
        for attribute in item.get("Properties", {}).get("TargetGroupAttributes", [])
    ]
    return Routing.LEAST_OUTSTANDING if "least_outstanding_requests" in strategies else Routing.RANDOM


def _wake_up(resources: Mapping[str, Any], value: _Values) -> WakeUp | None:
    """The step policy and the alarm that calls it."""
    for name, item in resources.items():
        if item["Type"] != POLICY or item["Properties"]["PolicyType"] != STEPS:
            continue
        steps = item["Properties"]["StepScalingPolicyConfiguration"]
        (alarm,) = (
            other["Properties"]
            for other in resources.values()
            if other["Type"] == ALARM and {"Ref": name} in other["Properties"]["AlarmActions"]
        )
        return WakeUp(
            period_s=int(value.number(alarm["Period"])),
            periods=int(value.number(alarm["EvaluationPeriods"])),
            threshold=value.number(alarm["Threshold"]),
            adds=int(value.number(steps["StepAdjustments"][0]["ScalingAdjustment"])),
            cooldown_s=value.number(steps["Cooldown"]),
        )
    return None
