"""A service without a model server: the same answers, and galleries and networks that move as a pair."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from export.onnx_runtime import OnnxRuntimeNetworks
from export.words import WordModel
from index_builder.build import build_gallery
from index_builder.gallery import Gallery
from index_builder.store import LocalStore
from tests.bento.conftest import DEFAULT_WEIGHT, Oracle, Serve, Shop, search, serve, wait_until, wait_until_ready
from tests.tiny_repository import TinyNetworks

TOP_K = 12


@pytest.fixture(scope="module")
def repository(tiny_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of the module's own, that may get another version."""
    return Path(shutil.copytree(tiny_repository, tmp_path_factory.mktemp("own") / "repository"))


@pytest.fixture(scope="module")
def own_store(store: LocalStore, tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    """A store of the module's own with the shop's gallery live in it."""
    return LocalStore(Path(shutil.copytree(store.path, tmp_path_factory.mktemp("own-store") / "store")))


@pytest.fixture(scope="module")
def service(own_store: LocalStore, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    logs = tmp_path_factory.mktemp("in-process")
    settings = {"store": own_store.path, "repository": repository, "follow_s": 0.2}
    with serve(logs, "--in-process", **settings) as service:
        wait_until_ready(service)
        yield service


@pytest.fixture(scope="module")
def here(service: Serve) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=30) as client:
        yield client


Ranking = list[tuple[str, float]]


def ranking(answer: dict[str, Any]) -> Ranking:
    return [(hit["product_id"], pytest.approx(hit["score"], abs=1e-5)) for hit in answer["hits"]]


def by_hand(oracle: Oracle, photo: bytes) -> Ranking:
    outputs = oracle.outputs(photo)
    text = oracle.text_part(outputs.probabilities[0], "hard")
    return [row[:2] for row in oracle.rank(outputs.embedding[0], text, weight=DEFAULT_WEIGHT)[:TOP_K]]


def test_answers_are_those_of_triton(
    here: httpx.Client, client: httpx.Client, oracle: Oracle, photos: list[bytes]
) -> None:
    for photo in photos:
        answer, other = search(here, photo, top_k=TOP_K), search(client, photo, top_k=TOP_K)
        assert ranking(answer) == by_hand(oracle, photo)
        assert ranking(other) == by_hand(oracle, photo)
        assert answer["labels"] == [{**label, "score": pytest.approx(label["score"])} for label in other["labels"]]


def test_no_triton_runs_beside_it(service: Serve) -> None:
    names = [process.name() for process in psutil.Process(service.process.pid).children(recursive=True)]
    assert names
    assert not [name for name in names if "triton" in name]


def test_metrics_say_that_there_is_no_triton(here: httpx.Client) -> None:
    page = here.get("/metrics").text
    assert "shopcam_triton_scraped 0.0" in page
    assert "nv_" not in page


def test_networks_and_gallery_move_as_a_pair(  # noqa: PLR0917  # fixtures
    here: httpx.Client,
    own_store: LocalStore,
    repository: Path,
    oracle: Oracle,
    shop: Shop,
    words: WordModel,
    photos: list[bytes],
) -> None:
    """Version 2 of the networks is there before its gallery is live; until then version 1 answers."""
    TinyNetworks(seed=7).write(repository, version=2)
    networks = OnnxRuntimeNetworks(repository, threads=1)
    build_gallery(shop.catalog, networks, words, store=own_store, version="v2", default_weight=DEFAULT_WEIGHT)
    unseen = photos[0] + b"behind the picture, so that it is looked at"
    assert ranking(search(here, unseen, top_k=TOP_K)) == by_hand(oracle, unseen)

    own_store.swap("v2", spaces=networks.info.spaces)
    wait_until(lambda: search(here, photos[0])["gallery_version"] == "v2")
    moved = Oracle(networks, Gallery.open(own_store.gallery("v2")), shop.ids)
    assert ranking(search(here, photos[0], top_k=TOP_K)) == by_hand(moved, photos[0])
    assert by_hand(moved, photos[0]) != by_hand(oracle, photos[0])


def test_a_repository_of_other_networks_is_told(store: LocalStore, tmp_path: Path) -> None:
    TinyNetworks(seed=9).write(tmp_path / "others")
    with serve(tmp_path, "--in-process", store=store.path, repository=tmp_path / "others") as service:
        wait_until(lambda: service.status("/livez") == 200, deadline_s=60)
        told = httpx.get(f"{service.url}/readyz", timeout=20)
        assert told.status_code == 503
        assert "was built with another model" in told.json()["error"]["message"]


@pytest.mark.parametrize(("flag", "value"), [("--local-triton", None), ("--triton-url", "127.0.0.1:8001")])
def test_two_places_for_the_networks_are_one_too_many(tmp_path: Path, flag: str, value: str | None) -> None:
    flags = [flag] if value is None else [flag, value]
    with serve(tmp_path, "--in-process", *flags) as service:
        assert service.process.wait(60) == 2
        assert f"leave {flag} out" in service.output.read_text()
