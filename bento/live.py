"""Settings in, the gallery that answers now out: one reference, which a swap changes while requests keep what they had.

Two galleries are in memory during a swap: green is opened and checked beside blue, the reference is switched, blue is
closed when its last request has ended (docs/adr/0014-hot-swap.md).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from bento import metrics
from bento.canary import check_canary
from bento.changes import ChangeFollower
from bento.follow import Follower
from bento.opening import Opener
from bento.serving import Serving
from bento.settings import Settings
from bento.threads import in_thread
from catalog.errors import NotReadyError, ShopcamError
from catalog.machine import give_back

logger = logging.getLogger("shopcam")

RETRY_S = 1.0  # after which a client may ask again
START_S = 5.0  # how long a request waits for the first gallery
CANARY_S = 2.0  # how long a canary's answer counts
DRAIN_S = 5.0  # what blue's last requests have on top of a search's time limit

T = TypeVar("T")


class Live:
    """What a replica answers from. It begins when first asked and belongs to one event loop."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.opener = Opener(settings)
        self.follower = Follower(self, settings)
        self._changes = ChangeFollower(self, settings)
        self._serving: Serving | None = None
        self._swapping = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()
        self._canary = asyncio.Lock()
        self._canary_at = float("-inf")
        self._canary_failure: str | None = None

    @property
    def version(self) -> str | None:
        """The version that answers now."""
        return None if self._serving is None else self._serving.version

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Serving]:
        """Give what to search with, which stays open as long as this is, whatever is swapped meanwhile.

        Raises NotReadyError with the reason when there is nothing.
        """
        self.follower.start()
        self._changes.start()
        if self._serving is None:
            await self.follower.looked_once(timeout_s=START_S)
        serving = self._serving
        if serving is None:
            raise NotReadyError(self.follower.reason, retry_after_s=RETRY_S)
        with serving.lease():
            yield serving

    async def check(self) -> str:
        """Search with a picture of the gallery through the networks, as a request does; return the gallery's version.

        Raises NotReadyError when the picture does not come back as itself. An answer counts for two seconds.
        """
        try:
            version = await self._checked()
        except NotReadyError:
            metrics.READY.set(0)
            raise
        metrics.READY.set(1)
        return version

    async def move_to(self, version: str, *, confirm: Callable[[Serving], Awaitable[T]]) -> T:
        """Open a gallery beside the one that answers, `confirm` that it is to answer, answer from it.

        Returns what `confirm` returns; what that or `Opener.open` raises leaves everything as it was. One at a time.
        """
        async with self._swapping:
            if self._serving is not None and self._serving.version == version:
                return await confirm(self._serving)
            begun = time.perf_counter()
            await self._retired()  # never three galleries in memory
            blue = self._serving
            with metrics.swap():
                green = await self.opener.open(version, beside=None if blue is None else blue.gallery)
                try:
                    confirmed = await confirm(green)
                except BaseException:
                    await green.close()
                    raise
            self._switch(green)
            logger.info("gallery %s answers after %.1f s", version, time.perf_counter() - begun)
            return confirmed

    async def close(self) -> None:
        """Let go of all."""
        await self._changes.close()
        await self.follower.close()
        serving, self._serving = self._serving, None
        if serving is not None:
            await serving.close()
        await self._retired()

    async def _checked(self) -> str:
        async with self._canary, self.lease() as serving:
            if serving.breaker.reason is not None:
                raise NotReadyError(serving.breaker.reason, retry_after_s=RETRY_S)
            if time.monotonic() - self._canary_at > CANARY_S:
                try:
                    await check_canary(serving)
                except ShopcamError as error:
                    self._note_canary(str(error))
                else:
                    self._note_canary(None)
            if self._canary_failure is not None:
                raise NotReadyError(self._canary_failure, retry_after_s=RETRY_S)
            return serving.version

    def _switch(self, green: Serving) -> None:
        blue, self._serving = self._serving, green
        self._note_canary(None)  # green has just answered it
        metrics.searches_on(green.gallery.device)
        metrics.READY.set(1)
        metrics.knows_labels(green.gallery.manifest.labels)
        if blue is not None:
            task = asyncio.create_task(self._retire(blue))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)

    async def _retire(self, blue: Serving) -> None:
        """Close blue when its last request has ended, and give its memory back."""
        if not await blue.idle(timeout_s=self._settings.longest_s + DRAIN_S):
            logger.warning("gallery %s is closed although requests still use it", blue.version)
        await blue.close()
        del blue
        await in_thread(give_back, name="give-back")

    async def _retired(self) -> None:
        if self._retiring:
            await asyncio.wait(self._retiring)

    def _note_canary(self, failure: str | None) -> None:
        self._canary_at, self._canary_failure = time.monotonic(), failure
