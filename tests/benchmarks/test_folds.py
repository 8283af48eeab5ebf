"""Folds keep neighbors together."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.quality.folds import contiguous_folds, shifted_folds, smallest_good_weight


def test_folds_are_contiguous_fifths_of_each_label():
    labels = ["pear"] * 5 + ["fig"] * 10
    assert contiguous_folds(labels).tolist() == [0, 1, 2, 3, 4, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_rows_of_a_label_keep_their_order_when_labels_are_mixed():
    assert contiguous_folds(["a", "b", "a", "b"], folds=2).tolist() == [0, 0, 1, 1]


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=60), st.integers(1, 6))
def test_every_label_is_spread_evenly(labels: list[str], folds: int):
    fold = contiguous_folds(labels, folds=folds)
    for name in set(labels):
        own = fold[np.array(labels) == name]
        assert (np.diff(own) >= 0).all()
        sizes = np.bincount(own, minlength=folds)
        assert sizes.max() - sizes.min() <= 1


def test_the_smallest_weight_within_one_standard_error_of_the_difference_is_chosen():
    # One photo of 100 loses 2, one gains 1: mean loss 0.01, variance (5 - 100 * 0.01^2) / 99, standard error 0.0225.
    # Two photos lose 1: mean loss 0.02, variance (2 - 100 * 0.02^2) / 99, standard error 0.0141, which is not enough.
    best = np.array([2, 4] * 50)
    near, far = best.copy(), best.copy()
    near[:2] += [-2, 1]
    far[:2] -= 1
    assert smallest_good_weight({1.0: far, 2.0: near, 4.0: best}) == 2.0
    assert smallest_good_weight({1.0: far, 4.0: best}) == 4.0


def test_weights_that_find_the_same_are_equally_good():
    counts = np.array([1, 5, 2])
    assert smallest_good_weight({0.0: counts, 0.5: counts, 1.0: counts}) == 0.0


def looks(per_look: int = 4) -> tuple[np.ndarray, list[str]]:
    """Two labels of three looks each: points around three far corners, in mixed order."""
    rng = np.random.default_rng(0)
    corners = np.array([[0, 0, 10], [10, 0, 0], [0, 10, 0]])
    place = np.tile(np.arange(3), per_look)
    vectors = np.concatenate([corners[place] + shift + 0.1 * rng.normal(size=(len(place), 3)) for shift in (0, 40)])
    return vectors.astype(np.float32), ["fig"] * len(place) + ["pear"] * len(place)


def test_a_shifted_fold_is_one_look_of_each_label():
    vectors, labels = looks()
    fold = shifted_folds(vectors, labels)
    for label in ("fig", "pear"):
        own = fold[np.array(labels) == label]
        assert sorted(own[:3]) == [0, 1, 2]  # the first three rows are one of each look
        assert np.array_equal(own, np.tile(own[:3], 4))


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=40), st.integers(0, 3))
def test_shifted_folds_leave_every_label_in_the_training_part(labels: list[str], seed: int):
    vectors = np.random.default_rng(seed).integers(0, 2, (len(labels), 2)).astype(np.float32)  # many equal rows
    fold = shifted_folds(vectors, labels, seed=seed)
    assert np.array_equal(fold, shifted_folds(vectors, labels, seed=seed))
    assert set(fold) <= {0, 1, 2}
    for name in set(labels):
        own = fold[np.array(labels) == name]
        if len(own) > 1:
            assert len(set(own)) > 1  # whichever fold is held out, a row of the label stays
