"""What a load run measured in; a table on the terminal, `loadtest.md` and `loadtest.json` out, judged by limits.

The JSON has the form of the benchmarks' results (`table, command, date, machine, rows`), with the counts beside it.
Times are Locust's: exact below 100 ms, rounded to two digits above.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

HEAD = ("request", "count", "errors", "per second", "p50 ms", "p95 ms", "p99 ms")


@dataclass(frozen=True)
class Line:
    """Figures of one kind of request, or of all."""

    name: str
    requests: int
    failures: int
    requests_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Measured:
    """One run; the last line is the sum. `statuses` counts answers by HTTP status, "0" where there was none."""

    lines: tuple[Line, ...]
    statuses: Mapping[str, int]
    errors: Mapping[str, int]
    seconds: float
    client_cpu_s: float

    @property
    def total(self) -> Line:
        """All requests together."""
        return self.lines[-1]

    @property
    def error_rate(self) -> float:
        """Failed share of all requests; 1 where nothing was answered, for that is no success."""
        return self.total.failures / self.total.requests if self.total.requests else 1.0


@dataclass(frozen=True)
class Limits:
    """What a run may be at worst; None: no limit."""

    error_rate: float
    p95_ms: float | None

    def broken_by(self, measured: Measured) -> list[str]:
        """One clause per limit that `measured` breaks."""
        broken = []
        if measured.error_rate > self.error_rate:
            broken.append(f"error rate {measured.error_rate:.2%} is above the limit of {self.error_rate:.2%}")
        if self.p95_ms is not None and measured.total.p95_ms > self.p95_ms:
            broken.append(f"p95 {measured.total.p95_ms:.0f} ms is above the limit of {self.p95_ms:.0f} ms")
        return broken


def write_report(measured: Measured, *, limits: Limits, title: str, command: str, out: Path) -> Path:
    """Write `out/loadtest.json` and `out/loadtest.md`; returns the path of the JSON file."""
    out.mkdir(parents=True, exist_ok=True)
    document = {
        "table": title,
        "command": command,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": _machine(),
        "rows": _rows(measured, limits),
        "requests": [asdict(line) for line in measured.lines],
        "statuses": dict(measured.statuses),
        "errors": dict(measured.errors),
        "seconds": round(measured.seconds, 3),
        "client_cpu_s": round(measured.client_cpu_s, 3),
    }
    path = out / "loadtest.json"
    _replace(path, json.dumps(document, indent=2) + "\n")
    _replace(out / "loadtest.md", _markdown(document, measured))
    return path


def print_report(measured: Measured, *, title: str, console: Console) -> None:
    """The table for a person."""
    table = Table(title=title, title_justify="left")
    for name in HEAD:
        table.add_column(name, justify="left" if name == HEAD[0] else "right")
    for line in measured.lines:
        style = "bold" if line is measured.total else ""
        table.add_row(*_cells(line), style=style, end_section=line is measured.lines[-2:][0])
    console.print(table)
    console.print(_summary(measured), soft_wrap=True, highlight=False)


def _machine() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{platform.system()} {platform.machine()}, {cores} cores, Python {platform.python_version()}"


def _rows(measured: Measured, limits: Limits) -> list[dict[str, Any]]:
    total = measured.total

    def row(name: str, value: float, unit: str, most: float | None = None) -> dict[str, Any]:
        target = None if most is None else f"<= {most:g}"
        return {
            "name": name,
            "value": round(value, 4),
            "unit": unit,
            "target": target,
            "ok": None if most is None else value <= most,
        }

    return [
        row("requests a second", total.requests_per_s, "1/s"),
        row("p50", total.p50_ms, "ms"),
        row("p95", total.p95_ms, "ms", limits.p95_ms),
        row("p99", total.p99_ms, "ms"),
        row("error rate", measured.error_rate, "", limits.error_rate),
        row("client CPU", measured.client_cpu_s, "s"),
    ]


def _cells(line: Line) -> tuple[str, ...]:
    counts = (f"{line.requests:,}", f"{line.failures:,}", f"{line.requests_per_s:.1f}")
    return (line.name, *counts, f"{line.p50_ms:.0f}", f"{line.p95_ms:.0f}", f"{line.p99_ms:.0f}")


def _summary(measured: Measured) -> str:
    answers = ", ".join(
        f"{count:,} x {status if status != '0' else 'none'}" for status, count in measured.statuses.items()
    )
    errors = "".join(f"\n  {count:,} x {error}" for error, count in measured.errors.items())
    share = measured.client_cpu_s / measured.seconds if measured.seconds else 0.0
    return (
        f"answers by status: {answers or 'none'}; "
        f"the client used {measured.client_cpu_s:.1f} s of CPU in {measured.seconds:.1f} s ({share:.0%} of a core)"
        + (f"\nerrors:{errors}" if errors else "")
    )


def _markdown(document: Mapping[str, Any], measured: Measured) -> str:
    head = f"# {document['table']}\n\n`{document['command']}`, {document['date']}, {document['machine']}\n\n"
    rows = [HEAD, ("---",) + ("---:",) * (len(HEAD) - 1), *map(_cells, measured.lines)]
    return head + "\n".join(f"| {' | '.join(row)} |" for row in rows) + f"\n\n{_summary(measured)}\n"


def _replace(path: Path, text: str) -> None:
    temporary = path.with_suffix(path.suffix + ".tmp")
    temporary.write_text(text)
    temporary.replace(path)
