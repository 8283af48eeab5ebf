"""`python -m benchmarks.cloud [days | life | cost]`: simulated days, tests of a deployment's life, and docs/cost.md.

`days` and `life` measure rows of `benchmarks/results/cloud`, `cost` writes the tables of docs/cost.md and the plots;
without a word all three, in some minutes.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.cloud import choices
from benchmarks.cloud.days import LARGE, cold_start_row, days_of, large_rows, prod_rows, scenarios, to_zero_rows
from benchmarks.cloud.life import LIFE
from benchmarks.cloud.page import refill
from benchmarks.proofs import proof_rows
from benchmarks.results import RESULTS, Row, merge
from catalog.terminal import console, run_main
from infra.prices import Prices
from infra.settings import load_profile
from infra.simulator.assumptions import Assumptions, read_assumptions
from infra.simulator.scenario import Scenario, scenario_of
from infra.simulator.verb import write

PAGE = Path(__file__).parents[2] / "docs" / "cost.md"
PLOTS = RESULTS / "cloud"
TITLE = "The cloud: simulated days on the scaling that the templates deploy, and a deployment's life against moto"


def main(argv: list[str]) -> None:
    """Run one verb or all."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cloud", description=__doc__)
    verbs = {"days": _days, "life": _life, "cost": _cost}
    parser.add_argument("verb", nargs="?", choices=list(verbs))
    given = parser.parse_args(argv).verb
    for run in [verbs[given]] if given else verbs.values():
        run()


def _days() -> None:
    assumptions = read_assumptions()
    found = scenarios(assumptions)
    large = scenario_of(load_profile("prod"), assumptions, searches_per_day=LARGE)
    rows = [*prod_rows(days_of(found["prod"])), *large_rows(days_of(large))]
    for name in ("dev", "async"):
        rows += to_zero_rows(name, days_of(found[name]))
    _publish([*rows, cold_start_row()])


def _life() -> None:
    _publish(proof_rows(LIFE))


def _cost() -> None:
    assumptions = read_assumptions()
    found = scenarios(assumptions)
    for name, scenario in found.items():
        starts_s = [60 * minutes for minutes in assumptions.starts.instance_minutes.value]
        write(scenario, scenario.figures(starts_s), PLOTS / name)
        console.print(f"plots of {name} are in {PLOTS / name}")
    tables = {
        "made": _made(found["prod"]),
        "loads": choices.loads(assumptions).markdown(),
        "ways": choices.ways(list(found.values())).markdown(),
        "starts": choices.starts(list(found.values())).markdown(),
        "targets": choices.targets(found["prod"]).markdown(),
        "pauses": choices.pauses(found["prod"]).markdown(),
        "backlogs": choices.backlogs(assumptions).markdown(),
        "minutes": choices.minutes(assumptions).markdown(),
        "replicas": choices.replicas(found["prod"], assumptions).markdown(),
        "assumptions": _trusted(assumptions),
    }
    console.print(f"wrote {refill(PAGE, tables)}")


def _made(prod: Scenario) -> str:
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    return (
        f"Tables and plots made on {today} by `python -m benchmarks.cloud`; prices of {prod.profile.region} as of "
        f"{Prices(prod.profile.region).as_of}, {prod.usd_per_hour:g} $ for an hour of "
        f"{prod.profile.serving.instance_type if prod.profile.serving else ''}."
    )


def _trusted(assumptions: Assumptions) -> str:
    """The single numbers of the file, with source and date."""
    rows = [
        (f"{group}.{name}", str(number["value"]), str(number["date"]), number["source"])
        for group, table in assumptions.model_dump().items()
        for name, number in table.items()
        if "value" in number
    ]
    return choices.Table(("number", "value", "as of", "source"), rows).markdown()


def _publish(rows: list[Row]) -> None:
    merge("cloud", rows, title=TITLE, command="python -m benchmarks.cloud")


if __name__ == "__main__":
    run_main(main)
