"""Loads against the real service on tiny networks: photos that differ in bytes, open loops, and what is added."""

import itertools
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from benchmarks.serving.added import added_times
from benchmarks.serving.clients import LoadSpec, Target, measure
from benchmarks.serving.core_time import core_times
from benchmarks.serving.open_loop import OpenLoop, offer
from benchmarks.serving.running import Running, free_port
from benchmarks.serving.soak import soak
from benchmarks.serving.uploads import commented, comments, multipart, read_photos
from catalog.pictures import load_input


def test_a_comment_changes_the_bytes_and_no_pixel(photos: Path):
    photo = read_photos(photos)[0]
    own = [commented(photo, comment) for comment in itertools.islice(comments(), 3)]
    assert len({*own, commented(photo, next(comments()))}) == 4
    for changed in own:
        assert np.array_equal(load_input(changed, size_px=32)[0], load_input(photo, size_px=32)[0])
    with pytest.raises(ValueError, match="no JPEG"):
        commented(b"GIF89a", b"1")


def test_a_form_says_how_many_hits(photos: Path):
    photo = read_photos(photos)[0]
    assert b'name="top_k"\r\n\r\n20\r\n' in multipart(photo, top_k=20)
    assert b"top_k" not in multipart(photo)


@pytest.fixture
def listener() -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers everything with 200, and the bodies that it was sent."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", bodies
        server.shutdown()


def test_no_load_sends_the_same_bytes_twice(listener, photos: Path):
    url, bodies = listener
    for _ in range(2):  # of three photos
        measure(LoadSpec(Target.SERVICE, "", str(photos), 2, 0.3, url, top_k=20))
        offer(OpenLoop(url, str(photos), rate=20, seconds=0.5))
    assert len(bodies) > 30
    assert len(set(bodies)) == len(bodies)
    assert b'name="top_k"\r\n\r\n20' in bodies[0]


def test_an_open_loop_sends_what_is_due_and_counts_every_answer(color_service: Running, photos: Path):
    report = offer(OpenLoop(color_service.service_url, str(photos), rate=20, seconds=3, warm_s=1))
    assert report.sent == 40
    assert sum(report.statuses.values()) == 40
    assert set(report.statuses) <= {"200", "429"}
    assert report.statuses["200"] > 0
    assert 0 < report.goodput <= 60 / 2  # some that were due in the warm-up may be answered after it
    assert report.accepted_p50_ms > 0


def test_an_open_loop_does_not_wait_and_sees_refusals(color_service: Running, photos: Path):
    report = offer(OpenLoop(color_service.service_url, str(photos), rate=400, seconds=1))
    assert report.sent == 400
    assert report.statuses.get("429", 0) > 0  # two at a time are let in


def test_nobody_there_is_no_answer(photos: Path):
    report = offer(OpenLoop(f"http://127.0.0.1:{free_port()}", str(photos), rate=10, seconds=1))
    assert report.statuses == {"0": 10}
    assert report.goodput == 0


def test_closed_loops_count_refusals_as_failures(color_service: Running, color_shop, photos: Path):
    at = (str(color_shop.repository), str(photos))
    report = measure(LoadSpec(Target.SERVICE, *at, 8, 1.0, color_service.service_url, top_k=3))
    assert report.answered > 0
    assert report.failed > 0


def test_what_is_added_is_measured_photo_by_photo(color_service: Running, color_shop, color_store, photos: Path):
    found = added_times(
        color_service, repository=color_shop.repository, store=color_store.path, photos=photos, seconds=1.0
    )
    assert found
    for one in found:
        assert min(one.decode_ms, one.networks_ms, one.search_ms) > 0
        assert one.client_ms > one.added_ms


def test_core_time_sees_triton_and_the_service_work(color_service: Running, color_shop, photos: Path):
    (found,) = core_times(color_service, repository=color_shop.repository, photos=photos, rounds=1, seconds=1.0)
    assert min(found.triton_ms, found.service_ms, found.alone_ms) > 0
    assert found.beyond_ms == pytest.approx(found.triton_ms + found.service_ms - found.alone_ms)


@pytest.mark.slow
def test_a_short_soak_sees_memory_and_descriptors(color_service: Running, color_shop, photos: Path):
    found = soak(color_service, repository=color_shop.repository, photos=photos, seconds=0.5, minutes=0.1)
    assert len(found.memory) >= 3
    assert all(held > 10_000_000 for _, held in found.memory)  # an interpreter with numpy and FAISS takes more
    assert min(found.descriptors) > 10
    assert found.load.sent > 0
