"""Rollouts onto one deployment that serves: what is refused, what is tried, what ends a trial, what is told.

Oracle: the pointer of the store in S3 and what SageMaker says it serves.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from catalog.errors import MalformedError
from index_builder.errors import ConflictError
from index_builder.store import LocalStore
from infra.aws import CloudError
from tests.infra.conftest import ALARM, PREFIX, Shop, empty_cloud, isolate, run
from tests.infra.moto_gaps import fill_gaps
from tests.tiny_repository import TinyNetworks

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Tried to parse"),
    pytest.mark.filterwarnings("ignore:Unable to delete"),
]


@pytest.fixture(scope="module")
def deployed(
    moto_url: str, galleries: LocalStore, tiny_repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """One deployment for the whole module, after its first rollout."""
    with pytest.MonkeyPatch.context() as patch:
        isolate(patch, tmp_path_factory.mktemp("home"))
        fill_gaps(patch)
        shop = Shop.stand(empty_cloud(moto_url), galleries, tiny_repository)
        shop.first()
        shop.publish("two", "poor")
        yield shop


@pytest.fixture
def served(deployed: Shop) -> Shop:
    """The deployment with gallery `one` live, nothing on trial, and quiet."""
    store = deployed.store()
    if store.live().canary is not None:
        store.drop()
    store.swap("one")
    deployed.cloud.ring(ALARM, state="OK")
    return deployed


def test_models_of_another_space_than_the_gallery_are_refused(served: Shop, tmp_path: Path) -> None:
    before = served.served()
    others = tmp_path / "others"
    TinyNetworks(seed=7).write(others)

    with pytest.raises(ConflictError, match=r"gallery one of .* was made in space \S+ of '\w+', the models have \S+;"):
        served.pair("--models", str(others))
    assert served.served() == before


def test_a_poor_live_gallery_keeps_a_release_out(served: Shop) -> None:
    before = served.served()
    served.publish("poor", prefix="poor").swap("poor")

    with pytest.raises(
        ConflictError, match=r"gallery poor is not fit to be served: its recall@10 .* is 0\.500, .*0\.8"
    ):
        served.pair("--galleries", f"s3://{served.bucket}/poor")
    assert served.served() == before


def test_an_alarm_that_rings_keeps_a_release_out(served: Shop) -> None:
    served.cloud.ring(ALARM)

    with pytest.raises(
        CloudError, match=r"alarm shopcam-dev-rollback-errors rings \(7 errors in a minute\); nothing is"
    ):
        served.pair("--image", served.cloud.push_image(PREFIX, "2"))


def test_the_way_back_is_open_while_an_alarm_rings(served: Shop) -> None:
    first = served.served()
    assert served.pair("--image", served.cloud.push_image(PREFIX, "3")) == 0
    served.cloud.ring(ALARM)

    assert run("rollout back", served.cloud) == 0
    assert served.served() == first
    assert watched(served) == "false"  # or SageMaker would take it back for the same alarm
    assert run("up", served.cloud) == 0
    assert watched(served) == "false"  # no reason to move replicas
    served.cloud.ring(ALARM, state="OK")
    assert served.pair("--image", served.cloud.push_image(PREFIX, "4")) == 0
    assert watched(served) == "true"
    assert run("rollout back", served.cloud) == 0


def test_back_after_a_back_that_was_stopped_does_not_go_forward(
    served: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = served.served()
    assert served.pair("--image", served.cloud.push_image(PREFIX, "5")) == 0
    second = served.served()

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("infra.rollout.Releases.note", stop)
        with pytest.raises(KeyboardInterrupt):
            run("rollout back", served.cloud)
    capsys.readouterr()
    assert run("rollout back", served.cloud) == 0
    assert served.served() == first
    assert "a rollout that was stopped has ended and serves now" in capsys.readouterr().out
    assert run("rollout back", served.cloud) == 0
    assert served.served() == second
    assert run("rollout back", served.cloud) == 0


def watched(shop: Shop) -> str:
    found = shop.cloud.stacks_api.describe_stacks(StackName=f"{PREFIX}-serving")["Stacks"][0]["Parameters"]
    return next(item["ParameterValue"] for item in found if item["ParameterKey"] == "Watched")


def test_a_gallery_is_tried_and_promoted_and_taken_back(served: Shop, tmp_path: Path) -> None:
    store = served.store()
    report = tmp_path / "report.json"

    assert run("rollout gallery two", served.cloud, "--bake-s", "0", "--report", str(report)) == 0
    pointer = store.live()
    assert (pointer.live.gallery, pointer.previous.gallery, pointer.canary) == ("two", "one", None)
    written = json.loads(report.read_text())
    assert (written["outcome"], written["before"], written["serving"]) == ("live", "one", "two")
    assert written["stages"][0]["what"] == "gallery two is on trial with 50% of the replicas, one serves the others"

    assert run("rollout gallery two", served.cloud) == 0  # it is live
    assert run("rollout back", served.cloud, "--gallery") == 0
    assert store.live().live.gallery == "one"


def test_a_gallery_below_its_recall_floor_is_not_tried(served: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    store = served.store()
    before = store.live()

    assert run("rollout gallery poor", served.cloud) == 1
    assert store.live() == before
    told = capsys.readouterr().out
    assert "rolled back: gallery poor does not pass the gate" in told
    assert "is 0.500, at least 0.8 is asked" in told
    assert "serves: one" in told


def test_an_alarm_ends_a_trial(
    served: Shop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = served.store()
    seen = []

    def ring_once(_: float) -> None:
        """The trial's first pause: what shoppers see gets bad now."""
        seen.append(store.live().canary.gallery)
        served.cloud.ring(ALARM)

    monkeypatch.setattr("infra.gallery_rollout.time.sleep", ring_once)
    assert run("rollout gallery two", served.cloud) == 1
    assert seen == ["two"]
    pointer = store.live()
    assert (pointer.live.gallery, pointer.canary) == ("one", None)
    assert f"rolled back: alarm {ALARM} rings (7 errors in a minute)" in capsys.readouterr().out


def test_a_trial_that_was_stopped_goes_on(served: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    store = served.store()

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("infra.gallery_rollout.time.sleep", stop)
        with pytest.raises(KeyboardInterrupt):
            run("rollout gallery two", served.cloud)
    assert store.live().canary.gallery == "two"
    assert run("rollout gallery two", served.cloud, "--bake-s", "0") == 0
    assert store.live().live.gallery == "two"


def test_without_alarms_no_gallery_is_tried(served: Shop) -> None:
    served.cloud.client("cloudwatch").delete_alarms(AlarmNames=[ALARM])

    with pytest.raises(CloudError, match=r"there are no alarms shopcam-dev-rollback-\*, which a rollout needs"):
        run("rollout gallery two", served.cloud)


def test_status_tells_what_serves(served: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert run("status", served.cloud) == 0

    told = capsys.readouterr().out
    assert f"serves: {', '.join(served.served().values())}" in told
    assert f"gallery: one in s3://{served.bucket}/one" in told
    assert f"alarms: {ALARM} OK" in told
    assert "cost so far this month: 0.00 US dollars" in told
    assert run("status", served.cloud, "--output", "StoreUri") == 0
    assert capsys.readouterr().out == f"s3://{served.bucket}\n"


def test_logs_of_all_groups_in_the_order_of_time(served: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    logs = served.cloud.client("logs")
    now_ms = int(time.time() * 1000)
    groups = [f"/aws/sagemaker/Endpoints/{PREFIX}", f"/aws/sagemaker/InferenceComponents/{PREFIX}-copy"]
    for number, group in enumerate(groups):
        logs.create_log_stream(logGroupName=group, logStreamName="replica")
        events = [
            {"timestamp": now_ms - 10_000 + 1000 * (2 * step + number), "message": f"{step}{number}"} for step in (0, 1)
        ]
        logs.put_log_events(logGroupName=group, logStreamName="replica", logEvents=events)
    capsys.readouterr()

    assert run("logs", served.cloud) == 0
    assert [line.split()[-1] for line in capsys.readouterr().out.splitlines()] == ["00", "01", "10", "11"]
    with pytest.raises(MalformedError, match="--since is '5 minutes', expected a number with s, m, h or d"):
        run("logs", served.cloud, "--since", "5 minutes")
