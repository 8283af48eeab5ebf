"""Profiles in, rows of their simulated days out. A row with a target is the worst of some days, each with its seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from benchmarks.results import Row, Target
from infra.settings import load_profile
from infra.simulator.assumptions import Assumptions
from infra.simulator.measured import container_start
from infra.simulator.outcome import HOURS, P95_LIMIT_MS, Figures
from infra.simulator.scenario import Scenario, scenario_of, with_kind

SEEDS = (0, 1, 2)
LARGE = 16_000_000  # searches a day
OF_PEAK, OF_ALWAYS, COLD_START_S = 0.6, 0.3, 20.0


@dataclass(frozen=True)
class Days:
    """All days of one scenario: for each seed, start of an instance in seconds -> figures."""

    scenario: Scenario
    found: Sequence[tuple[Scenario, dict[float, Figures]]]

    def worst(self, of: Callable[[Scenario, Figures], float], *, start_s: float | None = None) -> float:
        """The largest of a figure over all days, with the middle start of an instance or another."""
        start_s = self.scenario.assumptions.instance_s if start_s is None else start_s
        return max(of(scenario, figures[start_s]) for scenario, figures in self.found)

    @property
    def slowest_s(self) -> float:
        """The longest start of an instance that was tried."""
        return max(self.found[0][1])

    @property
    def usual(self) -> Figures:
        """The first seed's day with the middle start."""
        return self.found[0][1][self.scenario.assumptions.instance_s]


def days_of(scenario: Scenario) -> Days:
    """Simulate every seed's day, with the middle and with the slowest start of an instance."""
    starts_s = [scenario.assumptions.instance_s, 60 * max(scenario.assumptions.starts.instance_minutes.value)]
    seeded = [replace(scenario, seed=seed) for seed in SEEDS]
    return Days(scenario, [(one, one.figures(starts_s)) for one in seeded])


def scenarios(assumptions: Assumptions) -> dict[str, Scenario]:
    """The profiles that ship, and the asynchronous endpoint with the settings of `prod`."""
    prod = load_profile("prod")
    return {
        "prod": scenario_of(prod, assumptions),
        "dev": scenario_of(load_profile("dev"), assumptions),
        "async": scenario_of(with_kind(prod, "async"), assumptions),
    }


def of_fleet(scenario: Scenario, figures: Figures) -> float:
    """Replica-hours over those of the fleet that gets through the day's busiest minutes."""
    return figures.replica_hours / (HOURS * scenario.fleet)


def prod_rows(days: Days) -> Iterator[Row]:
    """A shop's day on the policy that never goes below one replica."""
    usual, scenario = days.usual, days.scenario
    worst = f"worst of {len(SEEDS)} days, {scenario.assumptions.instance_s / 60:g} min until an instance is there"
    yield Row(
        "prod: replica-hours over a fleet for the peak", days.worst(of_fleet), "", Target("<=", OF_PEAK),
        f"{worst}; usually {usual.replica_hours:.1f} of {HOURS * scenario.fleet:.0f} h, never below "
        f"{scenario.policy.least}",
    )  # fmt: skip
    yield Row("prod: p95", days.worst(lambda _, one: one.p95_ms), "ms", Target("<=", P95_LIMIT_MS), worst)
    yield Row(
        "prod: refused in the diurnal part", days.worst(_refused), "", Target("<=", 0),
        f"{worst}; of {usual.requests:,}",
    )  # fmt: skip
    yield Row(
        "prod: refused in the spike", usual.refused / usual.requests, "of the day",
        note=f"{usual.refused:,} in ten minutes of three times the load",
    )  # fmt: skip
    diurnal = usual.replica_hours / (HOURS * scenario.diurnal_fleet)
    yield Row(
        "prod: replica-hours over a fleet for a day without the spike", diurnal,
        note=f"that one has {scenario.diurnal_fleet} replicas and is late in the spike, or refuses",
    )  # fmt: skip
    slow = f"prod, {days.slowest_s / 60:g} min until an instance is there"
    yield Row(f"{slow}: replica-hours over a fleet for the peak", days.worst(of_fleet, start_s=days.slowest_s))
    yield Row(f"{slow}: refused in the diurnal part", days.worst(_refused, start_s=days.slowest_s))
    yield Row(
        "prod: replicas", scenario.usd(usual), "$ a day", note=f"always on {scenario.fleet_usd(scenario.fleet):.2f}"
    )


def large_rows(days: Days) -> Iterator[Row]:
    """The same of twice the load: where a fleet is few replicas, that it is a whole number decides more."""
    name, usual = f"prod, {days.usual.requests / 1e6:.0f} million searches", days.usual
    yield Row(
        f"{name}: replica-hours over a fleet for the peak", days.worst(of_fleet), "", Target("<=", OF_PEAK),
        f"usually {usual.replica_hours:.1f} of {HOURS * days.scenario.fleet:.0f} h",
    )  # fmt: skip
    yield Row(f"{name}: p95", days.worst(lambda _, one: one.p95_ms), "ms", Target("<=", P95_LIMIT_MS))
    yield Row(f"{name}: refused in the diurnal part", days.worst(_refused), "", Target("<=", 0))


def to_zero_rows(name: str, days: Days) -> Iterator[Row]:
    """A day on a policy that goes to zero: its cost, and what waking costs those who wake it."""
    usual, scenario = days.usual, days.scenario
    yield Row(
        f"{name}: cost over always on", days.worst(of_fleet), "", Target("<=", OF_ALWAYS),
        f"usually {scenario.usd(usual):.2f} of {scenario.fleet_usd(scenario.fleet):.2f} $ a day",
    )  # fmt: skip
    yield Row(f"{name}: wake-ups", usual.awakenings, "a day", note="5 min until an instance is there, as below")
    yield Row(
        f"{name}: failed while nobody was there", usual.failed / usual.requests, "of requests",
        note=f"{usual.failed:,} of {usual.requests:,}; {'callers have to ask again' if usual.failed else 'they wait'}",
    )  # fmt: skip
    yield Row(
        f"{name}: wake-up, longest", usual.longest_awakening_s, "s",
        note=f"median {usual.median_awakening_s:.0f} s; "
        f"{days.worst(_longest, start_s=days.slowest_s):.0f} s with the slowest start",
    )  # fmt: skip
    yield Row(f"{name}: p95 of what was answered", usual.p95_ms / 1e3, "s")


def cold_start_row() -> Row:
    """What `python -m benchmarks.coldstart` has measured."""
    found = container_start()
    return Row(f"container: {found.name}", found.value, "s", Target("<=", COLD_START_S), f"measured {found.date}")


def _refused(_: Scenario, figures: Figures) -> float:
    return figures.refused_diurnal


def _longest(_: Scenario, figures: Figures) -> float:
    return figures.longest_awakening_s
