"""The cloud's table and page. Oracle: scripted figures, and places that can be counted."""

from __future__ import annotations

import dataclasses

import pytest

from benchmarks.cloud.__main__ import PAGE
from benchmarks.cloud.choices import Table
from benchmarks.cloud.days import Days, cold_start_row, large_rows, prod_rows, to_zero_rows
from benchmarks.cloud.page import PLACE, fill
from catalog.errors import MalformedError
from infra.settings import load_profile
from infra.simulator.assumptions import read_assumptions
from infra.simulator.outcome import Figures
from infra.simulator.scenario import Scenario, scenario_of

FIGURES = Figures(
    requests=1000, answered=980, refused=15, refused_diurnal=0, failed=5, waiting=0, p50_ms=30, p95_ms=90, p99_ms=200,
    most_replicas=3, replica_hours=24.0, awakenings=2, median_awakening_s=320, longest_awakening_s=340,
)  # fmt: skip


def days(profile: str, *, fleet: int, **worse: float) -> Days:
    """Two seeds: a usual day, and one that is worse in some figure."""
    scenario: Scenario = scenario_of(load_profile(profile), read_assumptions())
    scenario.__dict__.update(fleet=fleet, diurnal_fleet=fleet - 1)  # in place of what would be simulated
    bad = dataclasses.replace(FIGURES, **worse)
    slow = dataclasses.replace(bad, replica_hours=2 * bad.replica_hours)
    return Days(scenario, [(scenario, {300.0: one, 600.0: slow}) for one in (FIGURES, bad)])


def test_targets_are_met_on_the_worst_day() -> None:
    good = {row.name: row for row in prod_rows(days("prod", fleet=2))}
    assert good["prod: replica-hours over a fleet for the peak"].value == 24 / 48
    assert good["prod, 10 min until an instance is there: replica-hours over a fleet for the peak"].value == 1.0
    assert all(row.ok for row in good.values() if row.target)
    assert sum(row.target is not None for row in good.values()) == 3

    bad = {row.name: row for row in prod_rows(days("prod", fleet=2, refused_diurnal=1, p95_ms=301, replica_hours=30))}
    assert [row.ok for row in bad.values() if row.target] == [False, False, False]
    assert bad["prod: refused in the spike"].value == 15 / 1000


def test_a_larger_shop_has_the_same_targets() -> None:
    rows = list(large_rows(days("prod", fleet=2, refused_diurnal=1)))
    assert [(row.value, row.ok) for row in rows] == [(24 / 48, True), (90, True), (1, False)]
    assert rows[0].name == "prod, 0 million searches: replica-hours over a fleet for the peak"


def test_what_scales_to_zero_counts_its_failures_and_waits() -> None:
    rows = {row.name: row for row in to_zero_rows("dev", days("dev", fleet=4))}
    assert (rows["dev: cost over always on"].value, rows["dev: cost over always on"].ok) == (0.25, True)
    assert rows["dev: failed while nobody was there"].value == 5 / 1000
    assert (rows["dev: wake-ups"].value, rows["dev: wake-up, longest"].value) == (2, 340)


def test_the_cold_start_is_the_measured_one() -> None:
    row = cold_start_row()
    assert row.name.startswith("container: start to ready")
    assert "measured 20" in row.note


def test_a_page_keeps_what_is_written_by_hand() -> None:
    page = "Before.\n<!-- one -->\nold\n<!-- end -->\nBetween.\n<!-- two -->\n<!-- end -->\n"
    table = Table(("a", "b"), [("1", "2")]).markdown()
    assert table == "| a | b |\n| --- | --- |\n| 1 | 2 |"

    filled = fill(page, {"one": table, "two": "x"})
    assert filled == (
        f"Before.\n<!-- one -->\n\n{table}\n\n<!-- end -->\nBetween.\n<!-- two -->\n\nx\n\n<!-- end -->\n"
    )
    assert fill(filled, {"one": table, "two": "x"}) == filled
    with pytest.raises(MalformedError, match=r"the page has the places \['one', 'two'\], the tables are \['one'\]"):
        fill(page, {"one": table})


def test_every_place_of_the_page_is_filled() -> None:
    places = PLACE.findall(PAGE.read_text())
    assert {"loads", "ways", "starts", "targets", "backlogs"} <= set(places)
    assert not [match for match in PLACE.finditer(PAGE.read_text()) if match[0].count("\n") < 3]
