"""What a span says of work that fails, and what Triton's client traces. The way to a collector: tests/bento."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, use_span

from catalog.errors import OutOfRangeError
from export import tracing
from export.contract import read_repository
from export.triton_client import AsyncTritonNetworks, ModelServerError


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """The spans that ended, in this order."""
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    monkeypatch.setattr(tracing, "is_recorded", lambda: True)  # as it says where a provider is set
    yield exporter
    provider.shutdown()


@pytest.fixture
def unreachable(tiny_repository: Path) -> Iterator[AsyncTritonNetworks]:
    """Networks behind a port where nobody listens."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        url = f"127.0.0.1:{silent.getsockname()[1]}"
        yield AsyncTritonNetworks(url, info=read_repository(tiny_repository), timeout_s=20)


async def ask(networks: AsyncTritonNetworks) -> None:
    size_px = networks.info.size_px
    try:
        await networks.infer(np.zeros((1, size_px, size_px, 3), np.uint8))
    finally:
        await networks.close()


def test_without_a_provider_a_span_is_what_stands_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace, "get_tracer_provider", trace.ProxyTracerProvider)  # whatever another test has set
    assert not tracing.is_recorded()
    theirs = NonRecordingSpan(SpanContext(trace_id=1, span_id=2, is_remote=True))
    with use_span(theirs), tracing.span("fuse") as current:
        assert current is theirs


def test_an_error_leaves_its_class_and_not_its_words(spans: InMemorySpanExporter) -> None:
    with pytest.raises(OutOfRangeError), tracing.span("fuse"):
        raise OutOfRangeError("no word of the query 'a secret wish' is known")
    (fuse,) = spans.get_finished_spans()
    assert fuse.status.status_code is StatusCode.ERROR
    assert dict(fuse.attributes or {}) == {"error.type": "OutOfRangeError"}
    assert "secret" not in fuse.to_json()


def test_a_call_that_fails_is_a_client_span_with_an_error(
    spans: InMemorySpanExporter, unreachable: AsyncTritonNetworks
) -> None:
    with tracing.span("models"), pytest.raises(ModelServerError):
        asyncio.run(ask(unreachable))
    calls = [span for span in spans.get_finished_spans() if span.name == "triton photo"]
    models = spans.get_finished_spans()[-1]
    assert calls
    for call in calls:
        assert (call.kind, call.status.status_code) == (SpanKind.CLIENT, StatusCode.ERROR)
        assert (call.attributes or {})["error.type"] == "InferenceServerException"
        assert call.parent == models.context


def test_a_call_outside_a_trace_begins_none(spans: InMemorySpanExporter, unreachable: AsyncTritonNetworks) -> None:
    with pytest.raises(ModelServerError):
        asyncio.run(ask(unreachable))
    assert spans.get_finished_spans() == ()
