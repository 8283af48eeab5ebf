"""Figures of arms in, PNG files out: what the tables say at a glance. No photo is shown here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from numpy.typing import NDArray

from benchmarks.metrics import expected_calibration_error, reliability

mpl.use("Agg")

INK, PALE, GRID = "#1f2933", "#9aa5b1", "#e4e7eb"
COLORS = ("#0b6e99", "#d9730d", "#4d8f3a", "#ad1a72", "#6940a5", "#937264", "#c29343")
DPI = 150


@dataclass(frozen=True)
class Bar:
    """One arm: its mean and 95 % interval; `best` is drawn in color."""

    name: str
    mean: float
    low: float
    high: float
    best: bool = False


@dataclass(frozen=True)
class Curve:
    """Top-5 score by weight, and the weight that was chosen."""

    name: str
    weights: Sequence[float]
    scores: Sequence[float]
    chosen: float


def mean_interval(counts: NDArray[np.float64], *, draws: int = 10_000, seed: int = 0) -> tuple[float, float, float]:
    """Return the mean of one value a query [Q] and its 95 % interval by bootstrap over queries."""
    rng = np.random.default_rng(seed)
    means = counts[rng.integers(0, len(counts), size=(draws, len(counts)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(counts.mean()), float(low), float(high)


def plot_arms(bars: Sequence[Bar], path: Path, *, title: str, target: float | None = None) -> Path:
    """Draw a horizontal bar an arm, with its interval; the first arm on top."""
    figure, axes = _axes(title, width=8.0, height=0.9 + 0.42 * len(bars))
    places = np.arange(len(bars))[::-1]
    colors = [COLORS[0] if bar.best else PALE for bar in bars]
    axes.barh(places, [bar.mean for bar in bars], color=colors, height=0.62, zorder=2)
    for place, bar in zip(places, bars, strict=True):
        axes.plot([bar.low, bar.high], [place, place], color=INK, linewidth=1.2, zorder=3)
        axes.text(0.06, place, f"{bar.mean:.2f}", va="center", color="white", fontweight="bold", fontsize=9, zorder=4)
    if target is not None:
        axes.axvline(target, color=COLORS[1], linestyle="--", linewidth=1, zorder=1)
        axes.text(target + 0.04, -0.62, f"target {target:g}", color=COLORS[1], fontsize=8.5, va="center")
    axes.set_yticks(places, [bar.name for bar in bars])
    axes.set_xlim(0, 5)
    axes.set_ylim(-0.85, len(bars) - 0.5)
    axes.set_xlabel("top-5 score: relevant products among the first five (line: 95 % interval over photos)")
    axes.grid(axis="y", visible=False)
    return _save(figure, path)


def plot_weights(curves: Sequence[Curve], path: Path, *, title: str) -> Path:
    """Draw top-5 score against weight; a ring marks the weight chosen. The axis is stretched near zero."""
    figure, axes = _axes(title, width=8.0, height=4.6)
    for curve, color in zip(curves, _cycle(len(curves)), strict=True):
        label = f"{curve.name}: {curve.chosen:g}"
        axes.plot(
            _stretch(curve.weights), curve.scores, color=color, marker="o", markersize=3.5, linewidth=1.8, label=label
        )
        chosen = curve.scores[list(curve.weights).index(curve.chosen)]
        axes.plot(
            _stretch([curve.chosen]), [chosen], "o", markersize=11, fillstyle="none", color=color, markeredgewidth=1.6
        )
    ticks = _apart(sorted({weight for curve in curves for weight in curve.weights}))
    axes.set_xticks(_stretch(ticks), [f"{weight:g}" for weight in ticks])
    axes.legend(
        frameon=False, fontsize=9, loc="lower right", title="arm: weight chosen", title_fontsize=9, alignment="left"
    )
    axes.set_xlabel("weight of the text cosine against the image cosine (ring: chosen)")
    axes.set_ylabel("top-5 score on held-out looks of train")
    return _save(figure, path)


def plot_coverage(
    confidence: NDArray[np.float64],
    series: Mapping[str, NDArray[np.float64]],
    path: Path,
    *,
    title: str,
    threshold: float,
) -> Path:
    """Draw the mean of each series [Q] over the surest photos, against the share of photos kept."""
    figure, axes = _axes(title, width=8.0, height=4.6)
    order = np.argsort(-confidence, kind="stable")
    count = np.arange(1, len(order) + 1)
    coverage = count / len(order)
    shown = count >= max(10, len(order) // 30)  # the first few photos are only noise
    for (name, values), color in zip(series.items(), _cycle(len(series)), strict=True):
        means = values[order].cumsum() / count
        axes.plot(100 * coverage[shown], means[shown], color=color, linewidth=1.8, label=name)
    kept = float((confidence >= threshold).mean())
    axes.axvline(100 * kept, color=INK, linestyle="--", linewidth=1)
    axes.text(
        100 * kept - 1,
        4.95,
        f"text is used for {100 * kept:.0f} % of photos\n(confidence {threshold:g} and more)",
        ha="right" if kept > 0.5 else "left",
        va="top",
        fontsize=8.5,
        color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
    )
    axes.set_ylim(min(2.0, axes.get_ylim()[0]), 5.05)
    axes.set_xlim(0, 101)
    axes.set_xlabel("photos kept, percent, the surest first")
    axes.set_ylabel("top-5 score of the photos kept")
    axes.legend(frameon=False, fontsize=9, loc="lower left")
    return _save(figure, path)


def plot_reliability(
    groups: Mapping[str, tuple[NDArray[np.float64], NDArray[np.bool_]]], path: Path, *, title: str, bins: int = 10
) -> Path:
    """Draw accuracy against confidence for groups of (confidence [N], correct [N]); larger dots hold more photos."""
    figure, axes = _axes(title, width=5.6, height=5.2)
    axes.plot([0, 1], [0, 1], color=PALE, linestyle="--", linewidth=1)
    for (name, (confidence, correct)), color in zip(groups.items(), _cycle(len(groups)), strict=True):
        rows = np.array(reliability(confidence, correct, bins=bins))
        error = expected_calibration_error(confidence, correct, bins=bins)
        label = f"{name}: {100 * error:.1f} points off"
        axes.plot(rows[:, 1], rows[:, 2], color=color, linewidth=1.4, label=label)
        axes.scatter(rows[:, 1], rows[:, 2], s=20 + 400 * rows[:, 0], color=color, alpha=0.55, linewidths=0)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_aspect("equal")
    axes.set_xlabel("confidence: probability of the best label")
    axes.set_ylabel("accuracy: share of labels that are right")
    axes.legend(frameon=False, fontsize=8, loc="upper left")
    return _save(figure, path)


def _axes(title: str, *, width: float, height: float) -> tuple[Any, Any]:
    figure, axes = plt.subplots(figsize=(width, height), layout="constrained")
    axes.set_title(title, loc="left", fontsize=11, color=INK, fontweight="bold")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(PALE)
    axes.tick_params(colors=INK, labelsize=9, length=0)
    axes.grid(color=GRID, linewidth=0.8, zorder=0)
    axes.set_axisbelow(True)
    return figure, axes


def _apart(weights: Sequence[float], *, gap: float = 0.24) -> list[float]:
    """Leave out ticks whose numbers would overlap on the stretched axis."""
    kept: list[float] = []
    for weight in weights:
        if not kept or _stretch([weight])[0] - _stretch(kept)[-1] >= gap:
            kept.append(weight)
    return kept


def _stretch(weights: Sequence[float]) -> list[float]:
    return [float(np.sqrt(weight)) for weight in weights]


def _cycle(count: int) -> list[str]:
    return [COLORS[place % len(COLORS)] for place in range(count)]


def _save(figure: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    figure.savefig(temporary, dpi=DPI, format="png", metadata={"Software": None})
    plt.close(figure)
    temporary.replace(path)
    return path
