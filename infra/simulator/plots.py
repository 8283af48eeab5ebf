"""Simulated days in, PNG data out: the day itself, what it costs in other ways, and how the instance's start counts."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from infra.simulator.day import Day
from infra.simulator.outcome import Figures
from infra.simulator.traffic import DAY_S, HOUR_S

BLUE, LIGHT, DARK, ORANGE, RED, GRAY, GREEN = (
    "#1f5fa8", "#9dbfe3", "#0b2e59", "#d9822b", "#c0392b", "#8a8f98", "#2e8b57",
)  # fmt: skip
BIN_S = 300
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


def plot_day(day: Day, *, title: str, fleet: int) -> bytes:
    """Requests a second, replicas and latency over the hours; `fleet` is the one that is always on."""
    with mpl.rc_context(STYLE):
        figure, (load, replicas, times) = _panels(3, height=7.6)
        _load(load, day)
        _replicas(replicas, day, fleet)
        _latency(times, day)
        load.set_title(title)
        times.set(xlabel="hour of the day", xlim=(0, 24), xticks=range(0, 25, 3))
        for axes in (load, replicas, times):
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.2)
        return _png(figure)


def plot_costs(usd: Mapping[str, float], *, title: str) -> bytes:
    """US dollars a day of each way to pay, the one that was simulated first."""
    with mpl.rc_context(STYLE):
        figure, (axes,) = _panels(1, height=0.8 + 0.42 * len(usd))
        names = list(usd)
        colors = [BLUE, *[GRAY] * (len(names) - 1)]
        bars = axes.barh(names, list(usd.values()), color=colors, height=0.62)
        axes.bar_label(bars, labels=[f"{value:,.2f}" for value in usd.values()], padding=4)
        axes.invert_yaxis()
        axes.set(title=title, xlabel="US dollars a day", xlim=(0, 1.15 * max(usd.values())))
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
        return _png(figure)


def plot_sweep(found: Mapping[float, Figures], *, title: str, awakes: bool) -> bytes:
    """What longer starts of an instance do to requests that are not answered, and to hours or the longest wake-up."""
    minutes = [seconds / 60 for seconds in found]
    with mpl.rc_context(STYLE):
        figure, (lost, other) = _panels(2, height=4.6)
        for name, label, color in (("refused", "refused (429)", ORANGE), ("failed", "failed, nobody there", RED)):
            shares = [100 * getattr(one, name) / one.requests for one in found.values()]
            if any(shares) or name == "refused":
                lost.plot(minutes, shares, "o-", color=color, label=label, clip_on=False)
        lost.set(title=title, ylabel="% of requests", ylim=(0, 1.1 * max(1e-9, lost.get_ylim()[1])))
        if awakes:
            waits = [one.longest_awakening_s / 60 for one in found.values()]
            other.plot(minutes, waits, "o-", color=BLUE, label="longest wake-up")
            other.set(ylabel="minutes", ylim=(0, 1.15 * max(waits)))
        else:
            hours = [one.replica_hours for one in found.values()]
            other.plot(minutes, hours, "o-", color=BLUE, label="replica-hours")
            other.set(ylabel="hours", ylim=(0, 1.15 * max(hours)))
        other.set(xlabel="minutes until an instance runs the container", xlim=(0, None))
        for axes in (lost, other):
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.2)
        return _png(figure)


def _load(axes: Axes, day: Day) -> None:
    times_s = day.arrivals.times_s
    middles, asked = _rates(times_s)
    axes.fill_between(middles, asked, color=LIGHT, linewidth=0, label="asked")
    for chosen, name, color in ((day.refused, "refused", ORANGE), (day.failed, "failed", RED)):
        if chosen.any():
            rates = _rates(times_s[chosen])[1]
            axes.plot(middles, np.where(rates > 0, rates, np.nan), color=color, linewidth=1.6, label=name)
    axes.set(ylabel="requests a second", ylim=(0, None))


def _replicas(axes: Axes, day: Day, fleet: int) -> None:
    hours = [step.at_s / HOUR_S for step in day.steps] + [24]
    for values, name, color in (
        ([step.paid for step in day.steps], "paid for", ORANGE),
        ([step.ready for step in day.steps], "answering", BLUE),
    ):
        axes.step(hours, [*values, values[-1]], where="post", color=color, label=name)
    axes.axhline(fleet, color=GRAY, linestyle="--", linewidth=1.2, label="always on")
    axes.set(ylabel="replicas", ylim=(0, 0.6 + max(fleet, *(step.paid for step in day.steps))))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))


def _latency(axes: Axes, day: Day) -> None:
    answered = day.answered
    numbers = (day.arrivals.times_s[answered] // BIN_S).astype(int)
    edges = np.searchsorted(numbers, np.arange(DAY_S // BIN_S + 1))
    latency_s = day.latency_s[answered]
    unit, factor = ("min", 1 / 60) if latency_s.max(initial=0) > 60 else ("ms", 1e3)
    rows = np.full((3, DAY_S // BIN_S), np.nan)
    for number, (first, last) in enumerate(pairwise(edges)):
        if last > first:
            rows[:, number] = factor * np.percentile(latency_s[first:last], (50, 95, 99))
    middles = (np.arange(DAY_S // BIN_S) + 0.5) * BIN_S / HOUR_S
    for row, name, color in zip(rows, ("p50", "p95", "p99"), (LIGHT, BLUE, DARK), strict=True):
        axes.plot(middles, row, color=color, label=name, linewidth=1.3, marker=".", markersize=2)
    axes.set(ylabel=f"latency, {unit}", ylim=(0, None))


def _rates(times_s: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    counts, edges = np.histogram(times_s, bins=DAY_S // 60, range=(0, DAY_S))
    return (edges[:-1] + 30) / HOUR_S, counts / 60


def _panels(number: int, *, height: float) -> tuple[Figure, Sequence[Axes]]:
    figure = Figure(figsize=(7.6, height), layout="constrained")
    found: Iterable[Axes] = figure.subplots(number, 1, sharex=True, squeeze=False)[:, 0]
    return figure, tuple(found)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=150)
    return buffer.getvalue()
