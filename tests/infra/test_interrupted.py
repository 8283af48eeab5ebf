"""Stopped at every call to AWS, before it is sent and after it was answered, and run again, each verb converges.

Oracle: the state that a run ends in which nobody stops. moto runs in this process here: hundreds of runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from index_builder.store import LocalStore, open_store
from infra.aws import Clients
from infra.deployment import Deployment
from infra.models import upload_models
from infra.pieces import STORE, Release
from infra.releases import Releases
from infra.reports import Outcome, Report
from infra.rollout import Rollout
from infra.settings import Profile, load_profile
from tests.infra.conftest import ACCOUNT, REGION, Cloud
from tests.infra.moto_gaps import fill_gaps

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Tried to parse"),
    pytest.mark.filterwarnings("ignore:Unable to delete"),
]

# Before each call; and after each that changes something, whose answer is lost.
STOPS = [("before-call", False), ("after-call", True)]


@dataclass
class Stopper:
    """Presses Ctrl-C at call number `at`; None lets all of them pass."""

    at: int | None = None
    calls: int = 0
    changing_only: bool = False

    def __call__(self, **event: Any) -> None:
        """Called by botocore at each call to AWS."""
        operation = event["model"].name
        if self.changing_only and operation.startswith(("Describe", "List", "Get", "Head")):
            return  # stopped while reading, a run is stopped before its next change
        self.calls += 1
        if self.calls - 1 == self.at:
            raise KeyboardInterrupt

    def set(self, at: int | None) -> None:
        self.at, self.calls = at, 0


@contextmanager
def stopping(event: str, *, changing_only: bool = False) -> Iterator[Stopper]:
    """A stopper at every `event` of a fresh cloud in this process."""
    moto = pytest.importorskip("moto", reason="moto is not installed")
    stopper = Stopper(changing_only=changing_only)
    with moto.mock_aws(), pytest.MonkeyPatch.context() as patch:
        fill_gaps(patch)
        boto3.setup_default_session()
        boto3.DEFAULT_SESSION.events.register(event, stopper)
        yield stopper
        boto3.setup_default_session()


def deployment(profile: Profile) -> Deployment:
    return Deployment(profile, Clients(REGION), poll_s=0.0)


def stopped_and_run_again(run: Callable[[], Any], stopper: Stopper, at: int) -> bool:
    """Stop a run at a call and run it again; whether there was such a call."""
    stopper.set(at)
    try:
        run()
        stopped = False
    except KeyboardInterrupt:
        stopped = True
    stopper.set(None)
    run()
    return stopped


@pytest.fixture(scope="module")
def small() -> Profile:
    """The bucket and the registry, which have to be emptied: two stacks."""
    return load_profile("dev").model_copy(update={"serving": None, "alerts": None})


@pytest.mark.parametrize(("event", "changing_only"), STOPS)
def test_up(small: Profile, event: str, changing_only: bool) -> None:
    for at in itertools.count():
        with stopping(event, changing_only=changing_only) as stopper:
            stopped = stopped_and_run_again(lambda: deployment(small).up(), stopper, at)
            left = Cloud(url=None).left()
            assert [len(left[kind]) for kind in ("stacks", "buckets", "repositories")] == [2, 1, 1]
            assert set(Cloud(url=None).stacks().values()) == {"CREATE_COMPLETE"}
            assert not any(piece.plan.needed for piece in deployment(small).plan())
        if not stopped:
            break
    assert at >= (4 if changing_only else 10)  # calls there were; else nothing was stopped


@pytest.mark.parametrize(("event", "changing_only"), STOPS)
def test_down(small: Profile, event: str, changing_only: bool) -> None:
    for at in itertools.count():
        with stopping(event, changing_only=changing_only) as stopper:
            deployment(small).up()
            cloud = Cloud(url=None)
            (bucket,) = cloud.buckets()
            cloud.s3.put_object(Bucket=bucket, Key="galleries/one", Body=b"x")
            cloud.push_image("shopcam-dev", "1")
            stopped = stopped_and_run_again(lambda: deployment(small).down(), stopper, at)
            assert cloud.left() == {}
        if not stopped:
            break
    assert at >= (4 if changing_only else 10)


def test_rollout(galleries: LocalStore, tiny_repository: Path) -> None:
    profile = load_profile("dev")
    with stopping("before-call", changing_only=True) as stopper:
        made = deployment(profile)
        made.up()
        cloud = Cloud(url=None)
        bucket = made.output(STORE, "StoreBucketName")
        store = open_store(f"s3://{bucket}/one")
        store.publish(galleries.gallery("one"), "one")
        store.swap("one")
        release = Release(
            cloud.push_image("shopcam-dev", "0"), upload_models(cloud.s3, tiny_repository, bucket), store.uri
        )
        assert roll_out(profile, release).outcome is Outcome.LIVE
        cloud.ring("shopcam-dev-rollback-errors", state="OK")
        for at in itertools.count():
            before = release
            release = replace(release, image_uri=cloud.push_image("shopcam-dev", str(at + 1)))
            stopped = stopped_and_run_again(lambda asked=release: roll_out(profile, asked), stopper, at)
            assert deployment(profile).release() == release
            assert Releases(cloud.s3, bucket).noted(release)
            assert Releases(cloud.s3, bucket).previous() == before
            assert len(cloud.client("sagemaker").list_endpoints()["Endpoints"]) == 1
            if not stopped:
                break
        assert at >= 3  # create and execute the change set, write the record
    assert release.image_uri.startswith(ACCOUNT)


def roll_out(profile: Profile, release: Release) -> Report:
    return Rollout(deployment(profile), told=lambda _: None).run(release)
