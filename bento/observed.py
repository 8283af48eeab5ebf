"""One request in: what logs, metrics and traces know of it from its first byte to its last."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import Scope

from bento.metrics import REQUESTS, SEARCH_BYTES
from bento.tracing import request_span
from bento.visits import CURRENT, Visit


@contextmanager
def observed(scope: Scope, visit: Visit) -> Iterator[None]:
    """Make this the current visit, count it as in progress, trace it."""
    before = CURRENT.set(visit)
    REQUESTS.labels(visit.route).inc()
    try:
        with request_span(scope, visit):
            yield
    finally:
        REQUESTS.labels(visit.route).dec()
        CURRENT.reset(before)
        if scope["method"] == "POST" and visit.route == "/search":
            SEARCH_BYTES.observe(visit.bytes_in)
