"""A running service and the store's journal: products come, change and go within seconds, and filters know them too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from export.local_triton import LocalTriton
from export.onnx_runtime import OnnxRuntimeNetworks
from index_builder.store import LocalStore
from index_builder.update import update_gallery
from tests.bento.conftest import (
    Serve,
    Shop,
    Two,
    grid_picture,
    jpeg,
    post,
    refused,
    search,
    serve,
    wait_until,
    wait_until_ready,
    write_catalog,
)
from tests.bento.galleries import answers, metric

SETTINGS = {"follow_s": 0.1, "journal_s": 0.1}


@pytest.fixture(scope="module")
def replicas(two: Two, tiny_triton: LocalTriton, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Serve]]:
    """Two services on one store."""
    logs = [tmp_path_factory.mktemp("replica") for _ in range(2)]
    options: dict[str, Any] = {"store": two.store.path, "triton_url": tiny_triton.grpc_url, **SETTINGS}
    with serve(logs[0], **options) as one, serve(logs[1], **options) as other:
        for service in (one, other):
            wait_until_ready(service)
        yield [one, other]


@pytest.fixture
def clients(replicas: list[Serve]) -> Iterator[list[httpx.Client]]:
    found = [httpx.Client(base_url=service.url, timeout=30) for service in replicas]
    yield found
    for client in found:
        client.close()


def sequence(client: httpx.Client) -> int:
    return int(client.get("/gallery").json()["changes"]["sequence"])


def changed_catalog(shop: Shop, folder: Path, *, number: int, **columns: str) -> tuple[Path, bytes]:
    """A catalog with one product: a row of the shop with other columns and a picture of its own."""
    picture = grid_picture("blue", np.random.default_rng(number))
    picture.save(folder / f"new-{number}.png")
    path = folder / f"changes-{number}.csv"
    write_catalog(path, [{**shop.rows[6], "image": f"new-{number}.png", **columns}])
    return path, jpeg(picture)


@pytest.mark.slow
def test_changes_are_searchable_on_every_replica(
    two: Two, shop: Shop, networks: OnnxRuntimeNetworks, clients: list[httpx.Client], tmp_path: Path
) -> None:
    before = clients[0].get("/gallery").json()
    catalog, photo = changed_catalog(shop, tmp_path, number=90, product_id="new", price="900", title="A new thing")
    done = update_gallery(two.store, networks, catalog=catalog, deletes=["p07"])
    for client in clients:
        wait_until(lambda client=client: sequence(client) == done.sequence)
        best = search(client, photo, top_k=1, weight=0)["hits"][0]
        assert (best["product_id"], best["title"], best["price"]) == ("new", "A new thing", 900)
        assert best["image_score"] == pytest.approx(1, abs=0.02)  # but for the JPEG
        assert client.get(best["image_url"]).status_code == 200
        assert client.get("/products/new").json()["title"] == "A new thing"
        refused(client.get("/products/p07"), 404, "not_found")
        everything = [hit["product_id"] for hit in search(client, photo, top_k=200)["hits"]]
        assert sorted(everything) == sorted({*two.oracles["blue"].ids, "new"} - {"p07"})
        now = client.get("/gallery").json()
        assert (now["version"], now["products"]) == ("blue", before["products"])  # one came, one went
        assert (now["changes"]["reason"], now["changes"]["skipped"]) == (None, 0)
        assert metric(client, "shopcam_journal_sequence") == done.sequence
        dear = search(client, photo, filters=json.dumps({"price": {"gte": 800}}))["hits"]
        assert [hit["product_id"] for hit in dear] == ["new"]


@pytest.mark.slow
def test_a_damaged_batch_stops_nobody(
    two: Two, shop: Shop, networks: OnnxRuntimeNetworks, clients: list[httpx.Client], tmp_path: Path
) -> None:
    """What came before it stays, a reason is told, and a gallery that merged it goes on."""
    client = clients[0]
    journal = Path(LocalStore(two.store.path).journal().uri)
    journal.mkdir(exist_ok=True)  # the first change would make it
    last = sequence(client)
    (journal / f"{last + 1:012d}.batch").write_bytes(b"half a batch")
    wait_until(lambda: client.get("/gallery").json()["changes"]["reason"] is not None)
    reason = client.get("/gallery").json()["changes"]["reason"]
    assert "damaged" in reason
    assert metric(client, "shopcam_journal_followed") == 0
    assert len(search(client, product_id="p06", top_k=5)["hits"]) == 5
    (journal / f"{last + 1:012d}.batch").unlink()
    catalog, _ = changed_catalog(shop, tmp_path, number=91, product_id="later")
    done = update_gallery(two.store, networks, catalog=catalog)
    wait_until(lambda: sequence(client) == done.sequence)
    assert client.get("/products/later").status_code == 200
    assert metric(client, "shopcam_journal_followed") == 1


@pytest.mark.slow
def test_a_gallery_that_is_swapped_in_has_the_changes(
    two: Two, shop: Shop, networks: OnnxRuntimeNetworks, clients: list[httpx.Client], tmp_path: Path
) -> None:
    catalog, _ = changed_catalog(shop, tmp_path, number=92, product_id="for-both")
    done = update_gallery(two.store, networks, catalog=catalog)
    two.store.swap("green")
    for client in clients:
        wait_until(lambda client=client: answers(client) == "green")
        wait_until(lambda client=client: sequence(client) == done.sequence)
        assert client.get("/products/for-both").status_code == 200
    two.store.swap("blue")
    for client in clients:
        wait_until(lambda client=client: answers(client) == "blue")


def test_filters_over_http(client: httpx.Client, shop: Shop, photos: list[bytes]) -> None:
    def ids(given: str, **options: Any) -> list[str]:
        return [hit["product_id"] for hit in search(client, photos[0], filters=given, **options)["hits"]]

    cheap = {row["product_id"] for row in shop.rows if float(row["price"]) <= 9.5}
    assert set(ids(json.dumps({"price": {"lte": 9.5}}), top_k=200)) == cheap
    shelf = shop.rows[12]["shelf"]
    assert ids(json.dumps({"shelf": shelf})) == [shop.rows[12]["product_id"]]  # a column of the shop's own
    mugs = {row["product_id"] for row in shop.rows if row["category_path"].endswith("mug")}
    assert set(ids(json.dumps({"category": "Shop > mug"}), top_k=200)) == mugs
    assert ids(json.dumps({"price": {"gte": 1e6}})) == []
    every = ids("{}", top_k=200)
    assert [one for one in every if one in mugs] == ids(json.dumps({"category": "Shop > mug"}), top_k=200)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{", "malformed: not valid JSON"),
        ("[1]", "malformed: JSON object"),
        ('{"prise": 1}', "out_of_range: did you mean price"),
        ('{"price": "cheap"}', "out_of_range: holds numbers"),
        ('{"price": {"below": 3}}', "malformed: bound"),
        ('{"title": []}', "out_of_range: no values"),
    ],
)
def test_bad_filters_are_the_clients_mistake(client: httpx.Client, photos: list[bytes], given: str, said: str) -> None:
    code, part = said.split(": ")
    assert part in refused(post(client, photos[0], filters=given), {"malformed": 400}.get(code, 422), code)
