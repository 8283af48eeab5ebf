"""SageMaker's GET /ping: whether this replica can answer, told within the platform's limit of two seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from catalog.errors import NotReadyError

ANSWER_S = 1.5  # the platform counts a slower answer as a failure
TRUST_S = 20.0  # how long a check that worked speaks for one that is late


class Ping:
    """Asks `check`, a canary search, and answers in time even where that takes longer.

    A replica under load answers its canary late; to be taken for a dead one would take it away when it is needed
    most. One that did not answer for `trust_s` is not ready, and so is one whose canary failed. Belongs to one event
    loop.
    """

    def __init__(
        self,
        check: Callable[[], Awaitable[str]],
        *,
        answer_s: float = ANSWER_S,
        trust_s: float = TRUST_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._check = check
        self._answer_s = answer_s
        self._trust_s = trust_s
        self._clock = clock
        self._asking: asyncio.Task[None] | None = None
        self._version = ""
        self._well_at = float("-inf")
        self._failure: Exception | None = None

    async def __call__(self) -> str:
        """Return the version that answers; raises what the check raises, and NotReadyError when it is long late."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        done, _ = await asyncio.wait({self._asking}, timeout=self._answer_s)
        if done and self._failure is not None:
            raise self._failure
        if self._clock() - self._well_at > self._trust_s:
            raise NotReadyError("the canary search has not been answered yet", retry_after_s=1)
        return self._version

    async def _ask(self) -> None:
        """One check at a time, which goes on when the one who asked has its answer."""
        try:
            self._version = await self._check()
        except Exception as error:  # it belongs to whoever asks
            self._failure, self._well_at = error, float("-inf")
        else:
            self._failure, self._well_at = None, self._clock()
