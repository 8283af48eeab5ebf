"""Held-out looks of the training photos in, an arm's temperature, weight and threshold out: val is not looked at.

Each fold's photos (`folds.shifted_folds`) query the other folds. Their label probabilities come from networks trained
without the fold, or from a linear probe fitted without it on features that were never trained on these labels.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.quality.arms import Arm
from benchmarks.quality.confusion import cross_confusions
from benchmarks.quality.folds import LABEL_SMOOTHING, PENALTY, smallest_good_weight
from benchmarks.quality.outputs import Outputs
from benchmarks.quality.search import Choice, Scene, relevance, searcher, vectors_of
from benchmarks.quality.sequential import CONSTANT, Merge
from catalog.terminal import progress
from export.words import WordModel
from index_builder.manifest import LabelMode
from training.probe import fit_linear

WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 9.0, 16.0, 25.0)
TEMPERATURES = tuple(float(round(0.3 * 1.1**step, 3)) for step in range(28))  # 0.3 to 3.9
CONFIDENCES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6)
CONSTANTS = (1.0, 10.0, 60.0, 200.0)
CACHE = Path(".cache/benchmarks/probes")


@dataclass(frozen=True)
class Chosen:
    """A choice and what it was made from: relevant items of each held-out photo, [N], by weight and by threshold."""

    choice: Choice
    by_weight: Mapping[float, NDArray[np.int64]]
    by_confidence: Mapping[float, NDArray[np.int64]]

    @property
    def score(self) -> float:
        """Top-5 score of the choice on the held-out photos."""
        found = self.by_confidence or self.by_weight
        key = self.choice.confidence if self.by_confidence else self.choice.weight
        return float(found[key].mean())


def probe_scenes(
    train: Outputs,
    fold: NDArray[np.int64],
    words: WordModel | None,
    *,
    view: Outputs | None = None,
    cache: Path = CACHE,
) -> list[Scene]:
    """Return one scene a fold: its photos, labeled by a linear classifier of the others' pooled features, query those.

    The features must come from a network that was not trained on these labels. With `view`, another view of the same
    photos, that is what queries and gallery show; the classifier is fitted on `train` all the same.
    """
    scenes = []
    shown = train if view is None else view
    numbers = np.unique(fold)
    for number in progress(numbers, description="linear probes of folds", total=len(numbers)):
        rows, held = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        probabilities = _probe(train, rows, shown.pooled[held], cache=cache)
        queries = replace(shown.take(held), probabilities=probabilities)
        scenes.append(Scene(shown.take(rows), queries, words))
    return scenes


def with_confusion(arm: Arm, scenes: Sequence[Scene]) -> list[Scene]:
    """Return the scenes with what an arm that projects label vectors needs, each from photos it is not used for."""
    if not arm.projected:
        return list(scenes)
    found = cross_confusions([scene.queries for scene in scenes])
    return [replace(scene, confusion=one) for scene, one in zip(scenes, found, strict=True)]


def choose(arm: Arm, scenes: Sequence[Scene], *, temperature: float | None = None) -> Chosen:
    """Choose what an arm leaves open, in this order: temperature, weight, threshold of confidence.

    The temperature has the least negative log likelihood; the weight is the smallest as good as the best
    (`smallest_good_weight`); the threshold is the smallest of the best, so that 0 stays where abstaining gains nothing.
    A `temperature` that is given stays, and weight and threshold belong to its probabilities.
    """
    scenes = with_confusion(arm, scenes)
    if not arm.with_text:
        choice = Choice(weight=0.0)
        return Chosen(choice, {0.0: _top5_by_weight(arm, scenes, choice, [0.0])[0.0]}, {})
    choice = Choice() if temperature is None else Choice(temperature=temperature)
    if temperature is None and (arm.label_mode is LabelMode.SOFT or arm.abstain):
        choice = replace(choice, temperature=best_temperature([scene.queries for scene in scenes]))
    if arm.merge is not None:
        return _choose_constant(arm, scenes, choice)
    by_weight = _top5_by_weight(arm, scenes, choice, WEIGHTS)
    choice = replace(choice, weight=smallest_good_weight(by_weight))
    by_confidence: dict[float, NDArray[np.int64]] = {}
    if arm.abstain:
        for confidence in CONFIDENCES:
            there = replace(choice, confidence=confidence)
            by_confidence[confidence] = _top5_by_weight(arm, scenes, there, [choice.weight])[choice.weight]
        best = max(CONFIDENCES, key=lambda value: (by_confidence[value].mean(), -value))
        choice = replace(choice, confidence=best)
    return Chosen(choice, by_weight, by_confidence)


def in_words(arm: Arm, choice: Choice) -> str:
    """Say what was chosen for an arm with text."""
    if arm.merge is not None:
        return f"constant {choice.constant:g}, temperature {choice.temperature:g}"
    parts = [f"weight {choice.weight:g}"]
    if choice.temperature != 1:
        parts.append(f"temperature {choice.temperature:g}")
    if arm.abstain:
        parts.append(f"no text below confidence {choice.confidence:g}")
    return ", ".join(parts)


def best_temperature(queries: Sequence[Outputs], *, temperatures: Sequence[float] = TEMPERATURES) -> float:
    """Return the temperature with the least negative log likelihood of the true labels."""
    return min(
        temperatures,
        key=lambda value: float(np.mean(np.concatenate([_surprise(one.at_temperature(value)) for one in queries]))),
    )


def _choose_constant(arm: Arm, scenes: Sequence[Scene], choice: Choice) -> Chosen:
    constants = CONSTANTS if arm.merge is Merge.RECIPROCAL_RANK else (CONSTANT,)
    found = {}
    for constant in constants:
        there = replace(choice, constant=constant)
        found[constant] = np.concatenate([_top5(arm, scene, there) for scene in scenes])
    best = max(constants, key=lambda value: (found[value].mean(), -value))
    choice = replace(choice, constant=best)
    return Chosen(choice, {choice.weight: found[best]}, {})


def _top5(arm: Arm, scene: Scene, choice: Choice) -> NDArray[np.int64]:
    parts = vectors_of(arm, scene, choice)
    rows = searcher(arm, parts, choice, top_k=5)(parts.query_image, parts.query_text)
    relevant = relevance(rows, gallery=scene.gallery.truth, queries=scene.queries.truth)
    counts: NDArray[np.int64] = relevant.sum(axis=1)
    return counts


def _top5_by_weight(
    arm: Arm, scenes: Sequence[Scene], choice: Choice, weights: Sequence[float]
) -> dict[float, NDArray[np.int64]]:
    """One-shot search at every weight from two matrix products a fold."""
    found: dict[float, list[NDArray[np.int64]]] = {weight: [] for weight in weights}
    for scene in scenes:
        parts = vectors_of(arm, scene, choice)
        by_image, by_text = parts.query_image @ parts.image.T, parts.query_text @ parts.text.T
        for weight in weights:
            rows = np.argsort(-(by_image + weight * by_text), axis=1, kind="stable")[:, :5]
            relevant = relevance(rows, gallery=scene.gallery.truth, queries=scene.queries.truth)
            found[weight].append(relevant.sum(axis=1))
    return {weight: np.concatenate(counts) for weight, counts in found.items()}


def _surprise(queries: Outputs) -> NDArray[np.float64]:
    """Return -log p of each photo's own label; a label the network does not know is left out."""
    number = {label: place for place, label in enumerate(queries.labels)}
    known = np.array([row for row, label in enumerate(queries.truth) if label in number], np.int64)
    own = np.array([number[queries.truth[row]] for row in known], np.int64)
    surprise: NDArray[np.float64] = -np.log(np.maximum(queries.probabilities[known, own].astype(np.float64), 1e-12))
    return surprise


def _probe(train: Outputs, rows: NDArray[np.int64], asked: NDArray[np.float32], *, cache: Path) -> NDArray[np.float32]:
    """Return the probabilities [Q, V] of pooled features `asked` [Q, P], kept on disk."""
    number = {label: place for place, label in enumerate(train.labels)}
    targets = np.array([number[label] for label in train.truth])[rows]
    features = train.pooled[rows]
    name = hashlib.sha256(features.tobytes() + asked.tobytes() + targets.tobytes()).hexdigest()[:24]
    file = cache / f"{name}.npy"
    if file.is_file():
        kept: NDArray[np.float32] = np.load(file, allow_pickle=False)
        return kept
    weight, bias = fit_linear(
        torch.from_numpy(features),
        torch.from_numpy(targets),
        classes=len(number),
        penalty=PENALTY,
        label_smoothing=LABEL_SMOOTHING,
    )
    probabilities: NDArray[np.float32] = (torch.from_numpy(asked) @ weight.T + bias).softmax(dim=1).numpy()
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    with temporary.open("wb") as opened:
        np.save(opened, probabilities, allow_pickle=False)
    temporary.replace(file)
    return probabilities
