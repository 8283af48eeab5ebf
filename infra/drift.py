"""A stack in, what somebody changed in it by hand out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from infra.aws import CloudError
from infra.stack import POLL_S


@dataclass(frozen=True)
class Drift:
    """One property that is not as the template says."""

    logical_id: str
    path: str
    expected: str
    actual: str


def drift_of(cloud: Any, stack: str, *, poll_s: float = POLL_S) -> list[Drift]:
    """What differs from the template; raises CloudError where CloudFormation can't tell."""
    detection = cloud.detect_stack_drift(StackName=stack)["StackDriftDetectionId"]
    while True:
        found = cloud.describe_stack_drift_detection_status(StackDriftDetectionId=detection)
        if found["DetectionStatus"] != "DETECTION_IN_PROGRESS":
            break
        time.sleep(poll_s)
    if found["DetectionStatus"] == "DETECTION_FAILED":
        raise CloudError(f"CloudFormation can't tell whether {stack} drifted: {found.get('DetectionStatusReason')}")
    return [drift for resource in _drifted(cloud, stack) for drift in _differences(resource)]


def _drifted(cloud: Any, stack: str) -> list[dict[str, Any]]:
    wanted = {"StackName": stack, "StackResourceDriftStatusFilters": ["MODIFIED", "DELETED"]}
    resources: list[dict[str, Any]] = []
    while True:
        page = cloud.describe_stack_resource_drifts(**wanted)
        resources += page["StackResourceDrifts"]
        if "NextToken" not in page:
            return resources
        wanted["NextToken"] = page["NextToken"]


def _differences(resource: dict[str, Any]) -> list[Drift]:
    logical_id = resource["LogicalResourceId"]
    if resource["StackResourceDriftStatus"] == "DELETED":
        return [Drift(logical_id, path="", expected="there", actual="removed by hand")]
    return [
        Drift(logical_id, item["PropertyPath"], expected=item["ExpectedValue"], actual=item["ActualValue"])
        for item in resource.get("PropertyDifferences", [])
    ]
