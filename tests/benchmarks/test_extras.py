"""Extras on held-out photos: what each one changes, against the same done by hand."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality.arms import ARMS, BEST
from benchmarks.quality.choose import choose, probe_scenes
from benchmarks.quality.extras import EXPANSIONS, Extra, extras_of, measure_extra
from benchmarks.quality.folds import contiguous_folds
from benchmarks.quality.outputs import Outputs, View, outputs_of
from benchmarks.quality.search import Scene, figures, search, vectors_of
from index_builder.fusion import unit
from index_builder.manifest import LabelMode

ARM = ARMS[BEST]


class Shown:
    """Scenes of the color shop by view; remembers which views were asked for."""

    def __init__(self, seen: dict[View, Outputs], color_shop, cache: Path) -> None:
        fold = contiguous_folds(seen[View.PLAIN].truth, folds=2)
        self.scenes = {
            view: probe_scenes(seen[View.PLAIN], fold, color_shop.words, view=outputs, cache=cache)
            for view, outputs in seen.items()
        }
        self.asked: list[View] = []

    def __call__(self, view: View) -> Sequence[Scene]:
        self.asked.append(view)
        return self.scenes[view]


@pytest.fixture(scope="module")
def seen(color_shop, tmp_path_factory) -> dict[View, Outputs]:
    cache = tmp_path_factory.mktemp("outputs")
    return {
        view: outputs_of(color_shop.repository, color_shop.catalog, ["train"], view=view, cache=cache)
        for view in (View.PLAIN, View.MIRRORED)
    }


@pytest.fixture
def shown(seen, color_shop, tmp_path_factory) -> Shown:
    return Shown(seen, color_shop, tmp_path_factory.getbasetemp() / "probes")


def test_a_view_shows_the_photos_of_a_fold_but_fits_on_plain_ones(shown: Shown, seen):
    plain, mirrored = shown.scenes[View.PLAIN], shown.scenes[View.MIRRORED]
    assert np.array_equal(
        np.concatenate([scene.queries.embedding for scene in mirrored]),
        seen[View.MIRRORED].embedding[np.argsort(contiguous_folds(seen[View.PLAIN].truth, folds=2), kind="stable")],
    )
    for one, other in zip(plain, mirrored, strict=True):
        assert one.queries.rows == other.queries.rows
        assert not np.array_equal(one.queries.embedding, other.queries.embedding)
        assert np.abs(one.queries.probabilities - other.queries.probabilities).max() > 0
        # Noise has no left and right to its color, so both views are told alike by one classifier.
        assert one.queries.said == other.queries.said


def test_the_plain_arm_is_a_search_with_what_folds_choose(shown: Shown):
    scenes = shown.scenes[View.PLAIN]
    choice = choose(ARM, scenes).choice
    want = np.concatenate([figures(search(ARM, scene, choice), scene).counts for scene in scenes])
    counts, ms = measure_extra(Extra("soft", ARM), scenes, shown)
    assert np.array_equal(counts, want)
    assert ms > 0
    assert shown.asked == []


@pytest.mark.parametrize("side", ["query", "gallery"])
def test_a_view_more_is_the_unit_mean_on_its_side(shown: Shown, side: str):
    scenes, mirrored = shown.scenes[View.PLAIN], shown.scenes[View.MIRRORED]
    extra = Extra("", ARM, **{f"{side}_view": View.MIRRORED})
    counts, _ = measure_extra(extra, scenes, shown)
    choice, want = choose(ARM, scenes).choice, []
    for one, other in zip(scenes, mirrored, strict=True):
        mine, theirs = (scene.queries if side == "query" else scene.gallery for scene in (one, other))
        both = replace(
            mine,
            embedding=unit(mine.embedding + theirs.embedding).astype(np.float32),
            probabilities=(mine.probabilities + theirs.probabilities) / np.float32(2),
        )
        changed = replace(one, queries=both) if side == "query" else replace(one, gallery=both)
        parts = vectors_of(ARM, changed, choice)
        score = parts.query_image @ parts.image.T + choice.weight * parts.query_text @ parts.text.T
        first = np.argsort(-score, axis=1, kind="stable")[:, :5]
        truth = np.array(one.gallery.truth)
        want.append((truth[first] == np.array(one.queries.truth)[:, None]).sum(axis=1))
    assert np.array_equal(counts, np.concatenate(want))
    assert shown.asked == [View.MIRRORED]
    assert extra.runs == (2 if side == "query" else 1)


def test_query_expansion_searches_from_the_mean_with_the_best_hits(shown: Shown):
    scenes = shown.scenes[View.PLAIN]
    counts, _ = measure_extra(Extra("", ARM, expand=2), scenes, shown)
    choice, want = choose(ARM, scenes).choice, []
    for scene in scenes:
        best = search(ARM, scene, choice).rows[:, :2]
        mean = scene.queries.embedding + scene.gallery.embedding[best[:, 0]] + scene.gallery.embedding[best[:, 1]]
        moved = replace(scene.queries, embedding=(mean / np.linalg.norm(mean, axis=1, keepdims=True)))
        again = replace(scene, queries=moved)
        want.append(figures(search(ARM, again, choice), again).counts)
    assert np.array_equal(counts, np.concatenate(want))


def test_projected_label_vectors_are_counted_on_other_photos(shown: Shown):
    """Solid colors are not confused, so labels stay as they are and bring every photo of their kind to the top."""
    scenes = shown.scenes[View.PLAIN]
    counts, _ = measure_extra(Extra("", replace(ARM, projected=True)), scenes, shown)
    assert counts.tolist() == [scene.gallery.truth.count(label) for scene in scenes for label in scene.queries.truth]


def test_the_list_of_extras_turns_each_switch_once():
    plain, *others = extras_of(ARM)
    assert (plain.arm, plain.name) == (ARM, "soft")
    assert len({extra.name for extra in others}) == len(others) == 5 + 3 + len(EXPANSIONS)
    arms = {extra.name: extra.arm for extra in others}
    assert arms["soft, texts not centered"] == replace(ARM, centered=False)
    assert arms["soft, without abstention"] == replace(ARM, abstain=False)
    assert arms["hard"] == replace(ARM, label_mode=LabelMode.HARD)
    assert arms["soft, projected label vectors"] == replace(ARM, projected=True)
    turned = extras_of(replace(ARM, centered=False, abstain=False))
    assert {"soft, texts centered", "soft, with abstention"} <= {extra.name for extra in turned}
