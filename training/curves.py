"""A recording of a training in, `curves.png` out: loss, metrics and learning rate over the epochs, for a person."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from training.recording import Recording

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES_FILE = "curves.png"
_SMOOTHED_OVER = 0.02  # of all steps
_INK, _GRID, _FAINT = "#333333", "#e4e4e4", "#b9cfe4"
# Colors that stay apart for the color-blind (Okabe and Ito).
_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_MOST_TICKS = 12


def write_curves(recording: Recording, folder: Path, *, title: str) -> Path:
    """Draw `curves.png` into `folder`: panels for the loss, for shares (0..1), for other metrics, for the rate."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    shares, others = _split_metrics(recording.history)
    metric_panels = [panel for panel in (shares, others) if panel]
    heights = [2.4, *[1.9] * len(metric_panels), 0.9]
    figure = Figure(
        figsize=(9, 1.2 + sum(heights)), dpi=120, layout=ConstrainedLayoutEngine(h_pad=0.1), facecolor="white"
    )
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(heights), sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    figure.suptitle(title, x=0.01, ha="left", color=_INK, fontsize=13, fontweight="bold")
    epochs = _epoch_of_steps(recording)
    _draw_losses(panels[0], epochs, recording)
    for axes, metrics in zip(panels[1:], metric_panels, strict=False):
        _draw_metrics(axes, metrics)
    panels[-1].plot(epochs, recording.rates, color=_INK, linewidth=1.4)
    panels[-1].set_ylim(bottom=0)
    panels[-1].set_ylabel("learning rate")
    panels[-1].set_xlabel("epoch")
    panels[-1].set_xlim(0, len(recording.ends))
    step = max(1, -(-len(recording.ends) // _MOST_TICKS))
    panels[-1].set_xticks(range(0, len(recording.ends) + 1, step))
    for axes in panels:
        _plain(axes)
    figure.align_ylabels(list(panels))
    figure.savefig(folder / CURVES_FILE)
    return folder / CURVES_FILE


def smooth(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Return the mean of each value [N] with up to `width - 1` before it."""
    sums = np.cumsum(np.concatenate(([0.0], values)))
    last = np.arange(1, len(values) + 1)
    first = np.maximum(0, last - width)
    means: NDArray[np.float64] = (sums[last] - sums[first]) / (last - first)
    return means


def _split_metrics(
    history: list[dict[str, float]],
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return the metrics that always lie in 0..1, and the others; of each metric one value an epoch, NaN for none."""
    names = dict.fromkeys(name for entry in history for name in entry if name not in ("epoch", "loss"))
    found = {name: [entry.get(name, float("nan")) for entry in history] for name in names}
    is_share = {name: all(not value < 0 and not value > 1 for value in values) for name, values in found.items()}
    return (
        {name: values for name, values in found.items() if is_share[name]},
        {name: values for name, values in found.items() if not is_share[name]},
    )


def _epoch_of_steps(recording: Recording) -> NDArray[np.float64]:
    """Return for each step how many epochs were done after it, with a fraction."""
    ends = np.array([0, *recording.ends], np.float64)
    return np.interp(np.arange(1, len(recording.losses) + 1), ends, np.arange(len(ends)))


def _draw_losses(axes: Axes, epochs: NDArray[np.float64], recording: Recording) -> None:
    losses = np.array(recording.losses)
    width = max(1, round(_SMOOTHED_OVER * len(losses)))
    if width > 1:
        axes.plot(epochs, losses, color=_FAINT, linewidth=0.7, label="each step")
    smoothed = smooth(losses, width)
    name = f"mean of {width} steps" if width > 1 else "each step"
    axes.plot(epochs, smoothed, color=_COLORS[0], linewidth=1.8, label=f"{name}  {smoothed[-1]:.4g}")
    # Single steps far out would flatten everything else.
    top = max(float(np.quantile(losses, 0.995)), float(smoothed.max()))
    bottom = min(0.0, float(losses.min()))
    axes.set_ylim(bottom, bottom + 1.05 * (top - bottom) or 1.0)
    axes.set_ylabel("loss")


def _draw_metrics(axes: Axes, metrics: dict[str, list[float]]) -> None:
    # The legend from top to bottom as the lines end.
    for row, (name, values) in enumerate(sorted(metrics.items(), key=lambda item: -item[1][-1])):
        epochs = np.arange(1, len(values) + 1)
        color = _COLORS[row % len(_COLORS)]
        axes.plot(
            epochs,
            values,
            color=color,
            linewidth=1.8,
            marker="o",
            markersize=4 if len(values) <= 40 else 0,
            label=f"{name}  {values[-1]:.4g}",
            clip_on=False,
        )
    axes.set_ylabel("validation")
    axes.margins(y=0.12)


def _plain(axes: Axes) -> None:
    axes.grid(axis="y", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=_INK, labelsize=9, length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color("#999999")
    axes.yaxis.label.set_color(_INK)
    axes.xaxis.label.set_color(_INK)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=9, labelcolor=_INK, borderaxespad=0
        )
