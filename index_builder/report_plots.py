"""Measured points and counts in, PNG plots out. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from index_builder.manifest import IndexRecipe

COLOR, CHOSEN = "#2f6690", "#d1495b"
GRAY = "#8a8f98"
SIZE_INCHES = (7.2, 4.2)
DPI = 130
LONGEST_NAME = 44


def plot_recall(path: Path, recipe: IndexRecipe, *, weight: float) -> None:
    """Draw recall@10 at each measured weight against the time of a query, and mark what was chosen."""
    figure, axes = _figure()
    points = sorted(recipe.points, key=lambda point: point.ms_per_query)
    times = [point.ms_per_query for point in points]
    for number, row in enumerate(points[0].recall):
        main = row.weight == weight
        axes.plot(
            times,
            [point.recall[number].recall_at_10 for point in points],
            marker="o",
            color=COLOR if main else GRAY,
            linewidth=2 if main else 1,
            linestyle="-" if main else ("--" if row.weight < weight else ":"),
            label=f"weight {row.weight:g}" + (" (default)" if main else ""),
        )
    chosen = next((one for one in points if one.search_parameters == recipe.search_parameters), None)
    if chosen is not None:
        found = next(row.recall_at_10 for row in chosen.recall if row.weight == weight)
        axes.plot(chosen.ms_per_query, found, "o", markersize=13, fillstyle="none", color=CHOSEN, label="chosen")
    if recipe.target_recall:
        axes.axhline(recipe.target_recall, color=CHOSEN, linewidth=0.8, linestyle=":", label="target")
    axes.set_xlabel("ms per query, one thread")
    axes.set_ylabel("recall@10")
    axes.set_title(f"{recipe.factory}: what looking further finds")
    axes.legend(frameon=False, loc="lower right")
    _save(figure, path)


def plot_categories(path: Path, counts: Mapping[str, int], *, rest: int) -> None:
    """Draw the largest categories, and how many products the others have together."""
    names, values = list(counts), list(counts.values())
    figure, axes = _figure(height=1.2 + 0.26 * len(names))
    bars = axes.barh(range(len(names)), values, color=COLOR, height=0.7)
    axes.bar_label(bars, labels=[f"{value:,}" for value in values], padding=3, fontsize=8)
    axes.set_yticks(range(len(names)), [_short(name) for name in names], fontsize=8)
    axes.invert_yaxis()
    axes.margins(x=0.1, y=0.01)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("products" + (f" (all other categories together: {rest:,})" if rest else ""))
    axes.set_title("Products in the largest categories")
    _save(figure, path)


def _figure(*, height: float = SIZE_INCHES[1]) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # late: an extra; without pyplot nothing global is touched

    figure = Figure(figsize=(SIZE_INCHES[0], height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)
    return figure, axes


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=DPI)


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"... {name[-LONGEST_NAME + 4 :]}"
