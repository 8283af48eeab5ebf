"""A service whose store is a bucket: it opens the live gallery and follows the pointer there."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import boto3
import httpx
import pytest

from export.local_triton import LocalTriton
from index_builder.s3_store import S3Store
from tests.bento.conftest import DEFAULT_WEIGHT, Two, search, serve, wait_until, wait_until_ready
from tests.bento.galleries import answers, best_ids, following


@pytest.mark.slow
def test_a_bucket_is_followed(  # noqa: PLR0917 - fixtures
    two: Two,
    tiny_triton: LocalTriton,
    moto_url: str,
    aws_environment: None,
    photos: list[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    urllib.request.urlopen(urllib.request.Request(f"{moto_url}/moto-api/reset", method="POST"), timeout=60).close()
    boto3.client("s3", endpoint_url=moto_url, region_name="us-east-1").create_bucket(Bucket="shop")
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    store = S3Store.at("s3://shop/one", cache=tmp_path / "builder")
    for version in ("blue", "green"):
        store.publish(two.store.gallery(version), version)
    store.swap("blue")
    with serve(tmp_path, store="s3://shop/one", triton_url=tiny_triton.grpc_url, follow_s=0.2) as service:
        wait_until_ready(service)
        with httpx.Client(base_url=service.url, timeout=30) as client:
            for version in ("blue", "green", "blue"):
                store.swap(version)
                wait_until(lambda version=version: answers(client) == version)
                body = search(client, photos[0], top_k=5)
                expected = best_ids(two.oracles[version], photos[0], top_k=5, weight=DEFAULT_WEIGHT)
                assert body["gallery_version"] == version
                assert [hit["product_id"] for hit in body["hits"]] == expected
            name = {"Bucket": "shop", "Key": "one/live.json"}
            client_of_s3 = boto3.client("s3", endpoint_url=moto_url)
            content = client_of_s3.get_object(**name)["Body"].read()
            client_of_s3.delete_object(**name)
            wait_until(lambda: following(client)["store_failure"] is not None)
            assert answers(client) == "blue"
            client_of_s3.put_object(**name, Body=content)
            wait_until(lambda: following(client)["store_failure"] is None)
