"""One program of the container in: what starts it and what tells that it is up; its life, step by step, out."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from infra.container.processes import end_group, ending, start
from infra.container.restarts import Failures, RestartPolicy
from infra.container.watch import Watch

logger = logging.getLogger("container")

PROBE_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Part:
    """A server, up when `up_url` answers 200, or without `up_url` a task that runs once, whatever comes of it.

    It starts when all that it `needs` have been up or done. `canary_url` is a wider check that another part answers,
    such as a search through all: once it was well, `canary_limit_s` of other answers are this part's failure.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    up_url: str | None = None
    canary_url: str | None = None
    needs: tuple[str, ...] = ()
    folder: Path = field(default_factory=Path.cwd)
    start_timeout_s: float = 600.0
    unwell_limit_s: float = 30.0
    canary_limit_s: float = 120.0
    stop_s: float = 5.0
    probe_pause_s: float = 1.0


class State(StrEnum):
    """Where a part is in its life."""

    WAITING = "waiting"
    STARTING = "starting"
    UP = "up"
    DONE = "done"


class Life:
    """A part and its present process, if it has one."""

    def __init__(self, part: Part, policy: RestartPolicy) -> None:
        self.part = part
        self.state = State.WAITING
        self.process: subprocess.Popen[bytes] | None = None
        self.was_up = False  # in this life or an earlier one
        self.canary: Watch | None = None
        self._failures = Failures(policy)
        self._due_at = 0.0
        self._started_at = self._up_at = 0.0
        self._watch: Watch | None = None

    def step(self, *, may_start: bool) -> str | None:
        """Do what is due; returns one sentence when the part has failed for good."""
        if self.process is None:
            if self.state is State.WAITING and may_start and time.monotonic() >= self._due_at:
                self._start()
            return None
        if self.process.poll() is not None:
            return self._ended(ending(self.process))
        if self.state is State.STARTING and self._watch is not None and self._watch.was_well:
            self.state, self.was_up, self._up_at = State.UP, True, time.monotonic()
            logger.info("%s is up after %.1f s", self.part.name, self._up_at - self._started_at)
        unfit = self._unfit()
        if unfit is None:
            return None
        end_group(self.process, grace_s=0)
        return self._ended(unfit)

    def end(self) -> None:
        """End its process, if there is one, and let it finish its work for `stop_s`."""
        self._unwatch()
        process, self.process = self.process, None
        if process is None:
            return
        begun = time.monotonic()
        end_group(process, grace_s=self.part.stop_s)
        logger.info("%s ended after %.1f s (%s)", self.part.name, time.monotonic() - begun, ending(process))

    def _start(self) -> None:
        part = self.part
        logger.info("%s starts", part.name)
        self.state, self._started_at = State.STARTING, time.monotonic()
        self.process = start(part.command, part.environment, folder=part.folder)
        if part.up_url is not None:
            self._watch = Watch(part.up_url, pause_s=part.probe_pause_s, timeout_s=PROBE_TIMEOUT_S)
        if part.canary_url is not None:
            self.canary = Watch(part.canary_url, pause_s=part.probe_pause_s, timeout_s=PROBE_TIMEOUT_S, forgiving=True)

    def _unfit(self) -> str | None:
        """Why a running process is of no use."""
        part, watch, canary = self.part, self._watch, self.canary
        if self.state is State.STARTING:
            late = time.monotonic() - self._started_at > part.start_timeout_s
            return f"it took longer than {part.start_timeout_s:g} s" if late else None
        if watch is not None and watch.unwell_s() > part.unwell_limit_s:
            return f"it has not answered for {part.unwell_limit_s:g} s"
        if canary is not None and canary.was_well and canary.unwell_s() > part.canary_limit_s:
            return f"searches through it have failed for {part.canary_limit_s:g} s"
        return None

    def _ended(self, how: str) -> str | None:
        name, was_up = self.part.name, self.state is State.UP
        up_s = time.monotonic() - self._up_at if was_up else 0.0
        self._unwatch()
        if self.process is not None:
            end_group(self.process, grace_s=0)  # whatever it left of its group
        self.process = None
        if self.part.up_url is None:
            self.state = State.DONE
            logger.info("%s is done (%s)", name, how)
            return None
        self.state = State.WAITING
        pause_s = self._failures.note(up_s=up_s)
        if pause_s is None:
            return f"{name} failed {self._failures.in_a_row} times in a row, the last time: {how}"
        self._due_at = time.monotonic() + pause_s
        logger.warning("%s failed (%s); it starts again in %g s", name, how, pause_s)
        return None

    def _unwatch(self) -> None:
        for watch in (self._watch, self.canary):
            if watch is not None:
                watch.stop()
        self._watch = self.canary = None
