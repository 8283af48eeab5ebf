"""Oracle: cfn-lint's own rules, and the promises of each template written out by hand.

moto passes over most properties, so they are read in the templates.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from infra.pieces import PARTS, WATCHED, Release, pieces_of
from infra.settings import PROFILES, Profile, load_profile
from infra.templates import FOLDER, read_template

NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
# Actions that know no resource, so that a policy can only say "*" (AWS's service authorization reference).
WITHOUT_RESOURCE = {"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData", "ecs:DiscoverPollEndpoint"}
SECRET = re.compile(
    r"AKIA[0-9A-Z]{16}|-----BEGIN|(password|secret|token|api_?key)\s*[:=]\s*['\"]?\w{8,}", re.IGNORECASE
)
LATENT = {"average_replicas": 1, "max_replicas": 3}
KINDS: dict[str, dict[str, Any]] = {
    "realtime": {"instance_type": "ml.g5.xlarge", **LATENT},
    "component": {"instance_type": "ml.g5.xlarge", **LATENT},
    "async": {"instance_type": "ml.g5.xlarge", **LATENT},
    "service": {"instance_type": "g5.xlarge", "certificate_arn": "arn:aws:acm:eu-central-1:1:certificate/x", **LATENT},
}


def profile(kind: str) -> Profile:
    """A profile that serves this way and has a builder."""
    given = load_profile("prod").model_dump() | {"serving": {"kind": kind, **KINDS[kind]}}
    return Profile.model_validate(given)


def statements(name: str) -> Iterator[dict[str, Any]]:
    """Every statement of every policy of a role."""
    for resource in read_template(name).content["Resources"].values():
        for policy in resource["Properties"].get("Policies", []) if resource["Type"] == "AWS::IAM::Role" else []:
            yield from policy["PolicyDocument"]["Statement"]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.mark.slow
def test_cfn_lint_finds_nothing() -> None:
    api = pytest.importorskip("cfnlint.api", reason="cfn-lint is not installed")
    config = pytest.importorskip("cfnlint.config", reason="cfn-lint is not installed")
    regions = config.ManualArgs(regions=["us-east-1", "eu-central-1"])

    assert [match for name in NAMES for match in api.lint_file(FOLDER / f"{name}.yaml", config=regions)] == []


@pytest.mark.parametrize("name", NAMES)
def test_policies_name_actions_and_resources(name: str) -> None:
    for statement in statements(name):
        actions = listed(statement["Action"])
        assert not [action for action in actions if "*" in action]
        if "*" in listed(statement["Resource"]):
            assert set(actions) <= WITHOUT_RESOURCE
    assert "ManagedPolicyArns" not in json.dumps(read_template(name).content)


@pytest.mark.parametrize("name", NAMES)
def test_no_secret_stands_in_a_template(name: str) -> None:
    assert not SECRET.search(read_template(name).body)
    assert len(read_template(name).body.encode()) < 51_200  # what CloudFormation takes in a request


def test_no_secret_stands_in_the_profiles() -> None:
    assert not SECRET.search(PROFILES.read_text())


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_gets_its_value_from_one_place(kind: str) -> None:
    pieces = pieces_of(profile(kind))
    outputs = {piece.part: set(piece.template.content.get("Outputs", {})) for piece in pieces}
    parts = [piece.part for piece in pieces]

    assert parts == [part for part in PARTS if part in parts]  # in the order that all of them have
    for number, piece in enumerate(pieces):
        given = [*piece.settings, *piece.handed, *piece.released, *({WATCHED} & set(piece.template.parameters))]
        declared = {name for name, item in piece.template.parameters.items() if "Default" not in item}
        assert len(given) == len(set(given))
        assert declared <= set(given) <= set(piece.template.parameters)
        for part, output in piece.handed.values():
            assert part in parts[:number]
            assert output in outputs[part]


@pytest.mark.parametrize("kind", KINDS)
def test_settings_fit_the_parameters_they_are_given_to(kind: str) -> None:
    for piece in pieces_of(profile(kind)):
        for name, value in piece.settings.items():
            declared = piece.template.parameters[name]
            if declared["Type"] == "Number":
                assert declared.get("MinValue", 0) <= float(value) <= declared.get("MaxValue", float("inf"))
            assert value in declared.get("AllowedValues", [value])


def test_release_parameters_are_those_of_a_release() -> None:
    wanted = set(Release("image", "models", "store").parameters)
    assert {name: wanted <= set(read_template(name).parameters) for name in KINDS} == dict.fromkeys(KINDS, True)


def test_a_condition_that_does_not_hold_makes_nothing() -> None:
    alerts = read_template("alerts")
    with_reader = {logical_id for logical_id, _ in alerts.resources({"Email": "ops@shop.example"})}

    assert with_reader - {logical_id for logical_id, _ in alerts.resources({"Email": ""})} == {"Reader"}
    assert "Reader" not in {logical_id for logical_id, _ in alerts.resources({})}  # the default is nobody


def test_bucket_is_versioned_encrypted_private_and_forgets() -> None:
    bucket = read_template("store").content["Resources"]["StoreBucket"]
    settings = bucket["Properties"]
    rules = {rule["Id"]: rule for rule in settings["LifecycleConfiguration"]["Rules"]}

    assert "BucketName" not in settings
    assert settings["VersioningConfiguration"] == {"Status": "Enabled"}
    (encryption,) = settings["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert set(settings["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(settings["PublicAccessBlockConfiguration"]) == 4
    assert rules["expire-noncurrent-versions"]["NoncurrentVersionExpiration"] == {
        "NoncurrentDays": {"Ref": "NoncurrentDays"},
        "NewerNoncurrentVersions": {"Ref": "NoncurrentVersions"},
    }
    assert all(rule["Status"] == "Enabled" for rule in rules.values())
    # Galleries themselves never expire: only answers do, and what was replaced or never finished.
    assert [rule["Prefix"] for rule in rules.values() if "ExpirationInDays" in rule] == ["answers/"]
    assert bucket["UpdateReplacePolicy"] == "Retain"


def test_policy_refuses_what_is_not_tls() -> None:
    policy = read_template("store").content["Resources"]["StoreBucketPolicy"]["Properties"]["PolicyDocument"]
    (statement,) = policy["Statement"]

    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert [item["Fn::Sub"].endswith("/*") for item in statement["Resource"]] == [False, True]


@pytest.mark.parametrize(
    ("kind", "resource"), [("realtime", "Endpoint"), ("component", "Copies"), ("async", "Endpoint")]
)
def test_an_alarm_takes_every_kind_of_rollout_back(kind: str, resource: str) -> None:
    resources = read_template(kind).content["Resources"]
    rollback = resources[resource]["Properties"]["DeploymentConfig"]["AutoRollbackConfiguration"]
    condition, watched, otherwise = rollback["Fn::If"]
    alarms = [alarm["AlarmName"]["Ref"] for alarm in watched["Alarms"]]
    assert (condition, otherwise) == ("IsWatched", {"Ref": "AWS::NoValue"})

    assert "ErrorsAlarm" in alarms
    # The driver finds them by this name.
    assert all(
        resources[alarm]["Properties"]["AlarmName"]["Fn::Sub"].startswith("${EndpointName}-rollback-")
        for alarm in alarms
    )


def test_a_replica_may_look_at_the_alarms_that_take_a_rollout_back() -> None:
    """Without it SageMaker refuses the shift."""
    (statement,) = [one for one in statements("roles") if one["Action"] == "cloudwatch:DescribeAlarms"]

    assert statement["Resource"]["Fn::Sub"].endswith(":alarm:${EndpointName}-rollback-*")


@pytest.mark.parametrize("kind", ["component", "async"])
def test_what_scales_to_zero_has_an_alarm_that_wakes_it(kind: str) -> None:
    resources = read_template(kind).content["Resources"]
    (target,) = [item for item in resources.values() if item["Type"] == "AWS::ApplicationAutoScaling::ScalableTarget"]

    assert target["Properties"]["MinCapacity"] == 0
    assert resources["WakeUpAlarm"]["Properties"]["AlarmActions"] == [{"Ref": "WakeUp"}]
    assert resources["WakeUp"]["Properties"]["PolicyType"] == "StepScaling"


@pytest.mark.parametrize(("kind", "shown"), [("realtime", "EndpointName"), ("component", "InferenceComponentName")])
def test_dashboard_is_json_and_shows_what_the_kind_measures(kind: str, shown: str) -> None:
    (piece,) = [piece for piece in pieces_of(profile(kind)) if piece.part == "dashboard"]
    body = piece.template.content["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    for name, value in (piece.settings | {"AWS::Region": "eu-central-1"}).items():
        body = body.replace(f"${{{name}}}", value)

    metrics = [metric for widget in json.loads(body)["widgets"] for metric in widget["properties"]["metrics"]]
    assert {metric[2] for metric in metrics if metric[0] == "AWS/SageMaker"} == {shown}
