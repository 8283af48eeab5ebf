"""Parts in, one program out: they start in order, come back when they end, and stop in the opposite order.

Exit status 0 after SIGTERM or SIGINT, 1 when a part failed for good; whatever happens, no process is left.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from infra.container.part import Life, Part, State
from infra.container.processes import adopt_orphans, reap_orphans, sweep
from infra.container.restarts import RestartPolicy

logger = logging.getLogger("container")

POLL_S = 0.2
EXIT_FAILED = 1
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Supervisor:
    """Runs `parts`, of which each comes after those it needs. Belongs to the main thread."""

    def __init__(self, parts: Sequence[Part], policy: RestartPolicy) -> None:
        names = [part.name for part in parts]
        for place, part in enumerate(parts):
            if missing := set(part.needs) - set(names[:place]):
                raise ValueError(f"{part.name} needs {sorted(missing)[0]}, which does not come before it")
        self._lives = {part.name: Life(part, policy) for part in parts}
        self._stopping: str | None = None
        self._ready = False

    def run(self) -> int:
        """Run until a signal or a failure for good; returns the exit status."""
        begun = time.monotonic()
        adopt_orphans()
        with self._signals() as woken:
            failure = None
            try:
                while self._stopping is None and failure is None:
                    failure = self._step(begun)
                    _wait(woken)
            finally:
                self._end()
        if failure is None:
            logger.info("stopped by %s", self._stopping)
            return 0
        logger.error("%s; giving up", failure)
        return EXIT_FAILED

    def _step(self, begun: float) -> str | None:
        for life in self._lives.values():
            needed = [self._lives[name] for name in life.part.needs]
            may_start = all(one.was_up or one.state is State.DONE for one in needed)
            if failure := life.step(may_start=may_start):
                return failure
        reap_orphans({life.process.pid for life in self._lives.values() if life.process is not None})
        if not self._ready and any(life.canary is not None and life.canary.was_well for life in self._lives.values()):
            self._ready = True
            logger.info("ready after %.1f s", time.monotonic() - begun)
        return None

    def _end(self) -> None:
        """The last one started takes the first leave: what answers is drained while what it needs still works."""
        for life in reversed(self._lives.values()):
            life.end()
        if swept := sweep():
            logger.warning("%d processes that were left were killed", len(swept))

    @contextmanager
    def _signals(self) -> Iterator[int]:
        """Note signals; the descriptor given can be read from when one came."""

        def stop(number: int, _frame: FrameType | None) -> None:
            self._stopping = signal.Signals(number).name

        reading, writing = os.pipe()
        for end in (reading, writing):
            os.set_blocking(end, False)
        before = {number: signal.signal(number, stop) for number in STOPS}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        try:
            yield reading
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(reading)
            os.close(writing)


def _wait(woken: int) -> None:
    """Wait for a signal, or a moment."""
    if select.select([woken], [], [], POLL_S)[0]:
        os.read(woken, 1024)
