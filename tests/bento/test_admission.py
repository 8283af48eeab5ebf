"""Who is let in; oracle: a queue played event by event, whose capacity is known."""

import heapq
import math
from contextlib import ExitStack

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bento.admission import ALWAYS, LATE, Admission
from catalog.errors import OverloadedError

MAX_WAIT_S = 0.4


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def play(*, servers: int, service_s: float, rate_per_s: float, seconds: float) -> tuple[list[float], int]:
    """Evenly spaced arrivals at `servers` that serve in order: how long each one let in took, and how many were not."""
    clock = Clock()
    admission = Admission(max_searches=10_000, max_wait_s=MAX_WAIT_S, clock=clock)
    free_at_s = [0.0] * servers
    leaving: list[tuple[float, int, ExitStack]] = []
    took_s, refused = [], 0
    for number in range(int(rate_per_s * seconds)):
        arrival_s = number / rate_per_s
        while leaving and leaving[0][0] <= arrival_s:
            clock.now_s, _, place = heapq.heappop(leaving)
            place.close()
        clock.now_s = arrival_s
        place = ExitStack()
        try:
            place.enter_context(admission.request()).enter()
        except OverloadedError:
            refused += 1
            continue
        done_s = max(heapq.heappop(free_at_s), arrival_s) + service_s
        heapq.heappush(free_at_s, done_s)
        heapq.heappush(leaving, (done_s, number, place))
        took_s.append(done_s - arrival_s)
    return took_s, refused


@settings(deadline=None, max_examples=40)
@given(servers=st.integers(1, 16), service_s=st.floats(0.01, 0.1), overload=st.floats(1.3, 4.0))
def test_an_overload_is_shed_and_what_is_let_in_is_answered_in_time(
    servers: int, service_s: float, overload: float
) -> None:
    capacity = servers / service_s
    seconds = 6 * MAX_WAIT_S / (overload - 1) + 100 / capacity
    took_s, refused = play(servers=servers, service_s=service_s, rate_per_s=overload * capacity, seconds=seconds)
    assert refused > 0
    settled = took_s[len(took_s) // 2 :]
    # No finer than one search; and a few are always let in.
    assert max(settled) <= max(MAX_WAIT_S, math.ceil(ALWAYS / servers) * service_s) + 2 * service_s
    assert len(took_s) >= 0.9 * capacity * seconds


@settings(deadline=None, max_examples=40)
@given(servers=st.integers(1, 16), service_s=st.floats(0.01, 0.1), load=st.floats(0.1, 0.9))
def test_nobody_is_refused_below_the_capacity(servers: int, service_s: float, load: float) -> None:
    _, refused = play(servers=servers, service_s=service_s, rate_per_s=load * servers / service_s, seconds=5)
    assert refused == 0


def test_the_estimate_recovers_from_a_stall() -> None:
    clock = Clock()
    admission = Admission(max_searches=100, max_wait_s=MAX_WAIT_S, clock=clock)
    with admission.request() as place:
        place.enter()
        clock.now_s += 60  # the model server stood still
    for _ in range(100):
        with admission.request() as place:
            place.enter()
            clock.now_s += 0.01
    with ExitStack() as room:
        for _ in range(ALWAYS + 1):
            room.enter_context(admission.request()).enter()


def test_uploads_are_no_searches_and_are_bounded_by_their_number() -> None:
    clock = Clock()
    admission = Admission(max_searches=20, max_wait_s=MAX_WAIT_S, clock=clock)
    with admission.request() as place:
        place.enter()
        clock.now_s += 0.1  # so that 4 may be in progress, 8 of those that uploaded slowly
    with ExitStack() as room:
        places = [room.enter_context(admission.request()) for _ in range(20)]
        with pytest.raises(OverloadedError, match="20 searches are in progress") as refused, admission.request():
            pass
        assert refused.value.retry_after_s == 1
        most = int(LATE * MAX_WAIT_S / 0.1)
        for place in places[:most]:
            place.enter()
            place.enter()  # asked again it changes nothing
        with pytest.raises(OverloadedError):
            places[most].enter()
    with admission.request() as place:
        place.enter()


def test_a_client_without_patience_is_told_at_once() -> None:
    clock = Clock()
    admission = Admission(max_searches=100, max_wait_s=10, clock=clock)
    with admission.request() as place:
        place.enter()
        clock.now_s += 0.1
    with ExitStack() as room:
        for _ in range(ALWAYS):
            room.enter_context(admission.request()).enter()
        with admission.request(timeout_s=0.6):
            pass
        with pytest.raises(OverloadedError), admission.request(timeout_s=0.4):
            pass
