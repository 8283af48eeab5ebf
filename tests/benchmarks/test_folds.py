"""Folds keep neighbors together."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.quality.folds import contiguous_folds, smallest_good_weight


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


def test_the_smallest_weight_within_one_standard_error_is_chosen():
    # Best mean 3.0 at weight 4; its standard error: std of (2, 4) alternating is 1.0050..., over sqrt(100) = 0.1005.
    best = np.array([2, 4] * 50)
    near = np.concatenate([best[:90], np.full(10, 2)])  # five 4s became 2s: mean 2.9, within 0.1005
    far = np.concatenate([best[:88], np.full(12, 2)])  # six: mean 2.88
    assert smallest_good_weight({1.0: far, 2.0: near, 4.0: best}) == 2.0
