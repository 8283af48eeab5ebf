"""A service whose Triton stops and comes back, whose gallery is missing or wrong, and that fetches from slow places."""

from __future__ import annotations

import contextlib
import http.server
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from bento.breaker import FAILURES
from export.local_triton import LocalTriton
from export.onnx_runtime import OnnxRuntimeNetworks
from export.words import WordModel
from index_builder.build import build_gallery
from index_builder.store import LocalStore
from tests.bento.conftest import MAX_BYTES, Serve, Shop, post, refused, search, serve, wait_until, wait_until_ready
from tests.bento.galleries import metric
from tests.tiny_repository import make_tiny_repository

TIMEOUT_S = 3.0
CIRCUIT = "shopcam_circuit_open"


@contextlib.contextmanager
def web(photo: bytes) -> Iterator[str]:
    """A web server of somebody else, with good and bad manners."""
    asked_to_end = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/slow.jpg":
                asked_to_end.wait(60)
            status, headers, body = {
                "/photo.jpg": (200, {}, photo),
                "/moved": (302, {"Location": "/photo.jpg"}, b""),
                "/to-file": (302, {"Location": "file:///etc/passwd"}, b""),
                "/to-this-machine": (
                    302,
                    {"Location": f"http://127.0.0.1:{self.server.server_address[1]}/photo.jpg"},
                    b"",
                ),
                "/around": (302, {"Location": "/around"}, b""),
                "/page": (200, {}, b"<html>not a photo</html>"),
                "/endless": (200, {}, b"\xff\xd8\xff" + bytes(MAX_BYTES + 1)),
            }.get(self.path, (404, {}, b""))
            with contextlib.suppress(ConnectionError):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        asked_to_end.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def triton(tiny_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTriton]:
    """A Triton of our own, to be stopped."""
    with LocalTriton(tiny_repository, log_file=tmp_path_factory.mktemp("triton") / "triton.log") as triton:
        yield triton


@pytest.fixture(scope="module")
def own(triton: LocalTriton, store: LocalStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """A service in haste that may fetch from this machine."""
    logs = tmp_path_factory.mktemp("own")
    settings = {"timeout_s": TIMEOUT_S, "allow_private_urls": True, "max_bytes": MAX_BYTES, "cache_entries": 0}
    with serve(logs, store=store.path, triton_url=triton.grpc_url, **settings) as service:
        wait_until_ready(service)
        yield service


@pytest.fixture
def hasty(own: Serve) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=own.url, timeout=30) as client:
        yield client


def test_a_url_is_fetched_as_if_it_was_uploaded(hasty: httpx.Client, photos: list[bytes]) -> None:
    with web(photos[0]) as address:
        hits = search(hasty, url=f"{address}/photo.jpg", box="0,0,90,90")["hits"]
        assert hits == search(hasty, photos[0], box="0,0,90,90")["hits"]
        assert search(hasty, url=f"{address}/moved", box="0,0,90,90")["hits"] == hits


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/none.jpg", 404, "not_found"),
        ("/to-file", 404, "not_found"),
        ("/around", 404, "not_found"),
        ("/page", 415, "not_an_image"),
        ("/endless", 413, "too_large"),
    ],
)
def test_a_url_that_gives_no_photo(hasty: httpx.Client, photos: list[bytes], path: str, status: int, code: str) -> None:
    with web(photos[0]) as address:
        refused(post(hasty, url=address + path), status, code)


def test_nobody_at_the_url_is_404(hasty: httpx.Client) -> None:
    refused(post(hasty, url="http://127.0.0.1:9/"), 404, "not_found")


def test_a_slow_url_is_504_and_holds_nobody_up(hasty: httpx.Client, photos: list[bytes]) -> None:
    with web(photos[0]) as address:
        begun = time.monotonic()
        waiting = threading.Thread(target=lambda: answers.append(post(hasty, url=f"{address}/slow.jpg")))
        answers: list[httpx.Response] = []
        waiting.start()
        assert search(hasty, photos[0])["hits"]
        assert not answers
        waiting.join()
        assert f"{TIMEOUT_S:g} s" in refused(answers[0], 504, "deadline_exceeded")
        assert TIMEOUT_S - 0.1 < time.monotonic() - begun < TIMEOUT_S + 3


def test_a_frozen_triton_is_504_then_503_at_once(hasty: httpx.Client, triton: LocalTriton, photos: list[bytes]) -> None:
    assert metric(hasty, CIRCUIT) == 0
    os.kill(triton.pid, signal.SIGSTOP)
    try:
        with ThreadPoolExecutor(FAILURES) as clients:
            for answer in clients.map(lambda photo: post(hasty, photo), photos[:FAILURES]):
                refused(answer, 504, "deadline_exceeded")
        assert metric(hasty, CIRCUIT) == 1
        begun = time.monotonic()
        assert_refused_with_a_time(post(hasty, photos[FAILURES]))
        # Triton's deadline of 0.8 TIMEOUT_S is not waited for.
        assert time.monotonic() - begun < 0.5 * TIMEOUT_S
        assert hasty.get("/livez").status_code == 200
    finally:
        os.kill(triton.pid, signal.SIGCONT)
    wait_until(lambda: metric(hasty, CIRCUIT) == 0)
    assert search(hasty, photos[FAILURES])["hits"]


def test_triton_is_lost_and_found(
    own: Serve, hasty: httpx.Client, triton: LocalTriton, photos: list[bytes], tmp_path: Path
) -> None:
    before = search(hasty, photos[0])
    os.kill(triton.pid, signal.SIGKILL)
    wait_until(lambda: triton.wait(0.1))
    wait_until(lambda: own.status() == 503)
    assert "model server" in refused(hasty.get("/readyz"), 503, "not_ready")
    for photo in photos[:FAILURES]:
        assert_refused_with_a_time(post(hasty, photo))
    assert metric(hasty, CIRCUIT) == 1
    assert_refused_with_a_time(post(hasty, photos[FAILURES]))
    # What needs no network goes on.
    assert hasty.get("/livez").status_code == 200
    assert hasty.get("/gallery").status_code == 200
    assert search(hasty, query_id=before["query_id"])["hits"] == before["hits"]

    port = int(triton.grpc_url.rpartition(":")[2])
    with LocalTriton(triton.repository, log_file=tmp_path / "triton.log", grpc_port=port):
        wait_until(lambda: metric(hasty, CIRCUIT) == 0)
        again = search(hasty, photos[0])["hits"]
        assert [hit["product_id"] for hit in again] == [hit["product_id"] for hit in before["hits"]]
        wait_until(lambda: own.status() == 200)


def assert_refused_with_a_time(answer: httpx.Response) -> None:
    refused(answer, 503, "not_ready")
    assert int(answer.headers["retry-after"]) >= 1


def test_a_service_waits_for_a_gallery_that_fits(
    shop: Shop, words: WordModel, networks: OnnxRuntimeNetworks, tiny_triton: LocalTriton, tmp_path: Path
) -> None:
    """No gallery, then one of another model, then the right one: each is told, and the last is served."""
    store = LocalStore(tmp_path / "store")
    make_tiny_repository(tmp_path / "other", seed=9)
    others = OnnxRuntimeNetworks(tmp_path / "other", threads=1)
    build_gallery(shop.catalog, others, words, store=store, version="foreign")
    others.close()
    build_gallery(shop.catalog, networks, words, store=store, version="fitting")

    with serve(tmp_path, store=store.path, triton_url=tiny_triton.grpc_url) as service:
        client = httpx.Client(base_url=service.url, timeout=30)

        def says(word: str) -> bool:
            assert service.process.poll() is None, service.output.read_text()
            return service.status() == 503 and word in refused(client.get("/readyz"), 503, "not_ready")

        wait_until(lambda: says("no live gallery"), deadline_s=40)
        assert service.status("/livez") == 200
        assert service.status("/") == 200
        answer = post(client, product_id="p00")
        assert "index_builder build" in refused(answer, 503, "not_ready")
        assert int(answer.headers["retry-after"]) >= 1
        store.swap("foreign")
        wait_until(lambda: says("another model"))
        (store.path / "live.json").write_text("{")
        wait_until(lambda: says("damaged"))
        (store.path / "live.json").unlink()
        store.swap("fitting")
        wait_until(lambda: service.status() == 200)
        assert search(client, product_id="p00")["gallery_version"] == "fitting"
        client.close()
