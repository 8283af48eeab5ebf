"""Fetching from a real server that fails in every way, and what a build makes of it."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from PIL import Image

from catalog.errors import MalformedError, NotFoundError, OutOfRangeError
from catalog.pictures import PictureLimits
from catalog.sources import UnreachableError
from index_builder.fetching import FetchPolicy, fetch_patiently
from index_builder.store import LocalStore
from tests.index_builder.conftest import CountingNetworks, make_catalog
from tests.index_builder.test_resume import build
from tests.tiny_repository import random_pictures

POLICY = FetchPolicy(timeout_s=5, tries=3, wait_s=0.01)


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(random_pictures(1, seed=seed)[0]).save(buffer, "PNG")
    return buffer.getvalue()


class Shop(BaseHTTPRequestHandler):
    """/<status>/<times>/<name> answers so many times with the status, then with a picture; /never/... does not."""

    stop = threading.Event()
    asked: ClassVar[Counter[str]] = Counter()

    def do_GET(self) -> None:
        Shop.asked[self.path] += 1
        status, times, name = self.path.strip("/").split("/")
        if status == "never":
            self.stop.wait()
            return
        failing = Shop.asked[self.path] <= int(times)
        body = b"busy" if failing else png(int(name))
        if failing and status == "drop":
            self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")
            return
        self.send_response(int(status) if failing else 200)
        self.send_header("Content-Length", str(len(body)))
        if status == "429":
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    Shop.stop.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Shop) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{listening.server_port}"
        Shop.stop.set()
        listening.shutdown()
        thread.join()


def fetched(url: str, policy: FetchPolicy = POLICY, stop: threading.Event | None = None) -> bytes:
    return fetch_patiently(url, base=Path(), limits=PictureLimits(), policy=policy, stop=stop)


@pytest.mark.parametrize("how", ["503", "500", "429", "408", "drop"])
def test_what_may_answer_later_is_asked_again(server, how):
    assert fetched(f"{server}/{how}/2/1") == png(1)
    assert Shop.asked[f"/{how}/2/1"] == 3
    with pytest.raises(UnreachableError, match=r"\(tried 3 times\)"):
        fetched(f"{server}/{how}/3/2")
    assert Shop.asked[f"/{how}/3/2"] == 3


@pytest.mark.parametrize("status", ["404", "403", "410"])
def test_a_clear_no_is_not_asked_again(server, status):
    with pytest.raises(NotFoundError, match=f"answered {status}, expected 200$"):
        fetched(f"{server}/{status}/9/1")
    assert Shop.asked[f"/{status}/9/1"] == 1


def test_a_refused_connection_is_tried_again():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, not listening
        with pytest.raises(UnreachableError, match=r"can't be fetched: .* \(tried 3 times\)"):
            fetched(f"http://127.0.0.1:{closed.getsockname()[1]}/a.png")


def test_waiting_between_tries_ends_when_the_build_does(server):
    stop = threading.Event()
    stop.set()
    started = time.monotonic()
    with pytest.raises(UnreachableError):
        fetched(f"{server}/503/9/3", FetchPolicy(tries=9, wait_s=60), stop)
    assert time.monotonic() - started < 30
    assert Shop.asked["/503/9/3"] == 1


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"timeout_s": 0}, "fetch timeout is 0 s"), ({"tries": 0}, "fetch tries is 0, at least 1")],
)
def test_policies_that_make_no_sense(options, sentence):
    with pytest.raises(OutOfRangeError, match=sentence):
        FetchPolicy(**options)


def test_a_build_from_urls(server, networks, tmp_path):
    """Servers that stumble cost nothing, one that never answers is a bad row; a second build fetches, not embeds."""
    local = make_catalog(tmp_path / "shop", 4)
    paths = ["503/2/11", "404/9/12", "never/0/13", "200/0/14"]
    rows = [{"product_id": path, "image": f"{server}/{path}"} for path in paths]
    catalog = local.with_name("urls.jsonl")
    catalog.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    counting = CountingNetworks(networks)
    options = {"max_bad_rows": 0.5}
    options["fetching"] = FetchPolicy(timeout_s=0.5, tries=3, wait_s=0.01)
    started = time.monotonic()
    built = build(catalog, counting, tmp_path / "s", **options)
    assert time.monotonic() - started < 60
    assert (built.counts.embedded, built.counts.rejected, counting.pictures) == (2, 2, 2)
    folder = LocalStore(tmp_path / "s").gallery("v")
    reasons = [json.loads(line)["reason"] for line in (folder / "rejected.jsonl").read_text().splitlines()]
    assert "answered 404" in reasons[0]
    assert "did not answer within 0.5 s (tried 3 times)" in reasons[1]
    before = Shop.asked["/200/0/14"]
    again = build(catalog, counting, tmp_path / "s", version="again", **options)
    assert (again.counts.reused, counting.pictures) == (2, 2)
    assert Shop.asked["/200/0/14"] > before
    before = Shop.asked["/200/0/14"]
    trusting = build(catalog, counting, tmp_path / "s", version="trusting", trust_urls=True, **options)
    assert (trusting.counts.reused, counting.pictures) == (2, 2)
    assert Shop.asked["/200/0/14"] == before + 1  # the reference photo alone
    assert built.manifest.files == again.manifest.files == trusting.manifest.files


def test_a_run_that_gave_up_is_followed_by_one_that_asks_again(server, networks, tmp_path):
    rows = [{"product_id": path, "image": f"{server}/{path}"} for path in ("503/3/21", "200/0/22")]
    catalog = tmp_path / "urls.jsonl"
    catalog.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    counting = CountingNetworks(networks)
    with pytest.raises(MalformedError, match=r"1 of 2 rows are bad .* answered 503, expected 200 \(tried 3 times\)"):
        build(catalog, counting, tmp_path / "s", fetching=POLICY)
    built = build(catalog, counting, tmp_path / "s", fetching=POLICY)
    assert (built.counts.resumed, built.counts.embedded, counting.pictures) == (1, 1, 2)
