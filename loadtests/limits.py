"""What a run may be at worst in, what broke it out."""

from __future__ import annotations

from dataclasses import dataclass

from loadtests.figures import Line
from loadtests.histograms import TOTAL, Stages


@dataclass(frozen=True)
class Check:
    """One limit and what was measured; milliseconds, or shares of 1."""

    name: str
    measured: float
    most: float
    unit: str

    @property
    def holds(self) -> bool:
        """Whether the figure is there and not above the limit."""
        return self.measured <= self.most

    @property
    def sentence(self) -> str:
        """For a person."""
        relation = "is within" if self.holds else "is above"
        return f"{self.name} {self.show(self.measured)} {relation} the limit of {self.show(self.most)}"

    def show(self, value: float) -> str:
        """A figure with its unit."""
        return f"{value:.0f} ms" if self.unit == "ms" else f"{value:.2%}"


@dataclass(frozen=True)
class Limits:
    """None: no limit. Times are checked twice, as clients saw them and as the service's own histogram has them."""

    error_rate: float | None = None
    shed_rate: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None

    def checks(self, total: Line, stages: Stages) -> tuple[Check, ...]:
        """Every limit that was given, with its figure."""
        shares = (("error rate", total.error_rate, self.error_rate), ("shed rate", total.shed_rate, self.shed_rate))
        found = [Check(name, share, most, "") for name, share, most in shares if most is not None]
        server = stages.get(TOTAL)
        for name, q, most in (("p95", 0.95, self.p95_ms), ("p99", 0.99, self.p99_ms)):
            if most is None:
                continue
            found.append(Check(name, total.p95_ms if name == "p95" else total.p99_ms, most, "ms"))
            if server is not None:
                found.append(Check(f"the service's own {name}", server.quantile_ms(q), most, "ms"))
        return tuple(found)
