"""Each metric against values worked out by hand."""

import numpy as np
import pytest

from benchmarks.metrics import (
    expected_calibration_error,
    mean_average_precision,
    paired_bootstrap,
    partner_accuracy,
    recall_at,
    reciprocal_rank_fusion,
    top5_score,
)

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


def test_partner_accuracy_by_hand():
    # Angles on a circle, in degrees; pairs are (0, 1), (2, 3), (4, 5).
    angles = np.radians([0, 10, 20, 100, 90, 95])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    partner = np.array([1, 0, 3, 2, 5, 4])
    # The first two others: 2 -> 1 and 0, 3 -> 5 and 4 are wrong; 0, 1, 4, 5 are right.
    assert partner_accuracy(vectors, partner, k=2) == pytest.approx(4 / 6)
    assert partner_accuracy(vectors, partner, k=5) == 1.0


def test_partner_accuracy_refuses_more_places_than_others():
    with pytest.raises(ValueError, match=r"within 1\.\.3, got 4"):
        partner_accuracy(np.eye(4, dtype=np.float32), np.array([1, 0, 3, 2]), k=4)


def test_expected_calibration_error_by_hand():
    # Four bins of width 1/4. (0, .25]: 0.25, wrong; (.5, .75]: 0.6 and 0.7, one right; (.75, 1]: 0.9, right.
    confidence = np.array([0.25, 0.6, 0.7, 0.9])
    correct = np.array([False, True, False, True])
    want = 1 / 4 * abs(0 - 0.25) + 2 / 4 * abs(1 / 2 - 0.65) + 1 / 4 * abs(1 - 0.9)
    assert expected_calibration_error(confidence, correct, bins=4) == pytest.approx(want)


def test_reciprocal_rank_fusion_by_hand():
    image, text = np.array([7, 3, 5]), np.array([5, 3, 9])
    rows, scores = reciprocal_rank_fusion([image, text], [np.array([1, 2, 3]), np.array([1, 1, 3])], constant=10)
    # 7: 1/11; 3: 1/12 + 1/11; 5: 1/13 + 1/11; 9: 1/13.
    assert rows.tolist() == [3, 5, 7, 9]
    assert scores == pytest.approx([1 / 12 + 1 / 11, 1 / 13 + 1 / 11, 1 / 11, 1 / 13])


def test_a_tie_of_fused_ranks_goes_to_the_first_list():
    rows, _ = reciprocal_rank_fusion([np.array([8]), np.array([2])], [np.array([1]), np.array([1])])
    assert rows.tolist() == [8, 2]
