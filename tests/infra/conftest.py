"""A real moto server on a free port, empty before every test, and the clients that ask it for its own state."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

REGION = "eu-central-1"


@dataclass(frozen=True)
class Cloud:
    """What the API itself says."""

    url: str
    stacks_api: Any
    s3: Any

    def stacks(self) -> dict[str, str]:
        """Name -> state of the stacks that exist (deleted ones stay in the list for 90 days)."""
        found = self.stacks_api.list_stacks()["StackSummaries"]
        return {item["StackName"]: item["StackStatus"] for item in found if item["StackStatus"] != "DELETE_COMPLETE"}

    def buckets(self) -> list[str]:
        return [item["Name"] for item in self.s3.list_buckets()["Buckets"]]


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    server = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def cloud(moto_url: str, credentials: None) -> Cloud:
    import urllib.request

    urllib.request.urlopen(urllib.request.Request(f"{moto_url}/moto-api/reset", method="POST"), timeout=10).close()
    where = {"region_name": REGION, "endpoint_url": moto_url}
    return Cloud(url=moto_url, stacks_api=boto3.client("cloudformation", **where), s3=boto3.client("s3", **where))
