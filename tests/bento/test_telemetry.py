"""A real service with a collector, a tap before Triton and JSON logs: what is told of a request, and to whom."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from export.local_triton import LocalTriton
from index_builder.store import LocalStore
from tests.bento.collector import Collector, attributes, collecting
from tests.bento.conftest import Oracle, post, search, serve, wait_until, wait_until_ready
from tests.bento.galleries import metric
from tests.tiny_repository import LABELS
from tests.triton_tap import TritonTap, tapped

TRACE = "0af7651916cd43dd8448eb211c80319c"
CLIENT_SPAN = "b7ad6b7169203331"
STAGES = {"decode", "models", "fuse", "search"}


@dataclass(frozen=True)
class Watched:
    """A service, what it sends, and where it logs."""

    client: httpx.Client
    collector: Collector
    tap: TritonTap
    log: Path

    def traced(self, trace_id: str, *, count: int) -> dict[str, Span]:
        """The spans of a trace by name, once so many have come in."""
        wait_until(lambda: len(self.collector.trace(trace_id)) >= count, deadline_s=60)
        return self.collector.trace(trace_id)

    def lines(self) -> list[dict[str, Any]]:
        """Log lines that are JSON; all are but BentoML's first."""
        first, *lines = self.log.read_text().splitlines()
        assert "Starting production HTTP BentoServer" in first
        return [json.loads(line) for line in lines]

    def metric(self, name: str, **labels: str) -> float:
        """The value of a sample now, 0 where there is none."""
        return metric(self.client, name, **labels) or 0.0


@pytest.fixture(scope="module")
def watched(store: LocalStore, tiny_triton: LocalTriton, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A service of the module's own, whose calls of Triton go through a tap."""
    logs = tmp_path_factory.mktemp("watched")
    settings = {"store": store.path, "triton_metrics_url": tiny_triton.metrics_url, "log_format": "json"}
    with collecting() as collector, tapped(tiny_triton.grpc_url) as tap, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        patch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        with serve(logs, triton_url=tap.url, **settings) as service:
            wait_until_ready(service)
            with httpx.Client(base_url=service.url, timeout=30) as client:
                yield Watched(client, collector, tap, logs / "service.log")


def traceparent(trace_id: str, *, sampled: bool = True) -> dict[str, str]:
    return {"traceparent": f"00-{trace_id}-{CLIENT_SPAN}-{'01' if sampled else '00'}"}


# ---- timings ----


def test_server_timing_has_the_numbers_of_the_body(watched: Watched, photos: list[bytes]) -> None:
    answers = [post(watched.client, photos[0]), watched.client.post("/search/text", json={"query": "red ring"})]
    for answer in answers:
        said = dict(re.findall(r"(\w+);dur=([\d.]+)", answer.headers["server-timing"]))
        assert {name: float(value) for name, value in said.items()} == answer.json()["timings_ms"]
        assert set(said) == STAGES | {"total"}
    assert "server-timing" not in watched.client.get("/gallery").headers


# ---- traces ----


def test_a_search_is_a_trace_from_the_client_to_triton(watched: Watched, photos: list[bytes]) -> None:
    headers = {**traceparent(TRACE), "X-Request-ID": "traced-search"}
    files = {"image": ("photo.jpg", photos[1], "image/jpeg")}
    assert watched.client.post("/search", files=files, headers=headers).is_success
    spans = watched.traced(TRACE, count=6)
    assert set(spans) == STAGES | {"POST /search", "triton photo"}
    request, call = spans["POST /search"], spans["triton photo"]
    assert (request.kind, request.parent_span_id.hex()) == (Span.SPAN_KIND_SERVER, CLIENT_SPAN)
    assert {spans[stage].parent_span_id for stage in STAGES} == {request.span_id}
    assert (call.kind, call.parent_span_id) == (Span.SPAN_KIND_CLIENT, spans["models"].span_id)
    for parent, child in ((request, spans["decode"]), (request, spans["search"]), (spans["models"], call)):
        assert parent.start_time_unix_nano <= child.start_time_unix_nano
        assert child.end_time_unix_nano <= parent.end_time_unix_nano
    assert attributes(request) == {
        "http.request.method": "POST",
        "http.route": "/search",
        "http.response.status_code": 200,
        "shopcam.request_id": "traced-search",
    }
    assert attributes(call)["triton.model"] == "photo"
    told = [
        metadata["traceparent"] for method, metadata in watched.tap.calls if TRACE in metadata.get("traceparent", "")
    ]
    assert [one.split("-")[1:3] for one in told] == [[TRACE, call.span_id.hex()]]


def test_the_resource_is_the_service_as_the_environment_completes_it(watched: Watched) -> None:
    watched.client.get("/gallery", headers=traceparent("1" * 32))
    watched.traced("1" * 32, count=1)
    assert all(said["service.name"] == "shopcam" for said in watched.collector.resources)
    assert all(said["deployment.environment.name"] == "test" for said in watched.collector.resources)


def test_a_mistake_is_no_error_of_the_service_and_its_words_stay_here(watched: Watched) -> None:
    trace = "2" * 32
    answer = watched.client.post(
        "/search/text", json={"query": "qqqqzzzz" * 9, "top_k": 9999}, headers=traceparent(trace)
    )
    assert answer.status_code == 422
    (request,) = watched.traced(trace, count=1).values()
    assert attributes(request)["http.response.status_code"] == 422
    assert attributes(request)["error.type"] == "out_of_range"
    assert request.status.code == Status.STATUS_CODE_UNSET
    assert not any(b"qqqqzzzz" in span.SerializeToString() for span in watched.collector.spans)


def test_a_client_that_does_not_sample_is_not_traced_but_triton_is_told(watched: Watched, photos: list[bytes]) -> None:
    trace, marker = "3" * 32, "4" * 32
    files = {"image": ("photo.jpg", photos[2], "image/jpeg")}
    assert watched.client.post("/search", files=files, headers=traceparent(trace, sampled=False)).is_success
    watched.client.get("/gallery", headers=traceparent(marker))
    watched.traced(marker, count=1)  # what was sampled later has come in
    assert watched.collector.trace(trace) == {}
    told = [metadata["traceparent"] for _, metadata in watched.tap.calls if trace in metadata.get("traceparent", "")]
    assert [one.rsplit("-", 1)[1] for one in told] == ["00"]


def test_probes_are_not_traced(watched: Watched) -> None:
    marker = "5" * 32
    for path in ("/readyz", "/livez", "/metrics", "/"):
        assert watched.client.get(path, headers=traceparent("6" * 32)).is_success
    watched.client.get("/gallery", headers=traceparent(marker))
    watched.traced(marker, count=1)
    assert watched.collector.trace("6" * 32) == {}
    requests = [span for span in watched.collector.spans if span.kind == Span.SPAN_KIND_SERVER]
    assert {attributes(span)["http.route"] for span in requests} <= {"/search", "/gallery"}
    assert all(span.parent_span_id for span in watched.collector.spans if span.name == "triton photo")  # no canary's


# ---- logs ----


def test_lines_are_json_and_a_followers_lines_are_no_requests(watched: Watched) -> None:
    search(watched.client, product_id="p01")
    (opened,) = [line for line in watched.lines() if "answers after" in line.get("message", "")]
    assert opened["level"] == "INFO"
    assert opened["logger"] == "shopcam"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", opened["time"])
    assert "request_id" not in opened
    assert "route" not in opened


def test_the_line_of_a_request_has_its_id(watched: Watched) -> None:
    watched.client.post("/search", json={"product_id": "nothing"}, headers={"X-Request-ID": "line-of-mine"})
    wait_until(lambda: any(line.get("request_id") == "line-of-mine" for line in watched.lines()))
    (line,) = [line for line in watched.lines() if line.get("request_id") == "line-of-mine"]
    assert (line["route"], line["code"], line["status"]) == ("/search", "not_found", 404)


# ---- metrics ----


def test_labels_are_counted_once_a_photo(watched: Watched, photos: list[bytes], oracle: Oracle) -> None:
    expected = LABELS[int(oracle.outputs(photos[3]).probabilities[0].argmax())]
    counted = watched.metric("shopcam_predicted_labels_total", label=expected)
    scored = watched.metric("shopcam_label_score_count")
    answer = search(watched.client, photos[3])
    search(watched.client, query_id=answer["query_id"], weight=1)
    search(watched.client, product_id="p01")
    assert watched.metric("shopcam_predicted_labels_total", label=expected) == counted + 1
    assert watched.metric("shopcam_label_score_count") == scored + 1


def test_sizes_of_requests_are_those_of_their_bodies(watched: Watched) -> None:
    before = watched.metric("shopcam_search_request_bytes_sum"), watched.metric("shopcam_search_request_bytes_count")
    body = json.dumps({"product_id": "p01", "top_k": 3}).encode()
    assert watched.client.post("/search", content=body, headers={"Content-Type": "application/json"}).is_success
    after = watched.metric("shopcam_search_request_bytes_sum"), watched.metric("shopcam_search_request_bytes_count")
    assert after == (before[0] + len(body), before[1] + 1)


def test_a_request_is_in_progress_until_it_ends(watched: Watched) -> None:
    def in_progress(route: str) -> float:
        return watched.metric("shopcam_requests_in_progress", route=route)

    wait_until(lambda: in_progress("/search") == 0)
    with socket.create_connection((watched.client.base_url.host, watched.client.base_url.port)) as slow:
        head = "POST /search HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
        slow.sendall(head.encode())
        wait_until(lambda: in_progress("/search") == 1)
    wait_until(lambda: in_progress("/search") == 0)
    assert in_progress("/metrics") == 1  # the one that asks


def test_a_service_that_answers_says_that_it_is_ready(watched: Watched) -> None:
    assert watched.client.get("/readyz").is_success
    assert watched.metric("shopcam_ready") == 1


def test_tritons_metrics_are_on_the_page(watched: Watched, photos: list[bytes]) -> None:
    def answered() -> float:
        # The parser adds the suffix that Triton's counters do without.
        return watched.metric("nv_inference_request_success_total", model="photo", version="1")

    before = answered()
    assert watched.metric("shopcam_triton_scraped") == 1
    search(watched.client, photos[4])
    wait_until(lambda: answered() > before)
