"""A profile in, the stacks it is made of out: which template, which parameters, in which order.

A piece takes parameters from the profile, from outputs of pieces before it, and from the release that is served. So
no stack exports or imports anything, and each can be planned, made and removed by itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from infra.settings import (
    AsyncServing,
    BuilderSettings,
    ComponentServing,
    Profile,
    RealtimeServing,
    ServiceServing,
    Serving,
)
from infra.templates import Template, read_template

STORE, REGISTRY, ALERTS, ROLES, NETWORK = "store", "registry", "alerts", "roles", "network"
SERVING, BUILDER, DASHBOARD = "serving", "builder", "dashboard"
PARTS = (STORE, REGISTRY, ALERTS, ROLES, NETWORK, SERVING, BUILDER, DASHBOARD)  # each after those it takes outputs of

Values = dict[str, str]
Handed = Mapping[str, tuple[str, str]]  # parameter -> (piece before, its output)


@dataclass(frozen=True)
class Release:
    """What is served: an image, a model repository, and the store of the galleries that these models made.

    Galleries and models move as a pair, so a release names both: vectors of two spaces never mix.
    """

    image_uri: str
    models_uri: str
    store_uri: str

    @property
    def parameters(self) -> Values:
        """As templates name it."""
        return {RELEASED[name]: value for name, value in asdict(self).items()}


WATCHED = "Watched"  # parameter: whether alarms take a rollout back
RELEASED = {"image_uri": "ImageUri", "models_uri": "ModelsUri", "store_uri": "StoreUri"}


@dataclass(frozen=True)
class Piece:
    """One stack: `settings` are parameters from the profile, `handed` those from pieces before it."""

    part: str
    template: Template
    settings: Values = field(default_factory=dict)
    handed: Handed = field(default_factory=dict)

    @property
    def released(self) -> frozenset[str]:
        """Parameters that a release decides; a piece with any waits for the first release."""
        return frozenset(RELEASED.values()) & frozenset(self.template.parameters)


def pieces_of(profile: Profile) -> list[Piece]:
    """The stacks of a profile, each after those that it takes outputs of."""
    pieces = [_store(profile), _registry(profile)]
    if profile.alerts is not None:
        alerts = {"MonthlyBudget": str(profile.alerts.monthly_budget_usd), "Email": profile.alerts.email}
        names = {"BudgetName": profile.name_prefix, "ProfileTag": profile.name}
        pieces.append(Piece(ALERTS, read_template("alerts"), settings=names | alerts))
    if profile.serving is None:
        return pieces
    on_instances = isinstance(profile.serving, ServiceServing)
    if not on_instances:
        from_before = {"BucketName": (STORE, "StoreBucketName"), "RepositoryArn": (REGISTRY, "RepositoryArn")}
        endpoint = {"EndpointName": profile.endpoint_name}
        pieces.append(Piece(ROLES, read_template("roles"), settings=endpoint, handed=from_before))
    if on_instances or profile.builder is not None:
        pieces.append(Piece(NETWORK, read_template("network")))
    pieces.append(_serving(profile, profile.serving))
    if profile.builder is not None:
        pieces.append(_builder(profile, profile.builder))
    if not on_instances:
        pieces.append(_dashboard(profile, profile.serving))
    return pieces


def stack_name(profile: Profile, part: str) -> str:
    """The name of a piece's stack."""
    return f"{profile.name_prefix}-{part}"


def _store(profile: Profile) -> Piece:
    settings = {
        "NoncurrentDays": str(profile.store.noncurrent_days),
        "NoncurrentVersions": str(profile.store.noncurrent_versions),
    }
    return Piece(STORE, read_template("store"), settings=settings)


def _registry(profile: Profile) -> Piece:
    settings = {"RepositoryName": profile.name_prefix, "KeptImages": str(profile.store.kept_images)}
    return Piece(REGISTRY, read_template("registry"), settings=settings)


def _serving(profile: Profile, serving: Serving) -> Piece:
    settings = {
        "InstanceType": serving.instance_type,
        "MaxReplicas": str(serving.max_replicas),
        "ScaleInCooldownSeconds": str(serving.scale_in_cooldown_s),
        "StartSeconds": str(serving.start_s),
        "ErrorLimit": str(serving.errors_per_minute),
        "LogDays": str(serving.log_days),
    }
    handed = {"TopicArn": (ALERTS, "TopicArn"), "EnginesUri": (STORE, "EnginesUri")}
    kind_settings, kind_handed = _of_kind(serving)
    if isinstance(serving, ServiceServing):
        settings["ServiceName"] = profile.endpoint_name
    else:
        settings |= {
            "EndpointName": profile.endpoint_name,
            "ConcurrencyPerReplica": str(serving.concurrency_per_replica),
        }
        handed["RoleArn"] = (ROLES, "ReplicaRoleArn")
    return Piece(
        SERVING, read_template(serving.kind), settings=settings | kind_settings, handed={**handed, **kind_handed}
    )


def _of_kind(serving: Serving) -> tuple[Values, Handed]:
    """What only one kind of serving has."""
    latency_us = str(serving.latency_limit_ms * 1000)
    match serving:
        case RealtimeServing():
            return {
                "MinReplicas": str(serving.min_replicas),
                "ShiftType": serving.shift.value.upper(),
                "ShiftPercent": str(serving.shift_percent),
                "ShiftWaitSeconds": str(serving.shift_wait_s),
                "BakeSeconds": str(serving.bake_s),
                "LatencyLimitMicroseconds": latency_us,
            }, {}
        case ComponentServing():
            return {
                "MaxMachines": str(serving.max_replicas + 1),
                "CopyMemoryMegabytes": str(serving.copy_memory_mb),
                "ShiftWaitSeconds": str(serving.shift_wait_s),
                "LatencyLimitMicroseconds": latency_us,
            }, {}
        case AsyncServing():
            return {"BacklogPerReplica": str(serving.backlog_per_replica)}, {"AnswersUri": (STORE, "AnswersUri")}
        case ServiceServing():
            return {
                "MinReplicas": str(serving.min_replicas),
                "MaxMachines": str(2 * serving.max_replicas),
                "RequestsPerReplica": str(serving.requests_per_replica),
                "TaskMemoryMegabytes": str(serving.task_memory_mb),
                "LatencyLimitSeconds": f"{serving.latency_limit_ms / 1000:g}",
                "CertificateArn": serving.certificate_arn,
            }, {
                "BucketName": (STORE, "StoreBucketName"),
                "RepositoryArn": (REGISTRY, "RepositoryArn"),
                **_IN_NETWORK,
            }


def _builder(profile: Profile, builder: BuilderSettings) -> Piece:
    settings = {
        "Prefix": profile.name_prefix,
        "ImageTag": builder.image_tag,
        "CatalogKey": builder.catalog_key,
        "WordsKey": builder.words_key,
        "Schedule": builder.schedule,
        "MinRecall": f"{profile.gallery.min_recall:g}",
        "CountBand": f"{profile.gallery.count_band:g}",
        "InstanceType": builder.instance_type,
        "Cores": str(builder.cores),
        "MemoryMegabytes": str(builder.memory_mb),
        "Attempts": str(builder.attempts),
        "TimeoutSeconds": str(builder.timeout_s),
        "LogDays": str(builder.log_days),
    }
    handed = {
        "BucketName": (STORE, "StoreBucketName"),
        "RepositoryArn": (REGISTRY, "RepositoryArn"),
        "RepositoryUri": (REGISTRY, "RepositoryUri"),
        **_IN_NETWORK,
    }
    return Piece(BUILDER, read_template("builder"), settings=settings, handed=handed)


def _dashboard(profile: Profile, serving: Serving) -> Piece:
    name = profile.endpoint_name
    if isinstance(serving, ComponentServing):
        dimensions, metric = ["InferenceComponentName", f"{name}-copy"], "ConcurrentRequestsPerCopy"
    else:
        dimensions, metric = ["EndpointName", name, "VariantName", "AllTraffic"], "ConcurrentRequestsPerModel"
    settings = {
        "DashboardName": profile.name_prefix,
        "EndpointName": name,
        "Dimensions": ", ".join(json.dumps(word) for word in dimensions),
        "ConcurrencyMetric": metric,
        "LatencyLimitMicroseconds": str(serving.latency_limit_ms * 1000),
    }
    return Piece(DASHBOARD, read_template("dashboard"), settings=settings)


_IN_NETWORK = {"VpcId": (NETWORK, "VpcId"), "SubnetA": (NETWORK, "SubnetA"), "SubnetB": (NETWORK, "SubnetB")}
