"""What alerts look at, in a real service whose Triton, store or collector is gone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from export.local_triton import LocalTriton
from index_builder.store import LocalStore
from tests.bento.conftest import (
    Serve,
    Two,
    free_port,
    post,
    refused,
    search,
    serve,
    wait_until,
    wait_until_ready,
)
from tests.bento.galleries import metric
from tests.triton_tap import TritonTap, tapped

PATIENCE_S = 90.0


@dataclass
class Troubled:
    """A service that reaches Triton through a tap, and what closes the tap."""

    client: httpx.Client
    tap: TritonTap
    close_tap: ExitStack
    store: Path

    def metric(self, name: str, **labels: str) -> float | None:
        return metric(self.client, name, **labels)

    def is_ready(self) -> bool:
        return self.client.get("/readyz").is_success


@pytest.fixture(scope="module")
def troubled(two: Two, tiny_triton: LocalTriton, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Troubled]:
    logs = tmp_path_factory.mktemp("troubled")
    store = Path(two.store.path)
    with ExitStack() as close_tap:
        tap = close_tap.enter_context(tapped(tiny_triton.grpc_url))
        settings = {"triton_metrics_url": tiny_triton.metrics_url, "follow_s": 0.2, "cache_entries": 0}
        with serve(logs, store=store, triton_url=tap.url, **settings) as service, connected(service) as client:
            yield Troubled(client, tap, close_tap, store)


def connected(service: Serve) -> httpx.Client:
    wait_until_ready(service)
    return httpx.Client(base_url=service.url, timeout=30)


def test_a_collector_that_is_gone_costs_traces_only(
    store: LocalStore,
    tiny_triton: LocalTriton,
    photos: list[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    log = tmp_path / "service.log"
    with serve(tmp_path, store=store.path, triton_url=tiny_triton.grpc_url) as service, connected(service) as client:
        assert search(client, photos[0])["hits"]
        wait_until(lambda: "opentelemetry" in log.read_text(), deadline_s=PATIENCE_S)  # it says so
        assert search(client, photos[1])["hits"]
    assert "Service instance cleanup finalized" in log.read_text()  # it ended by itself, not by force


def test_a_store_that_is_gone_and_back(troubled: Troubled) -> None:
    assert troubled.metric("shopcam_store_reachable") == 1
    failures = troubled.metric("shopcam_store_failures_total") or 0.0
    away = troubled.store.with_name("away")
    troubled.store.rename(away)
    try:
        wait_until(lambda: troubled.metric("shopcam_store_reachable") == 0, deadline_s=PATIENCE_S)
        assert (troubled.metric("shopcam_store_failures_total") or 0.0) > failures
        assert troubled.metric("shopcam_ready") == 1  # what is in memory answers
    finally:
        away.rename(troubled.store)
    wait_until(lambda: troubled.metric("shopcam_store_reachable") == 1, deadline_s=PATIENCE_S)


def test_a_triton_that_is_gone(troubled: Troubled, photos: list[bytes]) -> None:
    """The last one of the module: the tap stays closed."""
    assert troubled.metric("shopcam_circuit_open") == 0
    assert troubled.metric("shopcam_triton_scraped") == 1
    errors = troubled.metric("shopcam_answers_total", route="/search", code="not_ready") or 0.0
    troubled.close_tap.close()
    for photo in photos[:3]:
        refused(post(troubled.client, photo), 503, "not_ready")
    assert troubled.metric("shopcam_circuit_open") == 1
    assert troubled.metric("shopcam_answers_total", route="/search", code="not_ready") == errors + 3
    assert not troubled.is_ready()
    assert troubled.metric("shopcam_ready") == 0
