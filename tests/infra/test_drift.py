"""Oracle: answers of CloudFormation as its reference describes them; botocore checks their form."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.stub import Stubber

from infra.aws import Clients, CloudError
from infra.drift import Drift, drift_of
from tests.infra.conftest import REGION

TIME = "2026-01-01T00:00:00Z"


def detection(status: str, **more: Any) -> dict[str, Any]:
    return {"StackId": "id", "StackDriftDetectionId": "d", "DetectionStatus": status, "Timestamp": TIME, **more}


def drifted(logical_id: str, status: str, *differences: tuple[str, str, str]) -> dict[str, Any]:
    return {
        "StackId": "id",
        "LogicalResourceId": logical_id,
        "ResourceType": "AWS::S3::Bucket",
        "StackResourceDriftStatus": status,
        "Timestamp": TIME,
        "PropertyDifferences": [
            {"PropertyPath": path, "ExpectedValue": expected, "ActualValue": actual, "DifferenceType": "NOT_EQUAL"}
            for path, expected, actual in differences
        ],
    }


def test_what_was_changed_by_hand_is_named() -> None:
    cloud = Clients(REGION)("cloudformation")
    with Stubber(cloud) as answers:
        answers.add_response("detect_stack_drift", {"StackDriftDetectionId": "d"}, {"StackName": "shop"})
        for status in ("DETECTION_IN_PROGRESS", "DETECTION_COMPLETE"):
            answers.add_response("describe_stack_drift_detection_status", detection(status))
        encrypted = drifted("Bucket", "MODIFIED", ("/VersioningConfiguration/Status", "Enabled", "Suspended"))
        answers.add_response(
            "describe_stack_resource_drifts", {"StackResourceDrifts": [encrypted], "NextToken": "more"}
        )
        answers.add_response("describe_stack_resource_drifts", {"StackResourceDrifts": [drifted("Policy", "DELETED")]})

        assert drift_of(cloud, "shop", poll_s=0.0) == [
            Drift("Bucket", "/VersioningConfiguration/Status", expected="Enabled", actual="Suspended"),
            Drift("Policy", "", expected="there", actual="removed by hand"),
        ]
        answers.assert_no_pending_responses()


def test_cloudformation_can_t_tell() -> None:
    cloud = Clients(REGION)("cloudformation")
    with Stubber(cloud) as answers:
        answers.add_response("detect_stack_drift", {"StackDriftDetectionId": "d"})
        failed = detection("DETECTION_FAILED", DetectionStatusReason="not allowed")
        answers.add_response("describe_stack_drift_detection_status", failed)
        with pytest.raises(CloudError, match="can't tell whether shop drifted: not allowed"):
            drift_of(cloud, "shop")
