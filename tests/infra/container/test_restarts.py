"""Pauses between starts: worked out by hand, and for any life a part may have."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.container.restarts import Failures, RestartPolicy

LIVES = st.lists(st.floats(min_value=0, max_value=200), max_size=60)


def starts_of(lives: list[float], policy: RestartPolicy) -> list[float]:
    """When a part with these lives is started, until it is given up."""
    failures, now_s, starts = Failures(policy), 0.0, []
    for up_s in lives:
        starts.append(now_s)
        pause_s = failures.note(up_s=up_s)
        if pause_s is None:
            break
        now_s += up_s + pause_s
    return starts


def test_pauses_double_up_to_the_longest_and_end() -> None:
    failures = Failures(RestartPolicy(first_s=1, longest_s=5, most=6))
    assert [failures.note(up_s=0) for _ in range(6)] == [1, 2, 4, 5, 5, None]


def test_a_long_life_is_forgiven() -> None:
    failures = Failures(RestartPolicy(first_s=1, stable_s=60, most=3))
    assert [failures.note(up_s=up_s) for up_s in (0, 59.9, 0)] == [1, 2, None]
    failures = Failures(RestartPolicy(first_s=1, stable_s=60, most=3))
    assert [failures.note(up_s=up_s) for up_s in (0, 60, 0, 60, 0, 60)] == [1, 1, 2, 1, 2, 1]


@given(lives=LIVES)
def test_there_is_no_restart_storm(lives: list[float]) -> None:
    policy = RestartPolicy(first_s=1, longest_s=30, stable_s=60, most=6)
    starts = starts_of(lives, policy)
    pauses = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert all(pause >= policy.first_s for pause in pauses)
    # Short lives in a row: 1 + 2 + 4 + 8 + 16 s of pauses lie between six starts, and the sixth failure is the last.
    for first in starts:
        assert sum(first <= start < first + policy.stable_s for start in starts) <= policy.most + 1


@given(lives=LIVES)
def test_only_failures_in_a_row_end_it(lives: list[float]) -> None:
    policy = RestartPolicy(stable_s=60, most=4)
    starts = starts_of(lives, policy)
    lived = lives[: len(starts)]
    gave_up = len(starts) < len(lives)
    assert not gave_up or all(up_s < policy.stable_s for up_s in lived[-(policy.most - 1) :])
    runs = "".join("s" if up_s < policy.stable_s else "l" for up_s in lived[:-1])
    assert "s" * policy.most not in runs


@pytest.mark.parametrize("wrong", [{"first_s": 0}, {"first_s": 31}, {"stable_s": 0}, {"most": 0}])
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        RestartPolicy(**wrong)
