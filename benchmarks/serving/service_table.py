"""Parts of the table `service` in, their rows out; `benchmarks/results/service` keeps the rows of parts not run.

Throughput, the load of twice the capacity and the soak run on GoogLeNets, where networks take nearly all of the time;
core time, what the service adds, and chaos run on the sample shop's small networks, where the service's own work shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks import fused, grocery, sample
from benchmarks.artifacts import Artifacts, make
from benchmarks.results import RESULTS, Row, merge
from benchmarks.serving.added import added_rows, added_times
from benchmarks.serving.chaos import chaos_rows, run_chaos
from benchmarks.serving.core_time import beyond_row, core_time_rows, core_times
from benchmarks.serving.overload import overload, overload_rows
from benchmarks.serving.running import ALL_WAIT_MS, Running, running
from benchmarks.serving.soak import soak, soak_rows
from benchmarks.serving.throughput import CELLS, IN_PROCESS_CELLS, in_process_rows, interleaved, throughput_rows
from loadtests import results as load_results

NAME = "service"
CACHE = Path(".cache/benchmarks")
OTHER = "other"  # a second gallery of the same products, to be swapped in
CHAOS_EVENTS = ("swap", "triton-kill")
CHAOS_USERS = 8
WITHOUT_TRITON = "the service without Triton"
SAMPLE, PAIR, FUSED = "sample networks", "GoogLeNet + classifier", "fused GoogLeNet"


@dataclass(frozen=True)
class Lengths:
    """How long things are measured. `seconds` is of one closed loop, `open_seconds` of one open loop."""

    rounds: int = 3
    seconds: float = 10.0
    open_seconds: float = 60.0
    minutes: float = 10.0


class ServiceTable:
    """The parts of the table by name; artifacts are prepared when a part first needs them."""

    def __init__(self, shared: Path, lengths: Lengths) -> None:
        self._shared = shared
        self._lengths = lengths

    @property
    def parts(self) -> dict[str, Callable[[], list[Row]]]:
        """Each measures and returns its rows."""
        return {
            "throughput": self._throughput,
            "core": self._core,
            "added": self._added,
            "overload": self._overload,
            "chaos": self._chaos,
            "soak": self._soak,
        }

    def run(self, parts: Sequence[str], *, folder: Path = RESULTS) -> None:
        """Measure these parts one after the other; each is published when it is done, the last one prints the table."""
        for part in parts:
            merge(
                NAME,
                self.parts[part](),
                title="The service under load, client on the same cores; 640 x 480 photos, no two alike",
                command="python -m benchmarks.serving service",
                folder=folder,
                quiet=part != parts[-1],
            )

    @cached_property
    def _sample(self) -> Artifacts:
        return sample.prepare()

    @cached_property
    def _grocery(self) -> Artifacts:
        return grocery.prepare(self._shared)

    @cached_property
    def _fused(self) -> Artifacts:
        return fused.prepare(self._shared)

    def _running(self, shop: Artifacts, name: str, **settings: Any) -> AbstractContextManager[Running]:
        return running(shop.repository, shop.store, log_folder=CACHE / f"{name}-logs", **settings)

    def _at(self, shop: Artifacts) -> dict[str, Any]:
        """What load is made with: the networks of a shop, and camera photos for all of them."""
        return {"repository": shop.repository, "photos": self._sample.photos}

    def _throughput(self) -> list[Row]:
        lengths = self._lengths
        rows = []
        for networks, shop, name in ((PAIR, self._grocery, "grocery"), (FUSED, self._fused, "fused")):
            for in_process, cells, told in ((False, CELLS, throughput_rows), (True, IN_PROCESS_CELLS, in_process_rows)):
                with self._running(shop, name, in_process=in_process, max_wait_ms=ALL_WAIT_MS) as run:
                    reports = interleaved(
                        run, **self._at(shop), cells=cells, rounds=lengths.rounds, seconds=lengths.seconds
                    )
                rows += told(reports, networks=networks)
        return rows

    def _core(self) -> list[Row]:
        lengths = self._lengths
        found = {}
        for in_process in (False, True):
            with self._running(self._sample, "sample", in_process=in_process) as run:
                at = self._at(self._sample)
                found[in_process] = core_times(run, **at, rounds=lengths.rounds, seconds=lengths.seconds)
        without = beyond_row(found[True], networks=SAMPLE, served=WITHOUT_TRITON)
        return [*core_time_rows(found[False], networks=SAMPLE), without]

    def _added(self) -> list[Row]:
        shop, rows = self._sample, []
        seconds = self._lengths.rounds * self._lengths.seconds
        for in_process in (False, True):
            with self._running(shop, "sample", in_process=in_process) as run:
                found = added_times(run, store=shop.store, **self._at(shop), seconds=seconds)
            rows += added_rows(found, networks=SAMPLE, served=WITHOUT_TRITON if in_process else "the service")
        return rows

    def _overload(self) -> list[Row]:
        lengths = self._lengths
        with self._running(self._grocery, "grocery") as run:
            found = overload(run, **self._at(self._grocery), seconds=lengths.seconds, open_seconds=lengths.open_seconds)
        return overload_rows(found, networks=PAIR)

    def _soak(self) -> list[Row]:
        lengths = self._lengths
        with self._running(self._grocery, "grocery") as run:
            found = soak(run, **self._at(self._grocery), seconds=lengths.seconds, minutes=lengths.minutes)
        return soak_rows(found, networks=PAIR)

    def _chaos(self) -> list[Row]:
        out = CACHE / "chaos"
        chaos(self._sample, out=out, events=CHAOS_EVENTS, users=CHAOS_USERS)
        return chaos_rows(load_results.read(out))


def chaos(shop: Artifacts, *, out: Path, events: Sequence[str], users: int) -> int:
    """Run the load test's chaos on a shop with a second gallery; returns its exit status."""
    make(
        shop.store / "galleries" / OTHER,
        *("index_builder", "build", "--catalog", str(shop.catalog), "--repository", str(shop.repository)),
        *("--words", str(shop.words), "--store", str(shop.store), "--version", OTHER, "--no-swap"),
    )
    return run_chaos(shop.repository, shop.store, shop.photos, swap_to=OTHER, out=out, events=events, users=users)
