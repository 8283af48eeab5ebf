"""Settings in, a running service on this machine out: Triton where none is given, BentoML, and a clean end."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import httpx

from bento.settings import API_KEY_VARIABLE, Settings, to_environment, variable
from catalog.errors import NotReadyError, OutOfRangeError
from catalog.terminal import console
from export.local_triton import LocalTriton

READY_S = 180.0  # a process that ends is noticed at once; only a starved machine waits so long
GRACE_S = 15.0
POLL_S = 0.05
TETHER = Path(__file__).with_name("tether.py")


@dataclass(frozen=True)
class Service:
    """A ready service: its address, and its process."""

    url: str
    process: subprocess.Popen[bytes]
    log_file: Path

    def wait(self) -> None:
        """Wait until the service ends; NotReadyError with its last words, since it should not end by itself."""
        self.process.wait()
        raise NotReadyError(f"the service ended: {_last_words(self.log_file)} (log: {self.log_file})")


@contextlib.contextmanager
def triton_for(settings: Settings, *, repository: Path | None, log_folder: Path) -> Iterator[Settings]:
    """Start the local Triton on `repository` and give settings that name it; None leaves the settings alone."""
    if repository is None:
        yield settings
        return
    log_file = log_folder / "triton.log"
    log_folder.mkdir(parents=True, exist_ok=True)
    console.print(f"starting Triton on {repository} (log: {log_file})")
    with LocalTriton(repository, log_file=log_file) as triton:
        metrics_url = settings.triton_metrics_url or triton.metrics_url
        yield settings.model_copy(update={"triton_url": triton.grpc_url, "triton_metrics_url": metrics_url})


@contextlib.contextmanager
def serving(
    settings: Settings, *, host: str | None = None, port: int | None = None, log_folder: Path
) -> Iterator[Service]:
    """Start the service, wait until its canary search works, stop it at the end. `host` and `port` win over settings.

    Raises OutOfRangeError when the port is taken, NotReadyError with the last reason when it does not become ready.
    """
    host, port = host or settings.host, port or settings.port
    settings = settings.model_copy(update={"host": host, "port": port})
    check_port(host, port)
    log_folder.mkdir(parents=True, exist_ok=True)
    log_file = log_folder / "service.log"
    console.print(f"starting the service (log: {log_file})")
    tether = [sys.executable, "-I", str(TETHER), str(os.getpid())]
    bentoml = [sys.executable, "-m", "bentoml", "serve", "bento.service:Shopcam", "--host", host, "--port", str(port)]
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [*tether, *bentoml],
            env=_environment(settings),
            cwd=Path(__file__).parents[1],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C at the terminal is ours to handle: the service drains first
        )
        try:
            url = _url(host, port)
            _wait_until_ready(url, process, log_file)
            yield Service(url, process, log_file)
        finally:
            _stop(process)


@contextlib.contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """SIGTERM ends this process as Ctrl-C does, so that what it started is stopped."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _environment(settings: Settings) -> Mapping[str, str]:
    given = to_environment(settings)
    if "://" not in settings.store:  # the service runs in another folder
        given[variable("store")] = str(Path(settings.store).resolve())
    for name in ("api_keys", "audit_log", "repository"):
        if (path := getattr(settings, name)) is not None:
            given[variable(name)] = str(path.resolve())
    if settings.samples:
        given[variable("samples")] = str(Path.cwd() / settings.samples)
    ours = {name: value for name, value in os.environ.items() if name != API_KEY_VARIABLE}
    return {
        **ours,
        **given,
        "BENTOML_DO_NOT_TRACK": "True",
        # The networks' own threads need the cores; one search is short.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def _url(host: str, port: int) -> str:
    """Where this machine reaches a service that listens on `host`."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # read, not bound
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def check_port(host: str, port: int) -> None:
    """Raise OutOfRangeError when this machine cannot listen there."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = "another program uses it" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
            raise OutOfRangeError(f"cannot listen on {host}:{port}: {reason}; choose another with --port") from None


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log_file: Path) -> None:
    deadline_s = time.monotonic() + READY_S
    reason = "it did not answer"
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise NotReadyError(f"the service ended at once: {_last_words(log_file)} (log: {log_file})")
        try:
            answer = httpx.get(f"{url}/readyz", timeout=10)
            if answer.is_success:
                return
            reason = answer.json()["error"]["message"]
        except (httpx.TransportError, ValueError, KeyError, TypeError):
            pass
        time.sleep(POLL_S)
    raise NotReadyError(f"the service did not become ready within {READY_S:g} s: {reason} (log: {log_file})")


def _last_words(log_file: Path) -> str:
    lines = [line for line in log_file.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip()[-300:] if lines else "no reason given"


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
