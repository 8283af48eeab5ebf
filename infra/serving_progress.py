"""A profile in; one sentence on how far its replicas are out, in the words of the service that runs them."""

from __future__ import annotations

from typing import Any

from botocore import exceptions

from infra.aws import Clients, cloud_errors
from infra.settings import AsyncServing, ComponentServing, Profile, RealtimeServing, ServiceServing

MISSING = frozenset({"ValidationException", "ResourceNotFound", "ClusterNotFoundException"})


def serving_progress(clients: Clients, profile: Profile) -> str:
    """How many replicas answer and how far a release is; "not made yet" where there is none."""
    name = profile.endpoint_name
    with cloud_errors():
        try:
            match profile.serving:
                case ComponentServing():
                    return _component(clients("sagemaker").describe_inference_component, f"{name}-copy")
                case RealtimeServing() | AsyncServing():
                    return _endpoint(clients("sagemaker").describe_endpoint(EndpointName=name))
                case ServiceServing():
                    return _service(clients("ecs").describe_services(cluster=name, services=[name]))
                case None:
                    return "nothing is served by this profile"
        except exceptions.ClientError as error:
            if error.response.get("Error", {}).get("Code") in MISSING:
                return "not made yet"
            raise


def _endpoint(found: dict[str, Any]) -> str:
    said = [f"endpoint {found['EndpointStatus']}"]
    said += [_variant(variant, "answer") for variant in found.get("ProductionVariants", [])]
    pending = found.get("PendingDeploymentSummary", {}).get("ProductionVariants", [])
    said += [_variant(variant, "of the new release") for variant in pending]
    if reason := found.get("FailureReason"):
        said.append(reason)
    return "; ".join(said)


def _variant(variant: dict[str, Any], what: str) -> str:
    current = variant.get("CurrentInstanceCount", 0)
    counts = f"{current} of {variant.get('DesiredInstanceCount', current)} replicas {what}"
    states = [state["Status"] for state in variant.get("VariantStatus", [])]
    return f"{counts} ({', '.join(states)})" if states else counts


def _component(describe: Any, name: str) -> str:
    found = describe(InferenceComponentName=name)
    runtime = found.get("RuntimeConfig", {})
    current = runtime.get("CurrentCopyCount", 0)
    said = (
        f"component {found['InferenceComponentStatus']}; {current} of {runtime.get('DesiredCopyCount', current)} copies"
    )
    return f"{said}; {found['FailureReason']}" if found.get("FailureReason") else said


def _service(found: dict[str, Any]) -> str:
    if not found["services"]:
        return "not made yet"
    service = found["services"][0]
    said = [f"service {service['status']}"]
    for one in service.get("deployments", []):
        counts = f"{one['runningCount']} of {one['desiredCount']} tasks"
        said.append(f"{one['status'].lower()} {counts} ({one.get('rolloutState', 'no state')})")
    return "; ".join(said)
