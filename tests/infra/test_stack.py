"""One stack. Oracle: the state that moto's own API reports, and botocore's stubs where moto knows nothing."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from catalog.errors import ForbiddenError, MalformedError, NotFoundError
from infra.__main__ import main
from infra.aws import Clients, CloudError
from infra.buckets import empty_bucket
from infra.change_sets import Change, ChangeSet, Plan
from infra.deployment import Deployment
from infra.settings import PROFILES, load_profile
from infra.stack import Stack
from infra.templates import read_template
from tests.infra.conftest import REGION, Cloud, run

ROOT = Path(__file__).resolve().parents[2]
NAME = "shopcam-dev-store"
FILLED = 12 + 5 + 1 + 1
STORE = read_template("store")
WEEK = {"NoncurrentDays": "7", "NoncurrentVersions": "2"}
BUCKET = Change(action="Add", logical_id="StoreBucket", kind="AWS::S3::Bucket")
POLICY = Change(action="Add", logical_id="StoreBucketPolicy", kind="AWS::S3::BucketPolicy")

pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse")


# Not to be seen in any sentence.
KEY = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}


class Terminal(io.StringIO):
    """A person at a keyboard."""

    def isatty(self) -> bool:
        return True


def stack(url: str | None = None, *, protected: bool = False) -> Stack:
    return Stack(NAME, Clients(REGION, endpoint_url=url), tags={"project": "shopcam"}, protected=protected, poll_s=0.0)


def versions_of(cloud: Cloud, bucket: str) -> int:
    page = cloud.s3.list_object_versions(Bucket=bucket)
    return len(page.get("Versions", [])) + len(page.get("DeleteMarkers", []))


def fill(cloud: Cloud, bucket: str) -> None:
    """12 objects, 5 versions and a delete marker of one more, and an unfinished upload: 19 things."""
    cloud.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for number in range(12):
        cloud.s3.put_object(Bucket=bucket, Key=f"galleries/{number}", Body=b"x")
    for body in (b"1", b"2", b"3", b"4", b"5"):
        cloud.s3.put_object(Bucket=bucket, Key="live.json", Body=body)
    cloud.s3.delete_object(Bucket=bucket, Key="live.json")
    cloud.s3.create_multipart_upload(Bucket=bucket, Key="index.faiss")


def found(state: str, **more: Any) -> dict[str, Any]:
    """What CloudFormation tells of a stack."""
    return {"Stacks": [{"StackName": NAME, "StackStatus": state, "CreationTime": "2026-01-01T00:00:00Z", **more}]}


def test_plan_of_what_is_not_there_comes_from_the_template_and_makes_nothing(cloud: Cloud) -> None:
    assert stack(cloud.url).plan(STORE, WEEK) == Plan((BUCKET, POLICY), needed=True)
    assert cloud.left() == {}


def test_a_stopped_question_leaves_no_trace(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    stack(cloud.url).up(STORE, WEEK)

    def stop(*_: Any) -> None:
        summaries = cloud.stacks_api.list_change_sets(StackName=NAME)["Summaries"]
        assert [item["ExecutionStatus"] for item in summaries] == ["EXECUTE_COMPLETE", "AVAILABLE"]
        raise KeyboardInterrupt

    monkeypatch.setattr(ChangeSet, "read", stop)
    with pytest.raises(KeyboardInterrupt):
        stack(cloud.url).plan(STORE, WEEK | {"NoncurrentDays": "8"})
    assert len(cloud.stacks_api.list_change_sets(StackName=NAME)["Summaries"]) == 1


def test_changed_settings_are_planned_and_then_made(cloud: Cloud) -> None:
    one = stack(cloud.url)
    one.up(STORE, WEEK)
    longer = WEEK | {"NoncurrentDays": "8"}

    assert one.plan(STORE, longer).needed
    assert one.look().parameters == WEEK
    one.up(STORE, longer)
    assert one.look().state == "UPDATE_COMPLETE"
    assert one.look().parameters == longer
    assert not one.plan(STORE, longer).needed
    assert not one.up(STORE, longer).needed


def test_down_asks_and_anything_but_the_name_keeps_all(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stack(cloud.url).up(STORE, WEEK)
    (bucket,) = cloud.buckets()
    cloud.s3.put_object(Bucket=bucket, Key="live.json", Body=b"{}")

    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    assert run("down", cloud) == 1
    monkeypatch.setattr(sys, "stdin", io.StringIO("shopcam-dev\n"))
    with pytest.raises(MalformedError, match="say --yes"):
        run("down", cloud)
    assert (cloud.stacks(), cloud.buckets(), versions_of(cloud, bucket)) == ({NAME: "CREATE_COMPLETE"}, [bucket], 1)

    monkeypatch.setattr(sys, "stdin", Terminal("shopcam-dev\n"))
    assert run("down", cloud) == 0
    assert cloud.left() == {}
    assert "Type its name" in capsys.readouterr().err


def test_empty_bucket_goes_page_by_page_and_tells(cloud: Cloud) -> None:
    place = {"LocationConstraint": REGION}
    cloud.s3.create_bucket(Bucket="many", CreateBucketConfiguration=place)
    fill(cloud, "many")
    told: list[int] = []

    assert empty_bucket(cloud.s3, "many", page_size=5, on_removed=told.append) == FILLED
    assert told == [5, 10, 15, 18]
    assert versions_of(cloud, "many") == 0
    assert cloud.s3.list_multipart_uploads(Bucket="many").get("Uploads", []) == []
    assert empty_bucket(cloud.s3, "never-there") == 0


def test_region_of_the_command_wins(cloud: Cloud) -> None:
    run("up", cloud, "--region", "us-east-1")

    assert cloud.stacks() == {}
    (bucket,) = cloud.buckets()
    assert cloud.s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None  # S3's name of us-east-1


def test_protected_profile_is_not_removed_without_a_word_to_the_cloud_api() -> None:
    clients = Clients(REGION)
    with Stubber(clients("cloudformation")) as answers:
        answers.add_response("describe_stacks", found("CREATE_COMPLETE"), {"StackName": "shopcam-prod-store"})
        with pytest.raises(ForbiddenError, match="profile 'prod' is protected"):
            Deployment(load_profile("prod"), clients).down()
        answers.assert_no_pending_responses()  # and Stubber refuses every call that was not announced


@pytest.mark.parametrize("standing", [False, True])
def test_termination_protection_is_set_as_the_profile_says(standing: bool) -> None:
    one = stack(protected=True)
    with Stubber(one._cloud) as answers:
        answers.add_response("describe_stacks", found("CREATE_COMPLETE", EnableTerminationProtection=standing))
        if not standing:
            wanted = {"StackName": NAME, "EnableTerminationProtection": True}
            answers.add_response("update_termination_protection", {"StackId": "id"}, wanted)
        one.protect()
        answers.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("ask", "state", "sentence"),
    [
        (Stack.up, "UPDATE_ROLLBACK_FAILED", r"is in UPDATE_ROLLBACK_FAILED and can't be changed \(Bucket: full\)"),
        (Stack.plan, "UPDATE_IN_PROGRESS", r"is busy \(UPDATE_IN_PROGRESS\); try again when it is done"),
    ],
)
def test_a_stack_that_cannot_be_changed_is_named(ask: Callable[..., Plan], state: str, sentence: str) -> None:
    one = stack()
    with Stubber(one._cloud) as answers:
        answers.add_response("describe_stacks", found(state))
        answers.add_response("describe_stack_events", events(("Bucket", "CREATE_FAILED", "full")))
        with pytest.raises(CloudError, match=sentence):
            ask(one, STORE, WEEK)


def test_up_waits_for_work_that_an_interrupted_run_began() -> None:
    one = stack()
    with Stubber(one._cloud) as answers:
        for state in ("CREATE_IN_PROGRESS", "CREATE_IN_PROGRESS", "CREATE_COMPLETE"):
            answers.add_response("describe_stacks", found(state))
        answers.add_client_error("create_change_set", "ValidationError", "No updates are to be performed.")
        answers.add_response("describe_stacks", found("CREATE_COMPLETE"))
        assert one.up(STORE, WEEK) == Plan((), needed=False)
        answers.assert_no_pending_responses()


def test_a_stack_whose_creation_failed_is_made_anew() -> None:
    one = stack()
    with Stubber(one._cloud) as answers:
        answers.add_response("describe_stacks", found("ROLLBACK_COMPLETE"))
        answers.add_response("delete_stack", {}, {"StackName": NAME})
        answers.add_client_error("describe_stacks", "ValidationError", f"Stack with id {NAME} does not exist")
        answers.add_client_error("create_change_set", "AccessDenied", "not you")
        with pytest.raises(CloudError, match=r"AWS refused CreateChangeSet: not you \(AccessDenied\)"):
            one.up(STORE, WEEK)
        answers.assert_no_pending_responses()


def events(*told: tuple[str, str, str]) -> dict[str, Any]:
    """Events of a stack, the newest first: (resource, state, reason)."""
    return {
        "StackEvents": [
            {
                "StackId": "id",
                "EventId": str(number),
                "StackName": NAME,
                "Timestamp": "2026-01-01T00:00:00Z",
                "LogicalResourceId": name,
                "ResourceStatus": state,
                "ResourceStatusReason": reason,
            }
            for number, (name, state, reason) in enumerate(told)
        ]
    }


def test_a_failed_stack_names_the_first_failure_of_its_last_change() -> None:
    one = stack()
    told = events(
        ("Stack", "UPDATE_ROLLBACK_COMPLETE", ""),
        ("Policy", "CREATE_FAILED", "Resource creation cancelled"),
        ("Bucket", "CREATE_FAILED", "full"),
        (NAME, "UPDATE_IN_PROGRESS", "User Initiated"),
        ("Bucket", "CREATE_FAILED", "of last year"),
    )
    with Stubber(one._cloud) as answers:
        answers.add_response("describe_stack_events", told)

        assert one.first_failure() == "Bucket: full"


def test_unknown_profile_and_wrong_settings(tmp_path: Path) -> None:
    settings = tmp_path / "profiles.toml"

    def with_change(before: str, after: str) -> Path:
        settings.write_text(PROFILES.read_text().replace(before, after))
        return settings

    with pytest.raises(NotFoundError, match=r"no profile 'tset' in profiles.toml; known profiles: dev, prod"):
        main(["plan", "--profile", "tset"])
    with pytest.raises(MalformedError, match=r"profile 'dev' in profiles.toml has a wrong store.noncurrent_days"):
        load_profile("dev", path=with_change("noncurrent_days = 7", "noncurrent_days = 0"))
    with pytest.raises(MalformedError, match="wrong protekted: Extra inputs are not permitted"):
        load_profile("prod", path=with_change("protected = true", "protected = true\nprotekted = true"))
    with pytest.raises(
        MalformedError, match="average_replicas is 9, expected between min_replicas 2 and max_replicas 8"
    ):
        load_profile("prod", path=with_change("average_replicas = 2.3", "average_replicas = 9"))
    with pytest.raises(MalformedError, match="serving needs alerts, which its alarms write to"):
        load_profile("dev", path=with_change("[dev.alerts]\nmonthly_budget_usd = 100", ""))
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
    variables = {name: value for name, value in (os.environ | KEY | environment).items() if value}
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
    assert KEY["AWS_SECRET_ACCESS_KEY"] not in done.stderr
    assert done.stdout == ""
