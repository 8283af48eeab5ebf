"""What runs the heavy stage of a build: pictures' addresses in, what became of each out, in order.

`local_engine` runs in this process, `ray_engine` on a cluster by Ray Data. Equal pictures give equal answers from both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Protocol

from index_builder.pictures import Job, Outcome, Task

BATCH = 8  # pictures a call; 32 were no quicker on a CPU, and a last one kept the other cores waiting


class EngineKind(StrEnum):
    """The engines that a build can choose from."""

    LOCAL = "local"
    RAY = "ray"


class Engine(Protocol):
    """Embeds pictures in parallel."""

    def run(self, jobs: Iterable[Job], task: Task) -> Iterator[Outcome]:
        """Yield the outcome of each job, in the order of the jobs, which are asked for as they are needed."""

    def close(self) -> None:
        """Give back what was started; calling it twice is fine."""
