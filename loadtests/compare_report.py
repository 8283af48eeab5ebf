"""Two services compared in; a table on the terminal, `compare.json`, a plot and `report.html` out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console

from loadtests.compare import Ratio
from loadtests.figures import Line
from loadtests.plots import two_curves
from loadtests.report import LINE_HEAD, Table, line_cells, print_table, write_page
from loadtests.results import now, replace, this_machine

METHOD = (
    "Slices of A and B lay side by side in time (A B, B A, ...) with the same photos and seeds. "
    "Each interval is the middle 95 % of 1,000 resamples "
    "of whole pairs of slices. Users wait for their answers (closed loop)."
)


@dataclass(frozen=True)
class Side:
    """One service and its figures over all of its slices."""

    host: str
    line: Line


@dataclass(frozen=True)
class Compared:
    """A and B, and B's figures over A's."""

    title: str
    command: str
    sides: tuple[Side, ...]
    ratios: tuple[Ratio, ...]
    times_ms: tuple[tuple[float, ...], ...]
    max_error_rate: float
    max_p95_ratio: float | None

    @property
    def broken(self) -> tuple[str, ...]:
        """One sentence for each limit that was broken."""
        found = [
            f"the error rate of {side.host}, {side.line.error_rate:.2%}, is above the limit {self.max_error_rate:.2%}"
            for side in self.sides
            if side.line.error_rate > self.max_error_rate
        ]
        p95 = next(ratio for ratio in self.ratios if ratio.name == "p95 ms")
        if self.max_p95_ratio is not None and p95.low > self.max_p95_ratio:
            found.append(f"B's p95 is {p95.ratio:.2f} times A's, and surely above the limit of {self.max_p95_ratio:g}")
        return tuple(found)

    @property
    def verdict(self) -> str:
        """One sentence."""
        p50 = next(ratio for ratio in self.ratios if ratio.name == "p50 ms")
        if not p50.differs:
            return f"No difference in the median: B over A {p50.ratio:.2f} ({p50.low:.2f} to {p50.high:.2f})"
        word = "slower" if p50.ratio > 1 else "faster"
        return f"B is {word}: its median is {p50.ratio:.2f} times A's ({p50.low:.2f} to {p50.high:.2f})"

    @property
    def tables(self) -> list[Table]:
        """Ratios first, then both services."""
        rows = [
            (r.name, f"{r.a:.1f}", f"{r.b:.1f}", f"{r.ratio:.2f}", f"{r.low:.2f} to {r.high:.2f}") for r in self.ratios
        ]
        head = ("", "A", "B", "B / A", "95 % interval")
        sides = [(f"{'AB'[n]}  {side.host}", *line_cells(side.line)) for n, side in enumerate(self.sides)]
        return [
            Table("B against A", head, rows, ["strong" if ratio.differs else "" for ratio in self.ratios]),
            Table("Requests", ("service", *LINE_HEAD), list(sides), ["", ""]),
        ]


def print_compared(compared: Compared, console: Console) -> None:
    """For a person at a terminal."""
    for table in compared.tables:
        print_table(table, console)
    console.print(compared.verdict, soft_wrap=True, highlight=False)


def write_compared(compared: Compared, folder: Path) -> Path:
    """Write `compare.json`, `compare.png` and `report.html`; returns the path of the last."""
    document = {
        "title": compared.title,
        "command": compared.command,
        "date": now(),
        "machine": this_machine(),
        "sides": [asdict(side) for side in compared.sides],
        "ratios": [asdict(ratio) for ratio in compared.ratios],
        "broken": compared.broken,
    }
    replace(folder / "compare.json", json.dumps(document, indent=1).encode())
    plot = two_curves([np.array(times) for times in compared.times_ms])
    replace(folder / "compare.png", plot)
    return write_page(
        folder,
        title=compared.title,
        subtitle=now(),
        verdict=compared.verdict,
        broken=compared.broken,
        tiles=[(f"{ratio.name}, B over A", f"{ratio.ratio:.2f}") for ratio in compared.ratios],
        notes=[],
        plots={"Share of searches answered within a time, for A and B": plot},
        tables=compared.tables,
        command=compared.command,
        method=f"{METHOD} The client ran on {this_machine()}.",
    )
