"""Figures worked out by hand."""

import math

import pytest

from loadtests.answers import Answer, AnswerLog, Outcome, read_answers
from loadtests.figures import Line, StepLine, knee_of, line_of, lines_of, percentile, step_lines
from loadtests.histograms import Histogram, Scrape, between, parse
from loadtests.limits import Limits
from loadtests.shapes import Shape, Step, arrivals, level_at, steps_of

INF = math.inf


def answer(*, at_s=0.0, latency_ms=10.0, kind="photo", status=200, outcome=Outcome.OK, retry_after=False, reason=""):
    return Answer(at_s, latency_ms, kind, status, outcome, retry_after, reason)


def line(*, requests=100, ok=100, shed=0, failed=0, goodput=10.0, p95=80.0, p99=120.0):
    return Line("all", requests, ok, shed, failed, goodput, 10.0, p95, p99)


def test_percentiles_are_answers_that_were_given() -> None:
    values = list(range(100, 0, -1))

    assert [percentile(values, q) for q in (0.50, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]
    assert percentile([7.0], 0.99) == 7
    assert percentile([1.0, 2.0], 0.5) == 1
    assert math.isnan(percentile([], 0.5))


def test_a_line_counts_outcomes_apart_and_times_right_searches_only() -> None:
    answers = [
        *(answer(latency_ms=ms) for ms in (10, 20, 30)),
        answer(latency_ms=1, status=429, outcome=Outcome.SHED, retry_after=True),
        answer(latency_ms=9000, status=503, outcome=Outcome.FAILED),
        answer(latency_ms=5000, kind="garbage", status=415),
    ]
    found = line_of("all", answers, seconds=2)

    assert (found.requests, found.ok, found.shed, found.failed) == (6, 4, 1, 1)
    assert (found.p50_ms, found.p99_ms) == (20, 30)
    assert found.goodput_per_s == 4 / 2
    assert (found.error_rate, found.shed_rate) == (1 / 6, 1 / 6)
    assert [each.name for each in lines_of(answers, seconds=2)] == ["photo", "garbage", "all"]
    assert line_of("all", [], seconds=1).error_rate == 1  # nothing was asked: no success


def test_answers_are_read_as_they_were_written(tmp_path) -> None:
    answers = [answer(at_s=2.0, reason='a "reason", with a comma'), answer(at_s=1.25, status=0, outcome=Outcome.FAILED)]
    with AnswerLog(tmp_path) as log:
        for each in answers:
            log.add(each)

    assert read_answers(tmp_path) == sorted(answers, key=lambda each: each.at_s)
    assert log.counts == {Outcome.OK: 1, Outcome.SHED: 0, Outcome.FAILED: 1}


def test_shapes_have_the_levels_they_say() -> None:
    assert steps_of(Shape.STEADY, level=7, duration_s=9) == (Step(0, 9, 7),)
    ramp = steps_of(Shape.RAMP, level=40, duration_s=20, steps=4)
    assert [(step.begin_s, step.level) for step in ramp] == [(0, 10), (5, 20), (10, 30), (15, 40)]
    spike = steps_of(Shape.SPIKE, level=50, duration_s=100)
    assert [(step.begin_s, step.end_s, step.level) for step in spike] == [(0, 40, 10), (40, 60, 50), (60, 100, 10)]
    assert {step.level for step in steps_of(Shape.SOAK, level=3, duration_s=100)} == {3}
    assert [step.level for step in steps_of(Shape.SPIKE, level=3, duration_s=9, whole=True)] == [1, 3, 1]
    assert [level_at(ramp, at_s) for at_s in (0, 4.9, 5, 19, 99)] == [10, 10, 20, 40, 40]


def test_arrivals_are_evenly_spaced_at_the_rate_of_their_step() -> None:
    due_s = list(arrivals((Step(0, 2, 2), Step(2, 3, 4))))

    assert due_s == [0, 0.5, 1, 1.5, 2, 2.25, 2.5, 2.75]


def step(level, *, goodput, p95, offered=None):
    return StepLine(level, level if offered is None else offered, 10, line(goodput=goodput, p95=p95))


@pytest.mark.parametrize(
    ("p95_ms", "goodput", "knee"),
    [
        ([10, 12, 19, 21, 90], [10, 20, 30, 40, 50], 30),  # slower than twice the lightest from 40 on
        ([10, 10, 10, 10, 10], [10, 20, 27, 35, 35], 30),  # 35 of 40: below nine tenths
        ([10, 25, 10, 10, 10], [10, 20, 30, 40, 50], 10),  # what recovers beyond does not count
        ([10, 12, 14, 16, 18], [10, 20, 30, 40, 50], None),  # never reached
    ],
)
def test_knee_of_curves_whose_knee_is_known(p95_ms, goodput, knee) -> None:
    steps = [step(10.0 * n, goodput=g, p95=p) for n, (p, g) in enumerate(zip(p95_ms, goodput, strict=True), start=1)]
    found = knee_of(steps)

    assert (found.level if found else None) == knee


def test_knee_of_a_queue() -> None:
    """One server, 100 answers/s: M/M/1's p95 is ln(20) / (100 - load) seconds; twice that at load 10 is at load 55."""
    steps = [step(load, goodput=load, p95=1e3 * math.log(20) / (100 - load)) for load in range(10, 100, 5)]

    knee = knee_of(steps)
    assert knee is not None
    assert knee.level == 55


def test_no_knee_without_a_ramp_or_answers() -> None:
    steps = [step(10, goodput=10, p95=10), step(50, goodput=5, p95=99), step(10, goodput=10, p95=10)]
    assert knee_of(steps) is None
    few = StepLine(10, 10, 10, line(ok=5, p95=10))
    assert knee_of([few, *steps[1:2], step(60, goodput=5, p95=99)]) is None


def test_steps_leave_their_first_fifth_out_and_know_what_was_offered() -> None:
    steps = (Step(0, 10, 1), Step(10, 20, 4))
    answers = [answer(at_s=n / 2, latency_ms=n) for n in range(40)]  # 2 a second throughout

    light, heavy = step_lines(answers, steps, open_loop=False)
    assert (light.line.requests, heavy.line.requests) == (16, 16)  # 8 s each
    assert (light.offered_per_s, heavy.offered_per_s) == (2, 8)  # 1 user: 2 a second, so 4 users: 8
    assert heavy.line.p50_ms == 31  # of 24 .. 39
    assert [each.offered_per_s for each in step_lines(answers, steps, open_loop=True)] == [1, 4]


def test_quantiles_of_a_histogram_are_those_of_prometheus() -> None:
    """10 up to 0.1 s, 60 more up to 0.2 s, 30 more up to 0.4 s."""
    found = Histogram({0.1: 10, 0.2: 70, 0.4: 100, INF: 100}, 20.0)

    assert found.quantile_ms(0.05) == pytest.approx(50)  # rank 5 of 10 in 0 .. 0.1
    assert found.quantile_ms(0.50) == pytest.approx(100 + 100 * 40 / 60)
    assert found.quantile_ms(0.70) == pytest.approx(200)
    assert found.quantile_ms(0.95) == pytest.approx(200 + 200 * 25 / 30)
    assert Histogram({0.1: 1, INF: 4}, 9).quantile_ms(0.9) == pytest.approx(100)  # in the open bucket: its lower end
    assert math.isnan(Histogram({0.1: 0, INF: 0}, 0).quantile_ms(0.5))


PAGE = """# TYPE shopcam_stage_seconds histogram
shopcam_stage_seconds_bucket{le="0.1",stage="total"} 3.0
shopcam_stage_seconds_bucket{le="+Inf",stage="total"} 5.0
shopcam_stage_seconds_count{stage="total"} 5.0
shopcam_stage_seconds_sum{stage="total"} 2.5
# TYPE other_seconds histogram
other_seconds_bucket{le="+Inf"} 9.0
other_seconds_count 9.0
other_seconds_sum 9.0
"""


def test_metrics_page_and_restarts() -> None:
    stages = parse(PAGE)
    assert stages == {"total": Histogram({0.1: 3, INF: 5}, 2.5)}

    def look(at_s, fast, all_):
        return Scrape(at_s, {"total": Histogram({0.1: fast, INF: all_}, 0.1 * all_)})

    # 3 and 5 before; 7 and 10 later; a restart, then 1 and 2: (7 - 3) + 1 fast ones of (10 - 5) + 2.
    found = between([look(0, 3, 5), look(1, 7, 10), look(2, 1, 2)])["total"]
    assert found.buckets == {0.1: 5, INF: 7}
    assert found.sum_s == pytest.approx(0.5 + 0.2)
    assert Histogram.from_json(found.to_json()) == found
    assert between([look(0, 3, 5)]) == {}


def test_limits_apply_to_clients_and_to_the_service() -> None:
    """The service's p95: rank 95 of 100 lies at 200 + 200 x 25 / 30 = 367 ms."""
    stages = {"total": Histogram({0.1: 10, 0.2: 70, 0.4: 100, INF: 100}, 20.0)}
    measured = line(requests=200, ok=190, shed=7, failed=3)

    def broken(**limits):
        return [check.sentence for check in Limits(**limits).checks(measured, stages) if not check.holds]

    assert broken(error_rate=0.015, shed_rate=0.035, p99_ms=400) == []
    assert broken(error_rate=0.0149) == ["error rate 1.50% is above the limit of 1.49%"]
    assert broken(error_rate=1, shed_rate=0.03) == ["shed rate 3.50% is above the limit of 3.00%"]
    assert broken(error_rate=1, p95_ms=100) == ["the service's own p95 367 ms is above the limit of 100 ms"]
    assert broken(error_rate=1, p95_ms=70)[0] == "p95 80 ms is above the limit of 70 ms"
    nothing = line(ok=0, p95=math.nan, p99=math.nan)
    assert not Limits(error_rate=1, p95_ms=100).checks(nothing, {})[1].holds
