"""The shared moto server, empty before every test, and the clients that ask it for its own state."""

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
def credentials(aws_environment: None) -> None:
    """No test here asks the real AWS."""


@pytest.fixture
def cloud(moto_url: str, credentials: None) -> Cloud:
    import urllib.request

    urllib.request.urlopen(urllib.request.Request(f"{moto_url}/moto-api/reset", method="POST"), timeout=10).close()
    where = {"region_name": REGION, "endpoint_url": moto_url}
    return Cloud(url=moto_url, stacks_api=boto3.client("cloudformation", **where), s3=boto3.client("s3", **where))
