"""Confusion by hand, label vectors projected by it, and never from the photos it is used on."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.quality.arms import ARMS
from benchmarks.quality.choose import choose, with_confusion
from benchmarks.quality.confusion import Confusion, confusion, confusion_for, cross_confusions, project
from benchmarks.quality.outputs import Outputs
from benchmarks.quality.search import Choice, Scene, vectors_of
from catalog.rows import Product

LABELS = ("apple", "pear", "fig")
PROJECTED = replace(ARMS["ours1"], name="projected", projected=True)


def photos(truth: list[str], said: list[int], *, sure: float = 0.8) -> Outputs:
    rows = tuple(Product(product_id=str(number), image="x", label=label) for number, label in enumerate(truth))
    probabilities = np.full((len(said), 3), (1 - sure) / 2, np.float32)
    probabilities[np.arange(len(said)), said] = sure
    image = np.zeros((len(said), 2), np.float32)
    return Outputs(rows, LABELS, image, probabilities, image)


def test_confusion_by_hand():
    said = np.array([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.9, 0.1, 0.0], [0.1, 0.8, 0.1], [0.1, 0.8, 0.1]], np.float32)
    truth = np.array([0, 1, 1, 1, -1])
    # Label 0 is said of one 0 and two 1, label 1 of one 1 and a stranger, label 2 never; one more of its own each.
    want = [[(1 + 1) / 4, 2 / 4, 0], [0, (1 + 1) / 2, 0], [0, 0, 1 / 1]]
    assert confusion(said, truth, smoothing=1.0) == pytest.approx(np.array(want))
    want = [[(1 + 0.5) / 3.5, 2 / 3.5, 0], [0, 1, 0], [0, 0, 1]]
    assert confusion(said, truth, smoothing=0.5) == pytest.approx(np.array(want))
    with pytest.raises(ValueError, match="smoothing must be above 0"):
        confusion(said, truth, smoothing=0.0)


def test_projected_vectors_by_hand():
    table = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    shares = np.array([[0.75, 0.25, 0], [0, 1, 0], [0.5, 0.5, 0]])
    first, last = np.array([0.75, 0.25]) / np.hypot(0.75, 0.25), np.array([0.5, 0.5]) / np.hypot(0.5, 0.5)
    assert project(table, shares) == pytest.approx(np.stack([first, [0, 1], last]), abs=1e-6)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 4)), max_size=30), st.floats(0.01, 100))
def test_rows_are_shares_and_labels_always_right_stay_themselves(pairs: list[tuple[int, int]], smoothing: float):
    said = np.eye(5, dtype=np.float32)[[one for one, _ in pairs]].reshape(-1, 5)
    truth = np.array([other for _, other in pairs], np.int64)
    shares = confusion(said, truth, smoothing=smoothing)
    assert shares.sum(axis=1) == pytest.approx(1)
    assert shares.min() >= 0
    for label in range(5):
        if all(other in (label, -1) for one, other in pairs if one == label):
            assert shares[label] == pytest.approx(np.eye(5)[label])


def test_labels_that_are_confused_come_closer():
    table = np.eye(3, dtype=np.float32)
    counted = photos(["apple"] * 6 + ["pear"] * 4 + ["apple"] * 3 + ["fig"] * 5, [0] * 6 + [0] * 4 + [1] * 3 + [2] * 5)
    made = confusion_for(counted, [counted])
    vectors = project(table, made.shares[0])
    assert vectors[0] @ vectors[1] > 0.5
    assert vectors[0] @ vectors[2] == pytest.approx(0)


def test_each_of_several_scenes_is_projected_by_the_others():
    scenes = [photos(["apple", "pear"], [0, 0]), photos(["fig"], [0]), photos(["pear", "pear"], [0, 2])]
    first, second, third = cross_confusions(scenes)
    # Said 0 elsewhere: fig, pear | apple, pear, pear | apple, pear, fig; one more apple by smoothing.
    assert first.shares[0, 0] == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert second.shares[0, 0] == pytest.approx([2 / 4, 2 / 4, 0])
    assert third.shares[0, 0] == pytest.approx([2 / 4, 1 / 4, 1 / 4])
    assert [len(one.part) for one in (first, second, third)] == [2, 1, 2]
    assert not any(one.part.any() for one in (first, second, third))


def test_each_half_of_one_scene_is_projected_by_the_other_half():
    # Halves of each label's rows, in order: rows 0, 1, 4 | 2, 3, 5.
    only = photos(["apple", "apple", "apple", "apple", "pear", "pear"], [0, 0, 1, 1, 0, 1])
    (made,) = cross_confusions([only])
    assert made.part.tolist() == [0, 0, 1, 1, 0, 1]
    # The first half uses the second: 1 is said of two apples and a pear, 0 of none.
    assert made.shares[0] == pytest.approx(np.array([[1, 0, 0], [2 / 4, 2 / 4, 0], [0, 0, 1]]))
    # The second uses the first: 0 is said of two apples and a pear.
    assert made.shares[1] == pytest.approx(np.array([[3 / 4, 1 / 4, 0], [0, 1, 0], [0, 0, 1]]))


def test_an_arm_asks_with_projected_vectors_and_leaves_the_gallery_alone():
    gallery = photos(["apple", "pear", "fig"], [0, 1, 2])
    queries = photos(["apple", "apple"], [0, 0])
    shares = np.stack([np.eye(3), np.array([[0.5, 0.5, 0], [0, 1, 0], [0, 0, 1]])])
    scene = Scene(gallery, queries, confusion=Confusion(shares, np.array([0, 1])))
    plain, projected = (vectors_of(arm, scene, Choice()) for arm in (ARMS["ours1"], PROJECTED))
    assert np.array_equal(projected.text, plain.text)
    assert np.array_equal(projected.query_text[0], plain.query_text[0])
    half = np.sqrt(0.5)
    assert projected.query_text[1] == pytest.approx(np.array([half, half, 0, 0]))  # the last is that of no label
    with pytest.raises(ValueError, match="arm projected projects label vectors, and its scene has no confusion"):
        vectors_of(PROJECTED, replace(scene, confusion=None), Choice())


def test_choosing_counts_the_confusion_itself():
    """Apples are always said to be pears: only a projected vector can find them."""
    gallery = photos(["apple"] * 10 + ["pear"] * 10 + ["fig"] * 10, [0] * 10 + [1] * 10 + [2] * 10)
    queries = photos(["apple"] * 8 + ["fig"] * 4, [1] * 8 + [2] * 4)
    scene = Scene(gallery, queries)
    assert with_confusion(ARMS["ours1"], [scene]) == [scene]
    plain, projected = (choose(arm, [scene]) for arm in (ARMS["ours1"], PROJECTED))
    assert projected.score == 5.0
    assert plain.score < 4.0


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="without text no label vector can be projected"):
        replace(ARMS["frozen"], projected=True)
    with pytest.raises(ValueError, match=r"parts are 0\.\.1, there are 1"):
        Confusion(np.eye(3)[None], np.array([0, 1]))
    known = replace(photos(["apple"], [0]), labels=("a", "b", "c"))
    with pytest.raises(ValueError, match="other labels"):
        confusion_for(photos(["apple"], [0]), [known])
