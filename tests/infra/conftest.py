"""The shared moto server, empty before every test, what asks it for its own state, and what is rolled out."""

from __future__ import annotations

import hashlib
import json
import shutil
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from export.onnx_runtime import OnnxRuntimeNetworks
from index_builder.build import build_gallery
from index_builder.integrity import read_manifest, write_manifest
from index_builder.manifest import RecallRow, TextVector
from index_builder.store import LocalStore, Store, open_store
from infra.__main__ import main
from infra.settings import PROFILES
from tests.conftest import forget_aws
from tests.index_builder.conftest import make_catalog
from tests.infra.moto_gaps import fill_gaps

REGION = "eu-central-1"
ACCOUNT = "123456789012"
POOR_RECALL = 0.5
PREFIX = "shopcam-dev"
ALARM = f"{PREFIX}-rollback-errors"


@dataclass(frozen=True)
class Cloud:
    """What the API itself says."""

    url: str | None

    def client(self, service: str) -> Any:
        return boto3.client(service, region_name=REGION, endpoint_url=self.url)

    @property
    def stacks_api(self) -> Any:
        return self.client("cloudformation")

    @property
    def s3(self) -> Any:
        return self.client("s3")

    def stacks(self) -> dict[str, str]:
        """Name -> state of the stacks that exist (deleted ones stay in the list for 90 days)."""
        found = self.stacks_api.list_stacks()["StackSummaries"]
        return {item["StackName"]: item["StackStatus"] for item in found if item["StackStatus"] != "DELETE_COMPLETE"}

    def buckets(self) -> list[str]:
        return [item["Name"] for item in self.s3.list_buckets()["Buckets"]]

    def left(self) -> dict[str, list[str]]:
        """Everything that could be left behind, by service, without what is empty."""
        sagemaker = self.client("sagemaker")
        found = {
            "stacks": list(self.stacks()),
            "buckets": self.buckets(),
            "repositories": [
                item["repositoryName"] for item in self.client("ecr").describe_repositories()["repositories"]
            ],
            "roles": [item["RoleName"] for item in self.client("iam").list_roles()["Roles"]],
            "topics": [item["TopicArn"] for item in self.client("sns").list_topics()["Topics"]],
            "logs": [item["logGroupName"] for item in self.client("logs").describe_log_groups()["logGroups"]],
            "dashboards": [
                item["DashboardName"] for item in self.client("cloudwatch").list_dashboards()["DashboardEntries"]
            ],
            "models": [item["ModelName"] for item in sagemaker.list_models()["Models"]],
            "configs": [item["EndpointConfigName"] for item in sagemaker.list_endpoint_configs()["EndpointConfigs"]],
            "endpoints": [item["EndpointName"] for item in sagemaker.list_endpoints()["Endpoints"]],
        }
        return {service: names for service, names in found.items() if names}

    def push_image(self, repository: str, tag: str) -> str:
        """Put an image into the registry; returns its address."""
        config = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 2, "digest": _digest(tag)}
        kind = "application/vnd.docker.distribution.manifest.v2+json"
        manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": []})
        self.client("ecr").put_image(repositoryName=repository, imageTag=tag, imageManifest=manifest)
        return f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{repository}:{tag}"

    def ring(self, name: str, *, state: str = "ALARM") -> None:
        """Put an alarm into a state; moto's CloudFormation makes none."""
        cloudwatch = self.client("cloudwatch")
        cloudwatch.put_metric_alarm(
            AlarmName=name,
            Namespace="AWS/SageMaker",
            MetricName="Invocation5XXErrors",
            Statistic="Sum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=5,
            ComparisonOperator="GreaterThanThreshold",
        )
        cloudwatch.set_alarm_state(AlarmName=name, StateValue=state, StateReason="7 errors in a minute")


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test here asks the real AWS, nor keeps galleries in the home folder."""
    isolate(monkeypatch, tmp_path)


def isolate(patch: pytest.MonkeyPatch, home: Path) -> None:
    """Credentials that are none, and nothing of the machine's own configuration."""
    forget_aws(patch)
    patch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    patch.setenv("COLUMNS", "120")


@pytest.fixture
def cloud(moto_url: str, credentials: None, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    fill_gaps(monkeypatch)
    return empty_cloud(moto_url)


def empty_cloud(url: str) -> Cloud:
    """Moto with nothing in it."""
    urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", method="POST"), timeout=60).close()
    return Cloud(url=url)


def run(verb: str, cloud: Cloud, *arguments: str, profile: str = "dev", settings: Path = PROFILES) -> int:
    """Run one verb against moto."""
    where = ["--profile", profile, "--endpoint-url", cloud.url, "--settings", str(settings)]
    return main([*verb.split(), *where, *arguments])


def publish_copy(source: LocalStore, copied: str, *, to: LocalStore, version: str, **changes: object) -> None:
    """Publish a gallery under another version, with other fields of its manifest."""
    with to.staging(version) as staged:
        shutil.copytree(source.gallery(copied), staged, dirs_exist_ok=True)
        write_manifest(staged, read_manifest(staged).model_copy(update={"version": version, **changes}))
        to.publish(staged, version)


@pytest.fixture(scope="session")
def galleries(tiny_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStore]:
    """A store of real galleries made by the tiny networks: one (live), two, and poor, which finds too little."""
    folder = tmp_path_factory.mktemp("galleries")
    store = LocalStore(folder / "store")
    networks = OnnxRuntimeNetworks(tiny_repository, threads=1)
    catalog = make_catalog(folder / "shop", 30)
    for version in ("one", "two"):
        build_gallery(catalog, networks, None, store=store, version=version, text_vector=TextVector.NONE, recipe="Flat")
    store.swap("one")
    poor = [RecallRow(weight=store.manifest("two").default_weight, recall_at_10=POOR_RECALL)]
    publish_copy(store, "two", to=store, version="poor", recall=poor)
    yield store
    networks.close()


@dataclass
class Shop:
    """A deployment that stands, with an image in its registry and a store of galleries that is ready to be served."""

    cloud: Cloud
    bucket: str
    image: str
    models: Path
    galleries: LocalStore

    @classmethod
    def stand(cls, cloud: Cloud, galleries: LocalStore, models: Path) -> Shop:
        """Run `up`, push an image, publish the gallery `one` and make it live."""
        assert run("up", cloud) == 0
        (bucket,) = cloud.buckets()
        shop = cls(cloud=cloud, bucket=bucket, image=cloud.push_image(PREFIX, "1"), models=models, galleries=galleries)
        shop.publish("one").swap("one")
        return shop

    def store(self, prefix: str = "one") -> Store:
        return open_store(f"s3://{self.bucket}/{prefix}", endpoint_url=self.cloud.url)

    def publish(self, *versions: str, prefix: str = "one") -> Store:
        store = self.store(prefix)
        for version in versions:
            store.publish(self.galleries.gallery(version), version)
        return store

    def pair(self, *arguments: str) -> int:
        return run("rollout pair", self.cloud, *arguments)

    def first(self) -> None:
        """The first rollout; its alarms are quiet."""
        where = f"s3://{self.bucket}/one"
        assert self.pair("--models", str(self.models), "--galleries", where, "--image", self.image) == 0
        self.cloud.ring(ALARM, state="OK")

    def served(self) -> dict[str, str]:
        """What SageMaker's model says: the image, its models, its store."""
        sagemaker = self.cloud.client("sagemaker")
        (model,) = sagemaker.list_models()["Models"]
        container = sagemaker.describe_model(ModelName=model["ModelName"])["PrimaryContainer"]
        models = container["ModelDataSource"]["S3DataSource"]["S3Uri"]
        return {"image": container["Image"], "models": models, "store": container["Environment"]["SHOPCAM_STORE"]}
