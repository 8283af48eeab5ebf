"""A deployment in; what serves, how it is, what scaling did and what it has cost out, a line each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from catalog.errors import ShopcamError
from infra.alarms import RollbackAlarms
from infra.aws import cloud_errors
from infra.costs_so_far import month_to_date
from infra.deployment import Deployment
from infra.preflight import gallery_store
from infra.releases import shown
from infra.serving_progress import serving_progress
from infra.settings import ComponentServing, ServiceServing

ACTIVITIES = 5


def health(deployment: Deployment) -> Iterator[tuple[str, str]]:
    """(name, what is known); where AWS refuses one answer, its reason stands there."""
    release = deployment.release()
    yield "serves", shown(release)
    if release is not None:
        yield "replicas", _or_reason(lambda: serving_progress(deployment.clients, deployment.profile))
        yield "gallery", _or_reason(lambda: _gallery(deployment, release.store_uri))
        yield "alarms", _or_reason(lambda: _alarms(deployment))
        yield "scaling", _or_reason(lambda: _scaling(deployment))
    yield "cost so far this month", _or_reason(lambda: _cost(deployment))


def _or_reason(ask: Callable[[], str]) -> str:
    try:
        return ask()
    except ShopcamError as error:
        return f"not known: {error}"


def _gallery(deployment: Deployment, store_uri: str) -> str:
    pointer = gallery_store(deployment.clients, store_uri).live()
    if pointer is None:
        return f"none is live in {store_uri}"
    trial = f", {pointer.canary.gallery} on trial with {pointer.canary_share:.0%}" if pointer.canary else ""
    return f"{pointer.live.gallery} in {store_uri}{trial}"


def _alarms(deployment: Deployment) -> str:
    found = RollbackAlarms(deployment.clients, deployment.profile.endpoint_name).look()
    return ", ".join(f"{alarm.name} {alarm.state}" for alarm in found)


def _scaling(deployment: Deployment) -> str:
    name, serving = deployment.profile.endpoint_name, deployment.profile.serving
    match serving:
        case ServiceServing():
            space, resource = "ecs", f"service/{name}/{name}"
        case ComponentServing():
            space, resource = "sagemaker", f"inference-component/{name}-copy"
        case _:
            space, resource = "sagemaker", f"endpoint/{name}/variant/AllTraffic"
    with cloud_errors():
        found = deployment.clients("application-autoscaling").describe_scaling_activities(
            ServiceNamespace=space, ResourceId=resource, MaxResults=ACTIVITIES
        )["ScalingActivities"]
    return "; ".join(f"{item['StartTime']:%m-%d %H:%M} {item['Description']}" for item in found) or "none yet"


def _cost(deployment: Deployment) -> str:
    with cloud_errors():
        dollars = month_to_date(deployment.clients("ce"), deployment.profile.name)
    return f"{dollars:,.2f} US dollars, as Cost Explorer has it (up to a day late; the tag has to be activated)"
