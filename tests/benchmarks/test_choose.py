"""What folds choose, on scenes whose best choice is known."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.arms import ARMS
from benchmarks.quality.bench import GroceryBench
from benchmarks.quality.choose import best_temperature, choose, probe_scenes
from benchmarks.quality.folds import contiguous_folds
from benchmarks.quality.outputs import Outputs, View, outputs_of
from benchmarks.quality.search import Scene
from catalog.rows import Product
from index_builder.manifest import LabelMode

LABELS = ("apple", "pear", "fig")
ONE_HOT = replace(ARMS["ours1"], label_mode=LabelMode.HARD)


def photos(labels: list[int], probabilities: np.ndarray, image: np.ndarray) -> Outputs:
    rows = tuple(
        Product(product_id=str(number), image="x", label=LABELS[label], category_path=f"Fruit > {LABELS[label]}")
        for number, label in enumerate(labels)
    )
    return Outputs(rows, LABELS, image.astype(np.float32), probabilities.astype(np.float32), image.astype(np.float32))


def make_scene(*, sure_and_right: bool, seed: int = 0) -> Scene:
    """Images say nothing; labels are right always, or right when sure and wrong when unsure."""
    rng = np.random.default_rng(seed)
    gallery, queries = [place % 3 for place in range(30)], [place % 3 for place in range(60)]
    probabilities = np.full((60, 3), 0.01)
    for place, label in enumerate(queries):
        unsure = not sure_and_right and place >= 30
        probabilities[place] = 0.05 if not unsure else 0.3
        probabilities[place, (label + unsure) % 3] = 0.9 if not unsure else 0.4
    return Scene(
        photos(gallery, np.eye(3)[gallery], rng.normal(size=(30, 4))),
        photos(queries, probabilities, rng.normal(size=(60, 4))),
    )


def test_the_temperature_undoes_what_was_done_to_calibrated_probabilities():
    rng = np.random.default_rng(0)
    logits = 2 * rng.normal(size=(4000, 3))
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = [int(rng.choice(3, p=row)) for row in honest]
    sharpened = honest**2 / (honest**2).sum(axis=1, keepdims=True)  # as if its temperature were 1/2
    queries = photos(labels, sharpened, np.zeros((4000, 1)))
    assert best_temperature([queries], temperatures=(0.5, 1.0, 2.0, 4.0)) == 2.0


def test_a_right_label_gets_weight_and_a_useless_picture_none():
    chosen = choose(ONE_HOT, [make_scene(sure_and_right=True)])
    assert chosen.choice.weight > 0
    assert chosen.score == 5.0
    assert chosen.by_weight[0.0].mean() < 3.0


def test_the_threshold_lies_between_right_and_wrong_labels():
    arm = replace(ONE_HOT, abstain=True)
    scene = make_scene(sure_and_right=False)
    chosen = choose(arm, [scene])
    confidence = scene.queries.at_temperature(chosen.choice.temperature).probabilities.max(axis=1)
    assert confidence[30:].max() < chosen.choice.confidence <= confidence[:30].min()


def test_at_a_given_temperature_weight_and_threshold_belong_to_it():
    """Unsure labels of the scene are 0.4 probable; at temperature 4 that is 0.4^(1/4) / (0.4^(1/4) + 2 0.3^(1/4))."""
    arm, scene = replace(ONE_HOT, abstain=True), make_scene(sure_and_right=False)
    plain, flat = (choose(arm, [scene], temperature=value).choice for value in (1.0, 4.0))
    assert (plain.temperature, flat.temperature) == (1.0, 4.0)
    assert 0.4 < plain.confidence == 0.45
    assert 0.4**0.25 / (0.4**0.25 + 2 * 0.3**0.25) < flat.confidence == 0.35


def test_networks_without_folds_keep_their_temperature_from_the_beginning(shared_folder):
    bench = GroceryBench(shared_folder)
    scenes = [make_scene(sure_and_right=False)]
    arm = replace(ONE_HOT, abstain=True, recipe="separate")
    bench._scenes["frozen", View.PLAIN] = scenes
    assert bench.choice(arm) == choose(arm, scenes, temperature=1.0).choice
    frozen = replace(arm, name="frozen-with-text", recipe="frozen")
    assert bench.chosen(frozen).choice == choose(frozen, scenes).choice


def test_abstaining_that_gains_nothing_is_not_chosen():
    assert choose(replace(ONE_HOT, abstain=True), [make_scene(sure_and_right=True)]).choice.confidence == 0.0


def test_without_text_there_is_nothing_to_choose():
    chosen = choose(ARMS["frozen"], [make_scene(sure_and_right=True)])
    assert chosen.choice.weight == 0.0
    assert len(chosen.by_weight) == 1


def test_probes_label_each_fold_from_the_others_and_are_kept(color_shop, tmp_path):
    train = outputs_of(color_shop.repository, color_shop.catalog, ["train"], cache=tmp_path / "outputs")
    fold = contiguous_folds(train.truth, folds=3)
    scenes = probe_scenes(train, fold, color_shop.words, cache=tmp_path / "probes")
    assert sum(len(scene.queries) for scene in scenes) == len(train)
    for number, scene in enumerate(scenes):
        assert len(scene.gallery) + len(scene.queries) == len(train)
        assert scene.queries.truth == [label for label, own in zip(train.truth, fold, strict=True) if own == number]
        assert scene.queries.probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)
        assert scene.queries.accuracy > 0.9  # solid colors
    assert len(list((tmp_path / "probes").glob("*.npy"))) == 3
