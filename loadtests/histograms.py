"""The text of /metrics in, the service's own percentiles of each stage out.

Percentiles are Prometheus' `histogram_quantile`: linear within the bucket that holds the rank, the lower end of the
last bucket for ranks above it. They are as fine as the buckets are.
"""

from __future__ import annotations

import math
import urllib.request
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

METRIC = "shopcam_stage_seconds"
LABEL = "stage"
TOTAL = "total"
TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Histogram:
    """`buckets` maps upper ends in seconds, infinity the last, to how many took at most so long."""

    buckets: Mapping[float, float]
    sum_s: float

    @property
    def count(self) -> float:
        """How many were observed."""
        return max(self.buckets.values(), default=0.0)

    def since(self, before: Histogram | None) -> Histogram:
        """What was observed after `before`; all of it when the counter was reset, as by a restart."""
        if before is None or before.count > self.count:
            return self
        grown = {end: count - before.buckets.get(end, 0.0) for end, count in self.buckets.items()}
        return Histogram(grown, self.sum_s - before.sum_s)

    def plus(self, other: Histogram) -> Histogram:
        """Both together."""
        ends = {*self.buckets, *other.buckets}
        return Histogram(
            {end: self.buckets.get(end, 0.0) + other.buckets.get(end, 0.0) for end in ends}, self.sum_s + other.sum_s
        )

    def quantile_ms(self, q: float) -> float:
        """Milliseconds; nan when nothing was observed."""
        if not self.count:
            return math.nan
        rank = q * self.count
        below_s, below = 0.0, 0.0
        for end_s, count in sorted(self.buckets.items()):
            if count >= rank and count > below:
                if math.isinf(end_s):
                    return below_s * 1e3
                return (below_s + (end_s - below_s) * (rank - below) / (count - below)) * 1e3
            below_s, below = end_s, count
        return below_s * 1e3

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"buckets": [[str(end), count] for end, count in sorted(self.buckets.items())], "sum_s": self.sum_s}

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Histogram:
        """What `to_json` gave."""
        return cls({float(end): float(count) for end, count in given["buckets"]}, float(given["sum_s"]))


Stages = Mapping[str, Histogram]


@dataclass(frozen=True)
class Scrape:
    """The service's histograms at a time of the load, `at_s` seconds after its begin."""

    at_s: float
    stages: Stages


def parse(text: str) -> Stages:
    """The histograms of each stage on a metrics page."""
    buckets: dict[str, dict[float, float]] = defaultdict(dict)
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        if family.name != METRIC:
            continue
        for sample in family.samples:
            stage = sample.labels.get(LABEL, TOTAL)
            if sample.name.endswith("_bucket"):
                buckets[stage][float(sample.labels["le"])] = sample.value
            elif sample.name.endswith("_sum"):
                sums[stage] = sample.value
    return {stage: Histogram(found, sums.get(stage, 0.0)) for stage, found in buckets.items()}


def scrape(url: str, at_s: float) -> Scrape | None:
    """The histograms now; None where there is no metrics page or nobody answers."""
    try:
        with urllib.request.urlopen(f"{url}/metrics", timeout=TIMEOUT_S) as answer:  # noqa: S310  # scheme checked
            return Scrape(at_s, parse(answer.read().decode()))
    except (OSError, ValueError):
        return None


def between(scrapes: Sequence[Scrape]) -> Stages:
    """What was observed from the first to the last look, restarts in between included."""
    found: dict[str, Histogram] = {}
    for before, after in pairwise(scrapes):
        for stage, histogram in after.stages.items():
            grown = histogram.since(before.stages.get(stage))
            found[stage] = found[stage].plus(grown) if stage in found else grown
    return {stage: histogram for stage, histogram in found.items() if histogram.count}
