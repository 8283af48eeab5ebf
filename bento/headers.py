"""Headers that every answer carries, so that a browser does no more with it than it should."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders

from bento.deadlines import HEADER as TIMEOUT
from bento.visits import Visit

# Data is neither a document nor a frame; the page brings a policy of its own.
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Content-Security-Policy": DATA_POLICY,
}
REQUEST_ID = "X-Request-ID"
# What a page of another origin may send and read.
CORS_REQUEST_HEADERS = ("Authorization", "Content-Type", "X-API-Key", TIMEOUT, REQUEST_ID)
CORS_ANSWER_HEADERS = ("RateLimit", "RateLimit-Policy", "Retry-After", "Server-Timing", REQUEST_ID)
CORS_MAX_AGE_S = 600


def complete(headers: MutableHeaders, visit: Visit) -> None:
    """Add what is missing. An answer to a key is not for shared caches, which would give it to anybody."""
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
    headers[REQUEST_ID] = visit.request_id
    headers.update(visit.headers)
    if visit.private:
        headers["Cache-Control"] = headers.get("cache-control", "no-store").replace("public", "private")
        headers.add_vary_header("Authorization")
        headers.add_vary_header("X-API-Key")
