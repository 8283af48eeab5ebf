"""One run on disk: `run.json` beside `requests.csv`. Written when the load is over, read by every report."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from loadtests.answers import Answer, read_answers
from loadtests.figures import Line, StepLine, knee_of, lines_of, step_lines
from loadtests.histograms import Histogram, Scrape, Stages, between
from loadtests.limits import Check, Limits
from loadtests.mistakes import LoadTestError
from loadtests.shapes import Shape, Step

FILE = "run.json"
BUSY = 0.8  # share of a core from which the client's own work may show in the times


def now() -> str:
    """The time, for a report."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def this_machine() -> str:
    """What the client runs on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{platform.system()} {platform.machine()}, {cores} cores, Python {platform.python_version()}"


@dataclass(frozen=True)
class Run:
    """What was asked of whom, and what came of it. `verdicts` are those of a chaos run, empty otherwise."""

    title: str
    command: str
    host: str
    shape: Shape
    open_loop: bool
    steps: tuple[Step, ...]
    seconds: float
    client_cpu_s: float
    limits: Limits
    answers: list[Answer]
    scrapes: tuple[Scrape, ...] = ()
    chaos: Mapping[str, Any] = field(default_factory=dict)
    date: str = field(default_factory=now)
    machine: str = field(default_factory=this_machine)

    @property
    def unit(self) -> str:
        """Of a load's level."""
        return "arrivals/s" if self.open_loop else "users"

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """Figures by kind of request; the last is all of them."""
        return lines_of(self.answers, seconds=min(self.seconds, self.steps[-1].end_s))

    @property
    def total(self) -> Line:
        """All requests."""
        return self.lines[-1]

    @cached_property
    def by_step(self) -> tuple[StepLine, ...]:
        """Figures by step of the load."""
        return step_lines(self.answers, self.steps, open_loop=self.open_loop)

    @property
    def knee(self) -> StepLine | None:
        """The largest load before the service gives way, if the load reached it."""
        return knee_of(self.by_step)

    @cached_property
    def stages(self) -> Stages:
        """The service's own histograms of this load."""
        return between(self.scrapes)

    @property
    def checks(self) -> tuple[Check, ...]:
        """The limits, and whether they hold."""
        return self.limits.checks(self.total, self.stages)

    @property
    def broken(self) -> tuple[str, ...]:
        """One sentence for each limit or promise that was broken."""
        failed = [check.sentence for check in self.checks if not check.holds]
        promises = [each for each in self.chaos.get("verdicts", ()) if not each["holds"]]
        return (*failed, *(f"{each['event']}: {each['sentence']}" for each in promises))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know to read the figures rightly."""
        found = []
        share = self.client_cpu_s / self.seconds if self.seconds else 0.0
        if share > BUSY:
            found.append(f"The client used {share:.0%} of a core: its own work is part of the times it measured.")
        if not self.stages:
            found.append("The service has no histograms at /metrics: limits were applied to the clients' times only.")
        if not self.open_loop and self.shape is Shape.RAMP:
            found.append("Users wait for their answers, so overload slows them; --rate measures without that.")
        return tuple(found)


def write(run: Run, folder: Path) -> Path:
    """Write `folder/run.json`; returns its path."""
    document = {name: value for name, value in vars(run).items() if name in Run.__dataclass_fields__}
    document |= {
        "answers": None,
        "steps": [asdict(step) for step in run.steps],
        "limits": asdict(run.limits),
        "scrapes": [
            {"at_s": each.at_s, "stages": {name: found.to_json() for name, found in each.stages.items()}}
            for each in run.scrapes
        ],
        "figures": {
            "lines": [_plain(line) for line in run.lines],
            "steps": [{"level": s.level, "offered_per_s": s.offered_per_s, **_plain(s.line)} for s in run.by_step],
            "knee": run.knee.level if run.knee else None,
            "checks": [{**asdict(check), "holds": check.holds} for check in run.checks],
        },
    }
    path = folder / FILE
    replace(path, json.dumps(document, indent=1).encode())
    return path


def read(folder: Path) -> Run:
    """The run that is in a folder; raises LoadTestError where there is none."""
    try:
        document = json.loads((folder / FILE).read_text())
        document.pop("figures")
        document |= {
            "shape": Shape(document["shape"]),
            "answers": read_answers(folder),
            "steps": tuple(Step(**step) for step in document["steps"]),
            "limits": Limits(**document["limits"]),
            "scrapes": tuple(
                Scrape(each["at_s"], {name: Histogram.from_json(one) for name, one in each["stages"].items()})
                for each in document["scrapes"]
            ),
        }
        return Run(**document)
    except FileNotFoundError:
        raise LoadTestError(f"{folder} holds no run; make one with: python -m loadtests run --out {folder}") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise LoadTestError(f"the run in {folder} cannot be read: {error}") from error


def replace(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, then rename it."""
    temporary = path.with_name(f"{path.name}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)


def _plain(line: Line) -> dict[str, Any]:
    """A line for JSON, which knows no nan."""
    return {name: None if value != value else value for name, value in asdict(line).items()}  # noqa: PLR0124  # nan
