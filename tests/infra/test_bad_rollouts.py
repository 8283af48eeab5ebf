"""Rollouts that go wrong on the way: the old version serves, and the report says why.

moto knows no UpdateEndpoint and no failing change, so AWS's answers are told here; botocore checks that each has the
form of the real ones and that nothing else is asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.stub import Stubber

from infra.aws import Clients
from infra.deployment import Deployment
from infra.pieces import Release
from infra.reports import Outcome, Report
from infra.rollout import Rollout
from infra.serving_progress import serving_progress
from infra.settings import Profile, load_profile
from tests.infra.conftest import ACCOUNT, REGION
from tests.infra.test_stack import events

OLD = Release(f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/shop:1", "s3://b/models/1/", "s3://b/one")
NEW = Release(f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/shop:2", "s3://b/models/2/", "s3://b/two")
TIME = "2026-01-01T00:00:00Z"


@dataclass
class Aws:
    """Clients whose answers are told beforehand, each once and in order."""

    clients: Clients
    told: dict[str, Stubber]

    def answer(self, service: str, operation: str, response: dict[str, Any], asked: Any = None) -> None:
        self.told[service].add_response(operation, response, asked)

    def stack(self, state: str, release: Release = OLD, *, part: str = "serving") -> None:
        """One look at a stack."""
        parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in release.parameters.items()]
        found = {
            "StackName": f"shopcam-prod-{part}",
            "StackStatus": state,
            "CreationTime": TIME,
            "Parameters": parameters,
        }
        self.answer("cloudformation", "describe_stacks", {"Stacks": [found]}, {"StackName": found["StackName"]})

    def endpoint(self, status: str, **more: Any) -> None:
        """One look at the endpoint."""
        found = {
            "EndpointName": "shopcam-prod",
            "EndpointArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/shopcam-prod",
            "EndpointStatus": status,
            "CreationTime": TIME,
            "LastModifiedTime": TIME,
            **more,
        }
        self.answer("sagemaker", "describe_endpoint", found, {"EndpointName": "shopcam-prod"})

    def alarm(self, state: str) -> None:
        """One look at the alarms."""
        alarm = {
            "AlarmName": "shopcam-prod-rollback-errors",
            "StateValue": state,
            "StateReason": "9 errors in a minute",
        }
        self.answer("cloudwatch", "describe_alarms", {"MetricAlarms": [alarm]})


@pytest.fixture
def prod() -> Profile:
    return load_profile("prod").model_copy(update={"builder": None, "protected": False})


@pytest.fixture
def aws() -> Iterator[Aws]:
    clients = Clients(REGION)
    with ExitStack() as stack:
        told = {
            name: stack.enter_context(Stubber(clients(name)))
            for name in ("cloudformation", "sagemaker", "cloudwatch", "ecs")
        }
        yield Aws(clients, told)
        for answers in told.values():
            answers.assert_no_pending_responses()


def watched(aws: Aws, profile: Profile, told: list[str]) -> Report:
    return Rollout(Deployment(profile, aws.clients, poll_s=0.0), told=told.append).run(NEW)


def variant(count: int, *states: str) -> dict[str, Any]:
    return {
        "VariantName": "AllTraffic",
        "CurrentInstanceCount": count,
        "DesiredInstanceCount": 2,
        "VariantStatus": [{"Status": state} for state in states],
    }


def test_an_alarm_during_the_shift_ends_on_the_old_release(aws: Aws, prod: Profile) -> None:
    """A rollout that another terminal began is watched to its end."""
    aws.stack("UPDATE_IN_PROGRESS")  # somebody's rollout is at work
    for number, state in enumerate(("Creating", "Baking")):
        aws.stack("UPDATE_IN_PROGRESS")
        pending = {"EndpointConfigName": "next", "ProductionVariants": [variant(number, state)]}
        aws.endpoint("Updating", ProductionVariants=[variant(2)], PendingDeploymentSummary=pending)
        aws.alarm("OK")
    aws.stack("UPDATE_ROLLBACK_IN_PROGRESS")
    aws.endpoint("RollingBack", ProductionVariants=[variant(2)])
    aws.alarm("ALARM")
    aws.stack("UPDATE_ROLLBACK_COMPLETE")
    aws.alarm("ALARM")
    failure = ("Endpoint", "UPDATE_FAILED", "Rolled back by alarm shopcam-prod-rollback-errors")
    aws.answer("cloudformation", "describe_stack_events", events(failure))
    aws.stack("UPDATE_ROLLBACK_COMPLETE")
    told: list[str] = []

    report = watched(aws, prod, told)
    assert report.outcome is Outcome.ROLLED_BACK
    assert report.serving == ", ".join((OLD.image_uri, OLD.models_uri, OLD.store_uri))
    assert report.why == (
        "Endpoint: Rolled back by alarm shopcam-prod-rollback-errors; "
        "alarm shopcam-prod-rollback-errors rings (9 errors in a minute)"
    )
    shown = "UPDATE_IN_PROGRESS: endpoint Updating; 2 of 2 replicas answer"
    assert told[1:3] == [
        f"{shown}; 0 of 2 replicas of the new release (Creating)",
        f"{shown}; 1 of 2 replicas of the new release (Baking)",
    ]
    assert [stage.what for stage in report.stages] == told


def test_a_release_that_fails_its_canary_ends_on_the_old_one(
    aws: Aws, prod: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/ping of the new replicas is a canary search; replicas that fail it never get traffic."""
    monkeypatch.setattr("infra.rollout.require_sound", lambda *_: "two")  # asks ECR and S3, which test_rollouts covers
    deployed = Deployment(prod, aws.clients, poll_s=0.0)
    monkeypatch.setattr(Deployment, "values", lambda *_, **__: {"EndpointName": "shopcam-prod"})
    aws.stack("UPDATE_COMPLETE")
    aws.stack("UPDATE_COMPLETE")
    aws.alarm("OK")
    aws.stack("UPDATE_COMPLETE")
    aws.answer("cloudformation", "create_change_set", {"Id": f"arn:{'x' * 8}", "StackId": "id"})
    asked = {"Status": "CREATE_COMPLETE", "Changes": [changed("Model"), changed("Endpoint", replaces="False")]}
    for _ in range(2):  # the waiter looks, then the plan is read
        aws.answer("cloudformation", "describe_change_set", asked)
    aws.answer("cloudformation", "execute_change_set", {})
    aws.stack("UPDATE_IN_PROGRESS")
    aws.endpoint("Updating", ProductionVariants=[variant(2)])
    aws.alarm("OK")
    aws.stack("UPDATE_ROLLBACK_COMPLETE")
    aws.alarm("OK")
    why = "The primary container did not pass the ping health check"
    aws.answer("cloudformation", "describe_stack_events", events(("Endpoint", "UPDATE_FAILED", why)))
    aws.stack("UPDATE_ROLLBACK_COMPLETE")

    report = Rollout(deployed, told=lambda _: None).run(NEW)
    assert (report.outcome, report.why) == (Outcome.ROLLED_BACK, f"Endpoint: {why}")
    assert report.serving == report.before == ", ".join((OLD.image_uri, OLD.models_uri, OLD.store_uri))


def changed(logical_id: str, *, replaces: str = "True") -> dict[str, Any]:
    kind = f"AWS::SageMaker::{logical_id}"
    change = {"Action": "Modify", "LogicalResourceId": logical_id, "ResourceType": kind, "Replacement": replaces}
    return {"Type": "Resource", "ResourceChange": change}


def test_up_does_not_ask_again_for_a_release_that_is_being_taken_back(
    aws: Aws, prod: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[Release | None] = []

    def values(_: Deployment, __: object, release: Release | None) -> dict[str, str]:
        served.append(release)
        return {"EndpointName": "shopcam-prod"}

    monkeypatch.setattr(Deployment, "values", values)
    monkeypatch.setattr(Deployment, "_left", lambda _: [])
    deployed = Deployment(prod, aws.clients, poll_s=0.0)
    deployed.pieces = [deployed.piece("serving")]
    aws.stack("UPDATE_IN_PROGRESS", NEW)
    for _ in range(3):  # it settled; what it serves; before the change set
        aws.stack("UPDATE_ROLLBACK_COMPLETE", OLD)
    aws.told["cloudformation"].add_client_error(
        "create_change_set", "ValidationError", "No updates are to be performed"
    )
    aws.stack("UPDATE_ROLLBACK_COMPLETE", OLD)  # its protection is looked at

    deployed.up()
    assert served == [OLD]


def test_progress_of_an_inference_component(aws: Aws) -> None:
    found = {
        "InferenceComponentName": "shopcam-dev-copy",
        "InferenceComponentArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:inference-component/shopcam-dev-copy",
        "EndpointName": "shopcam-dev",
        "EndpointArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/shopcam-dev",
        "InferenceComponentStatus": "Updating",
        "RuntimeConfig": {"DesiredCopyCount": 2, "CurrentCopyCount": 0},
        "CreationTime": TIME,
        "LastModifiedTime": TIME,
    }
    aws.answer("sagemaker", "describe_inference_component", found, {"InferenceComponentName": "shopcam-dev-copy"})

    assert serving_progress(aws.clients, load_profile("dev")) == "component Updating; 0 of 2 copies"


def test_progress_of_a_service(aws: Aws, prod: Profile) -> None:
    given = {"kind": "service", "instance_type": "g5.xlarge", "max_replicas": 4, "average_replicas": 2}
    serving = given | {"certificate_arn": "arn:aws:acm:eu-central-1:1:certificate/x"}
    profile = Profile.model_validate(prod.model_dump() | {"serving": serving})
    deployments = [
        {"status": "PRIMARY", "runningCount": 1, "desiredCount": 2, "rolloutState": "IN_PROGRESS"},
        {"status": "ACTIVE", "runningCount": 2, "desiredCount": 2, "rolloutState": "COMPLETED"},
    ]
    found = {"services": [{"serviceName": "shopcam-prod", "status": "ACTIVE", "deployments": deployments}]}
    aws.answer("ecs", "describe_services", found, {"cluster": "shopcam-prod", "services": ["shopcam-prod"]})

    told = serving_progress(aws.clients, profile)
    assert told == "service ACTIVE; primary 1 of 2 tasks (IN_PROGRESS); active 2 of 2 tasks (COMPLETED)"


def test_an_endpoint_that_is_not_there(aws: Aws, prod: Profile) -> None:
    aws.told["sagemaker"].add_client_error("describe_endpoint", "ValidationException", "Could not find endpoint")

    assert serving_progress(aws.clients, prod) == "not made yet"
