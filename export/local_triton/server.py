"""A model repository in, a running `tritonserver` and its addresses out; it ends with this process, come what may."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType

import numpy as np

from catalog.errors import DeadlineError, OutOfRangeError
from catalog.machine import usable_cores
from export.contract import RepositoryInfo, read_repository
from export.local_triton.layout import (
    Environment,
    Load,
    LocalTritonError,
    find_environment,
    lay_out_backends,
    lay_out_repository,
)
from export.triton_client import ModelServerError, TritonNetworks

__all__ = ["LocalTriton", "LocalTritonError"]

ENVIRONMENT = Path(__file__).parents[2] / ".venv-triton"
HOST = "127.0.0.1"
GRACE_S = 10.0
PORT_ATTEMPTS = 5
MAX_INSTANCES = 4
POLL_S = 0.05
ALL_STARTED = "Started Metrics Service"  # Triton's line for the last of its services
# What tells most comes first; a network's own error is all there is when Triton crashes over it.
TELLING = (re.compile(r"failed to load '.*' version|already in use"), re.compile(r"\[E:onnxruntime"))
COLOR = re.compile(r"\x1b\[[0-9;]*m")


class LocalTriton:
    """The real Triton server on this machine's CPU, from the virtual environment `environment` (`make triton-env`).

    Every network runs as `instances` sessions of `threads` threads, whatever the repository says. The default carries
    the most load: one-thread sessions, as many as cores (at most 4), without dynamic batching, since a bigger batch
    makes a CPU no faster; measured on 2 cores: 49 photos/s against 37-43. One instance with all threads answers a
    single client sooner (24 against 40 ms). `dynamic_batching=True` keeps what the repository says about batching.

    Ports that are not given are free ones. `log_file` gets what Triton prints, appended. Use it as a context manager,
    or call `start` and `stop`; after either an end or a stop it can be started again, on new ports where none were
    given. `start` raises `ModelRepositoryError` for a repository that does not fit together, and `LocalTritonError`
    when Triton is missing, a given port is taken, or the server ends or does not answer within `ready_timeout_s`.
    """

    def __init__(
        self,
        repository: Path,
        *,
        log_file: Path,
        environment: Path = ENVIRONMENT,
        instances: int | None = None,
        threads: int | None = None,
        dynamic_batching: bool = False,
        grpc_port: int | None = None,
        http_port: int | None = None,
        metrics_port: int | None = None,
        ready_timeout_s: float = 60.0,
    ) -> None:
        self.repository = repository
        self.log_file = log_file
        self.load = _load(instances, threads, dynamic_batching=dynamic_batching)
        self._environment = environment
        self._wanted = (grpc_port or None, http_port or None, metrics_port or None)
        self._ready_timeout_s = ready_timeout_s
        self._ports = (0, 0, 0)
        self._supervisor: subprocess.Popen[str] | None = None
        self._scratch = Path()
        self._log_start = 0
        self.pid = 0

    @property
    def grpc_url(self) -> str:
        """Return `host:port` for `TritonNetworks`."""
        return f"{HOST}:{self._ports[0]}"

    @property
    def http_url(self) -> str:
        """Return the address of Triton's HTTP interface."""
        return f"http://{HOST}:{self._ports[1]}"

    @property
    def metrics_url(self) -> str:
        """Return the address of Triton's Prometheus page."""
        return f"http://{HOST}:{self._ports[2]}/metrics"

    @property
    def running(self) -> bool:
        """Tell whether the server's process is there."""
        return self._supervisor is not None and self._supervisor.poll() is None

    def __enter__(self) -> LocalTriton:
        self.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> RepositoryInfo:
        """Start the server, return when it has answered for a picture."""
        if self.running:
            raise LocalTritonError(f"Triton is running already, as process {self.pid}")
        self.stop()
        info = read_repository(self.repository)
        environment = find_environment(self._environment)
        for attempt in range(1, PORT_ATTEMPTS + 1):
            self._ports = _ports(self._wanted)
            self._launch(environment)
            try:
                self._wait_until_ready(info)
            except BaseException:
                # Another process may take a free port between our look and Triton's: then look again.
                lost_a_port = not self.running and None in self._wanted and "already in use" in self._log()
                self.stop()
                if not lost_a_port or attempt == PORT_ATTEMPTS:
                    raise
            else:
                break
        return info

    def stop(self) -> None:
        """Stop the server and everything it started; does nothing when none runs."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None:
            return
        for pipe in (supervisor.stdin, supervisor.stdout):
            if pipe is not None:
                pipe.close()  # the end of its input is the supervisor's sign to end
        try:
            supervisor.wait(GRACE_S + 10)
        except subprocess.TimeoutExpired:
            supervisor.kill()
            supervisor.wait()
        shutil.rmtree(self._scratch, ignore_errors=True)  # the supervisor's work, unless it was killed

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the server's end; True when it ended within the time."""
        if self._supervisor is None:
            return True
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._supervisor.wait(timeout_s)
        return not self.running

    def last_words(self) -> str:
        """Return what this start's log tells best: why a network or a port failed, else its last line."""
        lines = [line.strip() for line in COLOR.sub("", self._log()).splitlines() if line.strip(" +-|")]
        telling = [line for pattern in TELLING for line in lines if pattern.search(line)]
        line = (telling[:1] or lines[-1:] or ["its log is empty"])[0]
        # Without Triton's prefix (time, process, source line) and the Python traceback it puts in the same line.
        return line.split("] ", 1)[-1].split("\\n")[0].strip('" ')

    def _launch(self, environment: Environment) -> None:
        scratch = self._scratch = Path(tempfile.mkdtemp(prefix="shopcam-triton-"))
        try:
            lay_out_backends(scratch / "backends", environment)
            lay_out_repository(scratch / "repository", self.repository, self.load)
            self.log_file.parent.mkdir(parents=True, exist_ok=True)
            shm_prefix = f"shopcam-{os.getpid()}-{secrets.token_hex(4)}-"
            with self.log_file.open("ab") as log:
                self._log_start = log.tell()
                self._supervisor = subprocess.Popen(
                    [
                        *(sys.executable, "-S", str(Path(__file__).with_name("supervisor.py"))),
                        *("--grace-s", str(GRACE_S), "--shm-prefix", shm_prefix, "--scratch", str(scratch), "--"),
                        *_command(environment, scratch, self._ports, shm_prefix),
                    ],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    env=_variables(environment),
                    start_new_session=True,  # Ctrl-C at the terminal is ours to handle: clients drain first
                )
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
        first_line = self._supervisor.stdout.readline() if self._supervisor.stdout else ""
        self.pid = int(first_line or 0)

    def _wait_until_ready(self, info: RepositoryInfo) -> None:
        """Wait until the last of the three services has started, and until a picture is answered."""
        deadline_s = time.monotonic() + self._ready_timeout_s
        picture = np.zeros((1, info.size_px, info.size_px, 3), np.uint8)
        networks = TritonNetworks(self.grpc_url, info=info, timeout_s=5)
        reason = "its services did not start"
        try:
            while time.monotonic() < deadline_s:
                if self.wait(POLL_S):
                    raise LocalTritonError(f"Triton ended while starting: {self.last_words()} (log: {self.log_file})")
                # Before that line another server could be the one that answers at a port both wanted.
                if ALL_STARTED in self._log():
                    try:
                        networks.infer(picture)
                    except (ModelServerError, DeadlineError) as error:
                        reason = str(error)
                    else:
                        return
        finally:
            networks.close()
        raise LocalTritonError(
            f"Triton did not answer within {self._ready_timeout_s:g} s: {reason} (log: {self.log_file})"
        )

    def _log(self) -> str:
        with self.log_file.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode("utf-8", "replace")


def _load(instances: int | None, threads: int | None, *, dynamic_batching: bool) -> Load:
    for what, value in (("instances", instances), ("threads", threads)):
        if value is not None and value < 1:
            raise OutOfRangeError(f"{what} is {value}, at least 1 is needed")
    cores = usable_cores()
    if instances is None:
        instances = min(max(1, cores // (threads or 1)), MAX_INSTANCES)
    return Load(instances, threads or max(1, cores // instances), dynamic_batching)


def _ports(wanted: tuple[int | None, ...]) -> tuple[int, int, int]:
    """Return three ports that are free now: the wanted ones, and any where none is."""
    with contextlib.ExitStack() as stack:
        ports = []
        for port in wanted:
            listener = stack.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind((HOST, port or 0))
            except OSError as error:
                raise LocalTritonError(f"port {port} is taken by another process; name another one") from error
            ports.append(int(listener.getsockname()[1]))
    return ports[0], ports[1], ports[2]


def _command(environment: Environment, scratch: Path, ports: tuple[int, int, int], shm_prefix: str) -> list[str]:
    addresses = [f"--{name}-address={HOST}" for name in ("grpc", "http", "metrics")]
    return [
        str(environment.server),
        f"--model-repository={scratch / 'repository'}",
        f"--backend-directory={scratch / 'backends'}",
        "--model-control-mode=explicit",
        "--load-model=*",
        "--disable-auto-complete-config",  # the configurations are complete, and each look costs a Python process
        *addresses,
        *(f"--{name}-port={port}" for name, port in zip(("grpc", "http", "metrics"), ports, strict=True)),
        f"--backend-config=python,shm-region-prefix-name={shm_prefix}",
        "--allow-gpu-metrics=false",
        "--pinned-memory-pool-byte-size=0",
        f"--exit-timeout-secs={int(GRACE_S)}",
    ]


def _variables(environment: Environment) -> dict[str, str]:
    """Return Triton's environment variables: its own Python and libraries first, nothing of ours in its imports."""
    ours = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}}
    libraries = [str(environment.libraries), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
    return {
        **ours,
        "PATH": f"{environment.bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "LD_LIBRARY_PATH": os.pathsep.join(libraries),
        "OMP_NUM_THREADS": "1",
    }
