"""The real entry point under what SageMaker does, with the real Triton and the service: one container's whole life."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import shutil
import signal
import socket
import urllib.request
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from bento.keys import create_key
from index_builder.s3_store import S3Store
from index_builder.store import LocalStore
from infra.container.gpu import engine_key, tensorrt_version
from tests.bento.conftest import DEFAULT_WEIGHT, Oracle, refused, wait_until
from tests.bento.galleries import best_ids
from tests.infra.container.conftest import L4
from tests.infra.container.platform import LARGE_PAYLOAD_BYTES, PAYLOAD_BYTES, Container, container
from tests.marks import MARK, marked

pytestmark = pytest.mark.slow

RECOVERY_S = 120.0
BUCKET = "container"
ACCESS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


@pytest.fixture(scope="module")
def life() -> Iterator[str]:
    """The mark of all processes of the container; see `tests.marks`."""
    os.environ[MARK] = uuid.uuid4().hex
    yield os.environ[MARK]
    for process in marked(os.environ.pop(MARK)):
        process.kill()


@pytest.fixture(scope="module")
def running(
    life: str, store: LocalStore, tiny_repository: Path, moto_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Container]:
    """A container in service, its gallery in a bucket, its models in an artifact, and a key asked for elsewhere."""
    folder = tmp_path_factory.mktemp("container")
    models = folder / "model"
    shutil.copytree(tiny_repository, models / "model_repository")
    access = {"AWS_ENDPOINT_URL": moto_url, **ACCESS}
    emptied_s3(moto_url)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (access | {"AWS_DEFAULT_REGION": "us-east-1"}).items():
            patch.setenv(name, value)
        bucket = S3Store.at(f"s3://{BUCKET}/store", cache=folder / "publisher")
        bucket.publish(store.gallery("v1"), "v1")
        bucket.swap("v1")
    _, key = create_key(folder / "keys.jsonl")
    assert key
    environment = {"SHOPCAM_STORE": f"s3://{BUCKET}/store", "SHOPCAM_API_KEYS": str(folder / "keys.jsonl"), **access}
    with container(folder, models, environment) as one:
        one.wait_until_in_service()
        yield one


def emptied_s3(moto_url: str) -> Any:
    """A client of an S3 with one bucket and nothing in it."""
    urllib.request.urlopen(urllib.request.Request(f"{moto_url}/moto-api/reset", method="POST"), timeout=60).close()
    client = boto3.client(
        "s3",
        endpoint_url=moto_url,
        region_name="us-east-1",
        aws_access_key_id=ACCESS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=ACCESS["AWS_SECRET_ACCESS_KEY"],
    )
    client.create_bucket(Bucket=BUCKET)
    return client


def expected(oracle: Oracle, photo: bytes, top_k: int = 5) -> list[str]:
    return best_ids(oracle, photo, top_k=top_k, weight=DEFAULT_WEIGHT)


def ids(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [hit["product_id"] for hit in answer.json()["hits"]]


def test_ping_says_no_until_searches_are_answered(running: Container, oracle: Oracle, photos: list[bytes]) -> None:
    assert set(running.pings[:-1]) <= {0, 503}
    assert ids(running.invoke(photos[0], "image/jpeg", "top_k=5")) == expected(oracle, photos[0])
    assert running.said.index("Triton is up") < running.said.index("the service starts")
    wait_until(lambda: "ready after" in running.said)


def test_an_envelope_and_a_photo_of_the_largest_payload(
    running: Container, oracle: Oracle, photos: list[bytes]
) -> None:
    body = json.dumps({"operation": "search", "image": base64.b64encode(photos[1]).decode(), "top_k": 5}).encode()
    assert ids(running.invoke(body, "application/json")) == expected(oracle, photos[1])
    # What follows the end of a JPEG is no part of the picture.
    largest = photos[1] + b"\0" * (PAYLOAD_BYTES - len(photos[1]))
    assert ids(running.invoke(largest, "application/x-image", "top_k=5")) == expected(oracle, photos[1])
    refused(running.invoke(b"\0" * PAYLOAD_BYTES, "image/jpeg"), 415, "not_an_image")


def test_what_is_larger_than_the_service_takes_is_refused_with_a_sentence(running: Container) -> None:
    headers = {"Content-Type": "image/jpeg"}
    body = b"\0" * LARGE_PAYLOAD_BYTES
    answer = httpx.post(f"{running.url}/invocations", content=body, headers=headers, timeout=60)
    assert "send a smaller photo" in refused(answer, 413, "too_large")


def test_ping_is_good_while_others_search(running: Container, oracle: Oracle, photos: list[bytes]) -> None:
    running.wait_until_in_service()
    running.pings.clear()
    with ThreadPoolExecutor(8) as clients:
        answers = [clients.submit(running.invoke, photo, "image/jpeg", "top_k=5") for photo in photos * 8]
        while not all(answer.done() for answer in answers):
            running.ping()
    assert running.pings
    # The platform replaces a container that fails again and again, not one that was late once.
    assert not [pair for pair in itertools.pairwise(running.pings) if 200 not in pair], running.pings
    for photo, answer in zip(photos * 8, answers, strict=True):
        assert ids(answer.result()) == expected(oracle, photo)


def test_only_the_platforms_own_address_needs_no_key(running: Container) -> None:
    refused(httpx.post(f"{running.url}/search", json={"product_id": "p01"}, timeout=60), 401, "unauthorized")
    assert ids(running.invoke(b'{"product_id": "p01"}', "application/json"))


@pytest.mark.parametrize("victim", ["tritonserver", "worker"])
def test_what_is_killed_comes_back(
    running: Container, life: str, oracle: Oracle, photos: list[bytes], victim: str
) -> None:
    running.wait_until_in_service()
    process = next(process for process in marked(life) if victim in " ".join([process.name(), *process.cmdline()]))
    process.kill()
    process.wait(20)
    wait_until(lambda: running.ping() != 200, deadline_s=RECOVERY_S)
    if victim == "tritonserver":
        # The service is still there and says so; no 5xx but 503.
        answer = running.invoke(photos[2], "image/jpeg")
        assert answer.status_code in (200, 503), answer.text
    running.wait_until_in_service()
    assert ids(running.invoke(photos[2], "image/jpeg", "top_k=5")) == expected(oracle, photos[2])


def test_sigterm_drains_and_leaves_nothing(running: Container, life: str, oracle: Oracle, photos: list[bytes]) -> None:
    address = httpx.URL(running.url)
    photo, half = photos[3], len(photos[3]) // 2
    lines = (
        "POST /invocations?top_k=5 HTTP/1.1",
        "Host: x",
        "Content-Type: image/jpeg",
        f"Content-Length: {len(photo)}",
    )
    with socket.create_connection((address.host, address.port or 0), timeout=60) as client:
        client.sendall("\r\n".join([*lines, "", ""]).encode() + photo[:half])
        wait_until(lambda: client.getsockname() in served(life))
        running.process.send_signal(signal.SIGTERM)
        client.sendall(photo[half:])
        answer = b""
        while b'"timings_ms"' not in answer and (received := client.recv(65536)):
            answer += received
    assert answer.startswith(b"HTTP/1.1 200"), answer[:500]
    hits = json.loads(answer.partition(b"\r\n\r\n")[2])["hits"]
    assert [hit["product_id"] for hit in hits] == expected(oracle, photo)
    assert running.end() == 0
    assert marked(life) == []
    assert running.said.index("the service ended after") < running.said.index("Triton ended after")
    assert "were killed" not in running.said
    assert "Traceback" not in running.said


def served(life: str) -> set[tuple[str, int]]:
    """Addresses of clients whose connections were accepted."""
    found = [connection for process in marked(life) for connection in process.net_connections("tcp")]
    return {tuple(connection.raddr) for connection in found if connection.raddr}


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "no model in"),
        ({"SHOPCAM_CONTAINER_ACCELERATOR": "tensorrt"}, "no model in"),
        ({"SHOPCAM_CONTAINER_DRAIN": "3"}, "unknown setting SHOPCAM_CONTAINER_DRAIN; known are"),
        ({"SAGEMAKER_BIND_TO_PORT": "80800"}, "SHOPCAM_CONTAINER_PORT"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, environment: dict[str, str], words: str) -> None:
    with container(tmp_path, tmp_path, environment) as one:
        assert one.process.wait(60) == 2
        last = one.said.strip().splitlines()[-1]
        assert last.startswith("error: ")
        assert words in last
        assert "Traceback" not in one.said


def test_a_container_that_cannot_work_ends_with_one_sentence(
    tmp_path: Path, tiny_repository: Path, moto_url: str, with_gpu: None, mark: str
) -> None:
    broken = tmp_path / "model"
    shutil.copytree(tiny_repository, broken)
    for file in broken.glob("embedder/*/model.onnx"):
        file.write_bytes(b"no graph")
    environment = {
        "SHOPCAM_STORE": str(tmp_path / "store"),
        "SHOPCAM_CONTAINER_MOST_FAILURES": "2",
        "SHOPCAM_CONTAINER_ACCELERATOR": "auto",
        "SHOPCAM_CONTAINER_ENGINE_STORE": "s3://none",
        **ACCESS,
        "AWS_ENDPOINT_URL": moto_url,
    }
    with container(tmp_path, broken, environment, verb="run") as one:
        assert one.process.wait(120) == 1
        # What is wrong with engines holds nothing up; what is wrong with the models does.
        assert one.said.index("the bucket none of the store") < one.said.index("Triton starts")
        assert "Triton failed 2 times in a row, the last time: exit status 2; giving up" in one.said
        assert marked(mark) == []


def test_engines_are_fetched_before_triton_starts_and_kept_when_it_is_up(
    tmp_path: Path, tiny_repository: Path, moto_url: str, with_gpu: None, mark: str
) -> None:
    """Triton builds none here; files stand for them."""
    access = {"AWS_ENDPOINT_URL": moto_url, **ACCESS}
    s3 = emptied_s3(moto_url)
    key = engine_key(L4, tensorrt=tensorrt_version(), precision="FP16", repository=tiny_repository)
    fetched, built = tmp_path / "cache" / "tensorrt" / "embedder" / "1", tmp_path / "cache" / "tensorrt" / "photo" / "2"
    name = {"Bucket": BUCKET, "Key": f"engines/{key}/embedder/1"}
    s3.put_object(**name, Body=b"one", Metadata={"sha256": hashlib.sha256(b"one").hexdigest()})
    built.parent.mkdir(parents=True)
    built.write_bytes(b"two")
    environment = {
        "SHOPCAM_CONTAINER_ACCELERATOR": "auto",
        "SHOPCAM_CONTAINER_ENGINE_STORE": f"s3://{BUCKET}/engines",
        "SHOPCAM_STORE": str(tmp_path / "store"),
        **access,
    }
    with container(tmp_path, tiny_repository, environment, verb="run") as one:
        wait_until(lambda: "keeping engines is done" in one.said or one.process.poll() is not None, deadline_s=200)
        assert one.end() == 0
        assert one.said.index("fetching engines is done") < one.said.index("Triton starts")
        assert one.said.index("Triton is up") < one.said.index("keeping engines starts")
    kept = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert fetched.read_bytes() == b"one"
    assert kept == [f"engines/{key}/embedder/1", f"engines/{key}/photo/2"]
    assert marked(mark) == []
