"""A service with room for one search at a time: who is refused, who is given up, and that the room is free again."""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from export.local_triton import LocalTriton
from index_builder.store import LocalStore
from tests.bento.conftest import Serve, post, refused, search, serve, wait_until, wait_until_ready

TIMEOUT_S = 2.0
HALF_A_REQUEST = (
    b"POST /search HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    b'{"product_id": '
)


@pytest.fixture(scope="module")
def narrow(
    store: LocalStore, tiny_triton: LocalTriton, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Serve, httpx.Client]]:
    settings = {"max_searches": 1, "timeout_s": TIMEOUT_S}
    logs = tmp_path_factory.mktemp("narrow")
    with serve(logs, store=store.path, triton_url=tiny_triton.grpc_url, **settings) as service:
        wait_until_ready(service)
        with httpx.Client(base_url=service.url, timeout=30) as client:
            yield service, client


def connect(service: Serve) -> socket.socket:
    parts = urlsplit(service.url)
    return socket.create_connection((parts.hostname, parts.port), timeout=30)


def take_the_room(service: Serve, client: httpx.Client, photo: bytes) -> socket.socket:
    """Send half a request until it is the one in progress; it is refused itself when it comes with one of our own."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        slow = connect(service)
        slow.sendall(HALF_A_REQUEST)
        while not select.select([slow], [], [], 0)[0]:
            if post(client, photo).status_code == 429:
                return slow
        slow.close()
    raise AssertionError("half a request never took the room")


def test_the_second_is_refused_and_a_slow_upload_is_given_up(
    narrow: tuple[Serve, httpx.Client], photos: list[bytes]
) -> None:
    service, client = narrow
    begun = time.monotonic()
    with take_the_room(service, client, photos[0]) as slow:
        answer = post(client, photos[0])
        assert "1 searches" in refused(answer, 429, "overloaded")
        assert int(answer.headers["retry-after"]) >= 1
        # Probes and pages have no part in it.
        assert client.get("/readyz").status_code == 200
        assert client.get("/gallery").status_code == 200

        head, _, body = slow.makefile("rb").read().partition(b"\r\n\r\n")
        assert TIMEOUT_S - 0.1 < time.monotonic() - begun < TIMEOUT_S + 3
    assert head.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["error"]["code"] == "upload_too_slow"
    assert search(client, photos[0])["hits"]


def test_who_hangs_up_makes_room(narrow: tuple[Serve, httpx.Client], photos: list[bytes]) -> None:
    service, client = narrow
    begun = time.monotonic()
    with take_the_room(service, client, photos[0]):
        pass
    wait_until(lambda: post(client, photos[0]).status_code == 200)
    assert time.monotonic() - begun < TIMEOUT_S
    assert "Traceback" not in (service.output.parent / "service.log").read_text()
