"""Engines between machines, by a real S3 server: what one kept the other fetches, and nothing else."""

from __future__ import annotations

import hashlib
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import pytest

from index_builder.errors import StoreError
from infra.container.engine_cache import EngineCache

KEY = "NVIDIA-L4-sm8.9/10.7.0/0123456789abcdef"
FILES = {"embedder/engine.engine": b"e" * 3_000_000, "embedder/timing.cache": b"t", "photo/engine.engine": b""}


@pytest.fixture
def s3(moto_url: str, aws_environment: None, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    urllib.request.urlopen(urllib.request.Request(f"{moto_url}/moto-api/reset", method="POST"), timeout=60).close()
    client = boto3.client("s3")
    client.create_bucket(Bucket="shop")
    return client


def cache(folder: Path, *, uri: str = "s3://shop/engines", key: str = KEY) -> EngineCache:
    return EngineCache.at(uri, key, folder)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write(folder: Path, contents: dict[str, bytes]) -> None:
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def test_a_second_machine_has_what_the_first_one_built(s3: Any, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    assert cache(first).fetch() == 0
    write(first, FILES)
    (first / "embedder" / ".engine.1.tmp").write_bytes(b"half")
    assert cache(first).keep() == 3
    assert cache(first).keep() == 0  # they are there
    assert cache(second).fetch() == 3
    assert files(second) == FILES
    assert cache(second).fetch() == cache(second).keep() == 0
    assert cache(tmp_path / "third", key="NVIDIA-T4-sm7.5/10.7.0/0123456789abcdef").fetch() == 0


def test_what_changed_is_kept_anew_and_what_is_damaged_stays_out(s3: Any, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    write(first, FILES)
    cache(first, uri="s3://shop").keep()
    write(first, {"embedder/timing.cache": b"more timings"})
    assert cache(first, uri="s3://shop").keep() == 1
    name = {"Bucket": "shop", "Key": f"{KEY}/photo/engine.engine"}
    s3.put_object(**name, Body=b"another", Metadata={"sha256": hashlib.sha256(b"an engine").hexdigest()})
    s3.put_object(Bucket="shop", Key=f"{KEY}/bare.engine", Body=b"without a sum")
    s3.put_object(
        Bucket="shop", Key=f"{KEY}/../../out", Body=b"o", Metadata={"sha256": hashlib.sha256(b"o").hexdigest()}
    )
    assert cache(second, uri="s3://shop").fetch() == 2
    assert files(tmp_path / "second") == {
        "embedder/engine.engine": FILES["embedder/engine.engine"],
        "embedder/timing.cache": b"more timings",
    }
    assert not (tmp_path / "out").exists()


def test_a_store_that_is_not_there_is_one_sentence(s3: Any, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"the bucket none of the store s3://none/engines/.* does not exist"):
        cache(tmp_path, uri="s3://none/engines").fetch()
