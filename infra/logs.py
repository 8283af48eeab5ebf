"""Log groups in, their lines in the order of time out."""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from infra.aws import cloud_errors

FOLLOW_S = 2.0


@dataclass(frozen=True)
class Line:
    """One line of a log."""

    at: datetime
    stream: str
    text: str
    event_id: str


def read_logs(logs: Any, groups: list[str], *, since_ms: int, pattern: str = "") -> Iterator[Line]:
    """Lines of all groups since a Unix time in ms, the oldest first; `pattern` is a filter of CloudWatch."""
    with cloud_errors():
        yield from heapq.merge(*(_lines(logs, group, since_ms, pattern) for group in groups), key=attrgetter("at"))


def follow_logs(logs: Any, groups: list[str], *, since_ms: int, pattern: str = "") -> Iterator[Line]:
    """`read_logs`, and then what comes; never ends by itself."""
    seen: set[str] = set()
    while True:
        newest_ms = since_ms
        for line in read_logs(logs, groups, since_ms=since_ms, pattern=pattern):
            newest_ms = max(newest_ms, int(line.at.timestamp() * 1000))
            if line.event_id not in seen:
                seen.add(line.event_id)
                yield line
        since_ms = newest_ms
        time.sleep(FOLLOW_S)


def _lines(logs: Any, group: str, since_ms: int, pattern: str) -> Iterator[Line]:
    asked = {"logGroupName": group, "startTime": since_ms} | ({"filterPattern": pattern} if pattern else {})
    for page in logs.get_paginator("filter_log_events").paginate(**asked):
        for event in page["events"]:
            at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
            yield Line(at=at, stream=event["logStreamName"], text=event["message"].rstrip(), event_id=event["eventId"])
