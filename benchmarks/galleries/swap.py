"""A live service under load in, what its clients see while the gallery is swapped out: failures, latency, memory."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from numpy.typing import NDArray

from benchmarks import grocery, sample
from benchmarks.galleries.ready import ready_gallery
from benchmarks.galleries.source import FOLDER
from benchmarks.results import Row, Target
from benchmarks.serving.clients import LoadReport, LoadSpec, measure
from benchmarks.serving.clients import Target as Load
from benchmarks.serving.running import Running, running, tree
from catalog.errors import NotReadyError
from index_builder.store import open_store

CLIENTS = 20
WARM_S = 10.0  # of the load, before anything is counted
BEFORE_S = 60.0
SWAP_S = 60.0  # what a swap is given under load
AFTER_S = 20.0
LIMIT_S = 240.0
POLL_S = 0.2


@dataclass(frozen=True)
class Swapped:
    """What happened: answers float64 [n, 2] (when asked, seconds), moments, resident bytes of the service."""

    answers: NDArray[np.float64]
    failed: int
    began: float  # the pointer moved
    ended: float  # nothing of the old gallery is mapped any more
    bytes_before: int
    bytes_peak: int
    bytes_after: int


def swap_under_load(run: Running, *, store: Path, photos: Path, repository: Path, green: str, log: Path) -> Swapped:
    """Load the service, move the pointer of `store` to `green`, and watch until the old gallery is let go of."""
    blue = _version(run)
    seconds = WARM_S + BEFORE_S + SWAP_S + AFTER_S
    spec = LoadSpec(Load.SERVICE, str(repository), str(photos), CLIENTS, seconds, run.service_url, str(log))
    reports: list[LoadReport] = []
    load = threading.Thread(target=lambda: reports.append(measure(spec)))
    load.start()
    time.sleep(WARM_S + BEFORE_S)
    bytes_before = _resident(run)
    began = time.perf_counter()
    # As another machine would do it: its own work, checking the gallery, must not take these cores from the service.
    command = ["nice", "-n", "19", sys.executable, "-m", "index_builder", "swap", green, "--store", str(store)]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    peak = bytes_before
    while _version(run) != green or _maps(run, blue):
        if time.perf_counter() - began > LIMIT_S:
            raise NotReadyError(f"the service did not let go of {blue} within {LIMIT_S:g} s")
        peak = max(peak, _resident(run))
        time.sleep(POLL_S)
    ended = time.perf_counter()
    load.join()
    if not reports:
        raise NotReadyError("the load failed; see above")
    return Swapped(np.load(log), reports[0].failed, began, ended, bytes_before, peak, _resident(run))


def measure_swap(shared: Path, count: int, *, max_memory_bytes: int) -> list[Row]:
    """Publish one gallery under two names, serve the first under load, and swap to the second."""
    blue = ready_gallery(shared, count, max_memory_bytes=max_memory_bytes, version="blue")
    ready_gallery(shared, count, max_memory_bytes=max_memory_bytes, version="green")
    store = open_store(str(blue.store))
    live = store.live()
    if live is None or live.live.gallery != "blue":
        store.swap("blue")
    shop = grocery.prepare(shared)
    photos = sample.prepare().photos
    logs = FOLDER / "logs"
    with running(shop.repository, blue.store, log_folder=logs) as run:
        seen = swap_under_load(
            run, store=blue.store, photos=photos, repository=shop.repository, green="green", log=logs / "answers.npy"
        )
    return swap_rows(seen, count)


def swap_rows(seen: Swapped, count: int) -> list[Row]:
    """Return the figures of one swap."""
    asked, took = seen.answers.T
    first = asked.min() + WARM_S
    before = took[(asked >= first) & (asked + took < seen.began)]
    during = took[(asked + took >= seen.began) & (asked < seen.ended)]
    p99 = [float(np.quantile(one, 0.99)) for one in (before, during)]
    of = f"swap of {count:,} products under {CLIENTS} clients"
    return [
        Row(f"{of}: failed requests", seen.failed, "", Target("<=", 0), f"of {len(took) + seen.failed:,}"),
        Row(
            f"{of}: p99 during over before",
            p99[1] / p99[0],
            "",
            Target("<=", 1.25),
            f"{1e3 * p99[0]:.0f} ms over {len(before):,} answers before, {1e3 * p99[1]:.0f} ms over {len(during):,} "
            f"in {seen.ended - seen.began:.0f} s",
        ),
        Row(
            f"{of}: memory after draining over before",
            seen.bytes_after / seen.bytes_before,
            "",
            Target("<=", 1.1),
            f"resident, mapped files included: {seen.bytes_before / 1e6:,.0f} MB before, {seen.bytes_peak / 1e6:,.0f} "
            f"at most, {seen.bytes_after / 1e6:,.0f} after",
        ),
    ]


def _version(run: Running) -> str:
    return str(httpx.get(f"{run.service_url}/gallery", timeout=60).json()["version"])


def _resident(run: Running) -> int:
    return sum(int(process.memory_info().rss) for process in tree(run.service_pid))


def _maps(run: Running, version: str) -> bool:
    """Whether any file of a gallery is still mapped by the service."""
    folder = f"/galleries/{version}/"
    return any(folder in mapped.path for process in tree(run.service_pid) for mapped in process.memory_maps())
