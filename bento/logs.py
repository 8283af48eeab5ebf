"""Log records in, lines out: text for people or one JSON object a line for machines, with the request's id on each."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime

from bento.settings import LogFormat
from bento.tracing import trace_id
from bento.visits import CURRENT

# BentoML gives handlers of their own to these; the rest goes to the root's.
CONFIGURED = ("", "bentoml", "uvicorn.error", "circus")


def start(log_format: LogFormat) -> None:
    """Have all handlers that BentoML has set up write this way, and let our own INFO lines through."""
    formatter = JsonFormatter() if log_format is LogFormat.JSON else TextFormatter()
    for name in CONFIGURED:
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(formatter)
    logging.getLogger("shopcam").setLevel(logging.INFO)
    logging.captureWarnings(True)  # Python's own warnings would be lines of another form


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, message; request_id, route and trace_id inside a request; traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of one record; newlines in it are escaped."""
        line: dict[str, str] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (visit := CURRENT.get()) is not None:
            line |= {"request_id": visit.request_id, "route": visit.route}
        if (trace := trace_id()) is not None:
            line["trace_id"] = trace
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


class TextFormatter(logging.Formatter):
    """Time, level, logger and message; inside a request its id at the end. A traceback follows on lines of its own.

    Newlines of a message are escaped, since a client may have sent them.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the name is logging's
        """The first line of one record."""
        visit = CURRENT.get()
        asked = "" if visit is None else f" [request {visit.request_id}]"
        message = record.getMessage().replace("\r", "\\r").replace("\n", "\\n")
        return f"{_time(record)} {record.levelname} {record.name}: {message}{asked}"


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
