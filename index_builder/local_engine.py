"""Pictures' addresses in, what became of each out, in this process: reading and decoding run beside the networks."""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from catalog.errors import OutOfRangeError
from export.networks import PhotoNetworks
from index_builder.engines import BATCH
from index_builder.fetching import is_url
from index_builder.pictures import Embedded, Job, Loaded, Outcome, Task, Unchanged, Unusable, infer, load

DECODERS = 4
FETCHERS = 16  # they wait most of the time
READ_AHEAD = 128  # pictures
MAX_RUNNERS = 8  # batches in memory at a time

_Load = Future[Loaded | Unchanged | Unusable]


def runners_for(cores: int) -> tuple[int, int]:
    """Return how many batches to run at a time and on how many cores each.

    On one core each they take less time than one after the other on all cores.
    """
    runners = min(cores, MAX_RUNNERS)
    return runners, max(1, cores // runners)


class LocalEngine:
    """Runs networks of this process; `runners` batches at a time where the networks may be asked by several threads."""

    def __init__(self, networks: PhotoNetworks, *, runners: int = 1) -> None:
        if runners < 1:
            raise OutOfRangeError(f"runners is {runners}, at least 1 is needed")
        self._networks = networks
        self._runners = runners

    def run(self, jobs: Iterable[Job], task: Task) -> Iterator[Outcome]:
        """Yield the outcome of each job, in order. Batches are full: what needs no network takes no place in them."""
        stop = threading.Event()
        decoders = ThreadPoolExecutor(DECODERS, thread_name_prefix="decode")
        fetchers = ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetch")
        runners = ThreadPoolExecutor(self._runners, thread_name_prefix="infer")

        def start(job: Job) -> _Load:
            return (fetchers if is_url(job.image) else decoders).submit(load, job, task, stop=stop)

        def ask(batch: _Batch) -> None:
            batch.answer = runners.submit(infer, batch.pictures, self._networks, task.vision)

        try:
            yield from _in_order(_ahead(start(job) for job in jobs), ask, most=self._runners + 1)
        finally:
            stop.set()
            for pool in (fetchers, decoders, runners):
                pool.shutdown(cancel_futures=True)

    def close(self) -> None:
        """Nothing to give back: the networks belong to the caller."""


@dataclass
class _Batch:
    """Pictures on their way through the networks."""

    pictures: list[Loaded] = field(default_factory=list)
    answer: Future[list[Embedded]] | None = None

    @property
    def is_answered(self) -> bool:
        return self.answer is not None and self.answer.done()

    def wait(self) -> list[Embedded]:
        """The answer of a batch that was asked; what went wrong there is raised here."""
        return [] if self.answer is None else self.answer.result()


@dataclass(frozen=True)
class _Asked:
    """The place of a picture in the order of outcomes: its batch will tell."""

    batch: _Batch
    number: int


_Line = deque[_Asked | Unchanged | Unusable]


def _ahead(loads: Iterator[_Load]) -> Iterator[Loaded | Unchanged | Unusable]:
    """Yield what was loaded, in order; so many loads are under way that the next one is mostly there already."""
    waiting = deque(itertools.islice(loads, READ_AHEAD))
    while waiting:
        one = waiting.popleft().result()
        waiting.extend(itertools.islice(loads, 1))
        yield one


def _in_order(
    loaded: Iterable[Loaded | Unchanged | Unusable], ask: Callable[[_Batch], None], *, most: int
) -> Iterator[Outcome]:
    """Yield outcomes in order; `most` batches are with the networks at a time."""
    line: _Line = deque()
    asked: deque[_Batch] = deque()
    batch = _Batch()
    for one in loaded:
        if isinstance(one, Loaded):
            line.append(_Asked(batch, len(batch.pictures)))
            batch.pictures.append(one)
        else:
            line.append(one)
        if len(batch.pictures) == BATCH:
            ask(batch)
            asked.append(batch)
            batch = _Batch()
        if len(asked) == most:
            asked.popleft().wait()
        yield from _answered(line)
    if batch.pictures:
        ask(batch)
        asked.append(batch)
    for last in asked:
        last.wait()
        yield from _answered(line)
    yield from _answered(line)


def _answered(line: _Line) -> Iterator[Outcome]:
    """Take and yield the outcomes at the head of the line that are there."""
    while line:
        head = line[0]
        if not isinstance(head, _Asked):
            yield head
        elif head.batch.is_answered:
            yield head.batch.wait()[head.number]
        else:
            return
        line.popleft()
