"""Token buckets and daily quotas, by clocks that the tests set: what passes is arithmetic."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bento.limits import DAY_S, Allowance, Limiter, QuotaExceededError, RateLimitedError
from tests.bento.asgi import ask, service
from tests.bento.conftest import refused

NOON_S = 20_000 * DAY_S + DAY_S / 2


class Clocks:
    """Both clocks of a limiter; they stand still between calls of `wait`."""

    def __init__(self) -> None:
        self.passed_s = 0.0
        self.limiter = Limiter(clock=lambda: 1000 + self.passed_s, wall_clock=lambda: NOON_S + self.passed_s, most=10)

    def wait(self, seconds: float) -> None:
        self.passed_s += seconds

    def take(self, who: str, allowance: Allowance, cost: float = 1.0) -> dict[str, str]:
        headers: dict[str, str] = {}
        self.limiter.take(who, allowance, cost=cost, headers=headers)
        return headers


def test_a_burst_then_the_rate() -> None:
    clocks, allowance = Clocks(), Allowance(rate_per_s=2, burst=4)
    for left in (3, 2, 1, 0):
        told = clocks.take("a", allowance)
        assert told["RateLimit-Policy"] == '"rate";q=4;w=2'
        assert told["RateLimit"] == f'"rate";r={left};t={math.ceil((4 - left) / 2)}'
    with pytest.raises(RateLimitedError) as caught:
        clocks.take("a", allowance)
    assert caught.value.retry_after_s == pytest.approx(0.5)
    clocks.take("b", allowance)  # others have a bucket of their own
    clocks.wait(0.49)
    with pytest.raises(RateLimitedError):
        clocks.take("a", allowance)
    clocks.wait(0.01)
    clocks.take("a", allowance)
    clocks.wait(3600)
    assert clocks.take("a", allowance)["RateLimit"] == '"rate";r=3;t=1'  # no more than a burst is saved up


def test_cheap_requests_cost_a_part() -> None:
    clocks, allowance = Clocks(), Allowance(rate_per_s=1, burst=2, per_day=1)
    for _ in range(40):
        clocks.take("a", allowance, 0.05)
    with pytest.raises(RateLimitedError) as caught:
        clocks.take("a", allowance, 0.05)
    assert caught.value.retry_after_s == pytest.approx(0.05, abs=1e-5)
    clocks.wait(1)
    assert clocks.take("a", allowance)["RateLimit"].endswith(f'"day";r=0;t={DAY_S // 2 - 1}')


def test_a_quota_lasts_until_midnight() -> None:
    clocks, allowance = Clocks(), Allowance(per_day=3)
    for left in (2, 1, 0):
        told = clocks.take("a", allowance)
        assert told["RateLimit-Policy"] == f'"day";q=3;w={DAY_S}'
        assert told["RateLimit"] == f'"day";r={left};t={DAY_S // 2}'
    clocks.wait(DAY_S / 2 - 1)
    with pytest.raises(QuotaExceededError) as caught:
        clocks.take("a", allowance)
    assert caught.value.retry_after_s == pytest.approx(1)
    clocks.take("a", allowance, 0.05)  # pictures of the hits still come
    clocks.wait(1)
    clocks.take("a", allowance)


def test_a_refused_request_costs_nothing() -> None:
    clocks, allowance = Clocks(), Allowance(rate_per_s=1, burst=1, per_day=2)
    clocks.take("a", allowance)
    for _ in range(5):
        with pytest.raises(RateLimitedError):
            clocks.take("a", allowance)
    clocks.wait(1)
    clocks.take("a", allowance)  # the second of the day


def test_without_limits_nothing_is_kept() -> None:
    clocks = Clocks()
    assert clocks.take("a", Allowance()) == {}
    assert len(clocks.limiter) == 0


def test_memory_is_bounded_and_keeps_who_is_busy() -> None:
    clocks, allowance = Clocks(), Allowance(rate_per_s=0.001, burst=300)
    for number in range(200):
        told = clocks.take("busy", allowance)
        clocks.take(f"client {number}", allowance)
        assert len(clocks.limiter) <= 10
    assert told["RateLimit"].startswith('"rate";r=100;')


@given(
    rate=st.floats(0.01, 1000),
    burst=st.integers(1, 50),
    steps=st.lists(st.tuples(st.floats(0, 10), st.sampled_from([1.0, 0.05])), max_size=200),
)
def test_no_more_passes_than_burst_and_rate_allow(rate: float, burst: int, steps: list[tuple[float, float]]) -> None:
    clocks, allowance, passed = Clocks(), Allowance(rate_per_s=rate, burst=burst), 0.0
    for wait_s, cost in steps:
        clocks.wait(wait_s)
        try:
            clocks.take("a", allowance, cost)
        except RateLimitedError as error:
            clocks.wait(error.retry_after_s or 0)
            clocks.take("a", allowance, cost)  # the time told is the true one
        passed += cost
        assert passed <= burst + rate * clocks.passed_s + 1e-4 * len(steps)


def test_too_many_requests_are_429_with_the_time_to_wait() -> None:
    app = service(rate_per_s=0.2, rate_burst=2, quota_per_day=50)
    for left in (1, 0):
        answer = ask(app, "POST", "/search", json={"product_id": "p01"})
        assert answer.status_code == 200
        assert answer.headers["ratelimit-policy"] == f'"rate";q=2;w=10, "day";q=50;w={DAY_S}'
        assert answer.headers["ratelimit"].startswith(f'"rate";r={left};')
    answer = ask(app, "POST", "/search", json={"product_id": "p01"})
    assert "try again in" in refused(answer, 429, "rate_limited")
    assert 1 <= int(answer.headers["retry-after"]) <= 5
    assert answer.headers["ratelimit"].startswith('"rate";r=0;')
    assert ask(app, "POST", "/search", json={"product_id": "p01"}, client="203.0.113.10").status_code == 200
    assert ask(app, "GET", "/livez").status_code == 200  # probes are never limited


def test_an_ipv6_network_is_one_client() -> None:
    app = service(rate_per_s=0.001, rate_burst=1)
    asked = {"json": {"product_id": "p01"}}
    assert ask(app, "POST", "/search", client="2001:db8:0:1::1", **asked).status_code == 200
    assert ask(app, "POST", "/search", client="2001:db8:0:1:ffff::2", **asked).status_code == 429
    assert ask(app, "POST", "/search", client="2001:db8:0:2::1", **asked).status_code == 200


def test_there_are_no_limits_unless_asked_for() -> None:
    app = service()
    answers = [ask(app, "POST", "/search", json={"product_id": "p01"}) for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200}
    assert "ratelimit" not in answers[0].headers
