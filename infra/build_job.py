"""What a build job on AWS Batch runs: catalog, models and words in S3 in, a gallery of the store out, live if it may.

The name of the gallery is that of the job, which stays when the instance is taken away and the job starts again on
another one: with the work folder on a file system that both see, the build goes on where it was. Pictures of the
catalog are addresses (http, https or s3); only the catalog itself is fetched here.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from catalog.errors import MalformedError, NotFoundError
from catalog.terminal import console, run_main
from index_builder.store import open_store
from infra.aws import Clients, cloud_errors

JOB_ID = "AWS_BATCH_JOB_ID"
MINE = ("catalog", "models", "words")


def main(arguments: list[str]) -> int:
    """Fetch, build, swap; returns the exit status of the step that failed."""
    options = _parser().parse_args(arguments)
    version = version_of(os.environ)
    folder: Path = options.work / version
    clients = Clients(os.environ.get("AWS_DEFAULT_REGION", "us-east-1"))
    with cloud_errors():
        inputs = {name: fetch(clients("s3"), getattr(options, name), folder / name) for name in MINE}
    store = open_store(options.store)
    steps = [build_command(options, inputs, version=version, work=folder / "work")]
    if version in store.versions():
        console.print(f"gallery {version} was published before this job was stopped")
        steps = []
    steps.append(swap_command(options, version=version))
    for step in steps:
        if code := subprocess.run([sys.executable, "-m", *step], check=False).returncode:
            return code
    return 0


def version_of(environment: Mapping[str, str]) -> str:
    """The gallery's name; raises MalformedError outside of a job."""
    job = environment.get(JOB_ID, "")
    if not job:
        raise MalformedError(f"{JOB_ID} is not set: AWS Batch runs this; people run `python -m index_builder build`")
    return f"job-{job}"


def fetch(s3: Any, uri: str, folder: Path) -> Path:
    """Copy an object, or all under a prefix that ends in a slash; returns the file or the folder."""
    found = urlsplit(uri)
    bucket, key = found.netloc, found.path.lstrip("/")
    if found.scheme != "s3" or not bucket or not key:
        raise MalformedError(f"{uri!r} is no address in S3, expected s3://bucket/key or s3://bucket/prefix/")
    names = [
        item["Key"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key)
        for item in page.get("Contents", [])
        if item["Key"] == key or key.endswith("/")
    ]
    if not names:
        raise NotFoundError(f"nothing is at {uri}")
    for name in names:
        path = folder / (name.removeprefix(key) or Path(name).name)
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, name, str(path))
    return folder if key.endswith("/") else folder / Path(key).name


def build_command(options: argparse.Namespace, inputs: Mapping[str, Path], *, version: str, work: Path) -> list[str]:
    """The build, which goes on with what an earlier start left in `work`, and does not make its gallery live."""
    return [
        "index_builder",
        "build",
        *("--catalog", str(inputs["catalog"])),
        *("--repository", str(inputs["models"])),
        *("--words", str(inputs["words"])),
        *("--store", options.store),
        *("--version", version),
        *("--work", str(work)),
        *("--min-recall", options.min_recall),
        "--resume",
        "--no-swap",
    ]


def swap_command(options: argparse.Namespace, *, version: str) -> list[str]:
    """The gate, and the swap if it lets the gallery pass."""
    return [
        "index_builder",
        "swap",
        version,
        *("--store", options.store),
        *("--min-recall", options.min_recall),
        *("--count-band", options.count_band),
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m infra.build_job", description=__doc__)
    for name, text in (
        ("catalog", "s3://bucket/key"),
        ("models", "s3://bucket/prefix/"),
        ("words", "s3://bucket/prefix/"),
        ("store", "s3://bucket/prefix"),
    ):
        parser.add_argument(f"--{name}", required=True, help=text)
    parser.add_argument("--work", type=Path, required=True, help="folder that outlives the instance")
    parser.add_argument("--min-recall", default="0.8", help="of the gate")
    parser.add_argument("--count-band", default="0.5", help="of the gate")
    return parser


if __name__ == "__main__":
    run_main(main)
