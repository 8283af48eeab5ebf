"""The journal of the store in, the changes in what answers out: the task that takes them in every second or so."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from bento import metrics
from bento.settings import Settings
from bento.threads import begin_task, in_thread
from catalog.errors import NotReadyError
from index_builder.live_gallery import JournalState

if TYPE_CHECKING:
    from bento.live import Live

logger = logging.getLogger("shopcam")


class ChangeFollower:
    """Follows the journal every `journal_s` seconds (0: a gallery has the changes of when it was opened)."""

    def __init__(self, live: Live, settings: Settings) -> None:
        self._live = live
        self._pause_s = settings.journal_s
        self._task: asyncio.Task[None] | None = None
        self._reason: str | None = None

    def start(self) -> None:
        """Begin; once begun, nothing."""
        if self._task is None and self._pause_s:
            self._task = begin_task(self._follow())

    async def close(self) -> None:
        """Stop following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(self._pause_s)
            try:
                async with self._live.lease() as serving:
                    self._note(await in_thread(serving.refresh, name="journal"))
            except NotReadyError:
                continue  # nothing answers yet, which is said elsewhere
            except Exception:  # whatever it is, the next look may be better
                logger.exception("following the journal failed")

    def _note(self, state: JournalState) -> None:
        metrics.follows_journal(state)
        if state.reason != self._reason:
            logger.warning("the journal: %s", state.reason or "it can be followed again")
        self._reason = state.reason
