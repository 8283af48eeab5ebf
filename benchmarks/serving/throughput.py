"""Photos per second: the ceiling without a server, Triton alone, and `POST /search`, interleaved in one run.

The same 640 x 480 JPEG photos, the same ONNX files, the same two cores for everything, the client's own work
included. Each cell is measured several times in rotation and reported as the median; ratios are taken within a round,
where the machine was the same.
"""

from __future__ import annotations

import os
import socket
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.results import Row, Target
from benchmarks.serving.clients import LoadReport, LoadSpec, measure
from benchmarks.serving.clients import Target as Load
from bento.server import serving
from bento.settings import Settings
from export.local_triton import LocalTriton

DRAIN_S = 1.0  # requests left in Triton's queue slow the next cell


@dataclass(frozen=True)
class Cell:
    """One thing to measure: a target at a number of clients."""

    load: Load
    clients: int

    @property
    def name(self) -> str:
        """For the table."""
        return f"{self.load}, {self.clients} client{'s' if self.clients > 1 else ''}"


CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
BARE_CEILING = Cell(Load.NETWORKS, CORES)
CEILING = Cell(Load.DECODE_AND_NETWORKS, CORES)
TRITON = Cell(Load.TRITON, 16)
SERVICE = tuple(Cell(Load.SERVICE, clients) for clients in (1, 4, 16))
CELLS = (BARE_CEILING, TRITON, CEILING, *SERVICE)


@dataclass(frozen=True)
class Running:
    """A Triton and a service on this machine, for the length of a benchmark."""

    triton_url: str
    service_url: str
    triton_pid: int
    service_pid: int

    def cpu_s(self) -> tuple[float, float]:
        """CPU seconds so far of Triton's and the service's process trees."""
        return _tree_cpu_s(self.triton_pid), _tree_cpu_s(self.service_pid)


@contextmanager
def running(repository: Path, store: Path, *, log_folder: Path) -> Iterator[Running]:
    """Start Triton and the service on free ports and stop both at the end."""
    with LocalTriton(repository, log_file=log_folder / "triton.log") as triton:
        settings = Settings(store=str(store), triton_url=triton.grpc_url)
        with serving(settings, host="127.0.0.1", port=_free_port(), log_folder=log_folder) as service:
            yield Running(triton.grpc_url, service.url, triton.pid, service.process.pid)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _tree_cpu_s(pid: int) -> float:
    root = psutil.Process(pid)
    times = [process.cpu_times() for process in (root, *root.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))


def interleaved(
    run: Running, *, repository: Path, photos: Path, cells: Sequence[Cell], rounds: int, seconds: float
) -> dict[Cell, list[LoadReport]]:
    """Measure every cell `rounds` times, in rotation, with a pause between cells."""
    reports: dict[Cell, list[LoadReport]] = defaultdict(list)
    urls = {Load.TRITON: run.triton_url, Load.SERVICE: run.service_url}
    for _ in range(rounds):
        for cell in cells:
            spec = LoadSpec(
                target=cell.load,
                repository=str(repository),
                photos=str(photos),
                clients=cell.clients,
                seconds=seconds,
                url=urls.get(cell.load, ""),
            )
            reports[cell].append(measure(spec))
            time.sleep(DRAIN_S)
    return reports


def throughput_rows(reports: dict[Cell, list[LoadReport]]) -> list[Row]:
    """Photos per second of each cell, and the two ratios with their targets."""
    rows = [_cell_row(cell, cell_reports) for cell, cell_reports in reports.items()]
    rows.append(Row("failed requests", sum(r.failed for each in reports.values() for r in each), "", Target("<=", 0)))
    sixteen = SERVICE[-1]
    rows.append(_ratio_row("Triton / ceiling without decode", reports[TRITON], reports[BARE_CEILING], 0.85))
    rows.append(_ratio_row("service at 16 clients / ceiling with decode", reports[sixteen], reports[CEILING], 0.75))
    return rows


def _cell_row(cell: Cell, reports: list[LoadReport]) -> Row:
    p50_ms, p99_ms = (statistics.median(getattr(report, name) for report in reports) for name in ("p50_ms", "p99_ms"))
    client = statistics.median(report.client_cpu_s / report.wall_s for report in reports)
    note = f"p50 {p50_ms:.0f} ms, p99 {p99_ms:.0f} ms"
    if cell.load in (Load.TRITON, Load.SERVICE):
        note += f", client {client:.2f} CPU s/s"
    return Row(cell.name, statistics.median(report.photos_per_s for report in reports), "photos/s", note=note)


def _ratio_row(name: str, upper: list[LoadReport], lower: list[LoadReport], target: float) -> Row:
    ratios = [a.photos_per_s / b.photos_per_s for a, b in zip(upper, lower, strict=True)]
    note = f"rounds {min(ratios):.2f} to {max(ratios):.2f}"
    return Row(name, statistics.median(ratios), "", Target(">=", target), note)


def core_ms_rows(run: Running, *, repository: Path, photos: Path, seconds: float) -> list[Row]:
    """Core-milliseconds of service and Triton per answered request at 4 clients; sample networks, no target."""
    before = run.cpu_s()
    report = measure(LoadSpec(Load.SERVICE, str(repository), str(photos), 4, seconds, run.service_url))
    triton_ms, service_ms = ((b - a) * 1e3 / max(report.answered, 1) for a, b in zip(before, run.cpu_s(), strict=True))
    rate = f"{report.photos_per_s:.0f} photos/s at 4 clients, p50 {report.p50_ms:.1f} ms"
    return [
        Row("sample networks: Triton", triton_ms, "core-ms/request"),
        Row("sample networks: service", service_ms, "core-ms/request"),
        Row("sample networks: both", triton_ms + service_ms, "core-ms/request", note=rate),
    ]
