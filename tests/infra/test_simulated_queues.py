"""Requests and replicas of a simulated day. Oracles: formulas of queueing, and arithmetic that can be done by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bento.settings import Settings
from infra.simulator.assumptions import Shop
from infra.simulator.fleet import Fleet, Starts
from infra.simulator.outcome import figures_of, fixed_fleet
from infra.simulator.policy import Metric, Routing
from infra.simulator.queues import begin_in_turn
from infra.simulator.traffic import DAY_S, Arrivals, shop_rates
from tests.infra.simulated import ASSUMED, POLICY, REPLICA, TRACKING, WAKE_UP, day_of, fixed, steady


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
@pytest.mark.parametrize("spread", [0.0, 0.5])
def test_one_replica_waits_as_pollaczek_and_khinchine_say(load: float, spread: float) -> None:
    replica = dataclasses.replace(REPLICA, spread=spread)
    day = day_of(steady(load / replica.work_s, seconds=DAY_S), fixed(1), replica)

    waited_s = day.latency_s - replica.work_s - replica.delay_s  # the mean of work is work_s
    expected_s = load * replica.work_s * (1 + spread**2) / (2 * (1 - load))
    assert waited_s.mean() == pytest.approx(expected_s, rel=0.05)


def test_replicas_chosen_at_random_are_queues_of_their_own() -> None:
    day = day_of(steady(3 * 0.7 / REPLICA.work_s, seconds=40_000), fixed(3, Routing.RANDOM))

    waited_s = day.latency_s - REPLICA.work_s - REPLICA.delay_s
    assert waited_s.mean() == pytest.approx(0.7 * REPLICA.work_s / (2 * (1 - 0.7)), rel=0.05)


@pytest.mark.parametrize("replicas", [2, 5])
def test_the_fewest_outstanding_lie_between_one_queue_and_queues_of_their_own(replicas: int) -> None:
    """Erlang C halved (Cosmetatos: near enough for equal work) below, a random choice above."""
    load, work_s = 0.8, REPLICA.work_s
    day = day_of(steady(replicas * load / work_s, seconds=40_000), fixed(replicas))

    waited_s = float((day.latency_s - work_s - REPLICA.delay_s).mean())
    one_queue_s = erlang_c(replicas, load) * work_s / (replicas * (1 - load)) / 2
    at_random_s = load * work_s / (2 * (1 - load))
    assert one_queue_s < waited_s < at_random_s


def erlang_c(servers: int, load: float) -> float:
    """The probability to wait in M/M/c."""
    offered = servers * load
    last = offered**servers / math.factorial(servers) / (1 - load)
    return last / (sum(offered**k / math.factorial(k) for k in range(servers)) + last)


@given(
    gaps_s=st.lists(st.floats(0, 0.4), min_size=1, max_size=60),
    free_s=st.floats(0, 5),
    max_wait_s=st.sampled_from([0.05, 0.3, math.inf]),
)
def test_requests_begin_one_after_the_other(gaps_s: list[float], free_s: float, max_wait_s: float) -> None:
    arrived_s = np.cumsum(gaps_s)
    work_s = np.linspace(0.05, 0.2, len(gaps_s))
    begun_s, free_after_s = begin_in_turn(arrived_s, work_s, free_s=free_s, max_wait_s=max_wait_s)

    at_s = free_s
    for arrived, work, begun in zip(arrived_s, work_s, begun_s, strict=True):
        if max(arrived, at_s) - arrived > max_wait_s + 1e-9:
            assert math.isnan(begun)
        elif not math.isnan(begun):
            assert begun == pytest.approx(max(arrived, at_s))
            at_s = begun + work
    assert free_after_s == pytest.approx(at_s)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    rate_per_s=st.floats(0.01, 40),
    routing=st.sampled_from(list(Routing)),
    least=st.integers(0, 2),
    wakes=st.booleans(),
)
def test_nothing_is_lost(seed: int, rate_per_s: float, routing: Routing, least: int, wakes: bool) -> None:
    metric = Metric.BACKLOG if routing is Routing.QUEUE else Metric.CONCURRENCY
    policy = dataclasses.replace(
        POLICY, metric=metric, routing=routing, least=least, most=3, wake_up=WAKE_UP if wakes else None
    )
    replica = dataclasses.replace(REPLICA, spread=0.4, max_wait_s=0.4)
    times_s = steady(rate_per_s, seconds=1_500, seed=seed)
    day = day_of(times_s, policy, replica, end_s=1_500, seed=seed)

    ends = np.stack([day.answered, day.refused, day.failed, day.waiting])
    assert (ends.sum(axis=0) == 1).all()
    assert (day.latency_s[day.answered] > replica.delay_s).all()
    if routing is not Routing.QUEUE:
        assert not day.waiting.any()
        work_s = 10 * replica.work_s  # far more than a search takes
        assert (day.latency_s[day.answered] < replica.max_wait_s + work_s + replica.delay_s).all()
    assert all(0 <= step.ready <= step.paid <= 3 for step in day.steps)
    assert (day.replica_hours == 0) == (max(step.paid for step in day.steps) == 0)


def test_what_is_paid_for_is_from_the_launch_until_it_goes() -> None:
    fleet = Fleet(Starts(notice_s=10, instance_s=100, container_s=5), replicas=1)
    fleet.order(1_000, 3)
    assert (fleet.ready, fleet.starting, fleet.next_ready_s) == (1, 2, 1_115)
    assert fleet.arrive(1_115)
    fleet.order(4_610, 2)
    # one all day, one from 1010 to midnight, one from 1010 to 4610
    assert fleet.hours(86_400) == pytest.approx(24 + (86_400 - 1_010) / 3_600 + 1)


def test_the_fleet_that_is_always_on_is_the_smallest_that_serves_the_peak() -> None:
    """25 requests/s for two minutes on replicas of 10/s: two are overrun, three refuse nobody."""
    replica = dataclasses.replace(REPLICA, max_wait_s=0.4)
    times_s = np.concatenate(
        [np.arange(0, 40_000, 10.0), np.arange(40_000, 40_120, 1 / 25), np.arange(40_120, DAY_S, 10.0)]
    )
    found = fixed_fleet(Arrivals(times_s), POLICY, replica, TRACKING, generator=np.random.default_rng(0))
    assert found == 3
    assert figures_of(day_of(times_s, fixed(2), replica)).refused > 0
    assert figures_of(day_of(times_s, fixed(3), replica)).refused == 0


def test_a_shop_asks_as_often_as_it_is_said_to_and_sleeps_at_night() -> None:
    shop = Shop.model_validate(ASSUMED.traffic.shop.model_dump() | {"searches_per_day": 1e6})
    rates = shop_rates(shop)
    inside = slice(round(12.5 * 3600), round(12.5 * 3600) + 600)

    without = np.delete(rates, np.arange(inside.start, inside.stop))
    assert without.sum() == pytest.approx(1e6, rel=0.01)
    assert 2.5 <= without.max() / without.mean() <= 4
    assert rates[inside][300] == pytest.approx(3 * rates[inside.start - 1], rel=0.02)
    assert rates[3 * 3600 : 5 * 3600].max() < 0.02 * without.max()


def test_what_a_service_refuses_from_is_what_the_service_says() -> None:
    assert Settings.model_fields["max_wait_ms"].default == ASSUMED.replica.max_wait_ms.value
