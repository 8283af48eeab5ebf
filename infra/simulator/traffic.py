"""The shape of a day in, the times at which somebody asks out: Poisson arrivals in seconds since midnight, sorted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from infra.simulator.assumptions import Batches, Sessions, Shop

DAY_S = 86_400
HOUR_S = 3_600

Times = NDArray[np.float64]


@dataclass(frozen=True)
class Arrivals:
    """Times of a day's requests [N], and the (begin, end) of what is not the day's own curve, in seconds."""

    times_s: Times
    spike_s: tuple[float, float] | None = None

    def outside_spike(self) -> NDArray[np.bool_]:
        """Which requests belong to the diurnal part, [N]."""
        if self.spike_s is None:
            return np.ones(len(self.times_s), dtype=bool)
        begin_s, end_s = self.spike_s
        return (self.times_s < begin_s) | (self.times_s >= end_s)

    def busiest(self, window_s: float) -> tuple[float, float]:
        """The window of so many seconds, from a full ten seconds on, in which most requests come."""
        edges_s = np.arange(0, DAY_S + 1, 10)
        before = np.searchsorted(self.times_s, edges_s)
        length = round(window_s / 10)
        begin_s = float(edges_s[np.argmax(before[length:] - before[:-length])])
        return begin_s, begin_s + window_s


def arrivals_of(traffic: Shop | Sessions | Batches, *, generator: np.random.Generator) -> Arrivals:
    """A day of this traffic."""
    match traffic:
        case Shop():
            begin_s = HOUR_S * traffic.spike_at_h
            times_s = poisson(shop_rates(traffic), generator=generator)
            return Arrivals(times_s, spike_s=(begin_s, begin_s + 60 * traffic.spike_minutes))
        case Sessions():
            return Arrivals(poisson(_session_rates(traffic, generator=generator), generator=generator))
        case Batches():
            return Arrivals(_uploads(traffic, generator=generator))


def shop_rates(traffic: Shop) -> Times:
    """Requests a second in each second of the day; the spike comes on top of `searches_per_day`."""
    seconds = np.arange(DAY_S) + 0.5
    hours = np.append(traffic.hours, traffic.hours[0])
    curve = np.interp(seconds / HOUR_S, np.arange(25), hours)
    curve *= traffic.searches_per_day / curve.sum()
    into_s = seconds - HOUR_S * traffic.spike_at_h
    ramp_s = 60 * traffic.spike_ramp_minutes
    height = np.clip(np.minimum(into_s, 60 * traffic.spike_minutes - into_s) / ramp_s, 0, 1)
    return np.asarray(curve * (1 + (traffic.spike_factor - 1) * height))


def poisson(rates_per_s: Times, *, generator: np.random.Generator) -> Times:
    """Times of a Poisson process whose rate is constant within each second."""
    counts = generator.poisson(rates_per_s)
    times_s = np.repeat(np.arange(len(rates_per_s), dtype=np.float64), counts)
    times_s += generator.random(len(times_s))
    times_s.sort()
    return times_s


def _session_rates(traffic: Sessions, *, generator: np.random.Generator) -> Times:
    rates = np.zeros(DAY_S)
    length_s = round(60 * traffic.minutes)
    last_s = HOUR_S * traffic.to_h - length_s
    for begin_s in generator.uniform(HOUR_S * traffic.from_h, last_s, size=traffic.sessions).astype(int):
        rates[begin_s : begin_s + length_s] += traffic.searches_per_s
    return rates


def _uploads(traffic: Batches, *, generator: np.random.Generator) -> Times:
    """Each batch from its hour on; what would come after midnight is left out."""
    lots = [
        HOUR_S * at_h + np.cumsum(generator.exponential(1 / traffic.photos_per_s, size=count))
        for at_h, count in zip(traffic.at_h, traffic.photos, strict=True)
    ]
    times_s = np.sort(np.concatenate(lots))
    return times_s[times_s < DAY_S]
