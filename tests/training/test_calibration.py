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


def test_the_last_rows_of_each_label_are_held_out():
    labels = ["a", "b", "a", "a", "b", "a", "c", "b", "a"]
    rows, held = hold_out(labels, 0.4)
    # a has 5 rows (0 2 3 5 8), of which 2 go; b has 3 (1 4 7), of which 1 goes; c keeps its only one.
    assert held.tolist() == [5, 7, 8]
    assert rows.tolist() == [0, 1, 2, 3, 4, 6]


@settings(max_examples=50, deadline=None)
@given(labels=st.lists(st.sampled_from("abcd"), min_size=1, max_size=60), share=st.floats(0, 0.99))
def test_every_row_is_on_one_side_and_every_label_is_trained_on(labels, share):
    rows, held = hold_out(labels, share)
    assert sorted([*rows.tolist(), *held.tolist()]) == list(range(len(labels)))
    assert {labels[row] for row in rows} == set(labels)
    for label in set(labels):
        count = labels.count(label)
        taken = sum(labels[row] == label for row in held)
        assert taken == min(round(share * count), count - 1)


@pytest.mark.parametrize("share", [-0.1, 1.0, math.nan])
def test_a_share_out_of_range_is_a_sentence(share):
    with pytest.raises(OutOfRangeError, match="expected 0 to below 1"):
        hold_out(["a"], share)
