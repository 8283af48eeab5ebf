"""The path of a request in; its name for metrics and logs and who may ask it out."""

from __future__ import annotations

from enum import StrEnum

PROBES = frozenset({"/ping", "/livez", "/readyz", "/healthz"})
OPEN_PATHS = PROBES | {"/", "/engineers", "/docs.json", "/schema.json"}
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})  # others have no name in logs
# The page, probes and metrics: asked all the time, of no interest to logs and traces.
QUIET_ROUTES = frozenset({*PROBES, "/", "/static", "/metrics"})
OPEN_FOLDER = "/static/"
SEARCH = "/search"
SEARCH_TEXT = "/search/text"
INVOCATIONS = "/invocations"  # the route of SageMaker, which asks for IAM itself
DATA_ROUTES = (
    "search",
    "samples",
    "products",
    "categories",
    "gallery",
    INVOCATIONS[1:],
)  # what a key may be limited to
_NAMED = frozenset({*DATA_ROUTES, "", "engineers", "static", "admin", "metrics", *(path[1:] for path in PROBES)})


class Access(StrEnum):
    """What a path asks for before it is answered."""

    OPEN = "open"
    KEY = "key"
    METRICS = "metrics"
    ADMIN = "admin"


def access_of(path: str) -> Access:
    """Everything that is not named here needs a key where there are keys, unknown paths included."""
    if path in OPEN_PATHS or path.startswith(OPEN_FOLDER):
        return Access.OPEN
    if path == "/metrics":
        return Access.METRICS
    return Access.ADMIN if path.startswith("/admin/") else Access.KEY


def route_of(path: str) -> str:
    """A name from a fixed list: product ids and unknown addresses must make no new labels and reach no log."""
    first = path.strip("/").split("/", 1)[0]
    return f"/{first}" if first in _NAMED else "other"
