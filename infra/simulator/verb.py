"""`python -m infra simulate`: what a day of traffic makes of a profile's scaling, before there is an account."""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from catalog.errors import MalformedError
from infra.settings import Serving, load_profile
from infra.simulator.assumptions import ASSUMPTIONS, Traffic, read_assumptions
from infra.simulator.measured import Device
from infra.simulator.outcome import HOURS, Figures
from infra.simulator.scenario import Scenario, scenario_of, with_kind
from infra.tables import new_table, show

KINDS = tuple(get_args(kind.model_fields["kind"].annotation)[0] for kind in get_args(get_args(Serving)[0]))

LABELS = {Traffic.SHOP: "a shop", Traffic.SESSIONS: "people trying it out", Traffic.BATCHES: "photos in bulk"}


def simulate(options: argparse.Namespace) -> int:
    """Replay a day of traffic through the scaling that the templates deploy: latency, refusals, hours, cost."""
    assumptions = read_assumptions(options.assumptions)
    profile = load_profile(options.profile, path=options.settings)
    if options.region is not None:
        profile = profile.model_copy(update={"region": options.region})
    scenario = scenario_of(
        profile if options.kind is None else with_kind(profile, options.kind),
        assumptions,
        traffic=options.traffic,
        device=options.device,
        searches_per_day=options.searches,
        seed=options.seed,
    )
    minutes = options.instance_start or assumptions.starts.instance_minutes.value
    found = scenario.figures([60 * one for one in minutes])
    _print(scenario, found)
    if options.out is not None:
        for path in write(scenario, found, options.out):
            show(f"wrote {path}")
    return 0


def add_simulate(parser: argparse.ArgumentParser) -> None:
    """The options of the verb, beside those that all verbs have."""
    parser.add_argument("--traffic", type=Traffic, choices=list(Traffic), help="shape of the day (default: by kind)")
    parser.add_argument("--kind", choices=KINDS, help="the profile with another kind of serving")
    parser.add_argument("--device", type=Device, choices=list(Device), default=Device.GPU, help="where networks run")
    parser.add_argument("--searches", type=_positive, metavar="N", help="searches on a day of a shop")
    parser.add_argument(
        "--instance-start",
        type=_minutes,
        metavar="MINUTES",
        help="such as 2,5,10: until an instance runs the container",
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed is another day (default: %(default)s)")
    parser.add_argument("--assumptions", type=Path, default=ASSUMPTIONS, help="what is taken on trust (a TOML file)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write figures (JSON) and plots (PNG) there")


def write(scenario: Scenario, found: dict[float, Figures], folder: Path) -> list[Path]:
    """Write `day.json`, `day.png`, `cost.png` and `sweep.png`; the day that is drawn is the one of the middle start."""
    from infra.simulator import plots  # matplotlib is not among what infra needs otherwise

    middle_s = sorted(found)[len(found) // 2]
    title = f"Profile {scenario.profile.name} ({scenario.policy.kind}), a day of {LABELS[scenario.traffic]}"
    files = {
        "day.json": (json.dumps(document(scenario, found), indent=2) + "\n").encode(),
        "day.png": plots.plot_day(scenario.day(middle_s), title=title, fleet=scenario.fleet),
        "cost.png": plots.plot_costs(costs(scenario, found[middle_s]), title=title),
        "sweep.png": plots.plot_sweep(found, title=title, awakes=scenario.policy.wake_up is not None),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        temporary = folder / f"{name}.tmp"
        temporary.write_bytes(data)
        temporary.replace(folder / name)
    return [folder / name for name in files]


def costs(scenario: Scenario, figures: Figures) -> dict[str, float]:
    """Way to pay -> US dollars a day, the policy first."""
    return {
        f"{scenario.policy.kind}, scaled": scenario.usd(figures),
        **{f"always on, {count}": scenario.fleet_usd(count) for count in (scenario.fleet, scenario.diurnal_fleet)},
        **scenario.serverless(),
    }


def document(scenario: Scenario, found: dict[float, Figures]) -> dict[str, object]:
    """Everything that was simulated, for JSON."""
    return {
        "profile": scenario.profile.name,
        "traffic": scenario.traffic,
        "seed": scenario.seed,
        "policy": asdict(scenario.policy),
        "replica": asdict(scenario.replica),
        "container_start_s": scenario.container_s,
        "usd_per_hour": scenario.usd_per_hour,
        "always_on_replicas": {"with_spike": scenario.fleet, "without_spike": scenario.diurnal_fleet},
        "serverless_usd": scenario.serverless(),
        "days": {f"{seconds / 60:g}": _finite(asdict(one)) for seconds, one in found.items()},
    }


def _finite(numbers: dict[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in numbers.items()}


def _print(scenario: Scenario, found: dict[float, Figures]) -> None:
    policy, replica = scenario.policy, scenario.replica
    show(
        f"{policy.kind}, {policy.least} to {policy.most} replicas, {policy.target:g} {policy.metric} each; a replica "
        f"carries {replica.capacity_per_s:.0f} searches/s; "
        f"{len(scenario.arrivals.times_s):,} requests ({scenario.traffic})"
    )
    days = new_table(
        f"A day on {scenario.profile.name}",
        "start, min", "p50 ms", "p95", "p99", "refused", "not in the spike", "failed", "wake-ups", "longest, s",
        "replica-hours", "US dollars", "of always on",
    )  # fmt: skip
    always = scenario.fleet * HOURS
    for seconds, one in found.items():
        days.add_row(
            f"{seconds / 60:g}", *(f"{value:,.0f}" for value in (one.p50_ms, one.p95_ms, one.p99_ms)),
            f"{one.refused:,}", f"{one.refused_diurnal:,}", f"{one.failed:,}", f"{one.awakenings}",
            f"{one.longest_awakening_s:.0f}", f"{one.replica_hours:.1f}", f"{scenario.usd(one):,.2f}",
            f"{one.replica_hours / always:.2f}",
        )  # fmt: skip
    show(days)
    ways = new_table("Other ways to pay for it", "way", "US dollars a day")
    for name, usd in list(costs(scenario, next(iter(found.values()))).items())[1:]:
        ways.add_row(name, f"{usd:,.2f}")
    show(ways)


def _minutes(text: str) -> tuple[float, ...]:
    return tuple(_positive(part) for part in text.split(","))


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise MalformedError(f"expected a number, got {text!r}") from None
    if not 0 < value < math.inf:
        raise MalformedError(f"expected a number above 0, got {text!r}")
    return value
