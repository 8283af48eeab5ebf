"""`python -m infra simulate`: what it prints and writes, and that money is hours times the price."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from catalog.errors import MalformedError, NotFoundError, ShopcamError
from infra.__main__ import main
from infra.prices import Prices
from infra.settings import load_profile
from infra.simulator.assumptions import ASSUMPTIONS, Serverless, Traffic, read_assumptions
from infra.simulator.measured import Device, container_start, measured, replica_of
from infra.simulator.outcome import serverless_usd
from infra.simulator.scenario import scenario_of
from infra.simulator.traffic import Arrivals
from tests.infra.simulated import REPLICA

PNG = b"\x89PNG\r\n"


def run(*arguments: str, out: Path) -> dict[str, bytes]:
    assert main(["simulate", "--profile", "dev", "--instance-start", "2,5", *arguments, "--out", str(out)]) == 0
    return {path.name: path.read_bytes() for path in out.iterdir()}


def test_it_prints_tables_and_writes_figures_and_plots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = run(out=tmp_path / "a")
    printed = capsys.readouterr().out

    assert sorted(files) == ["cost.png", "day.json", "day.png", "sweep.png"]
    assert all(data.startswith(PNG) for name, data in files.items() if name.endswith(".png"))
    found = json.loads(files["day.json"])
    assert sorted(found["days"]) == ["2", "5"]
    day = found["days"]["5"]
    assert day["requests"] == day["answered"] + day["refused"] + day["failed"]
    assert day["awakenings"] > 0
    price = Prices("eu-central-1").instance_hour("ml.g4dn.xlarge")
    assert f"{day['replica_hours'] * price:.2f}" in printed
    assert f"{24 * price:.2f}" in printed  # always on
    assert "A day on dev" in printed


def test_the_same_seed_is_the_same_bytes_and_another_is_not(tmp_path: Path) -> None:
    first, again, other = (
        run("--seed", seed, out=tmp_path / str(number))["day.json"] for number, seed in enumerate(("3", "3", "4"))
    )
    assert first == again != other


def test_another_kind_of_serving(tmp_path: Path) -> None:
    found = json.loads(run("--kind", "async", out=tmp_path)["day.json"])

    assert (found["policy"]["kind"], found["traffic"]) == ("async", "batches")
    assert found["days"]["2"]["answered"] == found["days"]["2"]["requests"] == 60_000


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--instance-start", "soon"], "expected a number, got 'soon'"),
        (["--instance-start", "5,0"], "expected a number above 0, got '0'"),
        (["--searches", "1000"], "searches a day belong to the traffic of a shop, got traffic 'sessions'"),
        (["--profile", "nobody"], "there is no profile 'nobody'"),
        (["--assumptions", "nowhere.toml"], "nowhere.toml can't be read"),
    ],
)
def test_mistakes_are_one_sentence(arguments: list[str], sentence: str) -> None:
    with pytest.raises(ShopcamError, match=sentence) as caught:
        main(["simulate", *arguments])
    assert "\n" not in str(caught.value)


def test_a_profile_that_serves_nothing(tmp_path: Path) -> None:
    settings = tmp_path / "profiles.toml"
    settings.write_text(
        '[store]\nregion = "eu-central-1"\nname_prefix = "x"\nprotected = false\n'
        "[store.store]\nnoncurrent_days = 1\nnoncurrent_versions = 1\n"
    )
    with pytest.raises(MalformedError, match="has no serving table"):
        main(["simulate", "--profile", "store", "--settings", str(settings)])


def test_a_wrong_assumption_is_named(tmp_path: Path) -> None:
    path = tmp_path / "assumptions.toml"
    path.write_text(ASSUMPTIONS.read_text().replace("value = 3\n", 'value = "three"\n'))
    with pytest.raises(MalformedError, match=r"assumptions.toml has a wrong tracking.datapoints_out.value: "):
        read_assumptions(path)


def test_what_is_measured_is_read_from_result_files(tmp_path: Path) -> None:
    row = {"unit": "", "target": None, "ok": None}
    rows = [row | {"name": "start to ready, 7 products", "value": 3.5}]
    (tmp_path / "coldstart.json").write_text(json.dumps({"command": "c", "date": "today", "rows": rows}))
    rows = [row | {"name": "GoogLeNet + classifier: capacity", "value": 20}]
    rows += [row | {"name": "sample networks: service", "value": 8.0}]
    (tmp_path / "service.json").write_text(json.dumps({"command": "c", "date": "today", "rows": rows}))

    assumed = read_assumptions().replica
    assert container_start(folder=tmp_path).value == 3.5
    assert replica_of(Device.CPU, assumed, folder=tmp_path).capacity_per_s == 20
    assert replica_of(Device.GPU, assumed, folder=tmp_path).capacity_per_s == pytest.approx(1000 / 8)
    with pytest.raises(NotFoundError, match=r"has no row 'nothing'; `c` measures it"):
        measured("service", "nothing", folder=tmp_path)
    with pytest.raises(NotFoundError, match=r"other.json is not there; `make bench` measures it"):
        measured("other", "nothing", folder=tmp_path)


def test_every_profile_is_priced_and_has_a_usual_day() -> None:
    scenarios = {name: scenario_of(load_profile(name), read_assumptions()) for name in ("dev", "prod")}

    assert {name: one.traffic for name, one in scenarios.items()} == {"dev": Traffic.SESSIONS, "prod": Traffic.SHOP}
    assert scenarios["prod"].fleet_usd(2) == 48 * Prices("eu-central-1").instance_hour("ml.g5.xlarge")


def test_seconds_of_work_are_billed_as_each_price_says() -> None:
    """Replicas of 0.1 s: 3 requests alone in the night, 1,800 in one minute, which are 4.3 workers at 70 %."""
    times_s = np.concatenate([[1000.0, 1002.0, 4000.0], np.linspace(36_000, 36_059, 1_800)])
    sourced = {"date": "2026-01-01", "source": "nobody"}
    worker = Serverless(kind="worker", usd_per_s=0.001, idle_s=5, **sourced)
    request = Serverless(kind="request", usd_per_s=0.001, idle_s=0, **sourced)
    alone_s = 2 + 2 * (REPLICA.work_s + REPLICA.delay_s + 5)

    assert serverless_usd(Arrivals(times_s), REPLICA, worker, utilization=0.7) == pytest.approx(
        0.001 * (5 * 60 + alone_s)
    )
    assert serverless_usd(Arrivals(times_s), REPLICA, request, utilization=0.7) == pytest.approx(0.001 * 1_803 * 0.1)
