"""Photos per second: the ceiling without a server, Triton alone, and `POST /search`, interleaved in one run.

The same 640 x 480 JPEG photos, the same ONNX files, the same two cores for everything, the client's own work
included. Each cell is measured several times in rotation and reported as the median; ratios are taken within a round,
where the machine was the same.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import Row, Target
from benchmarks.serving.clients import LoadReport, LoadSpec, measure
from benchmarks.serving.clients import Target as Load
from benchmarks.serving.running import CORES, DRAIN_S, Running, web_server

OF_CEILING = 0.85
AIM = 0.90


@dataclass(frozen=True)
class Cell:
    """One thing to measure: a target at a number of clients."""

    load: Load
    clients: int

    @property
    def name(self) -> str:
        """For the table."""
        return f"{self.load}, {self.clients} client{'s' if self.clients > 1 else ''}"


BARE_CEILING = Cell(Load.NETWORKS, CORES)
CEILING = Cell(Load.DECODE_AND_NETWORKS, CORES)
TRITON = Cell(Load.TRITON, 16)
SERVICE = tuple(Cell(Load.SERVICE, clients) for clients in (1, 4, 16))
CELLS = (BARE_CEILING, TRITON, CEILING, *SERVICE)
IN_PROCESS_CELLS = (CEILING, *SERVICE)  # of a service that runs the networks itself
Reports = dict[Cell, list[LoadReport]]


def interleaved(
    run: Running, *, repository: Path, photos: Path, cells: Sequence[Cell], rounds: int, seconds: float
) -> Reports:
    """Measure every cell `rounds` times, in rotation, with a pause between cells."""
    reports: Reports = defaultdict(list)
    for _ in range(rounds):
        for cell in cells:
            reports[cell].append(measure(load_of(cell, run, repository=repository, photos=photos, seconds=seconds)))
            time.sleep(DRAIN_S)
    return reports


def load_of(cell: Cell, run: Running, *, repository: Path, photos: Path, seconds: float) -> LoadSpec:
    """Return the load of one cell against what is running."""
    url = {Load.TRITON: run.triton_url, Load.SERVICE: run.service_url}.get(cell.load, "")
    return LoadSpec(cell.load, str(repository), str(photos), cell.clients, seconds, url)


def throughput_rows(reports: Reports, *, networks: str) -> list[Row]:
    """Photos per second of each cell, and the two ratios with their targets; `networks` tells the rows apart."""
    rows = [_cell_row(cell, cell_reports) for cell, cell_reports in reports.items()]
    rows.append(Row("failed requests", sum(r.failed for each in reports.values() for r in each), "", Target("<=", 0)))
    service, ceiling = reports[SERVICE[-1]], reports[CEILING]
    rows.append(_ratio_row("Triton / ceiling without decode", reports[TRITON], reports[BARE_CEILING]))
    more = f"; the aim is {AIM:g}; client {median_client_cpu(service):.2f} CPU s/s; {web_server()}"
    rows.append(_ratio_row("service at 16 clients / ceiling with decode", service, ceiling, more=more))
    return [Row(f"{networks}: {row.name}", row.value, row.unit, row.target, row.note) for row in rows]


def in_process_rows(reports: Reports, *, networks: str) -> list[Row]:
    """The same of a service without Triton, against a ceiling of its own rounds."""
    service, ceiling = reports[SERVICE[-1]], reports[CEILING]
    rows = [_cell_row(cell, reports[cell]) for cell in SERVICE]
    rows.append(Row("failed requests", sum(r.failed for each in reports.values() for r in each), "", Target("<=", 0)))
    rows.append(_ratio_row("service at 16 clients / ceiling with decode", service, ceiling))
    return [Row(f"{networks}, no Triton: {row.name}", row.value, row.unit, row.target, row.note) for row in rows]


def ratios_of(upper: Sequence[LoadReport], lower: Sequence[LoadReport]) -> list[float]:
    """Return the ratio of photos per second of each round; infinite where the lower side answered nothing."""
    pairs = zip(upper, lower, strict=True)
    return [a.photos_per_s / b.photos_per_s if b.answered else float("inf") for a, b in pairs]


def median_client_cpu(reports: Sequence[LoadReport]) -> float:
    """CPU seconds of the client a second of wall time, the median over rounds."""
    return statistics.median(report.client_cpu for report in reports)


def _cell_row(cell: Cell, reports: list[LoadReport]) -> Row:
    p50_ms, p99_ms = (statistics.median(getattr(report, name) for report in reports) for name in ("p50_ms", "p99_ms"))
    note = f"p50 {p50_ms:.0f} ms, p99 {p99_ms:.0f} ms"
    if cell.load in (Load.TRITON, Load.SERVICE):
        note += f", client {median_client_cpu(reports):.2f} CPU s/s"
    return Row(cell.name, statistics.median(report.photos_per_s for report in reports), "photos/s", note=note)


def _ratio_row(name: str, upper: list[LoadReport], lower: list[LoadReport], *, more: str = "") -> Row:
    ratios = ratios_of(upper, lower)
    note = f"rounds {min(ratios):.2f} to {max(ratios):.2f}{more}"
    return Row(name, statistics.median(ratios), "", Target(">=", OF_CEILING), note)
