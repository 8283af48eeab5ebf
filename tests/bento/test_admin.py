"""The admin routes: who may, what is refused with which status, and that of two swaps at once one wins."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from bento.settings import MIN_TOKEN, from_environment, to_environment
from catalog.errors import MalformedError
from export.local_triton import LocalTriton
from index_builder.manifest import RecallRow
from tests.bento.conftest import Serve, Two, refused, search, serve, wait_until_ready
from tests.bento.galleries import answers, flip_a_bit, following, metric, point_to, processes, publish_as

TOKEN = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def replicas(two: Two, tiny_triton: LocalTriton, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Serve]]:
    """Two replicas of one store that look at the pointer when they are nudged only."""
    settings = {"store": two.store.path, "triton_url": tiny_triton.grpc_url, "admin_token": TOKEN, "follow_s": 0}
    first, second = (tmp_path_factory.mktemp(name) for name in ("first", "second"))
    with serve(first, **settings) as one, serve(second, **settings) as other:
        for service in (one, other):
            wait_until_ready(service)
        yield [one, other]


@pytest.fixture
def clients(two: Two, replicas: list[Serve]) -> Iterator[list[httpx.Client]]:
    """Clients with the token; both replicas answer from blue."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    clients = [httpx.Client(base_url=service.url, headers=headers, timeout=60) for service in replicas]
    point_to(two.store, "blue")
    for client in clients:
        assert swap(client, "blue").status_code == 200
        assert answers(client) == "blue"
    yield clients
    for client in clients:
        client.close()


def swap(client: httpx.Client, version: str, **more: Any) -> httpx.Response:
    return client.post("/admin/swap", json={"version": version, **more})


def rollback(client: httpx.Client, **body: Any) -> httpx.Response:
    return client.post("/admin/rollback", json=body)


def live(two: Two) -> str:
    return two.store.live().live.gallery


def test_a_swap_and_back(two: Two, clients: list[httpx.Client], photos: list[bytes]) -> None:
    client, other = clients
    body = swap(client, "green", expected_version="blue").json()
    assert (body["live"], body["previous"], body["answers"]) == ("green", "blue", "green")
    assert (body["canary"], body["canary_share"]) == (None, 0.0)
    assert live(two) == "green"
    assert search(client, photos[0])["gallery_version"] == "green"
    assert answers(other) == "blue"  # it has not looked yet
    assert swap(other, "green").json()["answers"] == "green"
    body = client.post("/admin/rollback").json()  # without a body
    assert (body["live"], body["previous"], body["answers"]) == ("blue", "green", "blue")
    assert rollback(client, expected_version="blue").json()["live"] == "green"
    assert live(two) == "green"


def test_who_has_no_token_may_not(two: Two, clients: list[httpx.Client]) -> None:
    before = two.store.live()
    for given in ("", "Bearer", f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer \xfc"):
        answer = clients[0].post(
            "/admin/swap", json={"version": "green"}, headers={"Authorization": given.encode("latin-1")}
        )
        refused(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
    refused(clients[0].post("/admin/rollback", headers={"Authorization": "Bearer no"}), 401, "unauthorized")
    assert two.store.live() == before


def test_without_a_token_the_routes_are_closed(client: httpx.Client) -> None:
    """`client` is that of the service which all tests share."""
    for path in ("/admin/swap", "/admin/rollback"):
        answer = client.post(path, json={"version": "v1"}, headers={"Authorization": "Bearer any"})
        assert "SHOPCAM_ADMIN_TOKEN" in refused(answer, 403, "forbidden")


@pytest.mark.parametrize(
    ("body", "status", "code", "word"),
    [
        (
            {"version": "green", "expected_version": "green"},
            409,
            "conflict",
            "the live gallery is blue, expected green",
        ),
        ({"version": "green", "expected_version": ""}, 409, "conflict", "expected none"),
        ({"version": "absent"}, 404, "not_found", "no gallery 'absent'"),
        ({"version": "../blue"}, 422, "out_of_range", "not usable"),
        ({"version": 7}, 400, "malformed", "version"),
        ({"version": "green", "force": True}, 400, "malformed", "force"),
        ({}, 400, "malformed", "version"),
        ([], 400, "malformed", "the body"),
        ({"version": "v" * 5000}, 413, "too_large", "4096"),
    ],
)
def test_a_swap_that_makes_no_sense(  # noqa: PLR0917 - parameters
    two: Two, clients: list[httpx.Client], body: Any, status: int, code: str, word: str
) -> None:
    assert word in refused(clients[0].post("/admin/swap", json=body), status, code)
    assert (live(two), answers(clients[0])) == ("blue", "blue")


def test_other_methods_and_bodies(clients: list[httpx.Client]) -> None:
    refused(clients[0].get("/admin/swap"), 405, "method_not_allowed")
    refused(clients[0].post("/admin/swap", content=b"{"), 400, "malformed")
    refused(clients[0].post("/admin/else", json={}), 404, "not_found")


def test_a_gallery_that_is_refused_leaves_the_pointer(two: Two, clients: list[httpx.Client]) -> None:
    store = two.store
    publish_as(store, "green", "damaged")
    flip_a_bit(store.gallery("damaged") / "index.faiss")
    publish_as(store, "green", "poor", recall=[RecallRow(weight=2.0, recall_at_10=0.5)])
    publish_as(store, "green", "small", products=3)
    reference = store.manifest("green").references[0]
    turned = reference.model_copy(update={"image_vector": [-value for value in reference.image_vector]})
    publish_as(store, "green", "deaf", references=[turned])
    for version, word in {
        "damaged": "index.faiss has sha256",
        "poor": "recall@10 at weight 2 is 0.500",
        "small": "it has 3 products",
        "deaf": "cosine -1.0000",
    }.items():
        assert word in refused(swap(clients[0], version), 422, "refused")
        assert (live(two), answers(clients[0])) == ("blue", "blue")


def test_a_rollback_to_what_is_damaged(two: Two, clients: list[httpx.Client]) -> None:
    publish_as(two.store, "green", "before")
    point_to(two.store, "before")
    point_to(two.store, "blue")
    flip_a_bit(two.store.gallery("before") / "vectors.npy")
    assert "vectors.npy has sha256" in refused(rollback(clients[0]), 422, "refused")
    assert (live(two), answers(clients[0])) == ("blue", "blue")


def test_a_nudge_to_what_is_not_fit(two: Two, clients: list[httpx.Client]) -> None:
    """The pointer was moved by somebody else; the nudge says why this replica stays where it is."""
    publish_as(two.store, "green", "unfit")
    flip_a_bit(two.store.gallery("unfit") / "index.faiss")
    point_to(two.store, "unfit")
    assert "gallery blue goes on here: gallery unfit is damaged" in refused(swap(clients[0], "unfit"), 422, "refused")
    assert following(clients[0])["failures"][0]["attempts"] == 1
    flip_a_bit(two.store.gallery("unfit") / "index.faiss")
    assert swap(clients[0], "unfit").json()["answers"] == "unfit"


def test_a_store_that_is_gone_is_503(two: Two, clients: list[httpx.Client]) -> None:
    content = (two.store.path / "live.json").read_bytes()
    (two.store.path / "live.json").write_text("{")
    assert "damaged" in refused(swap(clients[0], "green"), 503, "not_ready")
    assert "damaged" in refused(rollback(clients[0]), 503, "not_ready")
    (two.store.path / "live.json").unlink()
    (two.store.path / "live.json").mkdir()
    assert "does not answer" in refused(swap(clients[0], "green"), 503, "not_ready")
    (two.store.path / "live.json").rmdir()
    (two.store.path / "live.json").write_bytes(content)
    assert answers(clients[0]) == "blue"
    assert swap(clients[0], "green").status_code == 200


@pytest.mark.parametrize("on", ["one replica", "two replicas"])
def test_of_two_swaps_at_once_one_wins(two: Two, clients: list[httpx.Client], on: str) -> None:
    if "third" not in two.store.versions():
        publish_as(two.store, "green", "third")
    ways = clients if on == "two replicas" else [clients[0], clients[0]]
    with ThreadPoolExecutor(2) as threads:
        asked = [
            threads.submit(swap, client, version, expected_version="blue")
            for client, version in zip(ways, ("green", "third"), strict=True)
        ]
        outcomes = {one.result().status_code: one.result() for one in asked}
    assert set(outcomes) == {200, 409}
    winner = outcomes[200].json()["live"]
    assert live(two) == winner
    assert f"the live gallery is {winner}" in refused(outcomes[409], 409, "conflict")
    assert outcomes[200].json()["answers"] == winner


def test_a_swap_while_a_canary_runs(two: Two, clients: list[httpx.Client]) -> None:
    """`green` is tried by all replicas; swaps wait for the end of the trial, going back does not."""
    client = clients[0]
    two.store.canary("green", share=1)
    body = swap(client, "blue").json()
    assert (body["live"], body["canary"], body["canary_share"], body["answers"]) == ("blue", "green", 1.0, "green")
    assert following(client)["on_trial"] is True
    publish_as(two.store, "green", "fourth")
    assert "gallery green is on trial" in refused(swap(client, "fourth"), 409, "conflict")
    body = rollback(client).json()
    assert body["canary"] is None
    assert body["answers"] == body["live"] == live(two)


def test_the_token_is_nowhere_to_be_seen(replicas: list[Serve], clients: list[httpx.Client]) -> None:
    assert swap(clients[0], "green").status_code == 200
    for service in replicas:
        for path in service.output.parent.rglob("*"):
            assert not path.is_file() or TOKEN.encode() not in path.read_bytes()
        for process in processes(service):
            assert TOKEN not in " ".join(process.cmdline())
    assert metric(clients[0], "shopcam_answers_total", route="/admin", code="ok") > 0


def test_a_token_as_a_setting() -> None:
    """Too short is one sentence that does not say it; empty is none; it survives the way to the service's process."""
    with pytest.raises(MalformedError) as caught:
        from_environment({"SHOPCAM_ADMIN_TOKEN": "hunter2"})
    assert "SHOPCAM_ADMIN_TOKEN" in str(caught.value)
    assert f"at least {MIN_TOKEN} characters" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert from_environment({"SHOPCAM_ADMIN_TOKEN": ""}).admin_token is None
    settings = from_environment({"SHOPCAM_ADMIN_TOKEN": TOKEN, "SHOPCAM_INSTANCE_ID": "one"})
    assert TOKEN not in f"{settings} {settings!r} {settings.model_dump_json()}"
    assert from_environment(to_environment(settings)) == settings
    assert from_environment(to_environment(from_environment({}))) == from_environment({})
