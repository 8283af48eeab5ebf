"""`python -m benchmarks.coldstart`: from the entry point's start to its first good /ping, models and gallery local.

What an instance takes to boot and to pull the image comes on top; the simulator of scaling adds that as an assumption.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks import grocery, sample
from benchmarks.artifacts import Artifacts
from benchmarks.galleries.ready import ready_gallery
from benchmarks.results import Row, Target, publish
from catalog.errors import NotReadyError
from catalog.terminal import console, run_main
from index_builder.store import open_store

ROOT = Path(__file__).parents[1]
TARGET_S = 20.0
LIMIT_S = 300.0
STOP_S = 40.0
POLL_S = 0.05
MEMORY_BYTES = 4 * 10**9
TRITON = (
    "{python} -m export.local_triton --environment {environment} --log-file {log} --repository {{repository}}"
    " --grpc-port {{grpc_port}} --http-port {{http_port}} --metrics-port {{metrics_port}}"
)
PART_UP = re.compile(r"container INFO (.+) is up after ([\d.]+) s")


@dataclass(frozen=True)
class Start:
    """One start: seconds until /ping was good, and what each part took of them."""

    ready_s: float
    parts_s: dict[str, float]


def main(argv: list[str]) -> None:
    """Measure and publish."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coldstart", description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="folder of the real photos and weights")
    parser.add_argument("--count", type=int, default=100_000, help="products; 0: the sample shop's gallery")
    parser.add_argument("--rounds", type=int, default=5, help="starts; the median is reported")
    given = parser.parse_args(argv)
    repository, store, count = _artifacts(given.shared, given.count)
    starts = [start_once(repository, store) for _ in range(given.rounds)]
    publish(
        "coldstart",
        coldstart_rows(starts, count),
        title="Cold start of the container's own part: Triton, service and gallery, until /ping is good",
        command=f"python -m benchmarks.coldstart --count {given.count} --rounds {given.rounds}",
    )


def start_once(repository: Path, store: Path) -> Start:
    """Start the container's entry point, wait for /ping, stop it. NotReadyError with its last line when it ends."""
    folder = Path(tempfile.mkdtemp(prefix="shopcam-coldstart-"))
    port = _free_port()
    output = folder / "output.txt"
    with output.open("wb") as file:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.container", "run"],
            env={**os.environ, **_environment(folder, repository, store, port)},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_for_ping(f"http://127.0.0.1:{port}/ping", process, output)
            ready_s = time.perf_counter() - begun
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    parts_s = parts_of(output.read_text(errors="replace"))
    shutil.rmtree(folder)
    console.print(
        f"ready after {ready_s:.1f} s ({', '.join(f'{name} {took:.1f} s' for name, took in parts_s.items())})"
    )
    return Start(ready_s, parts_s)


def coldstart_rows(starts: list[Start], count: int) -> list[Row]:
    """The median of all starts beside its target, and what each part took of it."""
    readies = [start.ready_s for start in starts]
    spread = f"{len(starts)} starts, {min(readies):.1f} to {max(readies):.1f} s; files in the page cache"
    rows = [
        Row(
            f"start to ready, {count:,} products",
            statistics.median(readies),
            "s",
            Target("<=", TARGET_S),
            note=spread,
        )
    ]
    for name in starts[0].parts_s:
        rows.append(Row(f"of it, {name} until up", statistics.median(start.parts_s[name] for start in starts), "s"))
    parts = [sum(start.parts_s.values()) for start in starts]
    rest = [start.ready_s - part for start, part in zip(starts, parts, strict=True)]
    rows.append(Row("of it, all else", statistics.median(rest), "s", note="the supervisor, then opening the gallery"))
    return rows


def parts_of(output: str) -> dict[str, float]:
    """Seconds that each part took until it was up, from what the supervisor says."""
    return {name: float(took) for name, took in PART_UP.findall(output)}


def _artifacts(shared: Path, count: int) -> tuple[Path, Path, int]:
    """A model repository and a store whose live gallery has `count` products."""
    if count == 0:
        small: Artifacts = sample.prepare()
        store = open_store(str(small.store))
        pointer = store.live()
        if pointer is None:
            raise NotReadyError(f"the store {small.store} has no live gallery")
        return small.repository.resolve(), small.store.resolve(), store.manifest(pointer.live.gallery).count
    shop = grocery.prepare(shared)
    ready = ready_gallery(shared, count, max_memory_bytes=MEMORY_BYTES)
    store = open_store(str(ready.store))
    store.swap(ready.folder.name)
    return shop.repository.resolve(), ready.store.resolve(), count


def _environment(folder: Path, repository: Path, store: Path, port: int) -> dict[str, str]:
    triton = TRITON.format(python=sys.executable, environment=ROOT / ".venv-triton", log=folder / "triton.log")
    ports = {f"SHOPCAM_CONTAINER_TRITON_{name}_PORT": str(_free_port()) for name in ("GRPC", "HTTP", "METRICS")}
    return {
        "SHOPCAM_STORE": str(store),
        "SHOPCAM_CONTAINER_MODELS": str(repository),
        "SHOPCAM_CONTAINER_CACHE": str(folder / "cache"),
        "SHOPCAM_CONTAINER_PORT": str(port),
        "SHOPCAM_CONTAINER_TRITON": triton,
        "SHOPCAM_CONTAINER_ACCELERATOR": "none",
        **ports,
    }


def _wait_for_ping(url: str, process: subprocess.Popen[bytes], output: Path) -> None:
    end = time.perf_counter() + LIMIT_S
    while time.perf_counter() < end:
        if process.poll() is not None:
            raise NotReadyError(f"the container ended: {output.read_text(errors='replace').splitlines()[-1]}")
        try:
            if httpx.get(url, timeout=2.0).is_success:
                return
        except httpx.TransportError:
            pass
        time.sleep(POLL_S)
    raise NotReadyError(f"the container was not ready within {LIMIT_S:g} s (log: {output})")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


if __name__ == "__main__":
    run_main(main)
