"""Rows of the main table that are computed from others."""

import numpy as np
import pytest

from benchmarks.quality import speed
from benchmarks.quality.arms import ARMS
from benchmarks.quality.bench import Measured
from benchmarks.quality.choose import Chosen, in_words
from benchmarks.quality.main_table import _arm_rows, chosen_by_folds, dimension_row, search_time_rows
from benchmarks.quality.search import Choice, Figures, Ranked
from benchmarks.quality.sequential import Merge


def measured(name: str, counts: list[int]) -> Measured:
    """An arm whose held-out photos have so many relevant hits at the weight chosen."""
    arm, choice = ARMS[name], Choice(weight=2.0)
    rows = np.zeros((1, 10), np.int64)
    figures = Figures(0, 0, 0, 0, 0, 0, np.zeros(1))
    return Measured(arm, Chosen(choice, {2.0: np.array(counts)}, {}), Ranked(arm, choice, rows, 0.0), figures, 1234)


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


def test_the_plain_case_of_the_search_time_is_the_first_size_and_comes_first():
    seconds = {"one-shot": 0.002, "reciprocal-rank": 0.004, "image-first": 0.001, "text-first": 0.002}
    rows = search_time_rows({60_000: speed.Times(seconds), 20_000: speed.Times({**seconds, "one-shot": 0.001})})
    plain, *others = rows
    assert (plain.name, plain.value, plain.ok) == ("one-shot over sequential search time", pytest.approx(0.5), True)
    assert plain.note.startswith("2.00 and 4.00 ms; PCA128+64,HNSW16, 60,000 rows, one thread;")
    assert {row.name.removeprefix(f"{plain.name}, "): (row.value, row.target) for row in others} == {
        "PCA128+64,HNSW16, 60,000 rows, image-first": (pytest.approx(2), None),
        "PCA128+64,HNSW16, 60,000 rows, text-first": (pytest.approx(1), None),
        **{f"Flat, 20,000 rows, {merge}": (pytest.approx(0.001 / seconds[merge]), None) for merge in Merge},
    }


def test_the_ratio_of_dimensions_is_the_median_over_indexes():
    times = [speed.Times({"fused": fused, "image": 0.010}) for fused in (0.009, 0.011, 0.014)]
    row = dimension_row(times)
    assert (row.value, row.ok) == (pytest.approx(1.1), True)
    assert row.note.endswith("11.00 and 10.00 ms; 3 pairs of indexes, 0.90 to 1.40")


def test_the_time_of_a_query_says_among_how_many_rows():
    notes = {row.name: row.note for row in _arm_rows({"soft": measured("soft", [5])})}
    assert notes["soft: ms per query"] == "search alone, 1,234 rows, one thread"
