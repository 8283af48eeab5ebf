"""Rows of the main table that are computed from others."""

import numpy as np
import pytest

from benchmarks.quality.arms import ARMS
from benchmarks.quality.bench import Measured
from benchmarks.quality.choose import Chosen, in_words
from benchmarks.quality.main_table import chosen_by_folds
from benchmarks.quality.search import Choice, Figures, Ranked


def measured(name: str, counts: list[int]) -> Measured:
    """An arm whose held-out photos have so many relevant hits at the weight chosen."""
    arm, choice = ARMS[name], Choice(weight=2.0)
    rows = np.zeros((1, 10), np.int64)
    figures = Figures(0, 0, 0, 0, 0, 0, np.zeros(1))
    return Measured(arm, Chosen(choice, {2.0: np.array(counts)}, {}), Ranked(arm, choice, rows, 0.0), figures)


def test_the_arm_with_the_best_mean_on_folds_wins_and_the_first_of_equal_ones():
    arms = {"soft": [5, 3], "sequential-rrf": [5, 4], "sequential-image-first": [4, 5]}
    row = chosen_by_folds({name: measured(name, counts) for name, counts in arms.items()})
    assert (row.name, row.value) == ("arm chosen by folds: top-5 score on folds", pytest.approx(4.5))
    assert row.note.startswith("sequential-rrf; same networks and folds: soft 4.000, sequential-image-first 4.500;")
    alone = chosen_by_folds({"soft": measured("soft", [5])})
    assert alone.note.startswith("soft; no other arm has its networks and folds;")


def test_a_choice_in_words():
    assert in_words(ARMS["ours1"], Choice(weight=2.5)) == "weight 2.5"
    soft = in_words(ARMS["soft"], Choice(weight=4, temperature=0.7, confidence=0.2))
    assert soft == "weight 4, temperature 0.7, no text below confidence 0.2"
    assert in_words(ARMS["sequential-rrf"], Choice(constant=10)) == "constant 10, temperature 1"
