"""A service whose Triton stands still: deadlines, clients that leave, photos asked for twice, a last answer."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from export.local_triton import LocalTriton
from index_builder.store import LocalStore
from tests.bento.conftest import Serve, post, refused, search, serve, wait_until, wait_until_ready

PATIENCE_S = 60  # longer than anything here takes


@pytest.fixture(scope="module")
def own_triton(tiny_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTriton]:
    """A Triton that may be stopped."""
    with LocalTriton(tiny_repository, log_file=tmp_path_factory.mktemp("own-triton") / "triton.log") as triton:
        yield triton


@pytest.fixture(scope="module")
def patient(store: LocalStore, own_triton: LocalTriton, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    settings = {"timeout_s": PATIENCE_S, "max_timeout_s": PATIENCE_S, "max_wait_ms": 1e3 * PATIENCE_S}
    with serve(
        tmp_path_factory.mktemp("patient"), store=store.path, triton_url=own_triton.grpc_url, **settings
    ) as service:
        wait_until_ready(service)
        yield service


@pytest.fixture
def client(patient: Serve) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=patient.url, timeout=PATIENCE_S) as client:
        yield client


@contextmanager
def standing_still(triton: LocalTriton) -> Iterator[None]:
    os.kill(triton.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(triton.pid, signal.SIGCONT)


def metric(client: httpx.Client, name: str, **labels: str) -> float:
    """One value of /metrics; 0 where it was never counted."""
    wanted = {f'{key}="{value}"' for key, value in labels.items()}
    for line in client.get("/metrics").text.splitlines():
        found = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\S+)", line)
        if found and found[1] == name and wanted <= set((found[2] or "").split(",")):
            return float(found[3])
    return 0.0


def in_progress(client: httpx.Client) -> float:
    return metric(client, "shopcam_searches_in_progress")


def test_a_client_says_how_long_it_waits(client: httpx.Client, own_triton: LocalTriton, photos: list[bytes]) -> None:
    form = {"files": [("image", ("photo.jpg", photos[0], "image/jpeg"))]}
    with standing_still(own_triton):
        answer = client.post("/search", headers={"X-Timeout-Ms": "300"}, **form)
        assert "0.3 s" in refused(answer, 504, "deadline_exceeded")
        wait_until(lambda: in_progress(client) == 0)
    assert client.post("/search", headers={"X-Timeout-Ms": "99999999"}, **form).status_code == 200
    for said, status, code in (("soon", 400, "malformed"), ("0", 422, "out_of_range"), ("1" * 10, 422, "out_of_range")):
        assert "X-Timeout-Ms" in refused(client.post("/search", headers={"X-Timeout-Ms": said}, **form), status, code)
    answer = client.post("/search/text", json={"query": "red"}, headers={"X-Timeout-Ms": "-1"})
    assert "X-Timeout-Ms" in refused(answer, 400, "malformed")


def test_a_client_that_leaves_costs_nothing_more(
    client: httpx.Client, own_triton: LocalTriton, photos: list[bytes], patient: Serve
) -> None:
    closed = {"route": "/search", "code": "client_closed"}
    before = metric(client, "shopcam_answers_total", **closed)
    leaving = httpx.Client(base_url=patient.url, timeout=httpx.Timeout(PATIENCE_S, read=0.5))
    with standing_still(own_triton):
        with leaving, pytest.raises(httpx.ReadTimeout):
            post(leaving, photos[1])
        wait_until(lambda: in_progress(client) == 0)
    assert metric(client, "shopcam_answers_total", **closed) == before + 1
    assert search(client, photos[1])["hits"]
    assert "Traceback" not in patient.output.with_name("service.log").read_text()


def test_the_same_photo_is_looked_at_once(client: httpx.Client, own_triton: LocalTriton, photos: list[bytes]) -> None:
    """While Triton stands still nobody has an answer, so those that ask meanwhile are asking at the same time."""

    def counted(result: str) -> float:
        return metric(client, "shopcam_shared_work_total", kind="vectors", result=result)

    before = {result: counted(result) for result in ("hit", "shared", "miss")}
    with ThreadPoolExecutor(3) as pool:
        with standing_still(own_triton):
            asked = [pool.submit(search, client, photos[2]) for _ in range(3)]
            wait_until(lambda: counted("shared") == before["shared"] + 2)
        answers = [each.result(PATIENCE_S) for each in asked]
        with standing_still(own_triton):  # what is known needs no networks
            answers.append(search(client, photos[2]))
    hits = [answer["hits"] for answer in answers]
    assert hits[1:4] == [hits[0]] * 3
    answers.append(search(client, photos[2], box="8,8,120,120"))
    assert answers[4]["hits"] != hits[0]
    assert len({answer["query_id"] for answer in answers}) == 5
    assert {result: counted(result) - before[result] for result in before} == {"hit": 1, "shared": 2, "miss": 2}


def test_another_weight_of_a_known_photo_is_another_search(client: httpx.Client, photos: list[bytes]) -> None:
    first, other = (search(client, photos[3], weight=weight) for weight in (0, 9))
    again = search(client, query_id=first["query_id"], weight=9)
    assert [hit["score"] for hit in other["hits"]] != [hit["score"] for hit in first["hits"]]
    assert again["hits"] == other["hits"]
    assert len(search(client, photos[3], top_k=2)["hits"]) == 2


def test_what_was_asked_before_sigterm_is_answered(
    store: LocalStore, own_triton: LocalTriton, photos: list[bytes], tmp_path: Path
) -> None:
    with serve(tmp_path, store=store.path, triton_url=own_triton.grpc_url, timeout_s=PATIENCE_S) as service:
        wait_until_ready(service)
        with httpx.Client(base_url=service.url, timeout=PATIENCE_S) as client, ThreadPoolExecutor(1) as pool:
            with standing_still(own_triton):
                asked: Future[dict[str, object]] = pool.submit(search, client, photos[0])
                wait_until(lambda: in_progress(client) == 1)
                service.process.send_signal(signal.SIGTERM)
                refusing = threading.Event()

                def refuses() -> bool:
                    try:
                        httpx.get(f"{service.url}/livez", timeout=1)
                    except httpx.TransportError:
                        refusing.set()
                    return refusing.is_set()

                wait_until(refuses)
                assert not asked.done()
            assert asked.result(PATIENCE_S)["hits"]
        service.process.wait(PATIENCE_S)
