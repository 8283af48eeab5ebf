"""Plans, costs, states and reports in, tables for a terminal out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console, RenderableType
from rich.table import Column, Table

from infra.costs import Cost, total
from infra.deployment import PiecePlan, PieceStatus
from infra.drift import Drift
from infra.prices import Prices
from infra.reports import Outcome, Report

COLORS = {"Add": "green", "Modify": "yellow", "Remove": "red"}
WORDS = {"Add": "add", "Modify": "change", "Remove": "remove"}


def show(what: RenderableType, *, markup: bool = True) -> None:
    """Print on standard output, as wide as the terminal is now; lines longer than that are left whole."""
    Console(highlight=False, soft_wrap=True).print(what, markup=markup)


def print_plan(plans: Sequence[PiecePlan], *, title: str) -> None:
    """A table of all changes, those that replace something in red."""
    table = new_table(title, "part", "action", "resource", "type", "replaces")
    for piece in plans:
        for change in piece.plan.changes:
            replaces = "" if change.replacement == "False" else change.replacement.lower()
            color = "red" if replaces else COLORS.get(change.action, "")
            kind = change.kind.removeprefix("AWS::")
            table.add_row(piece.part, change.action, change.logical_id, kind, replaces, style=color)
    if table.row_count:
        show(table)
    for piece in plans:
        if piece.note:
            show(f"{piece.part} ({piece.stack}) {piece.note}")


def count(plans: Iterable[PiecePlan]) -> str:
    """How many resources would be added, changed and removed, in words."""
    plans = list(plans)
    actions = [change.action for piece in plans for change in piece.plan.changes]
    if actions:
        return ", ".join(f"{actions.count(action)} to {word}" for action, word in WORDS.items() if action in actions)
    return "only parameters, tags or outputs change" if any(piece.plan.needed for piece in plans) else "no changes"


def print_costs(costs: list[Cost], prices: Prices) -> None:
    """US dollars a month at three loads, and as of when the prices are."""
    table = new_table(f"US dollars a month in {prices.region}", "what", "how")
    for name in ("least", "expected", "most"):
        table.add_column(name, justify="right")
    for cost in [*costs, total(costs)]:
        row = [f"{dollars:,.2f}" for dollars in (cost.least, cost.expected, cost.most)]
        table.add_row(cost.what, cost.how, *row, style="bold" if not cost.how else "")
    show(table)
    show(
        f"prices as of {prices.as_of}, written down by hand from {prices.source}; check before relying on it "
        "(without requests, transfer, metrics and tax)"
    )


def print_status(statuses: Sequence[PieceStatus], *, title: str) -> None:
    """Every resource with its state, then the outputs."""
    table = new_table(title, "part", "resource", "type", "name", "state")
    for piece in statuses:
        if piece.standing is None:
            table.add_row(piece.part, "", "", "", "not made", style="dim")
        for resource in piece.resources:
            kind = resource.kind.removeprefix("AWS::")
            table.add_row(piece.part, resource.logical_id, kind, resource.physical_id, resource.state)
    show(table)
    for piece in statuses:
        for key, value in (piece.standing.outputs if piece.standing else {}).items():
            show(f"{key}: {value}")


def print_rows(rows: Sequence[tuple[str, str]]) -> None:
    """A name and what is known of it, a line each."""
    for name, value in rows:
        show(f"{name}: {value}")


def print_drift(drifts: Sequence[tuple[str, Drift]]) -> None:
    """What somebody changed by hand."""
    table = new_table("changed by hand", "stack", "resource", "property", "template", "now")
    for stack, drift in drifts:
        table.add_row(stack, drift.logical_id, drift.path, drift.expected, drift.actual, style="yellow")
    show(table if drifts else "nothing was changed by hand")


def print_report(report: Report) -> None:
    """How a rollout ended and why."""
    table = new_table("rollout", "after s", "what happened")
    for stage in report.stages:
        table.add_row(f"{stage.at_s:.0f}", stage.what)
    if report.stages:
        show(table)
    show(f"before: {report.before}\nasked:  {report.asked}\nserves: {report.serving}")
    match report.outcome:
        case Outcome.ROLLED_BACK:
            show(f"[red]rolled back[/red]: {report.why}")
        case Outcome.UNCHANGED:
            show(report.why or "it was live before; nothing was changed")
        case Outcome.LIVE:
            show("[green]live[/green]")


def new_table(title: str, *columns: str) -> Table:
    """An empty table with columns that fold."""
    headers = [Column(name, overflow="fold") for name in columns]
    return Table(*headers, title=title, title_justify="left", box=box.SIMPLE, padding=(0, 1), pad_edge=False)
