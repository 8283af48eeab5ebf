"""How log lines look, what they say of the request, and when traces are not exported."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from prometheus_client import REGISTRY

from bento import metrics, tracing
from bento.logs import JsonFormatter, TextFormatter
from bento.metrics import MAX_LABELS, knows_labels, predicted
from bento.settings import LogFormat, from_environment
from catalog.errors import MalformedError
from tests.bento.asgi import ask, service

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


@pytest.fixture(params=[JsonFormatter(), TextFormatter()], ids=["json", "text"])
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What the service's logger writes in the format of the test."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(request.param)
    logger = logging.getLogger("shopcam")
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)


def test_a_bug_in_a_request_is_told_with_the_requests_id(written: io.StringIO) -> None:
    answer = ask(service(), "DELETE", "/gallery", headers={"X-Request-ID": "mine-17"})
    assert answer.headers["x-request-id"] == "mine-17"
    first, *rest = written.getvalue().splitlines()
    if first.startswith("{"):
        line = json.loads(first)
        assert rest == []
        assert line["traceback"].splitlines()[-2:] == ["ZeroDivisionError: the photo said", "so"]
        assert (line["level"], line["logger"], line["route"]) == ("ERROR", "shopcam", "/gallery")
        assert (line["message"], line["request_id"]) == ("unexpected error on DELETE /gallery", "mine-17")
    else:
        assert first.endswith(" ERROR shopcam: unexpected error on DELETE /gallery [request mine-17]")
        assert rest[-2:] == ["ZeroDivisionError: the photo said", "so"]


def test_outside_a_request_there_is_no_id(written: io.StringIO) -> None:
    ask(service(), "GET", "/gallery", headers={"X-Request-ID": "mine-18"})
    logging.getLogger("shopcam").warning("two\nlines and %s", '"quotes"')
    said = written.getvalue()
    assert "mine-18" not in said
    if said.startswith("{"):
        assert set(line := json.loads(said)) == {"time", "level", "logger", "message"}
        assert line["message"] == 'two\nlines and "quotes"'
    else:
        assert said.endswith(' WARNING shopcam: two\\nlines and "quotes"\n')


def test_the_format_is_text_or_json() -> None:
    assert from_environment({}).log_format is LogFormat.TEXT
    assert from_environment({"SHOPCAM_LOG_FORMAT": "json"}).log_format is LogFormat.JSON
    with pytest.raises(MalformedError, match=r"SHOPCAM_LOG_FORMAT: .*'text' or 'json'.*'xml'"):
        from_environment({"SHOPCAM_LOG_FORMAT": "xml"})


# ---- when nothing is exported ----


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {**ENDPOINT, "OTEL_SDK_DISABLED": "true"},
        {**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_nothing_is_exported_unless_asked_for(environment: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    before = trace.get_tracer_provider()
    tracing.start(environment)
    assert trace.get_tracer_provider() is before
    assert caplog.text == ""
    with trace.get_tracer("test").start_as_current_span("nothing") as span:
        assert not span.is_recording()


def test_another_protocol_is_told(caplog: pytest.LogCaptureFixture) -> None:
    before = trace.get_tracer_provider()
    tracing.start({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
    assert trace.get_tracer_provider() is before
    assert "the OTLP protocol is 'grpc', http/protobuf is supported" in caplog.text


# ---- labels that are counted ----


@pytest.fixture
def no_labels() -> Iterator[None]:
    knows_labels([])
    yield
    knows_labels([])


def counted(label: str) -> float | None:
    return REGISTRY.get_sample_value("shopcam_predicted_labels_total", {"label": label})


@pytest.mark.usefixtures("no_labels")
def test_labels_are_bounded_and_go_with_their_gallery() -> None:
    labels = [f"label-{number}" for number in range(MAX_LABELS + 5)]
    knows_labels(labels)
    others = counted(metrics.OTHER) or 0.0
    for label in (*labels, "of no gallery"):
        predicted(label, 0.7, abstained=False)
    assert counted(labels[0]) == counted(labels[MAX_LABELS - 1]) == 1
    assert counted(labels[MAX_LABELS]) is None
    assert counted(metrics.OTHER) == others + 6
    knows_labels(labels[1:3])
    assert counted(labels[0]) is None
    assert counted(labels[1]) == 1


@pytest.mark.usefixtures("no_labels")
def test_photos_without_a_label_are_counted_beside_their_score() -> None:
    def values() -> tuple[float, ...]:
        names = ("shopcam_abstained_total", "shopcam_label_score_count", "shopcam_label_score_sum")
        return tuple(REGISTRY.get_sample_value(name) or 0.0 for name in names)

    before = values()
    predicted("red", 0.25, abstained=True)
    predicted("red", 0.75, abstained=False)
    assert values() == pytest.approx((before[0] + 1, before[1] + 2, before[2] + 1.0))
