"""The same day under other settings, loads and replicas in, tables for docs/cost.md out: why the policy is as it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from infra.prices import Prices
from infra.settings import load_profile
from infra.simulator.assumptions import Assumptions, Traffic
from infra.simulator.measured import Device, replica_of
from infra.simulator.outcome import HOURS, Figures
from infra.simulator.scenario import Scenario, scenario_of, with_kind

TARGETS = (2, 3, 4, 5, 8)
LOADS = (100_000, 1_000_000, 4_000_000, 8_000_000, 16_000_000)
BACKLOGS = (100, 1_000, 10_000, 30_000)
A_MINUTE = (600, 3_000, 4_000, 5_000)
MILLION = 1e6
CPU_INSTANCE = "ml.c5.xlarge"


@dataclass(frozen=True)
class Table:
    """Rows of text under a head."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """As Markdown."""
        lines = [self.head, ["---"] * len(self.head), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def loads(assumptions: Assumptions) -> Table:
    """What `prod` costs at which load."""
    rows = []
    for searches in LOADS:
        scenario = scenario_of(load_profile("prod"), assumptions, searches_per_day=searches)
        figures = _usual(scenario)
        usd, always = scenario.usd(figures), scenario.fleet_usd(scenario.fleet)
        cheapest = min(scenario.serverless().items(), key=lambda item: item[1])
        rows.append([
            f"{searches:,}", f"{scenario.fleet}", f"{always:,.0f}", f"{usd:,.0f}", f"{usd / always:.2f}",
            f"{figures.refused_diurnal:,} / {figures.refused:,}", f"{MILLION * usd / figures.requests:,.0f}",
            f"{cheapest[1]:,.2f} ({cheapest[0]})",
        ])  # fmt: skip
    head = ("searches a day", "fleet for the peak", "always on, $ a day", "scaled, $ a day", "scaled over always on",
            "refused outside the spike / in all", "scaled, $ a million", "serverless, $ a day")  # fmt: skip
    return Table(head, rows)


def ways(scenarios: Sequence[Scenario]) -> Table:
    """Each traffic on its profile, always on, to zero, and paid by the second."""
    names = list(scenarios[0].serverless())
    rows = [
        [
            f"{one.traffic} on {one.policy.kind}", f"{len(one.arrivals.times_s):,}", f"{one.usd(_usual(one)):,.2f}",
            f"{one.fleet_usd(one.fleet):,.2f} ({one.fleet})", *(f"{one.serverless()[name]:,.2f}" for name in names),
        ]
        for one in scenarios
    ]  # fmt: skip
    return Table(["day", "requests", "scaled", "always on", *names], rows)


def targets(scenario: Scenario) -> Table:
    """Requests in progress that tracking keeps to."""
    return Table(
        ("requests in progress", *WORST_HEAD),
        [[f"{target}", *_worst(scenario.with_policy(target=target))] for target in TARGETS],
    )


def pauses(scenario: Scenario) -> Table:
    """Scale-in cooldown, and how many replicas there are at the least."""
    rows = [
        [f"{cooldown_s} s", f"{least}", *_worst(scenario.with_policy(in_cooldown_s=cooldown_s, least=least))]
        for cooldown_s, least in ((300, 2), (600, 2), (300, 1))
    ]
    return Table(("cooldown", "at the least", *WORST_HEAD), rows)


def replicas(scenario: Scenario, assumptions: Assumptions) -> Table:
    """The same day on replicas that are slower and faster than assumed, and on processors as measured."""
    rows = []
    for cores in (0.5, 1.0, 2.0):
        numbers = assumptions.replica.model_copy(
            update={"gpu_cores": assumptions.replica.gpu_cores.model_copy(update={"value": cores})}
        )
        one = replace(scenario, replica=replica_of(Device.GPU, numbers)).with_policy(most=20)
        rows.append([f"GPU, {one.replica.capacity_per_s:.0f}/s", *_worst(one), f"{one.usd(_usual(one)):,.0f}"])
    for target in (2, 4):
        processor = replace(
            scenario,
            replica=replica_of(Device.CPU, assumptions.replica),
            usd_per_hour=Prices(scenario.profile.region).instance_hour(CPU_INSTANCE),
        ).with_policy(most=40, target=target)
        name = f"processor as measured, {processor.replica.capacity_per_s:.0f}/s, {CPU_INSTANCE}, target {target}"
        rows.append([name, *_worst(processor), f"{processor.usd(_usual(processor)):,.0f}"])
    return Table(("replica", *WORST_HEAD, "$ a day"), rows)


def backlogs(assumptions: Assumptions) -> Table:
    """Waiting photos a replica, asynchronous endpoint with the settings of `prod`."""
    scenario = scenario_of(with_kind(load_profile("prod"), "async"), assumptions)
    rows = []
    for backlog in BACKLOGS:
        figures = scenario.with_policy(target=backlog).figures(_starts_s(scenario))
        rows += [
            [
                f"{backlog:,}",
                f"{start_s / 60:g}",
                f"{one.most_replicas}",
                f"{one.replica_hours:.1f}",
                f"{one.p95_ms / 6e4:.1f}",
            ]
            for start_s, one in figures.items()
        ]
    return Table(("waiting photos a replica", "start, min", "replicas", "replica-hours", "p95, min"), rows)


def minutes(assumptions: Assumptions) -> Table:
    """Requests a minute of a task, ECS service with the settings of `prod`."""
    scenario = scenario_of(with_kind(load_profile("prod"), "service"), assumptions, traffic=Traffic.SHOP)
    two = scenario.with_policy(least=2)
    return Table(
        ("requests a minute", *WORST_HEAD), [[f"{one:,}", *_worst(two.with_policy(target=one))] for one in A_MINUTE]
    )


def starts(scenarios: Sequence[Scenario]) -> Table:
    """What an instance's start changes."""
    rows = [
        [
            f"{scenario.traffic} on {scenario.policy.kind}", f"{start_s / 60:g}", f"{one.replica_hours:.1f}",
            _time(one.p95_ms), f"{one.refused_diurnal:,} / {one.refused:,}", f"{one.failed:,}",
            f"{one.awakenings}", f"{one.longest_awakening_s:.0f} s",
        ]
        for scenario in scenarios
        for start_s, one in scenario.figures(_starts_s(scenario)).items()
    ]  # fmt: skip
    head = ("day", "start, min", "replica-hours", "p95", "refused outside the spike / in all", "failed", "wake-ups",
            "longest wake-up")  # fmt: skip
    return Table(head, rows)


WORST_HEAD = ("of a fleet for the peak", "p95, ms", "refused outside the spike", "in all")


def _worst(scenario: Scenario) -> list[str]:
    """The worst of all starts."""
    found = scenario.figures(_starts_s(scenario)).values()
    return [
        f"{max(one.replica_hours for one in found) / (HOURS * scenario.fleet):.2f}",
        f"{max(one.p95_ms for one in found):.0f}",
        f"{max(one.refused_diurnal for one in found):,}",
        f"{max(one.refused for one in found):,}",
    ]


def _usual(scenario: Scenario) -> Figures:
    (found,) = scenario.figures([scenario.assumptions.instance_s]).values()
    return found


def _starts_s(scenario: Scenario) -> list[float]:
    return [60 * minutes for minutes in scenario.assumptions.starts.instance_minutes.value]


def _time(milliseconds: float) -> str:
    return f"{milliseconds:.0f} ms" if milliseconds < 1e3 else f"{milliseconds / 6e4:.1f} min"
