"""Oracle: the state that moto's own API reports before and after each verb."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from catalog.errors import ForbiddenError, MalformedError, NotFoundError
from infra.__main__ import main
from infra.aws import CloudError
from infra.buckets import empty_bucket
from infra.settings import PROFILES, load_profile
from infra.stack import Change, Plan, Stack

ROOT = Path(__file__).resolve().parents[2]
FILLED = 12 + 5 + 1 + 1
STACK = "shopcam-store-dev"
BUCKET = Change(action="Add", logical_id="StoreBucket", kind="AWS::S3::Bucket", replacement="False")
POLICY = Change(action="Add", logical_id="StoreBucketPolicy", kind="AWS::S3::BucketPolicy", replacement="False")

pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse AWS..S3..BucketPolicy")


class Terminal(io.StringIO):
    """A person at a keyboard."""

    def isatty(self) -> bool:
        return True


def run(verb: str, cloud: Any, *arguments: str) -> int:
    return main([verb, "--profile", "dev", "--endpoint-url", cloud.url, *arguments])


def versions_of(cloud: Any, bucket: str) -> int:
    page = cloud.s3.list_object_versions(Bucket=bucket)
    return len(page.get("Versions", [])) + len(page.get("DeleteMarkers", []))


def fill(cloud: Any, bucket: str) -> None:
    """12 objects, 5 versions and a delete marker of one more, and an unfinished upload: 19 things."""
    cloud.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for number in range(12):
        cloud.s3.put_object(Bucket=bucket, Key=f"galleries/{number}", Body=b"x")
    for body in (b"1", b"2", b"3", b"4", b"5"):
        cloud.s3.put_object(Bucket=bucket, Key="live.json", Body=body)
    cloud.s3.delete_object(Bucket=bucket, Key="live.json")
    cloud.s3.create_multipart_upload(Bucket=bucket, Key="index.faiss")


def test_plan_tells_both_resources_and_changes_nothing(cloud: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert Stack(load_profile("dev"), endpoint_url=cloud.url).plan() == Plan((BUCKET, POLICY), needed=True)
    assert run("plan", cloud) == 0

    assert (cloud.stacks(), cloud.buckets()) == ({}, [])
    told = capsys.readouterr()
    assert "StoreBucketPolicy" in told.out
    assert "2 to add; nothing was changed" in told.err


@pytest.mark.parametrize("verb", ["plan", "up"])
def test_a_stopped_question_leaves_no_trace(cloud: Any, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    def stop(*_: Any) -> None:
        assert cloud.stacks() == {STACK: "REVIEW_IN_PROGRESS"}
        raise KeyboardInterrupt

    monkeypatch.setattr(Stack, "_read", stop)
    with pytest.raises(KeyboardInterrupt):
        run(verb, cloud)

    assert (cloud.stacks(), cloud.buckets()) == ({}, [])


def test_up_twice_is_up_once(cloud: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("up", cloud) == 0
    assert cloud.stacks() == {STACK: "CREATE_COMPLETE"}
    (bucket,) = cloud.buckets()
    assert bucket.startswith(f"{STACK}-storebucket-")
    assert f"the store is s3://{bucket}" in capsys.readouterr().err

    cloud.s3.put_object(Bucket=bucket, Key="live.json", Body=b"{}")
    assert run("up", cloud) == 0
    assert cloud.stacks() == {STACK: "CREATE_COMPLETE"}
    assert cloud.buckets() == [bucket]
    assert cloud.s3.get_object(Bucket=bucket, Key="live.json")["Body"].read() == b"{}"
    executed = cloud.stacks_api.list_change_sets(StackName=STACK)["Summaries"]
    assert [item["ExecutionStatus"] for item in executed] == ["EXECUTE_COMPLETE"]
    assert "is up (no changes)" in capsys.readouterr().err


def test_plan_of_a_standing_stack_keeps_it(cloud: Any) -> None:
    run("up", cloud)
    buckets = cloud.buckets()

    assert Stack(load_profile("dev"), endpoint_url=cloud.url).plan() == Plan((), needed=False)
    assert (cloud.stacks(), cloud.buckets()) == ({STACK: "CREATE_COMPLETE"}, buckets)


def test_changed_settings_are_planned_and_then_made(cloud: Any, tmp_path: Path) -> None:
    run("up", cloud)
    settings = tmp_path / "profiles.toml"
    settings.write_text(PROFILES.read_text().replace("noncurrent_days = 7", "noncurrent_days = 8"))
    before = cloud.stacks_api.describe_stacks(StackName=STACK)["Stacks"][0]["Parameters"]

    run("plan", cloud, "--settings", str(settings))
    planned = cloud.stacks_api.describe_stacks(StackName=STACK)["Stacks"][0]
    assert planned["Parameters"] == before
    assert {"ParameterKey": "NoncurrentDays", "ParameterValue": "7"} in before
    run("up", cloud, "--settings", str(settings))
    after = cloud.stacks_api.describe_stacks(StackName=STACK)["Stacks"][0]
    assert after["StackStatus"] == "UPDATE_COMPLETE"
    assert {"ParameterKey": "NoncurrentDays", "ParameterValue": "8"} in after["Parameters"]


def test_down_removes_every_version_and_the_stack(cloud: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run("up", cloud)
    (bucket,) = cloud.buckets()
    fill(cloud, bucket)
    cloud.s3.create_bucket(Bucket="of-somebody-else", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})

    assert run("down", cloud, "--yes") == 0
    assert (cloud.stacks(), cloud.buckets()) == ({}, ["of-somebody-else"])
    assert "with 19 object versions and uploads" in capsys.readouterr().err
    assert run("down", cloud, "--yes") == 0
    assert "nothing to remove" in capsys.readouterr().err


def test_down_asks_and_anything_but_the_name_keeps_all(
    cloud: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("up", cloud)
    (bucket,) = cloud.buckets()
    cloud.s3.put_object(Bucket=bucket, Key="live.json", Body=b"{}")

    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert run("down", cloud) == 1
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{STACK}\n"))
    with pytest.raises(MalformedError, match="say --yes"):
        run("down", cloud)
    assert (cloud.stacks(), cloud.buckets(), versions_of(cloud, bucket)) == (
        {STACK: "CREATE_COMPLETE"},
        [bucket],
        1,
    )

    monkeypatch.setattr(sys, "stdin", Terminal(f"{STACK}\n"))
    assert run("down", cloud) == 0
    assert (cloud.stacks(), cloud.buckets()) == ({}, [])
    assert "Type its name" in capsys.readouterr().err


def test_bucket_removed_by_hand_counts_as_empty(cloud: Any) -> None:
    assert Stack(load_profile("dev"), endpoint_url=cloud.url)._empty("never-there", print) == 0


def test_empty_bucket_goes_page_by_page_and_tells(cloud: Any) -> None:
    place = {"LocationConstraint": "eu-central-1"}
    cloud.s3.create_bucket(Bucket="many", CreateBucketConfiguration=place)
    fill(cloud, "many")
    told: list[int] = []

    assert empty_bucket(cloud.s3, "many", page_size=5, on_removed=told.append) == FILLED
    assert told == [5, 10, 15, 18]
    assert versions_of(cloud, "many") == 0
    assert cloud.s3.list_multipart_uploads(Bucket="many").get("Uploads", []) == []


def test_status_before_and_after(cloud: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("status", cloud) == 0
    assert f"{STACK} does not exist in eu-central-1" in capsys.readouterr().err
    run("up", cloud)
    found = Stack(load_profile("dev"), endpoint_url=cloud.url).status()
    (bucket,) = cloud.buckets()

    assert found is not None
    assert found.state == "CREATE_COMPLETE"
    assert found.store == f"s3://{bucket}"
    assert ("StoreBucket", "AWS::S3::Bucket", bucket, "CREATE_COMPLETE") in found.resources
    assert (cloud.stacks(), cloud.buckets()) == ({STACK: "CREATE_COMPLETE"}, [bucket])


def test_region_of_the_command_wins(cloud: Any) -> None:
    run("up", cloud, "--region", "eu-west-1")

    assert cloud.stacks() == {}
    (bucket,) = cloud.buckets()
    assert cloud.s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] == "eu-west-1"


def test_protected_profile_is_not_removed_without_a_word_to_the_cloud_api() -> None:
    stack = Stack(load_profile("prod"))
    standing = {
        "Stacks": [{"StackName": stack.name, "StackStatus": "CREATE_COMPLETE", "CreationTime": "2026-01-01T00:00:00Z"}]
    }
    with Stubber(stack._cloud) as answers:
        answers.add_response("describe_stacks", standing, {"StackName": stack.name})
        with pytest.raises(ForbiddenError, match="profile 'prod' is protected"):
            stack.down()
        answers.assert_no_pending_responses()  # and Stubber refuses every call that was not announced


@pytest.mark.parametrize("standing", [False, True])
def test_up_sets_termination_protection_as_the_profile_says(standing: bool) -> None:
    # moto has no UpdateTerminationProtection.
    stack = Stack(load_profile("prod"))
    found = {"StackName": stack.name, "StackStatus": "CREATE_COMPLETE", "CreationTime": "2026-01-01T00:00:00Z"}
    with Stubber(stack._cloud) as answers:
        answers.add_response("describe_stacks", {"Stacks": [found | {"EnableTerminationProtection": standing}]})
        if not standing:
            wanted = {"StackName": stack.name, "EnableTerminationProtection": True}
            answers.add_response("update_termination_protection", {"StackId": "id"}, wanted)
        stack._protect()
        answers.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ("ROLLBACK_COMPLETE", "is in ROLLBACK_COMPLETE and can't be changed; remove it with down first"),
        ("UPDATE_IN_PROGRESS", r"is busy \(UPDATE_IN_PROGRESS\)"),
    ],
)
def test_a_stack_that_cannot_be_changed_is_named(state: str, sentence: str) -> None:
    stack = Stack(load_profile("dev"))
    found = {"StackName": stack.name, "StackStatus": state, "CreationTime": "2026-01-01T00:00:00Z"}
    with Stubber(stack._cloud) as answers:
        answers.add_response("describe_stacks", {"Stacks": [found]})
        with pytest.raises(CloudError, match=sentence):
            stack.plan()


def test_a_failed_stack_names_its_first_failure() -> None:
    stack = Stack(load_profile("dev"))
    told = [
        ("Stack", "ROLLBACK_COMPLETE", ""),
        ("Policy", "CREATE_FAILED", "cancelled"),
        ("Bucket", "CREATE_FAILED", "full"),
    ]
    events = [
        {
            "StackId": "id",
            "EventId": str(number),
            "StackName": stack.name,
            "Timestamp": "2026-01-01T00:00:00Z",
            "LogicalResourceId": name,
            "ResourceStatus": state,
            "ResourceStatusReason": reason,
        }
        for number, (name, state, reason) in enumerate(told)
    ]
    with Stubber(stack._cloud) as answers:
        answers.add_response("describe_stack_events", {"StackEvents": events})

        assert stack._first_failure() == "Bucket: full"


def test_unknown_profile_and_wrong_settings(tmp_path: Path) -> None:
    settings = tmp_path / "profiles.toml"
    settings.write_text(PROFILES.read_text().replace("noncurrent_days = 7", "noncurrent_days = 0"))

    with pytest.raises(NotFoundError, match=r"no profile 'tset' in profiles.toml; known profiles: dev, prod"):
        main(["plan", "--profile", "tset"])
    with pytest.raises(MalformedError, match=r"profile 'dev' in profiles.toml has a wrong noncurrent_days"):
        load_profile("dev", path=settings)
    settings.write_text(PROFILES.read_text().replace("protected = true", "protected = true\nprotekted = true"))
    with pytest.raises(MalformedError, match="wrong protekted: Extra inputs are not permitted"):
        load_profile("prod", path=settings)
    with pytest.raises(NotFoundError, match="does not exist"):
        load_profile("dev", path=tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("environment", "endpoint", "sentence"),
    [
        ({"AWS_ACCESS_KEY_ID": ""}, "http://127.0.0.1:9", "no AWS credentials were found"),
        ({}, "http://127.0.0.1:9", "the cloud was not reached"),
        ({"AWS_PROFILE": "nobody"}, "http://127.0.0.1:9", "The config profile (nobody) could not be found"),
        ({}, "localhost", "AWS can't be asked this way: Invalid endpoint: localhost"),
    ],
)
def test_mistakes_are_one_sentence(environment: dict[str, str], endpoint: str, sentence: str, tmp_path: Path) -> None:
    variables = {name: value for name, value in (os.environ | environment).items() if value}
    if "AWS_ACCESS_KEY_ID" in environment:
        variables.pop("AWS_SECRET_ACCESS_KEY")
    done = subprocess.run(
        [sys.executable, "-m", "infra", "status", "--endpoint-url", endpoint],
        cwd=ROOT,
        env=variables | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
