"""The rows of the service's table from measurements made by hand: formulas, and verdicts that can be missed."""

from dataclasses import replace
from http import HTTPStatus

import pytest

from benchmarks.serving.__main__ import main
from benchmarks.serving.added import PhotoTimes, added_rows
from benchmarks.serving.chaos import chaos_rows
from benchmarks.serving.clients import LoadReport
from benchmarks.serving.core_time import CoreTime, core_time_rows
from benchmarks.serving.open_loop import Offered, OpenLoop, report_of
from benchmarks.serving.overload import Overload, overload_rows
from benchmarks.serving.soak import Soak, slope_mb_per_minute, soak_rows
from loadtests.answers import Answer, Outcome
from loadtests.limits import Limits
from loadtests.results import Run
from loadtests.shapes import Shape, Step


def by_name(rows):
    return {row.name: row for row in rows}


def test_what_is_added_is_left_of_the_clients_wait_photo_by_photo():
    found = [PhotoTimes(10, 2, 5, 1), PhotoTimes(20, 2, 5, 1), PhotoTimes(9, 1, 5, 1)]  # 2, 12, 2
    (row,) = added_rows(found, networks="n", served="the service")
    assert (row.value, row.ok) == (pytest.approx(2.0), True)  # medians of the parts would leave 10 - 2 - 5 - 1, too
    (row,) = added_rows([PhotoTimes(12, 2, 5, 1)], networks="n", served="the service")
    assert (row.value, row.ok) == (pytest.approx(4.0), False)
    assert "client 12.0, decode 2.0, networks 5.0, search 1.0" in row.note


def test_core_time_is_what_both_servers_take_beyond_the_work_itself():
    found = [CoreTime(5, 4, 3, 100, 20), CoreTime(6, 4, 2, 100, 20), CoreTime(5, 5, 5, 100, 20)]  # 6, 8, 5
    row = by_name(core_time_rows(found, networks="n"))["n: service and Triton beyond decode and networks"]
    assert (row.value, row.ok) == (6.0, True)
    assert "5.0 to 8.0" in row.note


def test_goodput_counts_answers_within_the_window_and_waits_begin_when_due():
    spec = OpenLoop("http://x", "photos", rate=1, seconds=10, warm_s=2)
    found = [
        Offered(1, 1.5, 200),  # of the warm-up
        Offered(1.5, 2.5, 200),  # asked in the warm-up, answered after it: goodput, but not judged
        Offered(3, 4, 200),
        Offered(4, 4.1, 429),
        Offered(5, 9, 200),
        Offered(6, 66, 0),
        Offered(9, 11, 200),  # too late to count, but it was waited for
    ]
    report = report_of(found, spec, client_cpu=0.1, late_s=0.0)
    assert report.goodput == pytest.approx(3 / 8)
    assert report.statuses == {"200": 3, "429": 1, "0": 1}
    assert (report.sent, report.accepted_p50_ms) == (5, pytest.approx(2000))  # of 1000, 4000, 2000
    assert report.count(HTTPStatus.OK, HTTPStatus.TOO_MANY_REQUESTS) == 1


def closed(photos_per_s: float) -> LoadReport:
    return LoadReport(round(10 * photos_per_s), 0, 10.0, 1.0, 5.0, 9.0)


def open_report(goodput: float, *, p99_ms: float, statuses: dict[str, int]):
    empty = report_of([], OpenLoop("http://x", "photos", 1, 10), client_cpu=0.1, late_s=0.0)
    return replace(empty, goodput=goodput, accepted_p50_ms=p99_ms / 2, accepted_p99_ms=p99_ms, statuses=statuses)


def test_overload_is_judged_by_the_most_that_was_seen():
    full = open_report(40, p99_ms=100, statuses={"200": 400})
    over = open_report(45, p99_ms=200, statuses={"200": 450, "429": 600})
    rows = list(by_name(overload_rows(Overload(closed(48), closed(50), full, over), networks="n")).values())
    assert [row.value for row in rows] == [50, pytest.approx(0.9), pytest.approx(2.0), 0, 0]
    assert all(row.ok is not False for row in rows)
    worse = open_report(44, p99_ms=201, statuses={"200": 440, "429": 600, "504": 1, "0": 2})
    rows = overload_rows(
        Overload(closed(48), closed(50), replace(full, statuses={"200": 9, "503": 1}), worse), networks="n"
    )
    assert [row.ok for row in rows[1:]] == [False] * 4
    assert "2 x no answer" in rows[3].note


def test_overload_without_an_answer_reaches_nothing():
    nothing = report_of([], OpenLoop("http://x", "photos", 1, 10), client_cpu=0.0, late_s=0.0)
    rows = overload_rows(Overload(closed(0), closed(0), nothing, nothing), networks="n")
    assert [row.ok for row in rows[1:3]] == [False, False]


def test_the_slope_leaves_the_warm_up_out():
    # 50 MB jump within the first minute, then 2 MB a minute: 10 MB at 60 s, 12 at 120 s.
    memory = [
        (0.0, 0),
        (30.0, 50_000_000),
        *((float(s), 10_000_000 + (s - 60) * 2_000_000 // 60) for s in range(60, 300, 3)),
    ]
    assert slope_mb_per_minute(memory, warm_s=60) == pytest.approx(2.0, rel=1e-3)
    assert slope_mb_per_minute(memory, warm_s=0) != pytest.approx(2.0, rel=0.1)
    load = report_of([Offered(0, 1, 200)], OpenLoop("http://x", "photos", 1, 300), client_cpu=0.1, late_s=0.0)
    rows = soak_rows(Soak(memory, (40, 41), 60, load), networks="n")
    assert [row.ok for row in rows] == [False, False, True]
    level = [(float(s), 10_000_000) for s in range(100)]
    assert [row.ok for row in soak_rows(Soak(level, (40, 40), 60, load), networks="n")] == [True] * 3
    assert soak_rows(Soak([], (40, 40), 60, load), networks="n")[0].ok is False  # the service was gone at once


def chaos_run(failed: dict[float, tuple[int, bool]], *, ready: bool = True) -> Run:
    """A search each half second of a minute; `failed` are those that failed: status and whether with Retry-After."""
    answers = []
    for number in range(120):
        at_s = number / 2
        status, retry_after = failed.get(at_s, (200, False))
        outcome = Outcome.OK if status == 200 else Outcome.FAILED
        answers.append(Answer(at_s, 20, "photo", status, outcome, retry_after, ""))
    events = [
        {"name": "swap", "begun_s": 5.0, "back_s": 6.0, "watched_s": 20.0},
        {"name": "triton-kill", "begun_s": 25.0, "back_s": 30.0, "watched_s": 60.0},
    ]
    looks = [[number / 4, int(ready)] for number in range(240)]
    chaos = {"events": events, "verdicts": [{"event": "swap", "holds": True, "sentence": "fine"}], "looks": looks}
    steps = (Step(0, 60, 8),)
    return Run("t", "c", "h", Shape.STEADY, False, steps, 60.0, 1.0, Limits(), answers, chaos=chaos)


def test_chaos_in_numbers():
    killed = dict.fromkeys((25.0, 26.0, 31.5), (503, True))
    rows = by_name(
        chaos_rows(chaos_run({2.0: (500, False), **killed}))
    )  # what failed before the swap is not the swap's
    assert rows["swap under load: failed requests"].value == 0
    assert rows["Triton killed under load: failures other than 503 with Retry-After"].value == 0
    recovered = rows["Triton killed under load: from Triton's return to the last failure"]
    assert (recovered.value, recovered.unit, recovered.ok) == (pytest.approx(1.5), "s", True)
    assert rows["Triton killed under load: /readyz at odds with searches for at most"].value == 0
    assert rows["chaos: broken promises"].ok


def test_chaos_that_is_missed():
    rows = by_name(chaos_rows(chaos_run({7.0: (503, True), 27.0: (503, False), 28.0: (500, True), 36.0: (503, True)})))
    assert rows["swap under load: failed requests"].ok is False
    assert rows["Triton killed under load: failures other than 503 with Retry-After"].value == 2
    assert rows["Triton killed under load: from Triton's return to the last failure"].ok is False  # 6 s
    dead = by_name(chaos_rows(chaos_run({number / 2: (503, True) for number in range(50, 120)})))
    assert dead["Triton killed under load: from Triton's return to the last failure"].ok is False
    lying = by_name(chaos_rows(chaos_run({}, ready=False)))
    assert lying["Triton killed under load: /readyz at odds with searches for at most"].ok is False


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["service", "--only", "core,nothing"], "'nothing' is none of throughput, core, added, overload, chaos, soak"),
        (["service", "--rounds", "0"], "expected 1 or more, got 0"),
        (["service", "--minutes", "-1"], "expected a number above 0, got -1"),
        (["peers", "--networks", "mine"], "'mine' is none of grocery, sample"),
    ],
)
def test_a_mistake_in_the_command_is_one_sentence(arguments, sentence, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err
