"""Each metric against values worked out by hand."""

import numpy as np
import pytest

from benchmarks.metrics import mean_average_precision, paired_bootstrap, recall_at, top5_score

RELEVANT = np.array(
    [
        [1, 0, 1, 0, 0, 1],  # two of the first five
        [0, 0, 0, 0, 0, 1],  # none of the first five
        [1, 1, 1, 1, 1, 1],  # all
    ],
    dtype=bool,
)


def test_top5_score_counts_the_first_five_only():
    assert top5_score(RELEVANT) == pytest.approx((2 + 0 + 5) / 3)


def test_recall_at_k_asks_for_one_relevant_hit():
    assert recall_at(RELEVANT, 1) == pytest.approx(2 / 3)
    assert recall_at(RELEVANT, 6) == 1


def test_mean_average_precision_by_hand():
    first = (1 / 1 + 2 / 3 + 3 / 6) / 4  # four relevant items exist, three were found at ranks 1, 3, 6
    second = (1 / 6) / 1
    third = 6 / 6  # ten exist, but only six places
    assert mean_average_precision(RELEVANT, np.array([4, 1, 10])) == pytest.approx((first + second + third) / 3)


def test_mean_average_precision_of_a_query_without_any_relevant_item_is_zero():
    assert mean_average_precision(np.zeros((1, 6), dtype=bool), np.array([0])) == 0


def test_too_few_columns_are_refused_with_both_numbers():
    with pytest.raises(ValueError, match="five hits a query, got 4"):
        top5_score(RELEVANT[:, :4])
    with pytest.raises(ValueError, match=r"within 1\.\.6, got 7"):
        recall_at(RELEVANT, 7)


def test_paired_bootstrap_of_a_constant_difference_has_no_width():
    first = np.arange(50.0)
    assert paired_bootstrap(first, first + 0.25) == pytest.approx((0.25, 0.25, 0.25))


def test_paired_bootstrap_interval_matches_the_normal_formula():
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=400), rng.normal(size=400)
    mean, low, high = paired_bootstrap(first, second)
    half = 1.96 * (second - first).std() / np.sqrt(400)
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.1 * half)
