"""Replicas that follow the load. Oracles: target tracking's formula with its times, and the templates themselves."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from infra.pieces import SERVING, Piece, pieces_of
from infra.settings import Profile, load_profile
from infra.simulator.fleet import Step
from infra.simulator.measured import Replica
from infra.simulator.policy import Metric, Routing, policy_of, read_policy
from infra.simulator.scaling import Scaler
from infra.simulator.scenario import with_kind
from infra.templates import FOLDER, read_template
from tests.infra.simulated import POLICY, REPLICA, STARTS, TO_ZERO, TRACKING, WAKE_UP, day_of


def test_a_step_of_load_is_followed_as_the_formula_says_and_when() -> None:
    """40 requests/s that stay 0.35 s each are 14 in progress: for a target of 2, 7 replicas."""
    replica = Replica(work_s=0.01, spread=0.0, delay_s=0.34, max_wait_s=math.inf)
    times_s = np.arange(1_000, 2_000, 1 / 40)  # each stays 0.35 s: 14 are in progress
    day = day_of(times_s, replica=replica, end_s=2_000)

    # Datapoints at 1010, 1020 and 1030 lie above the target; the first is the mean of ten seconds.
    assert [(step.at_s, step.ready, step.paid) for step in day.steps[:3]] == [
        (0.0, 1, 1),
        (1_030.0, 1, 7),
        (1_030.0 + STARTS.total_s, 7, 7),
    ]
    assert len(day.steps) == 3  # 14 / 7 is 2, not above the target


def test_scaling_in_goes_one_by_one_after_a_quarter_of_an_hour_and_the_cooldown() -> None:
    scaler = Scaler(POLICY, TRACKING)
    changes, ready = [], 4
    for at_s in range(10, 4_000, 10):
        wanted = scaler.tracked(at_s, value=1.0 / ready, ready=ready, starting=0)
        if wanted != ready:
            changes.append((at_s, wanted))
        ready = wanted
    assert changes == [(900, 3), (1_200, 2), (1_500, 1)]


def test_the_largest_load_of_the_quarter_of_an_hour_has_to_fit() -> None:
    scaler = Scaler(POLICY, TRACKING)
    # 3 replicas with 1.7 each are below 0.9 x 2, but 5.1 does not fit two replicas.
    assert {scaler.tracked(at_s, value=1.7, ready=3, starting=0) for at_s in range(10, 4_000, 10)} == {3}


def test_while_replicas_start_an_endpoint_takes_no_other_order_and_then_has_a_cooldown() -> None:
    scaler = Scaler(POLICY, TRACKING)
    assert [scaler.tracked(at_s, value=4, ready=1, starting=0) for at_s in (10, 20, 30)] == [1, 1, 2]
    assert scaler.tracked(40, value=8, ready=1, starting=1) == 2
    scaler.started(340)
    assert [scaler.tracked(at_s, value=4, ready=2, starting=0) for at_s in (350, 390, 400)] == [2, 2, 4]
    not_serial = Scaler(dataclasses.replace(POLICY, serial=False), TRACKING)
    assert [not_serial.tracked(at_s, value=8, ready=1, starting=1) for at_s in (10, 20, 30)] == [2, 2, 4]


def test_an_endpoint_at_zero_is_woken_by_the_request_that_fails() -> None:
    """Asked at 1003 and 1100: the alarm's period ends at 1020, the replica comes 10 + 300 + 7.5 s later."""
    day = day_of([1_003, 1_100, 1_400], TO_ZERO)

    (awakening,) = day.awakenings
    assert (awakening.asked_s, awakening.ready_s) == (1_003, 1_020 + 10 + 300 + 7.5)
    assert awakening.took_s == 17 + STARTS.total_s
    assert day.failed.tolist() == [True, True, False]
    assert day.latency_s[2] == pytest.approx(REPLICA.work_s + REPLICA.delay_s)
    # Without a request in a quarter of an hour of datapoints it goes: the last one with a request ends at 1410.
    assert day.steps[-1] == Step(1_410 + 900, 0, 0)
    assert day.replica_hours == pytest.approx((2_310 - 1_030) / 3_600)


def test_an_asynchronous_endpoint_makes_everybody_wait_and_refuses_nobody() -> None:
    policy = dataclasses.replace(
        TO_ZERO, metric=Metric.BACKLOG, period_s=60, target=100, routing=Routing.QUEUE,
        wake_up=dataclasses.replace(WAKE_UP, period_s=60),
    )  # fmt: skip
    day = day_of([1_003, 1_004, 1_500], policy, dataclasses.replace(REPLICA, max_wait_s=0.01))

    ready_s = 1_020 + STARTS.total_s
    assert day.latency_s.tolist() == pytest.approx(
        [ready_s + 0.1 + 0.05 - 1_003, ready_s + 0.2 + 0.05 - 1_004, 0.15], abs=1e-6
    )
    assert not day.failed.any()
    assert not day.refused.any()
    assert day.awakenings[0].ready_s == ready_s


def serving_of(profile: Profile) -> Piece:
    return next(piece for piece in pieces_of(profile) if piece.part == SERVING)


@pytest.mark.parametrize(
    ("kind", "metric", "routing", "wakes"),
    [
        ("realtime", Metric.CONCURRENCY, Routing.LEAST_OUTSTANDING, False),
        ("component", Metric.CONCURRENCY, Routing.LEAST_OUTSTANDING, True),
        ("async", Metric.BACKLOG, Routing.QUEUE, True),
        ("service", Metric.REQUESTS, Routing.LEAST_OUTSTANDING, False),
    ],
)
def test_policies_are_those_of_the_templates(kind: str, metric: Metric, routing: Routing, wakes: bool) -> None:
    profile = with_kind(load_profile("prod"), kind)
    policy = policy_of(profile)

    assert profile.serving is not None
    assert (policy.kind, policy.metric, policy.routing) == (kind, metric, routing)
    assert (policy.least, policy.most) == (profile.serving.min_replicas, profile.serving.max_replicas)
    assert policy.in_cooldown_s == profile.serving.scale_in_cooldown_s
    assert policy.serial == (kind != "service")
    assert (policy.wake_up is not None) == wakes
    names = {"realtime": "concurrency_per_replica", "component": "concurrency_per_replica"}
    names |= {"async": "backlog_per_replica", "service": "requests_per_replica"}
    assert policy.target == getattr(profile.serving, names[kind])


def test_another_number_in_a_template_is_another_day(tmp_path: Path) -> None:
    piece = serving_of(load_profile("dev"))
    body = (FOLDER / "component.yaml").read_text()
    for before, after in (("Period: 30", "Period: 120"), ("ScalingAdjustment: 1", "ScalingAdjustment: 2")):
        assert before in body
        body = body.replace(before, after)
    (tmp_path / "component.yaml").write_text(body)
    changed = dataclasses.replace(piece, template=read_template("component", folder=tmp_path))

    days = [day_of([1_003], read_policy(one)) for one in (piece, changed)]
    assert [day.steps[1].paid for day in days] == [1, 2]
    assert [day.awakenings[0].ready_s - STARTS.total_s for day in days] == [1_020, 1_080]
