"""Servers of other frameworks find what the service finds; rows of the comparison from reports made by hand."""

import os
from pathlib import Path
from typing import Any

import pytest

from benchmarks.serving.clients import LoadReport, LoadSpec, Target, measure
from benchmarks.serving.peers.agreement import TIE, Hits, check_agreement, hits_of, same_hits
from benchmarks.serving.peers.search import PeerSearch
from benchmarks.serving.peers.starting import Peer, Setting, peer_running
from benchmarks.serving.peers_table import IN_PROCESS, OURS, peer_rows
from benchmarks.serving.running import Running, tree
from benchmarks.serving.uploads import read_photos
from catalog.errors import NotReadyError

TOP_K = 12
LIVE = {
    Peer.FASTAPI: Setting(1, 1),
    Peer.LITSERVE: Setting(1, 1, batch=3),
    Peer.RAY: Setting(1, 1),
}
HITS = [("a", 0.9), ("b", 0.8), ("c", 0.7)]


@pytest.fixture
def at(color_shop, color_store, photos: Path) -> dict[str, Any]:
    """What a peer's server stands on."""
    gallery = color_store.gallery(color_store.live().live.gallery)
    return {"repository": color_shop.repository, "gallery": gallery, "photo": read_photos(photos)[0]}


@pytest.fixture
def expected(color_service: Running, photos: Path) -> list[Hits]:
    """The service's own hits of each photo."""
    return [hits_of(color_service.service_url, photo, top_k=TOP_K) for photo in read_photos(photos)]


@pytest.mark.slow
@pytest.mark.parametrize("peer", Peer)
@pytest.mark.timeout(900)  # Ray begins slowly on a busy machine
def test_a_peer_finds_what_the_service_finds(peer, at, expected: list[Hits], photos: Path, tmp_path: Path):
    assert [len(hits) for hits in expected] == [TOP_K] * 3
    assert not same_hits(expected[0], expected[1])  # a red and a green photo: agreement means something
    asked = read_photos(photos)
    with peer_running(peer, LIVE[peer], **at, log=tmp_path / "peer.log") as url:
        check_agreement(peer, url, photos=asked, expected=expected)
        report = measure(LoadSpec(Target.SERVICE, str(at["repository"]), str(photos), 3, 1.0, url, top_k=TOP_K))
        with pytest.raises(NotReadyError, match="finds other products in photo 0"):
            check_agreement(peer, url, photos=asked, expected=expected[::-1])
        started = [process for process in tree(os.getpid()) if peer.module in " ".join(process.cmdline())]
        assert started
    assert report.answered > 0
    assert report.failed == 0
    assert not any(process.is_running() for process in started)


def test_a_peers_mistake_ends_the_wait(at, tmp_path: Path):
    with (
        pytest.raises(NotReadyError, match=r"the server ended at once: .*manifest"),
        peer_running(Peer.FASTAPI, Setting(1, 1), **{**at, "gallery": tmp_path}, log=tmp_path / "peer.log"),
    ):
        pass


def test_answers_together_are_answers_apart(at, photos: Path):
    search = PeerSearch(at["repository"], at["gallery"], threads=1)
    asked = read_photos(photos)
    together = search.answers(asked, top_k=5)
    apart = [search.answer(photo, top_k=5) for photo in asked]
    for one, other in zip(together, apart, strict=True):
        hits = [[(hit["product_id"], hit["score"]) for hit in found["hits"]] for found in (one, other)]
        assert same_hits(*hits)
    assert [one["label"] for one in apart] == ["red", "green", "blue"]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (HITS, True),
        ([("a", 0.9 + TIE / 2), ("b", 0.8), ("c", 0.7)], True),
        ([("a", 0.9), ("b", 0.8), ("d", 0.7)], True),  # a tie at the end: either may be the last
        ([("a", 0.9), ("d", 0.8), ("c", 0.7)], False),
        ([("b", 0.9), ("a", 0.8), ("c", 0.7)], False),
        ([("a", 0.9), ("b", 0.8), ("c", 0.6)], False),
        (HITS[:2], False),
    ],
)
def test_same_hits(other, same):
    assert same_hits(HITS, other) is same
    assert same_hits(other, HITS) is same


def test_ties_may_change_places():
    tied = [("a", 0.9), ("b", 0.9 - TIE / 4), ("c", 0.7)]
    assert same_hits(tied, [("b", 0.9), ("a", 0.9 - TIE / 4), ("c", 0.7)])


def report(photos_per_s: float, *, p99_ms: float = 9.0, failed: int = 0) -> LoadReport:
    return LoadReport(round(10 * photos_per_s), failed, 10.0, 1.0, p99_ms / 2, p99_ms)


def reports(ours, best, slow, *, alone=((25, 500),) * 2, failed=0):
    """Two rounds of (photos a second, p99) at 16 clients: ours, FastAPI, LitServe, and ours alone, without Triton.

    At one client all are equal.
    """
    sides = {OURS: ours, IN_PROCESS: alone, Peer.FASTAPI.value: best, Peer.LITSERVE.value: slow}
    full = {(name, 16): [report(rate, p99_ms=p99_ms) for rate, p99_ms in found] for name, found in sides.items()}
    return {**{(name, 1): [report(10, failed=failed)] * 2 for name in sides}, **full}


CHOSEN = {Peer.FASTAPI: Setting(2, 1), Peer.LITSERVE: Setting(1, 2, batch=4)}


def test_ratios_are_taken_within_a_round_against_the_best_peer():
    alone = [(50, 500), (64, 200)]
    found = reports([(30, 500), (40, 400)], [(25, 500), (32, 500)], [(20, 800), (20, 250)], alone=alone)
    rows = {row.name: row for row in peer_rows(found, CHOSEN, networks="n")}
    assert rows["n: shopcam over FastAPI at 16 clients, photos per second"].value == pytest.approx((1.2 + 1.25) / 2)
    assert rows["n: shopcam over LitServe at 16 clients, photos per second"].value == pytest.approx((1.5 + 2) / 2)
    tail = rows["n: shopcam's p99 over the best peer's at 16 clients"]
    assert (tail.value, tail.ok) == (pytest.approx((500 / 500 + 400 / 250) / 2), False)
    assert rows["n: shopcam without Triton over FastAPI at 16 clients, photos per second"].value == pytest.approx(2)
    tail = rows["n: shopcam without Triton's p99 over the best peer's at 16 clients"]
    assert (tail.value, tail.ok) == (pytest.approx((500 / 500 + 200 / 250) / 2), True)
    assert rows["n: FastAPI, 16 clients"].note.startswith("2 workers x 1 thread; p50")
    assert rows["n: LitServe, 1 client"].note.startswith("1 worker x 2 threads, batches of up to 4; p50")
    assert rows["n: failed requests"].ok


def test_what_is_missed_says_so():
    found = reports([(30, 500)] * 2, [(30, 500)] * 2, [(0, 0)] * 2, failed=1)
    rows = {row.name: row for row in peer_rows(found, CHOSEN, networks="n")}
    assert rows["n: shopcam over FastAPI at 16 clients, photos per second"].ok is False  # equal is not higher
    assert rows["n: shopcam's p99 over the best peer's at 16 clients"].value == 1  # what answers nothing has no tail
    assert rows["n: failed requests"].ok is False
