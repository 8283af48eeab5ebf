"""A peer, its setting and its artifacts in; its running server out, which ends with the block, whole process tree."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import httpx
import psutil

from benchmarks.serving.running import free_port, tree
from benchmarks.serving.uploads import CONTENT_TYPE, multipart
from bento.server import TETHER
from catalog.errors import NotReadyError

ROOT = Path(__file__).parents[3]
READY_S = 600.0  # a process that ends is noticed at once; Ray begins slowly on a busy machine
GRACE_S = 20.0
POLL_S = 0.2
NEVER_READY = (400, 422, 500)


class Peer(StrEnum):
    """What is measured beside the service."""

    FASTAPI = "FastAPI"
    LITSERVE = "LitServe"
    RAY = "Ray Serve"

    @property
    def module(self) -> str:
        """The module that is its server."""
        name = {Peer.FASTAPI: "fastapi_server", Peer.LITSERVE: "litserve_server", Peer.RAY: "ray_server"}[self]
        return f"benchmarks.serving.peers.{name}"


@dataclass(frozen=True)
class Setting:
    """How a peer is run: processes or replicas, ONNX Runtime threads a call, photos a batch."""

    workers: int
    threads: int
    batch: int = 1

    def __str__(self) -> str:
        batch = f", batches of up to {self.batch}" if self.batch > 1 else ""
        return (
            f"{self.workers} worker{'s' * (self.workers > 1)} x {self.threads} thread{'s' * (self.threads > 1)}{batch}"
        )


@contextmanager
def peer_running(
    peer: Peer, setting: Setting, *, repository: Path, gallery: Path, photo: bytes, log: Path
) -> Iterator[str]:
    """Start a peer's server, wait until it answers `photo`, give its address.

    Raises NotReadyError with its log's last line when it ends or does not answer in time.
    """
    port = free_port()
    log.parent.mkdir(parents=True, exist_ok=True)
    given = {"repository": repository, "gallery": gallery, "port": port, "workers": setting.workers}
    given |= {"threads": setting.threads, "batch": setting.batch}
    tether = [sys.executable, "-I", str(TETHER), str(os.getpid())]  # it ends with this process, come what may
    flags = [part for name, value in given.items() for part in (f"--{name}", str(value))]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*tether, sys.executable, "-m", peer.module, *flags],
            cwd=ROOT,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_it_answers(url, process, photo=photo, log=log)
        yield url
    finally:
        _stop(process)


def _environment() -> dict[str, str]:
    # The networks' own threads need the cores, as in the service (bento.server).
    quiet = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    # Under full load Ray Serve's proxy misses health checks of seconds, and would be killed for it.
    patient = {"RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "50", "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "60"}
    return {**os.environ, "PYTHONPATH": str(ROOT), **quiet, **patient}


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes], *, photo: bytes, log: Path) -> None:
    end_s = time.monotonic() + READY_S
    while time.monotonic() < end_s:
        if process.poll() is not None:
            raise NotReadyError(f"the server ended at once: {_last_line(log)} (log: {log})")
        try:
            headers = {"Content-Type": CONTENT_TYPE}
            answer = httpx.post(f"{url}/search", content=multipart(photo), headers=headers, timeout=30)
        except httpx.TransportError:
            time.sleep(POLL_S)
            continue
        if answer.is_success:
            return
        if answer.status_code in NEVER_READY:
            raise NotReadyError(f"the server answered {answer.status_code}: {answer.text[:200]} (log: {log})")
        time.sleep(POLL_S)
    raise NotReadyError(f"the server did not answer within {READY_S:g} s: {_last_line(log)} (log: {log})")


def _last_line(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip()[-300:] if lines else "no reason given"


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server as its user would; what is left of its tree after that is killed."""
    try:
        started = tree(process.pid)
    except psutil.NoSuchProcess:
        started = []
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, left = psutil.wait_procs(started, timeout=GRACE_S)
    for each in left:
        each.kill()
    psutil.wait_procs(left)
