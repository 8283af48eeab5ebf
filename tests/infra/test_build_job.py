"""The job that AWS Batch starts, on moto's S3 with the real builder. Oracle: the store it published to."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from catalog.errors import MalformedError, NotFoundError
from index_builder.store import open_store
from infra.build_job import fetch, version_of
from tests.index_builder.conftest import KINDS, make_shop
from tests.infra.conftest import REGION, Cloud
from tests.tiny_repository import LABELS
from training.words import train_words_from_catalogs

ROOT = Path(__file__).resolve().parents[2]
BUCKET = "shop"


@pytest.fixture
def s3(cloud: Cloud) -> Any:
    cloud.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    return cloud.s3


def upload(s3: Any, folder: Path, prefix: str) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            s3.upload_file(str(path), BUCKET, f"{prefix}/{path.relative_to(folder).as_posix()}")


@pytest.mark.slow
def test_a_job_builds_and_swaps_and_started_again_it_builds_nothing_anew(
    cloud: Cloud, s3: Any, tiny_repository: Path, tmp_path: Path
) -> None:
    shop = make_shop(tmp_path / "shop")
    rows = [{**row, "image": f"s3://{BUCKET}/pictures/{row['image']}", "images": ""} for row in shop.rows()]
    texts = tmp_path / "texts.csv"
    texts.write_text("title\n" + "".join(f"Shiny {kind} in {label}\n" for kind in KINDS for label in LABELS))
    train_words_from_catalogs([texts], out=tmp_path / "words", dim=14, bucket=500, min_count=1, epochs=5, seed=1)
    s3.upload_file(str(shop.write(rows, "addresses.csv")), BUCKET, "catalog/catalog.csv")
    for folder, prefix in (
        (shop.catalog.parent, "pictures"),
        (tiny_repository, "models"),
        (tmp_path / "words", "words"),
    ):
        upload(s3, folder, prefix)

    given = ["--catalog", f"s3://{BUCKET}/catalog/catalog.csv", "--models", f"s3://{BUCKET}/models/"]
    given += ["--words", f"s3://{BUCKET}/words/", "--store", f"s3://{BUCKET}/store", "--work", str(tmp_path / "work")]

    def job() -> str:
        done = subprocess.run(
            [sys.executable, "-m", "infra.build_job", *given],
            cwd=ROOT,
            env={**os.environ, "AWS_ENDPOINT_URL": cloud.url, "AWS_DEFAULT_REGION": REGION, "AWS_BATCH_JOB_ID": "a1"},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    store = open_store(f"s3://{BUCKET}/store", endpoint_url=cloud.url)
    job()
    with shop.catalog.open(newline="") as file:
        products = sum(1 for _ in csv.DictReader(file))
    assert store.live().live.gallery == "job-a1"
    assert store.manifest("job-a1").products == products
    made = store.manifest("job-a1").created_at
    assert "was published before this job was stopped" in job()
    assert (store.versions(), store.manifest("job-a1").created_at) == (["job-a1"], made)


def test_what_is_not_there_and_what_is_no_address(s3: Any, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"nothing is at s3://shop/catalog\.csv"):
        fetch(s3, f"s3://{BUCKET}/catalog.csv", tmp_path)
    s3.put_object(Bucket=BUCKET, Key="catalog.csv.old", Body=b"x")
    with pytest.raises(NotFoundError):  # only the key itself, no other one that begins like it
        fetch(s3, f"s3://{BUCKET}/catalog.csv", tmp_path)
    with pytest.raises(MalformedError, match=r"'/data/catalog\.csv' is no address in S3"):
        fetch(s3, "/data/catalog.csv", tmp_path)
    with pytest.raises(MalformedError, match="AWS_BATCH_JOB_ID is not set"):
        version_of({})
