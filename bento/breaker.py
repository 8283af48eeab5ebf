"""Calls of a model server in; refused at once while it fails, and tried by a canary until it is well again.

Without it every request of a dead server would wait for its own failure, and a server that comes back would be met by
all of them at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bento.metrics import CIRCUIT_OPEN
from bento.threads import begin_task
from catalog.errors import DeadlineError, NotReadyError, ShopcamError

logger = logging.getLogger("shopcam")

FAILURES = 3  # in a row
PROBE_S = 0.5
RETRY_S = 1.0

T = TypeVar("T")


class Breaker:
    """Belongs to one event loop. `canary` is a call that succeeds where the server is well; `close` ends its trials.

    Without a canary nothing is ever refused.
    """

    def __init__(self, canary: Callable[[], Awaitable[None]] | None = None, *, probe_s: float = PROBE_S) -> None:
        self.canary = canary
        self._probe_s = probe_s
        self._failures = 0
        self._reason: str | None = None
        self._recovery: asyncio.Task[None] | None = None

    @property
    def reason(self) -> str | None:
        """Why calls are refused; None while they are not."""
        return self._reason

    async def call(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do it, or raise NotReadyError with the last failure's reason while the circuit is open."""
        if self._reason is not None:
            raise NotReadyError(self._reason, retry_after_s=RETRY_S)
        try:
            done = await work()
        except (NotReadyError, DeadlineError) as error:
            self._failed(error)
            raise
        self._failures = 0
        return done

    async def close(self) -> None:
        """End the trials, if any."""
        recovery, self._recovery = self._recovery, None
        if recovery is not None:
            recovery.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await recovery
            CIRCUIT_OPEN.set(0)

    def _failed(self, error: ShopcamError) -> None:
        self._failures += 1
        if self._failures >= FAILURES and self._reason is None and self.canary is not None:
            self._reason = str(error)
            CIRCUIT_OPEN.set(1)
            logger.error("%d calls in a row failed, more are refused until a canary succeeds: %s", FAILURES, error)
            self._recovery = begin_task(self._recover(self.canary))

    async def _recover(self, canary: Callable[[], Awaitable[None]]) -> None:
        while self._reason is not None:
            await asyncio.sleep(self._probe_s)
            try:
                await canary()
            except ShopcamError as error:
                self._reason = str(error)
            else:
                self._reason, self._failures = None, 0
        self._recovery = None
        CIRCUIT_OPEN.set(0)
        logger.info("the canary succeeded, calls pass again")
