"""What a rollout did in, a report out: how it ended, why, and its stages with their times."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path


class Outcome(StrEnum):
    """How a rollout ended."""

    LIVE = "live"
    UNCHANGED = "unchanged"  # it was live before
    ROLLED_BACK = "rolled back"  # the old version serves, as before


@dataclass(frozen=True)
class Stage:
    """Something that happened, `at_s` seconds after the start."""

    at_s: float
    what: str


@dataclass(frozen=True)
class Report:
    """`before` served when the rollout began, `asked` should serve, `serving` does."""

    outcome: Outcome
    before: str
    asked: str
    serving: str
    why: str = ""
    stages: tuple[Stage, ...] = ()

    def write(self, path: Path) -> None:
        """Write it as JSON; a file of that name is replaced in one step."""
        unfinished = path.with_name(f".{path.name}.unfinished")
        unfinished.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
        unfinished.replace(path)


@dataclass
class Diary:
    """The stages of one rollout as they happen; `told` hears each, repetitions are left out."""

    told: Callable[[str], None]
    began_s: float = field(default_factory=time.monotonic)
    stages: list[Stage] = field(default_factory=list)

    def note(self, what: str) -> None:
        """Add a stage, unless it is the last one again."""
        if self.stages and self.stages[-1].what == what:
            return
        self.stages.append(Stage(at_s=round(time.monotonic() - self.began_s, 1), what=what))
        self.told(what)
