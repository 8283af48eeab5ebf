"""Measured rows in; a table on the terminal and under `benchmarks/results/` out, as JSON and as Markdown.

`NAME.json` is `{"table", "command", "date", "machine", "rows": [{"name", "value", "unit", "target", "ok"}]}`; `ok` is
computed from value and target and is null where there is no target, so a figure can't be declared good by hand. A row
may also carry `published` (what a paper reports), `note`, and `settings` (what a study's figure was made with).
"""

from __future__ import annotations

import json
import math
import operator
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
LOG_WIDTH = 140

_OPTIONAL = ("note", "published", "settings", "measured")
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {">=": operator.ge, "<=": operator.le, ">": operator.gt}


@dataclass(frozen=True)
class Target:
    """What a figure should be: `Target(">=", 2.5)`."""

    comparison: str
    number: float

    def __post_init__(self) -> None:
        if self.comparison not in _COMPARISONS:
            raise ValueError(f"comparison is one of {sorted(_COMPARISONS)}, got {self.comparison!r}")

    def met_by(self, value: float) -> bool:
        """Whether `value` reaches the target; NaN never does."""
        return _COMPARISONS[self.comparison](value, self.number)

    def __str__(self) -> str:
        return f"{self.comparison} {self.number:g}"


@dataclass(frozen=True)
class Row:
    """One figure. `published` is the paper's own, as text; `note` is for people; `settings` identifies what made it.

    `measured` is date and machine where they are not the table's.
    """

    name: str
    value: float
    unit: str = ""
    target: Target | None = None
    note: str = ""
    published: str = ""
    settings: str = ""
    measured: str = ""

    @property
    def ok(self) -> bool | None:
        """Whether the target is met; None without a target."""
        return None if self.target is None else self.target.met_by(self.value)


def machine() -> str:
    """The machine in a few words: processor, cores, memory in GiB, Python."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{_processor()}, {cores} cores, {memory_gib:.0f} GiB, Python {platform.python_version()}"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def publish(
    name: str, rows: Sequence[Row], *, title: str, command: str, folder: Path = RESULTS, quiet: bool = False
) -> Path:
    """Print `rows` as a table and write `folder/name.json` and `folder/name.md`; returns the path of the JSON file.

    `quiet` writes without printing, for a table that is not complete yet.

    Raises ValueError when there is nothing to publish.
    """
    if not rows:
        raise ValueError(f"benchmark {name} has no rows")
    document = {
        "table": title,
        "command": command,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine(),
        "rows": [
            {
                "name": row.name,
                "value": round(row.value, 4) if math.isfinite(row.value) else None,
                "unit": row.unit,
                "target": None if row.target is None else str(row.target),
                "ok": row.ok,
                **{key: text for key in _OPTIONAL if (text := getattr(row, key))},
            }
            for row in rows
        ],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    _replace(path, json.dumps(document, indent=2) + "\n")
    _replace(folder / f"{name}.md", _markdown(document, rows))
    if not quiet:
        _print(title, rows)
    return path


def merge(
    name: str, rows: Sequence[Row], *, title: str, command: str, folder: Path = RESULTS, quiet: bool = False
) -> Path:
    """Publish rows measured now; those of other names stay, in their order, with their date and machine."""
    known = {row.name: row for row in _earlier(folder / f"{name}.json")}
    merged = {**known, **{row.name: row for row in rows}}
    return publish(name, list(merged.values()), title=title, command=command, folder=folder, quiet=quiet)


def _earlier(path: Path) -> list[Row]:
    if not path.exists():
        return []
    document = json.loads(path.read_text())
    then = f"{document['date']}, {document['machine']}"
    return [
        Row(
            row["name"],
            float("nan") if row["value"] is None else row["value"],
            row["unit"],
            None if row["target"] is None else _target(row["target"]),
            **{"measured": then, **{key: row[key] for key in _OPTIONAL if key in row}},
        )
        for row in document["rows"]
    ]


def _target(text: str) -> Target:
    comparison, number = text.split(" ")
    return Target(comparison, float(number))


def _columns(rows: Sequence[Row]) -> list[str]:
    """The columns to show: the published figures only where there are any."""
    published = ["published"] if any(row.published for row in rows) else []
    return ["what", "value", *published, "target", "reached", "note"]


def _cells(row: Row, columns: Sequence[str]) -> list[str]:
    cells = {
        "what": row.name,
        "value": f"{row.value:.4g} {row.unit}".strip(),
        "published": row.published,
        "target": str(row.target or ""),
        "reached": {None: "", True: "yes", False: "MISSED"}[row.ok],
        "note": "; ".join(filter(None, [row.note, row.measured and f"measured {row.measured}"])),
    }
    return [cells[column] for column in columns]


def _markdown(document: Mapping[str, object], rows: Sequence[Row]) -> str:
    head = f"# {document['table']}\n\n`{document['command']}`, {document['date']}, {document['machine']}\n\n"
    columns = _columns(rows)
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(_cells(row, columns))} |" for row in rows]
    return head + "\n".join(lines) + "\n"


def _print(title: str, rows: Sequence[Row]) -> None:
    table = Table(title=title, title_justify="left")
    columns = _columns(rows)
    for column in columns:
        table.add_column(column, justify="right" if column == "value" else "left")
    for row in rows:
        style = {None: "", True: "green", False: "bold red"}[row.ok]
        table.add_row(*_cells(row, columns), style=style)
    # A log or a pipe has no width of its own.
    Console(width=None if sys.stdout.isatty() else LOG_WIDTH).print(table)


def _replace(path: Path, text: str) -> None:
    temporary = path.with_suffix(path.suffix + ".tmp")
    temporary.write_text(text)
    temporary.replace(path)
