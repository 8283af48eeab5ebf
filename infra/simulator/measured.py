"""Result files of the benchmarks in, a replica's service times and its container's start out.

The files are read as data; a figure that is not there is named with the command that measures it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from catalog.errors import NotFoundError
from infra.simulator.assumptions import ReplicaNumbers

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
COLD_START = ("coldstart", "start to ready")
CPU_CAPACITY = ("service", "GoogLeNet + classifier: capacity")
SERVICE_TIME = ("service", "sample networks: service")
MS = 1e-3


class Device(StrEnum):
    """Where the networks run."""

    GPU = "gpu"
    CPU = "cpu"


@dataclass(frozen=True)
class Figure:
    """One row of a result file."""

    name: str
    value: float
    unit: str
    date: str


@dataclass(frozen=True)
class Replica:
    """One replica: searches pass one after the other through its bottleneck, then stay `delay_s` without a queue.

    `work_s` is the mean time in the bottleneck and `spread` its coefficient of variation. A search that would wait
    longer than `max_wait_s` is refused with 429, as the service does (bento/admission.py).
    """

    work_s: float
    spread: float
    delay_s: float
    max_wait_s: float

    @property
    def capacity_per_s(self) -> float:
        """Searches a second that it carries at the most."""
        return 1 / self.work_s


def replica_of(device: Device, numbers: ReplicaNumbers, *, folder: Path = RESULTS) -> Replica:
    """A replica on a processor as measured, or on a GPU: the service's own time measured, the networks assumed."""
    if device is Device.CPU:
        work_s = 1 / measured(*CPU_CAPACITY, folder=folder).value
        delay_ms = numbers.platform_ms.value
    else:
        work_s = MS * measured(*SERVICE_TIME, folder=folder).value / numbers.gpu_cores.value
        delay_ms = numbers.platform_ms.value + numbers.gpu_networks_ms.value
    return Replica(work_s, numbers.spread.value, MS * delay_ms, MS * numbers.max_wait_ms.value)


def container_start(*, folder: Path = RESULTS) -> Figure:
    """Seconds from the container's start until it is ready."""
    return measured(*COLD_START, folder=folder)


def measured(table: str, name: str, *, folder: Path = RESULTS) -> Figure:
    """The first row of a table whose name begins so; NotFoundError where there is none."""
    path = folder / f"{table}.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFoundError(f"{path} is not there; `make bench` measures it") from error
    for row in document["rows"]:
        if row["name"].startswith(name) and row["value"] is not None:
            return Figure(row["name"], float(row["value"]), row["unit"], row.get("measured", document["date"]))
    raise NotFoundError(f"{path} has no row {name!r}; `{document['command']}` measures it")
