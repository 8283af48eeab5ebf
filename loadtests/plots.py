"""A run in, its plots out: latency and goodput against load with the knee, the run over time, the service's stages."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from loadtests.answers import Outcome
from loadtests.figures import line_of, percentile
from loadtests.histograms import TOTAL, between
from loadtests.results import Run
from loadtests.shopper import Kind

BLUE, ORANGE, RED, GRAY, GREEN = "#1f5fa8", "#d9822b", "#c0392b", "#8a8f98", "#2e8b57"
STAGE_COLORS = {"decode": "#7aa6d6", "models": "#1f5fa8", "fuse": "#b9a3d6", "search": "#2e8b57"}
PERCENTILES = ((0.50, "p50", "#9dbfe3"), (0.95, "p95", BLUE), (0.99, "p99", "#0b2e59"))
BINS = 60
STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e8eb",
    "axes.edgecolor": GRAY,
    "legend.frameon": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
}


def plots_of(run: Run) -> dict[str, bytes]:
    """File names and PNG data, the most telling first; plots without data are left out."""
    drawn = {}
    with mpl.rc_context(STYLE):
        if len({step.level for step in run.steps}) > 2 and any(step.line.ok for step in run.by_step):
            drawn["load.png"] = _png(_against_load(run))
        if run.answers:
            drawn["time.png"] = _png(_over_time(run))
        if len(run.stages) > 1:
            drawn["stages.png"] = _png(_stages(run))
    return drawn


def _against_load(run: Run) -> Figure:
    figure, (times, rates) = _panels(2, height=6.2)
    levels = [step.level for step in run.by_step]
    for name, color in (("p50_ms", "#9dbfe3"), ("p95_ms", BLUE), ("p99_ms", "#0b2e59")):
        values = [getattr(step.line, name) for step in run.by_step]
        times.plot(levels, values, "o-", color=color, label=name.removesuffix("_ms"), markersize=4)
    times.set(title="Latency against load", ylabel="ms", yscale="log")
    low_ms, high_ms = times.get_ylim()
    times.set_ylim(low_ms / 1.6, high_ms)
    times.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    times.yaxis.set_minor_formatter(_some_ticks)
    offered = [step.offered_per_s for step in run.by_step]
    rates.plot(levels, offered, "--", color=GRAY, label="offered")
    rates.plot(
        levels, [step.line.goodput_per_s for step in run.by_step], "o-", color=GREEN, label="goodput", markersize=4
    )
    for name, color in (("shed", ORANGE), ("failed", RED)):
        if any(getattr(step.line, name) for step in run.by_step):
            per_s = [getattr(step.line, name) / step.seconds for step in run.by_step]
            rates.plot(levels, per_s, "o-", color=color, label=name, markersize=3)
    rates.set(title="Goodput against load", ylabel="answers a second", ylim=(0, None))
    rates.set_xlabel("users at the same time" if not run.open_loop else "arrivals a second")
    for axes in (times, rates):
        axes.set_xlim(0, levels[-1] * 1.03)
        if run.knee is not None:
            axes.axvline(run.knee.level, color=ORANGE, linewidth=1.4, linestyle=":")
    if run.knee is not None:
        words = f"knee: {run.knee.level:g} {run.unit}, {run.knee.line.goodput_per_s:.0f} answers/s"
        left = run.knee.level > levels[-1] / 2
        times.annotate(
            words,
            (run.knee.level, 0.0),
            xycoords=("data", "axes fraction"),
            xytext=(-6 if left else 6, 4),
            textcoords="offset points",
            ha="right" if left else "left",
            va="bottom",
            color=ORANGE,
            weight="bold",
        )
    _legends((times, rates))
    return figure


def _over_time(run: Run) -> Figure:
    figure, (times, counts) = _panels(2, height=5.6)
    end_s = max(run.steps[-1].end_s if not run.chaos else 0.0, run.answers[-1].at_s)
    width_s = max(end_s / BINS, 0.25)
    bins: list[list[Any]] = [[] for _ in range(math.ceil(end_s / width_s) + 1)]
    for answer in run.answers:
        bins[int(answer.at_s / width_s)].append(answer)
    middles = [(number + 0.5) * width_s for number in range(len(bins))]
    right = [
        [a.latency_ms for a in inside if a.outcome is Outcome.OK and a.kind != Kind.GARBAGE] or [math.nan]
        for inside in bins
    ]
    for q, name, color in PERCENTILES[:2]:
        times.plot(middles, [percentile(values, q) for values in right], color=color, label=name)
    times.set(title="Latency over time", ylabel="ms", ylim=(0, None))
    bottom = [0.0] * len(bins)
    for outcome, color in ((Outcome.OK, "#a9d5bb"), (Outcome.SHED, ORANGE), (Outcome.FAILED, RED)):
        rates = [sum(a.outcome is outcome for a in inside) / width_s for inside in bins]
        if any(rates):
            counts.bar(middles, rates, width=width_s, bottom=bottom, color=color, label=outcome)
        bottom = [below + rate for below, rate in zip(bottom, rates, strict=True)]
    counts.set(title="Answers over time, by when they were asked", ylabel="a second", xlabel="seconds", xlim=(0, end_s))
    _mark_events(run, (times, counts))
    _legends((times, counts))
    return figure


def _mark_events(run: Run, panels: Iterable[Axes]) -> None:
    for axes in panels:
        for event in run.chaos.get("events", ()):
            axes.axvspan(event["begun_s"], event["back_s"], color=ORANGE, alpha=0.15, linewidth=0)
    for event in run.chaos.get("events", ()):
        axes = next(iter(panels))
        axes.annotate(
            event["name"],
            (event["begun_s"], 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(2, -2),
            textcoords="offset points",
            va="top",
            fontsize=8,
            color="#8a4b08",
        )


def _stages(run: Run) -> Figure:
    """The mean of each stage over time, stacked, and the whole search's p95 above it."""
    figure, (axes,) = _panels(1, height=3.2)
    every = max(1, len(run.scrapes) // BINS)
    looks = [*run.scrapes[::every]] if len(run.scrapes) > every else list(run.scrapes)
    pairs = [(before, after, between((before, after))) for before, after in pairwise(looks)]
    pairs = [(before, after, found) for before, after, found in pairs if TOTAL in found]
    middles = [(before.at_s + after.at_s) / 2 for before, after, _ in pairs]
    widths = [after.at_s - before.at_s for before, after, _ in pairs]
    bottom = [0.0] * len(pairs)
    for stage, color in STAGE_COLORS.items():
        if stage not in run.stages:
            continue
        means = [1e3 * found[stage].sum_s / found[TOTAL].count if stage in found else 0.0 for _, _, found in pairs]
        axes.bar(middles, means, width=widths, bottom=bottom, color=color, label=f"{stage}, mean")
        bottom = [below + mean for below, mean in zip(bottom, means, strict=True)]
    p95 = [found[TOTAL].quantile_ms(0.95) for _, _, found in pairs]
    axes.plot(middles, p95, "o-", color="#0b2e59", markersize=3, label="whole search, p95")
    axes.set(title="Inside the service", ylabel="ms", xlabel="seconds", ylim=(0, None), xlim=(0, None))
    _legends((axes,))
    return figure


def two_curves(times_ms: Sequence[NDArray[np.float64]]) -> bytes:
    """PNG of the share of searches answered within a time, for services A and B."""
    with mpl.rc_context(STYLE):
        figure, (axes,) = _panels(1, height=3.6)
        for times, name, color in zip(times_ms, "AB", (BLUE, ORANGE), strict=True):
            shares = np.arange(1, len(times) + 1) / len(times)
            axes.step(np.sort(times), shares, where="post", color=color, label=name)
        axes.set(title="Searches answered within a time", xlabel="ms", ylabel="share", ylim=(0, 1.01), xscale="log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(_some_ticks)
        _legends((axes,))
        return _png(figure)


def stage_rows(run: Run) -> list[tuple[str, str, str, str, str]]:
    """Clients' and service's percentiles side by side: name, count, p50, p95, p99."""
    whole = line_of("all", run.answers, seconds=1)
    client = (whole.p50_ms, whole.p95_ms, whole.p99_ms)
    searches = sum(a.outcome is Outcome.OK and a.kind != Kind.GARBAGE for a in run.answers)
    rows = [("clients, whole request", f"{searches:,}", *(f"{value:.0f}" for value in client))]
    for stage in sorted(run.stages, key=lambda name: [TOTAL, *STAGE_COLORS, name].index(name)):
        found = run.stages[stage]
        name = "service, whole search" if stage == TOTAL else f"service, {stage}"
        rows.append((name, f"{found.count:,.0f}", *(f"{found.quantile_ms(q):.1f}" for q, _, _ in PERCENTILES)))
    return rows  # type: ignore[return-value]  # mypy does not count what a generator unpacks to


def _some_ticks(value: float, _: Any) -> str:
    """Of the ticks between powers of ten only 2 and 5 have room for a number."""
    return f"{value:g}" if f"{value:.0e}"[0] in "25" else ""


def _panels(number: int, *, height: float) -> tuple[Figure, tuple[Axes, ...]]:
    figure = Figure(figsize=(7.2, height), layout="constrained")
    found = figure.subplots(number, 1, sharex=True, squeeze=False)
    return figure, tuple(found[:, 0])


def _legends(panels: Iterable[Axes]) -> None:
    for axes in panels:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.2)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=160)
    return buffer.getvalue()
