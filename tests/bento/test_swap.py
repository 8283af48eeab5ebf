"""A service whose store points elsewhere: nobody notices but by the version, and what is not fit stays out."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bento.share import in_share
from export.local_triton import LocalTriton
from index_builder.integrity import read_manifest
from index_builder.manifest import FileRecord
from index_builder.product_table import OLD_TABLE_FILE, TABLE_FILE
from tests.bento.conftest import DEFAULT_WEIGHT, Serve, Two, post, refused, search, serve, wait_until, wait_until_ready
from tests.bento.galleries import (
    answers,
    best_ids,
    flip_a_bit,
    following,
    heavy_table,
    mapped,
    metric,
    point_to,
    processes,
    publish_as,
    shuffled_vectors,
    worker,
)

FOLLOW_S = 0.1
CLIENTS = 4
SWAPS = 8
ZEROS_BYTES = 2**30
HEAVY_BYTES = 48 * 2**20


@pytest.fixture(scope="module")
def replica(two: Two, tiny_triton: LocalTriton, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """A service on the store of `two`, shared by tests that leave it well."""
    logs = tmp_path_factory.mktemp("replica")
    with serve(logs, store=two.store.path, triton_url=tiny_triton.grpc_url, follow_s=FOLLOW_S) as service:
        wait_until_ready(service)
        yield service


@pytest.fixture
def client(two: Two, replica: Serve) -> Iterator[httpx.Client]:
    """A client of a replica that answers from blue."""
    with httpx.Client(base_url=replica.url, timeout=30) as client:
        two.store.swap("blue")
        wait_until(lambda: answers(client) == "blue")
        yield client


class Hammer:
    """A client in a thread that searches and looks at a product until the end; it knows what each gallery answers."""

    def __init__(self, url: str, photo: bytes, expected: dict[str, list[str]]) -> None:
        self.seen: Counter[str] = Counter()
        self.failures: list[str] = []
        self._url, self._photo, self._expected = url, photo, expected
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=30) as client:
            while not self._end.is_set():
                answer = post(client, self._photo, top_k=5)
                if not answer.is_success:
                    self.failures.append(answer.text)
                    continue
                body = answer.json()
                self.seen[body["gallery_version"]] += 1
                got = [hit["product_id"] for hit in body["hits"]]
                if got != self._expected[body["gallery_version"]]:
                    self.failures.append(f"{body['gallery_version']} answered {got}")
                picture = client.get(body["hits"][0]["image_url"])
                if picture.status_code not in (200, 404):  # 404: it is of the gallery before
                    self.failures.append(picture.text)


@pytest.mark.slow
def test_nobody_notices_a_swap(two: Two, replica: Serve, client: httpx.Client, photos: list[bytes]) -> None:
    """Clients search while the pointer moves back and forth; each answer is that of the gallery it names."""
    expected = [
        {version: best_ids(oracle, photo, top_k=5, weight=DEFAULT_WEIGHT) for version, oracle in two.oracles.items()}
        for photo in photos[:CLIENTS]
    ]
    swaps = metric(client, "shopcam_swaps_total", result="live")
    before = metric(client, "shopcam_gallery_answers_total", gallery_version="green", code="ok") or 0
    hammers = [Hammer(replica.url, photo, ids) for photo, ids in zip(photos, expected, strict=False)]
    try:
        for swap in range(SWAPS):
            version = ("green", "blue")[swap % 2]
            two.store.swap(version)
            seen = [hammer.seen[version] for hammer in hammers]
            wait_until(
                lambda version=version, seen=seen: all(
                    hammer.seen[version] > count + 2 for hammer, count in zip(hammers, seen, strict=True)
                )
            )
    finally:
        for hammer in hammers:
            hammer.end()
    assert [hammer.failures for hammer in hammers] == [[]] * CLIENTS
    wait_until(lambda: not mapped(replica, "green"))  # drained, closed, unmapped
    assert mapped(replica, "blue")
    assert metric(client, "shopcam_swaps_total", result="live") == swaps + SWAPS
    assert metric(client, "shopcam_gallery_info", gallery_version="blue", pair="live") == 1
    assert metric(client, "shopcam_gallery_info", gallery_version="green") is None
    counted = metric(client, "shopcam_gallery_answers_total", gallery_version="green", code="ok")
    assert counted == before + sum(hammer.seen["green"] for hammer in hammers)
    assert metric(client, "shopcam_swap_seconds_count") == swaps + SWAPS


@pytest.mark.slow
def test_memory_comes_back(two: Two, replica: Serve, client: httpx.Client, tmp_path: Path) -> None:
    """Each of two galleries holds 48 MiB; eight swaps that kept one each would hold eight times as much."""
    for version in ("blue", "green"):
        table = heavy_table(two.store, version, tmp_path / "table", size_bytes=HEAVY_BYTES)
        publish_as(two.store, version, f"heavy-{version}", files={OLD_TABLE_FILE: table, TABLE_FILE: None})
    process = worker(replica, "blue")

    def rss_after(version: str) -> int:
        other = answers(client)
        two.store.swap(version)
        wait_until(lambda: answers(client) == version)
        wait_until(lambda: not mapped(replica, other))
        return int(process.memory_info().rss)

    heavy = [rss_after(version) for _ in range(4) for version in ("heavy-green", "heavy-blue")]
    light = rss_after("blue")
    assert light < heavy[-1]
    # Freed memory is handed back a moment after the last file is unmapped.
    wait_until(lambda: process.memory_info().rss - heavy[0] < HEAVY_BYTES)


def test_a_query_id_outlives_a_swap(two: Two, client: httpx.Client, photos: list[bytes]) -> None:
    """Both galleries are of one space: vectors of a photo rank green as they would have ranked blue."""
    query_id = search(client, photos[0])["query_id"]
    product = search(client, product_id=two.oracles["blue"].ids[7])["query_id"]
    two.store.swap("green")
    wait_until(lambda: answers(client) == "green")
    again = search(client, query_id=query_id, top_k=5)
    assert again["gallery_version"] == "green"
    expected = best_ids(two.oracles["green"], photos[0], top_k=5, weight=DEFAULT_WEIGHT)
    assert [hit["product_id"] for hit in again["hits"]] == expected
    # A product is searched with as the gallery has it, and this one has none of that name.
    assert "no product" in refused(post(client, query_id=product), 404, "not_found")


def damage(two: Two, how: str, path: Path) -> str:
    """Publish a gallery that has something wrong with it; return a part of the sentence that says so."""
    store, version = two.store, f"bad-{how}"
    manifest = read_manifest(store.gallery("green"))
    if how == "bit":
        publish_as(store, "green", version)
        flip_a_bit(store.gallery(version) / "index.faiss")
        return "index.faiss has sha256"
    if how == "dimension":
        publish_as(store, "green", version, image_dim=manifest.image_dim + 1)
        return "the manifest says"
    if how == "space":
        publish_as(store, "green", version, spaces={**manifest.spaces, "embedder": "other"})
        return "another model"
    if how == "canary":
        turned = [-value for value in manifest.references[0].image_vector]
        reference = manifest.references[0].model_copy(update={"image_vector": turned})
        publish_as(store, "green", version, references=[reference])
        return "cosine -1.0000"
    files = {"vectors.npy": shuffled_vectors(store, "green", path / "vectors.npy")}
    publish_as(store, "green", version, files=files)
    return "promises a recall@10 of 1.000"


@pytest.mark.parametrize("how", ["bit", "dimension", "space", "canary", "recall"])
def test_a_gallery_that_is_not_fit_stays_out(  # noqa: PLR0917 - fixtures
    two: Two, replica: Serve, client: httpx.Client, photos: list[bytes], tmp_path: Path, how: str
) -> None:
    sentence = damage(two, how, tmp_path)
    failed = metric(client, "shopcam_swaps_total", result="failed") or 0
    bad = f"bad-{how}"
    point_to(two.store, bad)
    wait_until(lambda: [one["version"] for one in following(client)["failures"]] == [bad])
    body = following(client)
    assert body["wanted"] == bad
    (failure,) = body["failures"]
    assert sentence in failure["reason"]
    assert (answers(client), replica.status()) == ("blue", 200)
    assert search(client, photos[0])["gallery_version"] == "blue"
    assert metric(client, "shopcam_swap_failed_info", gallery_version=bad) == 1
    assert metric(client, "shopcam_swaps_total", result="failed") > failed
    assert metric(client, "shopcam_gallery_info", gallery_version="blue") == 1
    assert sentence in (replica.output.parent / "service.log").read_text()
    wait_until(lambda: not mapped(replica, bad))  # while it is tried again, it is

    point_to(two.store, "green")  # and on
    wait_until(lambda: answers(client) == "green")
    wait_until(lambda: following(client)["failures"] == [])
    assert metric(client, "shopcam_swap_failed_info", gallery_version=bad) is None
    assert search(client, photos[0])["hits"][0]["product_id"].startswith("g-")


def test_a_failing_gallery_is_tried_again_and_later_each_time(two: Two, client: httpx.Client) -> None:
    publish_as(two.store, "green", "mended")
    index = two.store.gallery("mended") / "index.faiss"
    flip_a_bit(index)
    failed = metric(client, "shopcam_swaps_total", result="failed") or 0
    point_to(two.store, "mended")
    wait_until(lambda: any(failure["attempts"] >= 2 for failure in following(client)["failures"]))
    assert metric(client, "shopcam_swaps_total", result="failed") <= failed + 4  # of dozens of looks at the pointer
    flip_a_bit(index)  # it was the disk
    wait_until(lambda: answers(client) == "mended")


def test_a_store_that_is_gone_does_no_harm(two: Two, replica: Serve, client: httpx.Client, photos: list[bytes]) -> None:
    aside = two.store.path.with_name("aside")
    two.store.path.rename(aside)
    wait_until(lambda: following(client)["store_failure"] is not None)
    assert metric(client, "shopcam_store_reachable") == 0
    looks = metric(client, "shopcam_store_failures_total")
    wait_until(lambda: metric(client, "shopcam_store_failures_total") > looks + 3)
    assert search(client, photos[0])["gallery_version"] == "blue"
    assert replica.status() == 200
    aside.rename(two.store.path)
    two.store.swap("green")
    wait_until(lambda: answers(client) == "green")
    assert following(client)["store_failure"] is None
    assert metric(client, "shopcam_store_reachable") == 1
    log = (replica.output.parent / "service.log").read_text()
    assert log.count("the store cannot be followed") == 1


def publish_long(two: Two, version: str) -> None:
    """Publish green with a file that takes long to hash and no room on the disk."""
    publish_as(two.store, "green", version, files={"zeros.bin": b""})
    folder = two.store.gallery(version)
    with (folder / "zeros.bin").open("wb") as file:
        file.truncate(ZEROS_BYTES)
    digest, block = hashlib.sha256(), bytes(2**20)
    for _ in range(ZEROS_BYTES // len(block)):
        digest.update(block)
    manifest = read_manifest(folder)
    record = FileRecord(size_bytes=ZEROS_BYTES, sha256=digest.hexdigest())
    changed = manifest.model_copy(update={"files": {**manifest.files, "zeros.bin": record}})
    (folder / "manifest.json").write_text(changed.model_dump_json())


@pytest.mark.slow
def test_killed_while_green_is_opened(two: Two, tiny_triton: LocalTriton, tmp_path: Path) -> None:
    """The next start answers from what the pointer names."""
    publish_long(two, "long")
    point_to(two.store, "blue")
    settings = {"store": two.store.path, "triton_url": tiny_triton.grpc_url, "follow_s": FOLLOW_S}
    with serve(tmp_path, **settings) as service:
        wait_until_ready(service)
        point_to(two.store, "long")
        wait_until(lambda: any(name.endswith("zeros.bin") for name in mapped(service, "long")))
        for process in reversed(processes(service)):
            process.kill()
        service.process.wait()
    with serve(tmp_path, **settings) as service:
        wait_until_ready(service)
        with httpx.Client(base_url=service.url, timeout=30) as client:
            assert answers(client) == "long"


def test_a_pointer_that_moves_on_is_followed_at_once(two: Two, client: httpx.Client) -> None:
    """What was being opened is dropped, although it would have been fit."""
    publish_long(two, "slow")
    swaps = metric(client, "shopcam_swaps_total", result="live")
    point_to(two.store, "slow")
    wait_until(lambda: following(client)["wanted"] == "slow")
    point_to(two.store, "green")
    wait_until(lambda: answers(client) == "green", deadline_s=60)
    assert metric(client, "shopcam_swaps_total", result="stale") == 1
    assert metric(client, "shopcam_swaps_total", result="live") == swaps + 1
    assert following(client)["failures"] == []


@pytest.mark.slow
def test_replicas_try_a_canary(two: Two, tiny_triton: LocalTriton, tmp_path: Path) -> None:
    """One name is in the share, the other is not; both follow when it is promoted, or dropped."""
    two.store.swap("blue")
    names = {in_share(f"replica-{number}", "green", 0.5): f"replica-{number}" for number in range(20)}
    settings = {"store": two.store.path, "triton_url": tiny_triton.grpc_url, "follow_s": FOLLOW_S}
    folders = [tmp_path / "in", tmp_path / "out"]
    for folder in folders:
        folder.mkdir()
    with (
        serve(folders[0], instance_id=names[True], **settings) as first,
        serve(folders[1], instance_id=names[False], **settings) as second,
        httpx.Client(base_url=first.url, timeout=30) as inside,
        httpx.Client(base_url=second.url, timeout=30) as outside,
    ):
        both = (inside, outside)
        for service in (first, second):
            wait_until_ready(service)
        two.store.canary("green", share=0.5)
        wait_until(lambda: answers(inside) == "green")
        assert following(inside)["on_trial"] is True
        assert answers(outside) == "blue"
        assert metric(inside, "shopcam_gallery_info", gallery_version="green", pair="canary") == 1
        two.store.drop()
        wait_until(lambda: answers(inside) == "blue")
        assert answers(outside) == "blue"
        two.store.canary("green", share=1)
        wait_until(lambda: [answers(one) for one in both] == ["green"] * 2)
        two.store.promote()
        wait_until(lambda: not any(following(one)["on_trial"] for one in both))
        assert [answers(one) for one in both] == ["green"] * 2
        assert metric(outside, "shopcam_swaps_total", result="live") == 2
        assert metric(outside, "shopcam_swaps_total", result="failed") is None


@pytest.mark.slow
def test_a_canary_that_does_not_open_takes_no_replica_down(two: Two, tiny_triton: LocalTriton, tmp_path: Path) -> None:
    two.store.swap("blue")
    publish_as(two.store, "green", "tried")
    two.store.canary("tried", share=1)
    flip_a_bit(two.store.gallery("tried") / "index.faiss")
    with serve(tmp_path, store=two.store.path, triton_url=tiny_triton.grpc_url, follow_s=FOLLOW_S) as service:
        wait_until_ready(service)
        with httpx.Client(base_url=service.url, timeout=30) as client:
            assert answers(client) == "blue"
            assert following(client)["failures"][0]["version"] == "tried"
    two.store.drop()
