"""The audit log: one line of JSON a request, on logger `shopcam.audit`.

Who asked for what and how it ended, never what was in it: no photo, no key or token, no query of a URL, no words of a
shopper. Text comes from fixed lists or is checked, and JSON escapes what is left, so a line is always one record.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path

from bento.routes import METHODS, QUIET_ROUTES, Access
from bento.visits import Visit

logger = logging.getLogger("shopcam.audit")

REFUSALS = frozenset({401, 403, 429})
MAX_TEXT = 128
UNANSWERED = "unanswered"  # the client hung up, or the service ended


def start(path: Path | None) -> None:
    """Write lines to the end of a file, which may be moved away by others, or to standard error."""
    handler = logging.StreamHandler(sys.stderr) if path is None else WatchedFileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(message)s"))
    for old in list(logger.handlers):
        logger.removeHandler(old)
        old.close()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def record(visit: Visit, *, method: str) -> None:
    """Write the line of one request; probes, the page and metrics only when they are refused."""
    if visit.route in QUIET_ROUTES and visit.status not in REFUSALS:
        return
    line: dict[str, object] = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "request_id": visit.request_id,
        "key_id": visit.key_id,
        "method": method if method in METHODS else "other",
        "route": visit.route,
        "status": visit.status,
        "code": visit.code if visit.status else UNANSWERED,
        "bytes_in": visit.bytes_in,
        "bytes_out": visit.bytes_out,
        "ms": round(1e3 * (time.perf_counter() - visit.begun_s), 1),
    }
    # Addresses are personal data: they are kept only where somebody may have to be found or kept out.
    if visit.status in REFUSALS or visit.access is Access.ADMIN:
        line["client"] = visit.client[:MAX_TEXT]
    if visit.access is Access.ADMIN:
        line["who"] = "admin" if visit.action else None  # an action is only known once the token was right
        line |= {name: None if value is None else value[:MAX_TEXT] for name, value in visit.action.items()}
    logger.info("%s", json.dumps(line))
