"""A store and a model repository in; a local Triton and service that can be disturbed on demand out.

Load tests know nothing of processes, so each disturbance is a shell command: it asks this process by a file, and ends
when the file is gone, that is, when the thing is done.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from bento.server import serving
from bento.settings import Settings
from export.local_triton import LocalTriton
from index_builder.store import LocalStore

POLL_S = 0.05
STOPPED_S, RUNNING_S = 0.15, 0.05  # slow: Triton runs a quarter of the time
GONE_S = 20.0


class Disturbed:
    """A running service, and its `commands` by the names that `python -m loadtests chaos` gives their flags.

    `swap_to` is a published gallery that is not live.
    """

    def __init__(
        self, triton: LocalTriton, service: tuple[str, int], store: Path, *, swap_to: str, asked: Path
    ) -> None:
        self.url, self._service_pid = service
        self._triton = triton
        self._store = store
        self._asked = asked
        self._slow: threading.Event | None = None
        self._actions: dict[str, Callable[[], None]] = {
            "on-swap": lambda: self._swap(swap_to),
            "on-triton-kill": self._kill_triton,
            "undo-triton-kill": self._start_triton,
            "on-triton-slow": self._slow_triton,
            "undo-triton-slow": self._end_slowness,
            "on-store-gone": lambda: self._move_store(self._store, self._away),
            "undo-store-gone": lambda: self._move_store(self._away, self._store),
            "on-worker-kill": self._kill_worker,
        }

    @property
    def commands(self) -> dict[str, str]:
        """A shell command for each flag; it fails when what it asked for failed."""
        return {
            name: f"> '{self._asked / name}'; while [ -e '{self._asked / name}' ]; do sleep 0.05; done; "
            f"[ ! -e '{self._asked / name}.failed' ]"
            for name in self._actions
        }

    def obey(self, until: Callable[[], bool]) -> None:
        """Do what the commands ask for until `until` holds."""
        while not until():
            for name, action in self._actions.items():
                request = self._asked / name
                if request.exists():
                    try:
                        action()
                    except Exception:
                        request.with_name(f"{name}.failed").touch()
                        raise
                    finally:
                        request.unlink()
            time.sleep(POLL_S)

    @property
    def _away(self) -> Path:
        return self._store.with_name(f"{self._store.name}-away")

    def _swap(self, version: str) -> None:
        LocalStore(self._store).swap(version)

    def _kill_triton(self) -> None:
        os.kill(self._triton.pid, signal.SIGKILL)
        self._triton.wait(GONE_S)

    def _start_triton(self) -> None:
        self._triton.start()

    def _slow_triton(self) -> None:
        over = self._slow = threading.Event()
        pid = self._triton.pid

        def stutter() -> None:
            try:
                while not over.is_set():
                    os.kill(pid, signal.SIGSTOP)
                    time.sleep(STOPPED_S)
                    os.kill(pid, signal.SIGCONT)
                    over.wait(RUNNING_S)
            except ProcessLookupError:  # killed meanwhile
                over.set()

        threading.Thread(target=stutter, daemon=True).start()

    def _end_slowness(self) -> None:
        if self._slow is not None:
            self._slow.set()

    def _move_store(self, source: Path, target: Path) -> None:
        source.rename(target)

    def _kill_worker(self) -> None:
        """Kill the process that answers requests: a worker of BentoML's where it has any, else the service itself."""
        service = psutil.Process(self._service_pid)
        workers = [child for child in service.children(recursive=True) if "worker" in " ".join(child.cmdline())]
        for worker in workers or [service]:
            worker.kill()


@contextlib.contextmanager
def disturbed(repository: Path, store: Path, *, swap_to: str, scratch: Path) -> Iterator[Disturbed]:
    """Start Triton on ports that stay and the service on a copy of `store`; stop both at the end."""
    shutil.copytree(store, scratch / "store")
    (scratch / "asked").mkdir()
    ports = _free_ports(3)
    log = scratch / "triton.log"
    with LocalTriton(repository, log_file=log, grpc_port=ports[0], http_port=ports[1], metrics_port=ports[2]) as triton:
        # Photos of a load repeat, and a service that knows them would not miss its Triton.
        settings = Settings(store=str(scratch / "store"), triton_url=triton.grpc_url, cache_entries=0)
        with serving(settings, port=_free_ports(1)[0], log_folder=scratch) as service:
            at = (service.url, service.process.pid)
            yield Disturbed(triton, at, scratch / "store", swap_to=swap_to, asked=scratch / "asked")


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(number)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [int(listener.getsockname()[1]) for listener in listeners]
