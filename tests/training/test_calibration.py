"""Temperatures against a brute-force search and a case worked out by hand; which rows are held out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from catalog.errors import MalformedError, OutOfRangeError
from training.calibration import GREATEST, LEAST, fit_temperature, hold_out


def likelihood(logits: torch.Tensor, targets: torch.Tensor, temperature: float) -> float:
    return float(functional.cross_entropy(logits.double() / temperature, targets))


def test_a_case_by_hand():
    # Two labels, logits (z, 0) with z = 3, right three times of four: softmax must say 3/4, so z / T = log 3.
    logits = torch.tensor([[3.0, 0.0]] * 4)
    assert fit_temperature(logits, torch.tensor([0, 0, 0, 1])) == pytest.approx(3 / math.log(3), rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_no_temperature_of_a_fine_grid_is_better(seed):
    generator = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(300, 7, generator=generator)
    noisy = logits + 6 * torch.randn(300, 7, generator=generator)
    targets = noisy.argmax(dim=1)
    best = fit_temperature(logits, targets)
    grid = np.geomspace(LEAST, GREATEST, 2000)
    assert likelihood(logits, targets, best) <= min(likelihood(logits, targets, one) for one in grid) + 1e-9
    assert best == pytest.approx(grid[np.argmin([likelihood(logits, targets, one) for one in grid])], rel=0.01)


def test_scaled_logits_have_a_scaled_temperature():
    generator = torch.Generator().manual_seed(9)
    logits = torch.randn(200, 5, generator=generator)
    targets = (logits + torch.randn(200, 5, generator=generator)).argmax(dim=1)
    assert fit_temperature(8 * logits, targets) == pytest.approx(8 * fit_temperature(logits, targets), rel=1e-5)


def test_the_ends_of_the_range():
    logits = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    assert fit_temperature(logits, torch.tensor([0, 1])) == pytest.approx(LEAST)  # never wrong: as sure as can be
    assert fit_temperature(logits, torch.tensor([1, 0])) == pytest.approx(GREATEST)  # never right
    assert 0.009 < fit_temperature(torch.tensor([[1e4, -1e4]] * 3), torch.tensor([0, 0, 1])) <= GREATEST * 1.001


@pytest.mark.parametrize("logits", [torch.zeros(0, 3), torch.full((2, 3), torch.nan)])
def test_nothing_to_learn_from_is_a_sentence(logits):
    with pytest.raises(MalformedError, match="cannot set a temperature"):
        fit_temperature(logits, torch.zeros(len(logits), dtype=torch.int64))


def test_the_last_clusters_of_each_label_are_held_out():
    labels, clusters = "abaabacbaa", "xuxyuzwuyz"
    rows, held = hold_out(labels, list(clusters), 0.4)
    # a has 6 rows of x (0 2), y (3 8), z (5 9): z is nearest to 2.4. b has u (1 4 7) only, c its only row.
    assert held.tolist() == [5, 9]
    assert rows.tolist() == [0, 1, 2, 3, 4, 6, 7, 8]
    assert hold_out(labels, list("0123456789"), 0.4)[1].tolist() == [7, 8, 9]  # single rows: 2.4 of 6 and 1.2 of 3
    assert hold_out(labels, list(clusters), 0.0)[1].tolist() == []


@settings(max_examples=50, deadline=None)
@given(
    pairs=st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("stuvwxyz")), min_size=1, max_size=60),
    share=st.floats(0, 0.99),
)
def test_clusters_stay_whole_and_no_other_run_of_them_is_nearer(pairs, share):
    labels, clusters = zip(*pairs, strict=True)
    try:
        rows, held = hold_out(labels, clusters, share)
    except OutOfRangeError:  # nothing to hold out, which the nearest run must then say too
        rows, held = np.arange(len(pairs)), np.array([], np.int64)
    assert sorted([*rows.tolist(), *held.tolist()]) == list(range(len(pairs)))
    assert not {pairs[row] for row in rows} & {pairs[row] for row in held}
    for label in set(labels):
        own = [pair for pair in dict.fromkeys(pairs) if pair[0] == label]  # in the order of their first rows
        runs = [own[first:] for first in range(1, len(own) + 1)]
        taken = {pairs[row] for row in held if labels[row] == label}
        assert taken in [set(run) for run in runs]
        missed = [abs(sum(map(pairs.count, run)) - share * labels.count(label)) for run in runs]
        assert missed[[set(run) for run in runs].index(taken)] == pytest.approx(min(missed))


def test_a_share_that_holds_out_nothing_is_a_sentence():
    with pytest.raises(OutOfRangeError, match=r"-share 0\.5 holds out none of 4 pictures, since clusters stay"):
        hold_out("aabb", ["x", "x", "y", "y"], 0.5)


@pytest.mark.parametrize("share", [-0.1, 1.0, math.nan])
def test_a_share_out_of_range_is_a_sentence(share):
    with pytest.raises(OutOfRangeError, match="expected 0 to below 1"):
        hold_out(["a"], ["x"], share)
