"""Whole runs against a real HTTP server with known latency, capacity and faults; its own counts are the oracle."""

import json
import subprocess
import sys
import time
from collections import Counter
from itertools import groupby
from pathlib import Path

import pytest

from loadtests import results
from loadtests.__main__ import main
from loadtests.answers import Outcome
from loadtests.mistakes import LoadTestError
from tests.loadtests.conftest import ROOT, Loadtests, environment, interrupt
from tests.loadtests.shop import Shop

PNG = b"\x89PNG\r\n\x1a\n"
pytestmark = pytest.mark.slow


def test_a_run_counts_what_the_server_saw(loadtests: Loadtests, photos: Path, tmp_path: Path) -> None:
    with Shop(latency_s=0.1).serving() as shop:
        options = ("--users", 4, "--duration", "8s", "--think-s", 0.3, "--garbage", 0.2, "--p95-ms", 20_000)
        done = loadtests("run", "--host", shop.url, "--photos", photos, "--out", tmp_path, *options)

    assert done.returncode == 0, done.stderr
    run = results.read(tmp_path)
    assert Counter(str(answer.status) for answer in run.answers) == shop.statuses
    asked = Counter(answer.kind for answer in run.answers)
    assert asked["photo"] + asked["photo again"] == shop.kinds["photo"]
    for ours, theirs in {"photo, own category": "category", "slider": "slider", "similar": "similar"}.items():
        assert asked[ours] == shop.kinds[theirs]
    assert asked["garbage"] == shop.kinds["garbage"] > 0
    assert run.total.failed == 0
    assert run.total.p50_ms >= 100
    assert run.stages["total"].count == shop.statuses["200"]
    # The server's clock runs inside the client's, and its histogram is as fine as its buckets: 64, 128, 256 ms.
    assert 64 <= run.stages["total"].quantile_ms(0.5) <= max(256, 2 * run.total.p50_ms)
    assert set(shop.files) == {"small.jpg", "large.jpg"}
    for name in ("time.png", "stages.png"):
        assert (tmp_path / name).read_bytes().startswith(PNG)
    page = (tmp_path / "report.html").read_text()
    assert "Passed: all 3 checks hold" in page
    assert f"{len(run.answers):,}" in done.stdout

    (tmp_path / "report.html").unlink()
    assert main(["report", str(tmp_path)]) == 0  # from what was measured, without a service
    assert (tmp_path / "report.html").read_text() == page


def test_overload_is_shed_and_the_knee_is_where_the_capacity_is(
    loadtests: Loadtests, photos: Path, tmp_path: Path
) -> None:
    """8 at once for 1 s each are 8 a second. Loads 5, 10, 15, 20: the knee is 5; 4 may wait, the others get 429."""
    with Shop(latency_s=1.0, at_once=8, waiting=4).serving() as shop:
        options = ("--shape", "ramp", "--rate", 20, "--steps", 4, "--duration", "40s", "--garbage", 0)
        done = loadtests("run", "--host", shop.url, "--photos", photos, "--out", tmp_path, *options)

    assert done.returncode == 0, done.stderr
    run = results.read(tmp_path)
    assert len(run.answers) == 10 * (5 + 10 + 15 + 20)  # all that were due, whatever became of them
    assert run.total.shed == shop.statuses["429"] > 0
    assert run.total.failed == 0
    assert run.knee is not None
    assert run.knee.level == 5, run.by_step
    assert run.by_step[-1].line.goodput_per_s <= 8 * 1.1
    assert f"Knee: {run.knee.level:g} arrivals/s" in done.stdout
    assert (tmp_path / "load.png").read_bytes().startswith(PNG)


def test_an_open_loop_does_not_leave_out_the_time_a_service_stood_still(
    loadtests: Loadtests, photos: Path, tmp_path: Path
) -> None:
    """For 4 s of 12 nothing is answered: of 5 arrivals a second 20 are due then, 10 of them more than 2 s before."""
    with Shop().serving() as shop:

        def freeze(number: int) -> None:
            if number == 20:
                shop.frozen_until_s = time.monotonic() + 4

        shop.fault = freeze
        options = ("--rate", 5, "--duration", "12s", "--garbage", 0, "--p99-ms", 1000)
        done = loadtests("run", "--host", shop.url, "--photos", photos, "--out", tmp_path, *options)

    assert done.returncode == 1
    assert "is above the limit of 1000 ms" in done.stderr
    run = results.read(tmp_path)
    assert len(run.answers) == 60
    # Two seconds before the end of the stop ten were due; a slow machine may add some, but can take none away.
    assert sum(answer.latency_ms > 1900 for answer in run.answers) >= 10


def test_errors_are_listed_and_break_the_limit(loadtests: Loadtests, photos: Path, tmp_path: Path) -> None:
    """Of searches every 4th gets 503, every 4th 429 without Retry-After, which is no promise to come back."""
    faults: dict[int, tuple[int, str | None]] = {1: (503, "1"), 3: (429, None)}
    with Shop().serving() as shop:
        shop.fault = lambda number: faults.get(number % 4)
        shop.accepts_garbage = True
        options = ("--user", "script", "--users", 2, "--duration", "4s", "--garbage", 0.2)
        done = loadtests("run", "--host", shop.url, "--photos", photos, "--out", tmp_path, *options)

    assert done.returncode == 1
    run = results.read(tmp_path)
    assert Counter(str(answer.status) for answer in run.answers) == shop.statuses
    reasons = Counter(a.reason for a in run.answers if a.outcome is Outcome.FAILED)
    assert reasons["garbage was answered with status 200"] > 0
    assert {"status 503", "status 429"} < set(reasons)
    assert run.total.shed == 0
    assert "is above the limit of 1.00%" in done.stderr
    page = (tmp_path / "report.html").read_text()
    assert "Failed: 1 of 1 checks" in page
    assert "garbage was answered with status 200" in page


def test_two_services_are_compared_side_by_side(loadtests: Loadtests, photos: Path, tmp_path: Path) -> None:
    with Shop(latency_s=0.2).serving() as fast, Shop(latency_s=0.8).serving() as slow:
        hosts = ("--host", fast.url, "--host", slow.url)
        options = ("--users", 2, "--user", "script", "--pairs", 3, "--duration", "24s", "--garbage", 0)
        done = loadtests("compare", *hosts, "--photos", photos, "--out", tmp_path, "--max-p95-ratio", 1.2, *options)

    assert done.returncode == 1, done.stderr
    assert "surely above the limit of 1.2" in done.stderr
    written = json.loads((tmp_path / "compare.json").read_text())
    ratio = {each["name"]: each for each in written["ratios"]}
    # 0.8 s over 0.2 s, to each of which the machine adds the same: at most 4.
    assert 1.5 < ratio["p50 ms"]["low"] <= ratio["p50 ms"]["ratio"] <= ratio["p50 ms"]["high"] < 4.5
    assert ratio["right searches a second"]["high"] < 1
    assert [side["line"]["requests"] for side in written["sides"]] == [len(fast.begun_s), len(slow.begun_s)]
    # A B, B A, A B: of the second pair B came first.
    begun = sorted([(s, "A") for s in fast.begun_s] + [(s, "B") for s in slow.begun_s])
    assert "".join(side for side, _ in groupby(side for _, side in begun)) == "ABAB"
    assert "B is slower" in (tmp_path / "report.html").read_text()


def test_chaos_judges_what_was_done(loadtests: Loadtests, photos: Path, tmp_path: Path) -> None:
    """While a file is there searches get 503: the plan makes it and takes it away. The second event breaks promises."""
    flag, lie = tmp_path / "down", tmp_path / "lie"
    plan = tmp_path / "plan.yaml"
    plan.write_text(
        f"""
events:
  - {{name: outage, run: touch {flag}, undo: rm {flag}, for_s: 4, pause_s: 6, watch_s: 6, allow: [503]}}
  - {{name: lie, run: touch {lie} {flag}, undo: rm {lie} {flag}, for_s: 5, pause_s: 6, watch_s: 6, ready_lag_s: 2}}
"""
    )
    with Shop().serving() as shop:
        shop.fault = lambda _: (503, "1") if flag.exists() else None
        shop.is_ready = lambda: not flag.exists() or lie.exists()
        options = ("--users", 3, "--think-s", 0.15, "--garbage", 0, "--plan", plan)
        done = loadtests("chaos", "--host", shop.url, "--photos", photos, "--out", tmp_path / "out", *options)

    assert done.returncode == 1, done.stderr
    run = results.read(tmp_path / "out")
    holds = {name: [v["holds"] for v in run.chaos["verdicts"] if v["event"] == name] for name in ("outage", "lie")}
    assert holds["outage"] == [True, True, True, True], run.chaos["verdicts"]
    assert holds["lie"] == [True, False, True, False], run.chaos["verdicts"]
    failed = sum(answer.status == 503 for answer in run.answers)
    assert failed == shop.statuses["503"] > 0
    assert "not allowed" in done.stderr
    assert "/readyz was at odds" in done.stderr
    assert main(["report", str(tmp_path / "out")]) == 1


def test_mistakes_are_one_sentence(photos: Path, tmp_path: Path) -> None:
    def sentence(*arguments: object) -> str:
        with pytest.raises(LoadTestError) as caught:
            main([*map(str, arguments)])
        assert "\n" not in str(caught.value)
        return str(caught.value)

    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    given = ("--photos", photos)
    with Shop().serving() as shop:
        host = ("--host", shop.url)
        assert "no service answers at http://127.0.0.1:9" in sentence("run", "--host", "http://127.0.0.1:9", *given)
        assert "must look like http://host:port" in sentence("run", "--host", "localhost:3000", *given)
        assert "holds no photos" in sentence("run", *host, "--photos", tmp_path / "empty")
        assert "does not exist" in sentence("run", *host, "--photos", tmp_path / "nowhere")
        assert "cannot write to --out" in sentence("run", *host, *given, "--out", tmp_path / "file" / "out")
        assert "compare needs --host twice, got 1" in sentence("compare", *host, *given)
        out = ("--out", tmp_path / "out")
        assert "nothing to do" in sentence("chaos", *host, *given, *out)
        assert "cannot be read" in sentence("chaos", *host, *given, *out, "--plan", tmp_path / "none.yaml")
        ramp = ("run", *host, *given, *out, "--shape", "ramp")
        assert "at least so many users, got --users 3" in sentence(*ramp, "--users", 3)
        assert "at least 1 s is needed" in sentence(*ramp, "--users", 30, "--duration", "4s")
        assert "--steps of 3 or more" in sentence(*ramp, "--steps", 2)
        assert "--rate must be above 0" in sentence(*ramp, "--rate", 0)
        assert "holds no run" in sentence("report", tmp_path / "empty")
        shop.ready = False
        assert "is not ready (503 at /readyz)" in sentence("run", *host, *given)
    assert not shop.kinds


def test_the_program_ends_with_status_2_and_130(photos: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "loadtests"]
    kept = {"cwd": ROOT, "env": environment(), "text": True}
    done = subprocess.run([*command, "report", str(tmp_path)], capture_output=True, timeout=100, check=False, **kept)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")

    with Shop().serving() as shop:
        asked = [*command, "run", "--host", shop.url, "--photos", str(photos), "--out", str(tmp_path)]
        process = subprocess.Popen(asked, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kept)
        deadline_s = time.monotonic() + 100
        while not shop.statuses["200"]:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        interrupt(process)
        _, errors = process.communicate(timeout=100)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors


def test_locusts_own_command_uses_the_same_shoppers(photos: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "locust", "-f", "loadtests/locustfile.py", "--headless", "-u", "2", "-t", "5s"]
    kept = {"cwd": ROOT, "env": environment(), "capture_output": True, "text": True, "timeout": 200}
    with Shop().serving() as shop:
        refused = subprocess.run([*command, "--host", shop.url], check=False, **kept)
        assert refused.returncode == 2, refused.stderr
        assert "no photo folder was given; name one with --photos or SHOPCAM_PHOTOS" in refused.stderr
        assert not shop.kinds

        options = ("--host", shop.url, "--photos", str(photos), "--think-s", "0.2", "--stop-timeout", "30")
        done = subprocess.run([*command, *options], check=False, **kept)
        assert done.returncode == 0, done.stderr
        assert shop.kinds["photo"] > 0
        assert shop.statuses.keys() <= {"200", "415"}
