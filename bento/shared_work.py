"""Work by a key in, its result out: done once for all who ask at the same time, and remembered for a while.

Shoppers send a photo again when an answer is slow, and pages send it again when a filter changes. What is kept are
vectors and hits, never photos.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from bento.metrics import CACHE

V = TypeVar("V")


@dataclass
class _Running(Generic[V]):
    task: asyncio.Future[V]
    waiting: int = 0


class SharedWork(Generic[V]):
    """Belongs to one event loop. At most `most` results are kept, for `keep_s` seconds; with 0 nothing is shared."""

    def __init__(self, name: str, *, most: int, keep_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._most = most
        self._keep_s = keep_s
        self._clock = clock
        self._kept: OrderedDict[Hashable, tuple[float, V]] = OrderedDict()
        self._running: dict[Hashable, _Running[V]] = {}

    async def get(self, key: Hashable, work: Callable[[], Awaitable[V]]) -> V:
        """Return what `work` returned or returns for this key; raises what it raises, and forgets that.

        It goes on as long as one of those who asked still waits.
        """
        if not self._most:
            return await work()
        kept = self._kept.get(key)
        if kept is not None and self._clock() - kept[0] <= self._keep_s:
            self._kept.move_to_end(key)
            self._count("hit")
            return kept[1]
        running = self._running.get(key)
        self._count("miss" if running is None else "shared")
        if running is None:
            running = self._running[key] = _Running(asyncio.ensure_future(self._do(key, work)))
        return await self._wait(key, running)

    async def _wait(self, key: Hashable, running: _Running[V]) -> V:
        running.waiting += 1
        try:
            return await asyncio.shield(running.task)
        finally:
            running.waiting -= 1
            if not running.waiting and not running.task.done():
                running.task.cancel()
                self._forget(key, running)

    async def _do(self, key: Hashable, work: Callable[[], Awaitable[V]]) -> V:
        mine = self._running.get(key)
        try:
            result = await work()
            self._kept[key] = (self._clock(), result)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)
            return result
        finally:
            if mine is not None:
                self._forget(key, mine)

    def _forget(self, key: Hashable, running: _Running[V]) -> None:
        if self._running.get(key) is running:  # somebody may have begun anew meanwhile
            del self._running[key]

    def _count(self, result: str) -> None:
        CACHE.labels(self._name, result).inc()
