"""What became of each request: the one table (`requests.csv`) from which every figure, plot and verdict is made."""

from __future__ import annotations

import csv
from dataclasses import astuple, dataclass, fields
from enum import StrEnum
from pathlib import Path
from types import TracebackType

FILE = "requests.csv"


class Outcome(StrEnum):
    """ok: the right answer. shed: 429 with Retry-After, refused early as promised. failed: anything else."""

    OK = "ok"
    SHED = "shed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Answer:
    """One request. `status` 0: no answer at all.

    `at_s` counts from the begin of the load: when it was sent or, in an open loop, when it was due; `latency_ms` runs
    from then to the last byte, so that waiting in an overloaded client or server is never left out.
    """

    at_s: float
    latency_ms: float
    kind: str
    status: int
    outcome: Outcome
    retry_after: bool
    reason: str


HEAD = tuple(field.name for field in fields(Answer))


class AnswerLog:
    """Writes answers while they come: a run that is killed leaves what it had."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / FILE).open("w", newline="", encoding="utf-8")
        self._writer = csv.writer(self._file)
        self._writer.writerow(HEAD)
        self.counts = dict.fromkeys(Outcome, 0)

    def add(self, answer: Answer) -> None:
        """Append one."""
        self.counts[answer.outcome] += 1
        row = astuple(answer)
        self._writer.writerow((round(row[0], 4), round(row[1], 3), *row[2:5], int(row[5]), row[6]))

    def __enter__(self) -> AnswerLog:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._file.close()


def read_answers(folder: Path) -> list[Answer]:
    """All answers of a run, by the time they were due; raises OSError or ValueError for a folder without a table."""
    with (folder / FILE).open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        if tuple(next(rows, ())) != HEAD:
            raise ValueError(f"{folder / FILE} has other columns than {', '.join(HEAD)}")
        found = [
            Answer(float(at), float(took), kind, int(status), Outcome(outcome), after == "1", reason)
            for at, took, kind, status, outcome, after, reason in rows
        ]
    return sorted(found, key=lambda answer: answer.at_s)
