"""A deployment's life against moto's real HTTP API: up, a first release, the next, the way back, down.

Oracle: what CloudFormation, SageMaker, ECR and S3 say themselves, before and after each verb.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from catalog.errors import MalformedError, NotFoundError
from index_builder.store import LocalStore
from infra.aws import Clients
from infra.deployment import Deployment
from infra.pieces import Release
from infra.settings import PROFILES, Profile, load_profile
from tests.infra.conftest import PREFIX, REGION, Cloud, Shop, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:Tried to parse"),
    pytest.mark.filterwarnings("ignore:Unable to delete"),
]


@pytest.fixture
def shop(cloud: Cloud, galleries: LocalStore, tiny_repository: Path) -> Shop:
    return Shop.stand(cloud, galleries, tiny_repository)


@pytest.fixture
def served(shop: Shop) -> Shop:
    shop.first()
    return shop


def test_up_stands_and_waits_for_a_release(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert set(shop.cloud.stacks()) == {
        f"{PREFIX}-{part}" for part in ("store", "registry", "alerts", "roles", "dashboard")
    }
    assert set(shop.cloud.stacks().values()) == {"CREATE_COMPLETE"}
    before = shop.cloud.left()
    shop.cloud.s3.put_object(Bucket=shop.bucket, Key="galleries/one", Body=b"x")
    capsys.readouterr()

    assert run("up", shop.cloud) == 0
    assert shop.cloud.left() == before
    assert shop.cloud.s3.get_object(Bucket=shop.bucket, Key="galleries/one")["Body"].read() == b"x"
    told = capsys.readouterr().err
    assert f"{PREFIX} is up (no changes); the store is s3://{shop.bucket}" in told
    assert f"{PREFIX}-serving: made by the first `python -m infra rollout pair`" in told


def test_a_first_release_says_what_it_needs(shop: Shop) -> None:
    where = f"s3://{shop.bucket}/empty"
    with pytest.raises(MalformedError, match="a first rollout needs --models"):
        shop.pair()
    given = ["--models", str(shop.models), "--galleries", where]
    with pytest.raises(NotFoundError, match=r"there is no image .*shopcam-dev:7; push it first"):
        shop.pair(*given, "--image", shop.image[:-1] + "7")
    with pytest.raises(MalformedError, match="'nginx:1' is no image of ECR"):
        shop.pair(*given, "--image", "nginx:1")
    with pytest.raises(NotFoundError, match="no gallery is live in"):
        shop.pair(*given, "--image", shop.image)
    with pytest.raises(NotFoundError, match="nothing is served yet"):
        run("rollout gallery two", shop.cloud)
    assert "endpoints" not in shop.cloud.left()


def test_models_and_galleries_roll_out_as_a_pair_and_back(served: Shop, tmp_path: Path) -> None:
    first = served.served()
    assert first["image"] == served.image
    assert first["store"] == f"s3://{served.bucket}/one"
    listed = served.cloud.s3.list_objects_v2(Bucket=served.bucket, Prefix=first["models"].split("/", 3)[3])["Contents"]
    local = sorted(path.relative_to(served.models).as_posix() for path in served.models.rglob("*") if path.is_file())
    assert sorted(item["Key"].split("/", 2)[2] for item in listed) == local

    served.publish("two", prefix="two").swap("two")
    second_image = served.cloud.push_image(PREFIX, "2")
    report = tmp_path / "report.json"
    second = ("--galleries", f"s3://{served.bucket}/two", "--image", second_image)
    assert served.pair(*second, "--report", str(report)) == 0
    assert served.served() == {"image": second_image, "models": first["models"], "store": f"s3://{served.bucket}/two"}
    written = json.loads(report.read_text())
    assert written["outcome"] == "live"
    assert written["before"] == ", ".join(first.values())
    assert written["serving"] == ", ".join(served.served().values())

    assert served.pair(*second) == 0  # once more is no rollout
    assert run("up", served.cloud) == 0  # and up keeps what is served
    assert served.served()["image"] == second_image
    assert run("rollout back", served.cloud) == 0
    assert served.served() == first
    assert run("rollout back", served.cloud) == 0
    assert served.served()["image"] == second_image


def test_what_the_profile_no_longer_asks_for_is_planned_away_and_removed(served: Shop, tmp_path: Path) -> None:
    settings = tmp_path / "profiles.toml"
    text = PROFILES.read_text()
    start, end = text.index("[dev.serving]"), text.index("[dev.gallery]")
    settings.write_text(text[:start] + text[end:])

    assert run("plan", served.cloud, settings=settings) == 0
    assert f"{PREFIX}-serving" in served.cloud.stacks()
    assert run("up", served.cloud, settings=settings) == 0
    assert set(served.cloud.stacks()) == {f"{PREFIX}-{part}" for part in ("store", "registry", "alerts")}
    assert "endpoints" not in served.cloud.left()


def test_down_leaves_nothing_but_what_was_not_made_here(served: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    place = {"LocationConstraint": "eu-central-1"}
    served.cloud.s3.create_bucket(Bucket="of-somebody-else", CreateBucketConfiguration=place)

    assert run("down", served.cloud, "--yes") == 0
    assert served.cloud.left() == {"buckets": ["of-somebody-else"]}
    assert "shopcam-dev is gone, with" in capsys.readouterr().err
    assert run("down", served.cloud, "--yes") == 0
    assert "nothing to remove" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["realtime", "async"])
def test_other_kinds_of_serving_stand_and_go(kind: str, cloud: Cloud) -> None:
    """ECS and builds are checked as templates only: moto can't remove a network, and knows no ml.g5."""
    serving = {"kind": kind, "instance_type": "ml.g4dn.xlarge", "average_replicas": 1, "max_replicas": 3}
    profile = Profile.model_validate(load_profile("dev").model_dump() | {"serving": serving})
    deployment = Deployment(profile, Clients(REGION, endpoint_url=cloud.url))
    deployment.up()
    release = Release(cloud.push_image(PREFIX, "1"), "s3://shop/models/1/", "s3://shop/one")

    assert deployment.up_piece("serving", release).needed
    assert deployment.release() == release
    sagemaker = cloud.client("sagemaker")
    (config,) = sagemaker.list_endpoint_configs()["EndpointConfigs"]
    found = sagemaker.describe_endpoint_config(EndpointConfigName=config["EndpointConfigName"])
    assert found["ProductionVariants"][0]["InstanceType"] == "ml.g4dn.xlarge"
    assert bool(found.get("AsyncInferenceConfig")) == (kind == "async")
    deployment.down()
    assert cloud.left() == {}
