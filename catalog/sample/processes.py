"""A function and its tasks in, results in the tasks' order out: several processes that never outlive their parent."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import connection, get_context, parent_process
from types import TracebackType
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


class Drawers:
    """`map` over `workers` processes, or in this one for 0; tasks not begun are dropped when the block ends early."""

    def __init__(self, workers: int) -> None:
        context = get_context("spawn")  # a fork would copy the progress bar's thread and its locks
        self._pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) if workers else None

    def __enter__(self) -> Drawers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def map(self, draw: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
        """Results in the order of `tasks`; what a worker raises is raised here."""
        return map(draw, tasks) if self._pool is None else self._pool.map(draw, tasks)


def _start_worker() -> None:
    """Leave Ctrl-C to the parent, and end with it even where it was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
