"""The protocol of unseen clusters on vectors whose answer is known."""

import numpy as np
import pytest

from benchmarks.quality.clusters import draw_pairs, unseen_clusters, unseen_labels

LABELS = [f"label-{number:02}" for number in range(21) for _ in range(5)]


def test_unseen_labels_are_those_at_odd_positions():
    assert unseen_labels(["d", "a", "c", "b", "a", "e"]) == ["b", "d"]
    assert len(unseen_labels([str(number) for number in range(81)])) == 40


def test_pairs_are_two_different_photos_of_each_label_and_depend_on_the_seed_only():
    wanted = unseen_labels(LABELS)
    rows = draw_pairs(LABELS, wanted, seed=3)
    assert len(rows) == 2 * len(wanted) == len(set(rows.tolist()))
    assert [LABELS[row] for row in rows] == [label for label in wanted for _ in range(2)]
    assert np.array_equal(rows, draw_pairs(LABELS, wanted, seed=3))
    assert not np.array_equal(rows, draw_pairs(LABELS, wanted, seed=4))


def test_a_label_with_one_photo_is_refused():
    with pytest.raises(ValueError, match="'b' has 1 photos, two are needed"):
        draw_pairs(["a", "a", "b"], ["a", "b"], seed=0)


def test_vectors_of_one_label_that_agree_score_1_and_random_ones_score_chance():
    names = sorted(set(LABELS))
    exact = np.eye(len(names), dtype=np.float32)[[names.index(label) for label in LABELS]]
    assert unseen_clusters(exact, LABELS).mean == 1.0
    rng = np.random.default_rng(0)
    score = unseen_clusters(rng.normal(size=(len(LABELS), 64)).astype(np.float32), LABELS)
    assert len(score.draws) == 50
    # 20 photos, 19 others, four places: 4/19; the draws overlap, so their mean wanders more than 50 free ones would.
    assert score.mean == pytest.approx(4 / 19, abs=0.1)
    assert score.spread == pytest.approx(np.std(score.draws, ddof=1))
