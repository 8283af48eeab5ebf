"""Chaos judged on answers made by hand; plans read; two services compared."""

import numpy as np
import pytest

from loadtests.answers import Answer, Outcome
from loadtests.chaos_plan import BUILTIN, Event, read_plan, with_commands
from loadtests.compare import Slice, ratios
from loadtests.mistakes import LoadTestError
from loadtests.verdicts import Happened, Look, longest_lie_s, verdicts_on

KILLED = Event("kill", allow=(503,), recover_s=2, ready_lag_s=1)
HAPPENED = Happened(KILLED, begun_s=10, back_s=15, watched_s=30)


def searches(*broken, status=503, retry_after=True, every_s=0.5, until_s=30):
    """A search each half second; those asked within a range of `broken` fail."""
    found = []
    for number in range(int(until_s / every_s)):
        at_s = number * every_s
        bad = any(begin <= at_s < end for begin, end in broken)
        outcome = Outcome.FAILED if bad else Outcome.OK
        found.append(Answer(at_s, 20, "photo", status if bad else 200, outcome, bad and retry_after, ""))
    return found


def looks(*unready, until_s=30):
    times = [number * 0.25 for number in range(until_s * 4)]
    return [Look(at_s, not any(begin <= at_s < end for begin, end in unready)) for at_s in times]


def broken(answers, seen, happened=HAPPENED):
    return [verdict.sentence for verdict in verdicts_on([happened], answers, seen) if not verdict.holds]


def test_a_service_that_keeps_its_promises() -> None:
    verdicts = verdicts_on([HAPPENED], searches((10, 16)), looks((10, 16)))

    assert all(verdict.holds for verdict in verdicts)
    # Asked at 10, 10.5, ... 15.5: twelve; the last one half a second after the end.
    assert [verdict.sentence for verdict in verdicts] == [
        "before it, 0 of 20 requests failed",
        "from its begin on, 12 of 40 requests failed: 12 x 503",
        "it recovered 0.5 s after its end (limit 2 s)",
        "/readyz was at odds with searches for 0.0 s at most (limit 1 s)",
    ]


def test_each_broken_promise_has_its_sentence() -> None:
    assert broken(searches((10, 20)), looks((10, 20))) == ["it recovered 4.5 s after its end (limit 2 s)"]
    assert broken(searches((10, 30)), looks((10, 30))) == ["it did not recover in the 15.0 s it was watched"]
    assert broken(searches((5, 6)), looks((5, 6))) == ["before it, 2 of 20 requests failed: 2 x 503"]
    assert broken(searches((10, 11), status=500), looks((10, 11))) == [
        "from its begin on, 2 of 40 requests failed: 2 x 500; not allowed: 2 x 500 (allowed: 503)"
    ]
    assert broken(searches((10, 11), retry_after=False), looks((10, 11))) == [
        "from its begin on, 2 of 40 requests failed: 2 x 503 without Retry-After; "
        "not allowed: 2 x 503 without Retry-After (allowed: 503)"
    ]
    failed = Happened(KILLED, begun_s=10, back_s=15, watched_s=30, failure="its command ended with status 3: no")
    assert broken(searches(), looks(), failed) == ["its command ended with status 3: no"]
    assert broken(searches(), []) == ["/readyz was never answered"]
    assert len(broken([], [])) == 4


def test_a_request_under_way_at_the_begin_is_the_events() -> None:
    hit = Answer(9.9, 300, "photo", 503, Outcome.FAILED, True, "")

    assert broken([*searches(), hit], looks()) == []


def test_readiness_that_lies() -> None:
    # Searches fail from 10 to 16; /readyz says so from 13 on. From 10.25 to 12.75 all searches near a look fail.
    assert longest_lie_s(searches((10, 16)), looks((13, 16))) == pytest.approx(12.75 - 10.25)
    # Not ready from 3 to 9 while all searches succeed.
    assert longest_lie_s(searches(), looks((3, 9))) == pytest.approx(5.75)
    assert longest_lie_s(searches((10, 16)), looks((10, 16))) == 0
    # Garbage is refused without any network, and says nothing.
    garbage = [Answer(at_s / 10, 1, "garbage", 415, Outcome.OK, False, "") for at_s in range(300)]
    assert longest_lie_s([*searches((10, 16)), *garbage], looks((10, 16))) == 0


def test_the_plan_that_is_shipped_takes_commands() -> None:
    events = read_plan(BUILTIN)
    assert [event.name for event in events] == ["swap", "triton-kill", "triton-slow", "store-gone", "worker-kill"]
    assert {event.name: event.allow for event in events}["swap"] == ()

    chosen = with_commands(events, {"on-triton-kill": "kill 1", "undo-triton-kill": "start"})
    assert [(event.name, event.run, event.undo) for event in chosen] == [("triton-kill", "kill 1", "start")]
    with pytest.raises(LoadTestError, match="nothing to do: give a command to at least one of --on-swap, "):
        with_commands(events, {})
    with pytest.raises(LoadTestError, match="--undo-swap was given without --on-swap"):
        with_commands(events, {"undo-swap": "true"})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("events: [", "is no YAML"),
        ("[]", "must have a list `events`"),
        ("events: []", "with at least one event"),
        ("events: [{run: ls}]", "must be a mapping with a name"),
        ("events: [{name: a, runs: ls}]", "has 'runs'; known are name"),
        ("events: [{name: a, pause_s: soon}]", "pause_s of event a in .* must be a number of seconds, got 'soon'"),
        ("events: [{name: a, for_s: -1}]", "must be a number of seconds, got -1"),
        ("events: [{name: a, allow: 503}]", "must be a list of statuses, got 503"),
        ("events: [{name: a}, {name: a}]", "have the same name"),
    ],
)
def test_plans_with_mistakes(tmp_path, text, sentence) -> None:
    (tmp_path / "plan.yaml").write_text(text)

    with pytest.raises(LoadTestError, match=sentence):
        read_plan(tmp_path / "plan.yaml")


def test_ratios_of_services_whose_ratio_is_known() -> None:
    """B takes twice as long as A in every answer, and each pair of slices has a pace of its own."""
    rng = np.random.default_rng(2)
    pairs = []
    for number in range(6):
        times_ms = rng.uniform(10, 20, 200) * (1 + number / 5)
        pairs.append((Slice(times_ms, 5), Slice(2 * times_ms[:100], 5)))
    found = {ratio.name: ratio for ratio in ratios(pairs, seed=1)}

    assert found["p50 ms"].low < 2 < found["p50 ms"].high
    assert found["p50 ms"].ratio == pytest.approx(2, rel=0.1)
    assert found["p50 ms"].differs
    rate = found["right searches a second"]
    assert (rate.a, rate.b, rate.ratio, rate.low, rate.high) == (40, 20, 0.5, 0.5, 0.5)


def test_a_service_does_not_differ_from_itself() -> None:
    """Of 12 comparisons of a service with itself, intervals of 95 % leave 1 out in about one."""
    wrong = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        pairs = [(Slice(rng.lognormal(3, 0.4, 150), 5), Slice(rng.lognormal(3, 0.4, 150), 5)) for _ in range(8)]
        wrong += next(ratio for ratio in ratios(pairs, seed=seed) if ratio.name == "p50 ms").differs

    assert wrong <= 3
