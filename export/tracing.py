"""Work in, OpenTelemetry spans of it out, and W3C trace headers on calls of Triton.

Only OpenTelemetry's API is used here: whoever runs the program decides whether spans go anywhere, and without an
exporter they cost next to nothing. A span never holds the text of an error, which may quote what a shopper typed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from tritonclient.grpc import aio as triton_aio

RPC_SERVICE = "inference.GRPCInferenceService"
_tracer = trace.get_tracer("shopcam")
_w3c = TraceContextTextMapPropagator()


def is_recorded() -> bool:
    """Whether spans go anywhere."""
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def span(name: str, *, kind: SpanKind = SpanKind.INTERNAL, **attributes: str | int) -> AbstractContextManager[Span]:
    """Trace what runs inside, as a part of what is traced around it; an error leaves the name of its class."""
    if not is_recorded():  # a client's own trace still goes on to whoever is asked inside
        return nullcontext(trace.get_current_span())
    return _recorded(name, kind, attributes)


@contextmanager
def _recorded(name: str, kind: SpanKind, attributes: dict[str, str | int]) -> Iterator[Span]:
    with _tracer.start_as_current_span(
        name, kind=kind, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield current
        except BaseException as error:
            current.set_attribute("error.type", type(error).__name__)
            current.set_status(StatusCode.ERROR)
            raise


class TracedTritonClient(triton_aio.InferenceServerClient):  # type: ignore[misc]  # the package has no types
    """Triton's client; an inference within a trace is a client span, which Triton is told of in the call's metadata."""

    async def infer(self, model_name: str, inputs: list[Any], **options: Any) -> Any:
        """Ask one model; arguments and answer are those of the class above."""
        if not trace.get_current_span().get_span_context().is_valid:  # such as a probe's
            return await super().infer(model_name, inputs, **options)
        call = {
            "rpc.system": "grpc",
            "rpc.service": RPC_SERVICE,
            "rpc.method": "ModelInfer",
            "triton.model": model_name,
        }
        with span(f"triton {model_name}", kind=SpanKind.CLIENT, **call):
            headers = dict(options.pop("headers", None) or {})
            _w3c.inject(headers)
            return await super().infer(model_name, inputs, headers=headers, **options)
