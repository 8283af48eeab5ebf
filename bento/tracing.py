"""Requests in, OpenTelemetry traces out, where `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector; otherwise nothing.

The service's own provider is OpenTelemetry's global one. BentoML keeps another, which is told to trace nothing. All of
OpenTelemetry's variables count: `OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER`, `OTEL_EXPORTER_OTLP_HEADERS` and so on.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from opentelemetry import context, trace
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.types import Scope

from bento.routes import METHODS, QUIET_ROUTES
from bento.threads import in_thread
from bento.visits import Visit
from export.tracing import is_recorded, span

logger = logging.getLogger("shopcam")

SERVICE_NAME = "shopcam"
TRACEPARENT = "traceparent"  # W3C's header that names a client's trace
FLUSH_S = 2.0  # which what is left of traces may take when the service ends
_w3c = TraceContextTextMapPropagator()


def start(environment: Mapping[str, str] = os.environ) -> None:
    """Export spans from now on if the environment asks for it; what stands against it is a warning."""
    if not _is_asked_for(environment):
        return
    protocol = _first(environment, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol not in ("", "http/protobuf"):
        logger.warning("traces are not exported: the OTLP protocol is %r, http/protobuf is supported", protocol)
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        logger.warning("traces are not exported: install the exporter with pip install 'shopcam[trace]'")
        return
    named = environment.get("OTEL_SERVICE_NAME") or "service.name=" in environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
    resource = Resource.create(None if named else {"service.name": SERVICE_NAME})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


async def stop() -> None:
    """Send what is left, for two seconds at most: a collector that is gone must not hold up the service's end."""
    flush = getattr(trace.get_tracer_provider(), "force_flush", None)  # which has no limit of its own
    if flush is not None:
        with suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                await in_thread(flush, name="traces")


@contextmanager
def request_span(scope: Scope, visit: Visit) -> Iterator[None]:
    """Trace one request, as a part of the client's trace if it names one; probes, the page and metrics are left out."""
    headers = Headers(scope=scope)
    if visit.route in QUIET_ROUTES or not (is_recorded() or TRACEPARENT in headers):
        yield
        return
    token = context.attach(_w3c.extract(dict(headers)))
    method = scope["method"] if scope["method"] in METHODS else "other"
    attributes = {
        "http.request.method": method,
        "http.route": visit.route,
        "shopcam.request_id": visit.request_id,
    }
    try:
        with span(f"{method} {visit.route}", kind=SpanKind.SERVER, **attributes) as current:
            yield
            if visit.status:  # none was sent to a client that left
                current.set_attribute("http.response.status_code", visit.status)
            if visit.code != "ok":
                current.set_attribute("error.type", visit.code)
            if visit.status >= 500:
                current.set_status(StatusCode.ERROR)
    finally:
        context.detach(token)


def trace_id() -> str | None:
    """The id of the trace that is being made, 32 hexadecimal digits."""
    found = trace.get_current_span().get_span_context()
    return trace.format_trace_id(found.trace_id) if found.is_valid else None


def _is_asked_for(environment: Mapping[str, str]) -> bool:
    """Whether an endpoint is named and nothing turns traces off."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or environment.get("OTEL_TRACES_EXPORTER") == "none":
        return False
    return bool(_first(environment, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"))


def _first(environment: Mapping[str, str], *names: str) -> str:
    return next((value for name in names if (value := environment.get(name, "").strip())), "")
