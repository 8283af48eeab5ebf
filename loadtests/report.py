"""A run in; a table on the terminal, `report.html` (one file, readable on a phone) and PNG plots out."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, select_autoescape
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as RichTable

from loadtests.answers import Outcome
from loadtests.figures import Line
from loadtests.plots import plots_of, stage_rows
from loadtests.results import Run, replace

FILE = "report.html"
MAX_REASONS = 12
ALTS = {
    "load.png": "Latency and goodput against load",
    "time.png": "Latency and answers over time",
    "stages.png": "Time of each stage inside the service",
}
LINE_HEAD = ("asked", "right", "shed", "failed", "right/s", "p50 ms", "p95 ms", "p99 ms")


@dataclass(frozen=True)
class Table:
    """Cells as text. `styles` has a class for each row, "" for none; `words` says that cells are sentences."""

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    styles: list[str]
    text: str = ""
    words: bool = False


def tables_of(run: Run) -> list[Table]:
    """Every table of a report, the most telling first."""
    found = [_limits(run)] if run.checks else []
    if run.chaos:
        found.append(_events(run))
    if len(run.steps) > 1:
        found.append(_steps(run))
    lines = [(line.name, *line_cells(line)) for line in run.lines]
    styles = [""] * (len(lines) - 1) + ["strong"]
    found.append(Table("Requests", ("kind", *LINE_HEAD), lines, styles))
    stages = stage_rows(run)
    if len(stages) > 1:
        text = "Clients' times are exact; the service's are read from its histograms, interpolated within a bucket."
        head = ("seen by", "count", "p50 ms", "p95 ms", "p99 ms")
        found.append(
            Table("Clients and service", head, list(stages), ["strong", "strong", *[""] * (len(stages) - 2)], text)
        )
    reasons = Counter((a.kind, a.reason) for a in run.answers if a.outcome is Outcome.FAILED).most_common(MAX_REASONS)
    if reasons:
        rows = [(f"{number:,}", kind, reason) for (kind, reason), number in reasons]
        found.append(Table("Failures", ("count", "kind", "what"), rows, [""] * len(rows), words=True))
    return found


def write_report(run: Run, folder: Path) -> Path:
    """Write the plots and `folder/report.html`; returns the path of the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    plots = plots_of(run)
    for name in ALTS:
        (folder / name).unlink(missing_ok=True)
    for name, data in plots.items():
        replace(folder / name, data)
    return write_page(
        folder,
        title=run.title,
        subtitle=f"{run.host}, {run.date}",
        verdict=_verdict(run),
        broken=run.broken,
        tiles=_tiles(run),
        notes=run.notes,
        plots={ALTS[name]: data for name, data in plots.items()},
        tables=tables_of(run),
        command=run.command,
        method=_method(run),
    )


def write_page(folder: Path, *, plots: Mapping[str, bytes], **values: Any) -> Path:
    """Write `folder/report.html` from the values of its template; `plots` maps what a PNG shows to its data."""
    html = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=select_autoescape())
    shown = [{"alt": alt, "data": base64.b64encode(data).decode()} for alt, data in plots.items()]
    path = folder / FILE
    replace(path, html.get_template(FILE).render(plots=shown, **values).encode())
    return path


def print_report(run: Run, console: Console) -> None:
    """The tables for a person at a terminal."""
    console.print(run.title, style="bold", highlight=False)
    for table in tables_of(run):
        print_table(table, console)
    for sentence in (*run.notes, _knee(run)):
        if sentence:
            console.print(sentence, soft_wrap=True, highlight=False)


def print_table(table: Table, console: Console) -> None:
    """One table."""
    shown = RichTable(
        title=table.title,
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for number, name in enumerate(table.head):
        left = table.words or number == 0
        shown.add_column(name, justify="left" if left else "right")
    for row, style in zip(table.rows, table.styles, strict=True):
        shown.add_row(*row, style="bold" if style else "")
    console.print(shown)


def _verdict(run: Run) -> str:
    given = len(run.checks) + len(run.chaos.get("verdicts", ()))
    if not run.broken:
        return f"Passed: all {given} checks hold" if given > 1 else "Passed: the error rate is within its limit"
    return f"Failed: {len(run.broken)} of {given} checks"


def _tiles(run: Run) -> list[tuple[str, str]]:
    total = run.total
    tiles = [
        ("right answers a second", f"{total.goodput_per_s:.1f}"),
        ("p50", f"{total.p50_ms:.0f} ms"),
        ("p95", f"{total.p95_ms:.0f} ms"),
        ("p99", f"{total.p99_ms:.0f} ms"),
        ("failed", f"{total.error_rate:.2%}"),
        ("shed (429, try later)", f"{total.shed_rate:.2%}"),
    ]
    if run.knee is not None:
        tiles.append((f"{run.unit} at the knee", f"{run.knee.level:g}"))
    return tiles


def _knee(run: Run) -> str:
    if run.knee is None:
        return ""
    line = run.knee.line
    return (
        f"Knee: {run.knee.level:g} {run.unit}, {line.goodput_per_s:.1f} right answers a second, "
        f"p95 {line.p95_ms:.0f} ms. Beyond it p95 is above twice that of the lightest load, or fewer than nine tenths "
        "of the requests offered are answered rightly."
    )


def _limits(run: Run) -> Table:
    rows = [(c.name, c.show(c.measured), c.show(c.most), "holds" if c.holds else "broken") for c in run.checks]
    return Table("Limits", ("limit", "measured", "at most", ""), rows, [""] * len(rows))


def _events(run: Run) -> Table:
    rows = [(each["event"], "holds" if each["holds"] else "broken", each["sentence"]) for each in run.chaos["verdicts"]]
    return Table("What was done to it", ("event", "", "what was seen"), rows, [""] * len(rows), words=True)


def _steps(run: Run) -> Table:
    rows = [(f"{s.level:g}", f"{s.offered_per_s:.1f}", *line_cells(s.line)) for s in run.by_step]
    styles = ["knee" if step is run.knee else "" for step in run.by_step]
    return Table("Steps of the load", (run.unit, "offered/s", *LINE_HEAD), rows, styles, _knee(run))


def line_cells(line: Line) -> tuple[str, ...]:
    """The cells under LINE_HEAD."""
    counts = (f"{line.requests:,}", f"{line.ok:,}", f"{line.shed:,}", f"{line.failed:,}", f"{line.goodput_per_s:.1f}")
    return (*counts, *(f"{value:.0f}" if value == value else "-" for value in (line.p50_ms, line.p95_ms, line.p99_ms)))  # noqa: PLR0124  # nan


def _method(run: Run) -> str:
    loop = (
        "Requests were sent when they were due, whatever became of earlier ones, and timed from then (open loop)."
        if run.open_loop
        else "Each user waited for an answer before the next request (closed loop)."
    )
    return (
        f"{loop} Percentiles are of right answers to searches. A broken upload counts as right when it was refused "
        "with 400, 413, 415 or 422; 429 with Retry-After counts as shed; anything else is a failure. "
        "The first fifth of each step is left out of its row. "
        f"The client ran on {run.machine} and used {run.client_cpu_s:.1f} s of CPU in {run.seconds:.1f} s."
    )
