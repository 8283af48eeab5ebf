"""The store's pointer in, swaps out: the task by which a replica follows it, whatever fails on the way.

A gallery that is not fit to answer is tried again, later each time, as long as the pointer names it. A store that does
not answer does no harm: what answers goes on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bento import metrics
from bento.errors import RefusedError
from bento.serving import Serving
from bento.settings import Settings
from bento.share import pairs_for
from bento.threads import begin_task, empty_frames
from catalog.errors import ShopcamError
from index_builder.manifest import LivePointer

if TYPE_CHECKING:
    from bento.live import Live

logger = logging.getLogger("shopcam")

RETRY_S = 1.0  # while nothing answers, and after a first failure
LONGEST_RETRY_S = 60.0


class StaleError(RefusedError):
    """The pointer moved on while a gallery was opened."""

    code = "stale"


@dataclass(frozen=True)
class Failure:
    """Why a gallery does not answer here. `retry_at_s` is of the monotonic clock."""

    version: str
    reason: str
    attempts: int
    retry_at_s: float


class Follower:
    """Follows the pointer every `follow_s` seconds (0: when nudged), and a failed gallery when its time has come."""

    def __init__(self, live: Live, settings: Settings) -> None:
        self._live = live
        self._settings = settings
        self._task: asyncio.Task[None] | None = None
        self._nudge = asyncio.Event()
        self._looked = asyncio.Condition()
        self._asked = 1
        self._answered = 0
        self.pointer: LivePointer | None = None
        self.store_failure: str | None = None
        self.failures: dict[str, Failure] = {}

    @property
    def wanted(self) -> str | None:
        """The version that this replica should answer from, as far as the store could be read."""
        return None if self.pointer is None else pairs_for(self.pointer, self._settings.instance)[0].gallery

    @property
    def on_trial(self) -> bool:
        """Whether what answers here is the canary."""
        canary = None if self.pointer is None else self.pointer.canary
        return canary is not None and canary.gallery == self._live.version

    @property
    def reason(self) -> str:
        """Why nothing answers."""
        if self.store_failure is not None:
            return self.store_failure
        return next((failure.reason for failure in self.failures.values()), "the gallery is being opened")

    def start(self) -> None:
        """Begin; once begun, nothing."""
        if self._task is None:
            logger.info("this replica is %s", self._settings.instance)
            self._task = begin_task(self._follow())

    async def close(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def looked_once(self, *, timeout_s: float) -> None:
        """Wait until the pointer was followed once, but not longer than this."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._wait_for(1)
        except TimeoutError:
            return

    async def look(self) -> None:
        """Follow the pointer now, whatever failed before, and wait until that is done."""
        self.start()
        self.failures.clear()
        self._asked += 1
        self._nudge.set()
        await self._wait_for(self._asked)

    async def _wait_for(self, look: int) -> None:
        async with self._looked:
            await self._looked.wait_for(lambda: self._answered >= look)

    async def _follow(self) -> None:
        while True:
            asked = self._asked
            self._nudge.clear()
            try:
                await self._step()
            except Exception:  # whatever it is, the next look may be better; without this task nothing is followed
                logger.exception("following the store failed")
            self._answered = asked
            async with self._looked:
                self._looked.notify_all()
            try:
                async with asyncio.timeout(self._pause_s()):
                    await self._nudge.wait()
            except TimeoutError:
                continue

    def _pause_s(self) -> float | None:
        """Until the next look; None: until nudged."""
        if self._live.version is None:
            return RETRY_S
        times = [failure.retry_at_s - time.monotonic() for failure in self.failures.values()]
        if self._settings.follow_s:
            times.append(self._settings.follow_s)
        return max(min(times), 0.0) if times else None

    async def _step(self) -> None:
        try:
            self.pointer = await self._live.opener.pointer()
        except ShopcamError as error:
            self._store_fails(str(error))
            return
        self._store_answers()
        versions = [pair.gallery for pair in pairs_for(self.pointer, self._settings.instance)]
        self.failures = {version: failure for version, failure in self.failures.items() if version in versions}
        for version in versions:
            # A replica that answers stays with what it has; only one that has nothing starts with the second best.
            if version == self._live.version or await self._try(version) or self._live.version is not None:
                break
        metrics.serves(self._live.version, on_trial=self.on_trial)
        metrics.failed({version: failure.reason for version, failure in self.failures.items()})

    async def _try(self, version: str) -> bool:
        """Whether the replica answers from this version now."""
        failure = self.failures.get(version)
        if failure is not None and time.monotonic() < failure.retry_at_s and self._live.version is not None:
            return False
        try:
            await self._live.move_to(version, confirm=self._still_wanted)
        except StaleError:
            self._nudge.set()  # to what is wanted now
        except ShopcamError as error:
            self._fails(version, str(error))
            empty_frames(error)
        except Exception as error:
            logger.exception("gallery %s was not opened", version)
            self._fails(version, f"gallery {version} was not opened: {error or type(error).__name__}")
            empty_frames(error)
        else:
            self.failures.pop(version, None)
            return True
        return False

    async def _still_wanted(self, green: Serving) -> None:
        try:
            pointer = await self._live.opener.pointer()
        except ShopcamError:
            return  # nobody can say otherwise
        if green.version not in {pair.gallery for pair in pairs_for(pointer, self._settings.instance)}:
            raise StaleError(f"gallery {green.version} is not wanted any more")

    def _fails(self, version: str, reason: str) -> None:
        before = self.failures.get(version)
        attempts = 1 + (before.attempts if before else 0)
        pause_s = min(RETRY_S * 2.0 ** min(attempts - 1, 10), LONGEST_RETRY_S)
        self.failures[version] = Failure(version, reason, attempts, time.monotonic() + pause_s)
        if before is None or before.reason != reason or self._live.version is not None:
            logger.warning("gallery %s does not answer here, attempt %d: %s", version, attempts, reason)

    def _store_fails(self, reason: str) -> None:
        if self.store_failure is None:
            logger.warning("the store cannot be followed: %s", reason)
        self.store_failure = reason
        metrics.store_answers(False)

    def _store_answers(self) -> None:
        if self.store_failure is not None:
            logger.warning("the store can be followed again")
        self.store_failure = None
        metrics.store_answers(True)
