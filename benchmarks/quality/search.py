"""An arm, a gallery's and the queries' network answers in, ranked hits out, with the builder's own fusion and search.

It is what `index_builder build` and the service do, without writing a gallery for every arm.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.metrics import mean_average_precision, recall_at, top5_score
from benchmarks.quality.arms import Arm
from benchmarks.quality.confusion import Confusion, project
from benchmarks.quality.outputs import Outputs
from benchmarks.quality.sequential import CONSTANT, DEPTH, SequentialSearcher
from export.words import WordModel
from index_builder.faiss_index import make_index
from index_builder.fusion import center_texts, fuse_gallery, unit
from index_builder.manifest import ImageVector, LabelMode, LabelSource
from index_builder.recipes import Facts, choose_recipe
from index_builder.search import Parts, Searcher
from index_builder.texts import TextOptions, label_paths, text_parts

TOP_K = 10
STORED_WEIGHT = 1.0  # exact indexes answer any weight; see DESIGN section 1
TIMED_QUERIES = 100

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Choice:
    """What folds chose for an arm. Below `confidence` (of the most probable label) the text part is zero."""

    weight: float = 1.0
    temperature: float = 1.0
    confidence: float = 0.0
    constant: float = CONSTANT


@dataclass(frozen=True)
class Scene:
    """A gallery and queries as one repository's networks answer for them; `confusion` is for arms that project."""

    gallery: Outputs
    queries: Outputs
    words: WordModel | None = None
    confusion: Confusion | None = None


@dataclass(frozen=True)
class Vectors:
    """An arm's parts: gallery [N, D_I], [N, D_T] and queries [Q, D_I], [Q, D_T]; D_T is 0 without text."""

    image: Floats
    text: Floats
    query_image: Floats
    query_text: Floats


@dataclass(frozen=True)
class Ranked:
    """Hits [Q, K] (gallery rows, best first), and the median time of one query, one thread, one at a time."""

    arm: Arm
    choice: Choice
    rows: NDArray[np.int64]
    ms: float


@dataclass(frozen=True)
class Figures:
    """What is reported of an arm; `counts` [Q] is the number of relevant items among each query's first five."""

    top5: float
    recall_1: float
    recall_5: float
    map_10: float
    second_level: float
    ms: float
    counts: NDArray[np.float64]


def vectors_of(arm: Arm, scene: Scene, choice: Choice) -> Vectors:
    """Return the parts an arm searches with. A row or query without usable text has a zero text part.

    Raises ValueError for an arm that projects label vectors in a scene without confusion.
    """
    queries = scene.queries.at_temperature(choice.temperature)
    images = [_image(outputs, arm.image_vector) for outputs in (scene.gallery, queries)]
    if not arm.with_text:
        return Vectors(images[0], _empty(scene.gallery), images[1], _empty(queries))
    rows, table = texts_of(arm, scene.gallery, scene.words)
    least = choice.confidence if arm.abstain else 0.0
    ask = partial(query_text, mode=arm.label_mode, confidence=least)
    if not arm.projected:
        return Vectors(images[0], rows, images[1], ask(queries.probabilities, table))
    if scene.confusion is None:
        raise ValueError(f"arm {arm.name} projects label vectors, and its scene has no confusion")
    text = np.zeros((len(queries), table.shape[1]), np.float32)
    for number, shares in enumerate(scene.confusion.shares):
        own = scene.confusion.part == number
        text[own] = ask(queries.probabilities[own], project(table, shares))
    return Vectors(images[0], rows, images[1], text)


def texts_of(arm: Arm, gallery: Outputs, words: WordModel | None) -> tuple[Floats, Floats]:
    """Return the unit text parts of gallery rows [N, D_T] and of the classifier's labels [V, D_T], as a build does."""
    options = TextOptions(arm.text_vector, arm.label_source, arm.unknown, arm.centered)
    source = text_parts(options, words, labels=gallery.labels, label_paths=label_paths(gallery.rows))
    predicted = gallery.said if arm.label_source is LabelSource.CLASSIFIER else [None] * len(gallery)
    rows = np.zeros((len(gallery), source.dim), np.float32)
    for place, (product, said) in enumerate(zip(gallery.rows, predicted, strict=True)):
        if (vector := source.of(product, predicted=said)) is not None:
            rows[place] = vector
    if arm.centered:
        center = rows[rows.any(axis=1)].mean(axis=0)
        return center_texts(rows, center), source.centered_on(center).labels.vectors
    return rows, source.labels.vectors


def query_text(probabilities: Floats, table: Floats, *, mode: LabelMode, confidence: float = 0.0) -> Floats:
    """Return text parts [Q, D_T] from probabilities [Q, V] and label vectors [V, D_T]: hard, soft, or zero.

    Hard is the first label's vector, soft the expected one, not normalized (DESIGN section 1). Zero where the first
    label's probability is below `confidence`.
    """
    if mode is LabelMode.SOFT:
        text = probabilities @ table
    elif mode is LabelMode.HARD:
        text = table[probabilities.argmax(axis=1)]
    else:
        text = np.zeros((len(probabilities), table.shape[1]))
    return np.where(probabilities.max(axis=1, keepdims=True) >= confidence, text, 0.0).astype(np.float32)


def search(arm: Arm, scene: Scene, choice: Choice, *, top_k: int = TOP_K, expand: int = 0) -> Ranked:
    """Search the gallery for every query as the arm says; `expand` as in `Gallery.search`."""
    parts = vectors_of(arm, scene, choice)
    ask = searcher(arm, parts, choice, top_k=top_k, expand=expand)
    rows = ask(parts.query_image, parts.query_text)
    return Ranked(arm, choice, rows, _median_ms(ask, parts))


def searcher(
    arm: Arm, parts: Vectors, choice: Choice, *, top_k: int = TOP_K, expand: int = 0
) -> Callable[[Floats, Floats], NDArray[np.int64]]:
    """Return the function (image [B, D_I], text [B, D_T]) -> rows [B, top_k] of an arm over its gallery.

    Raises ValueError for query expansion of an arm that merges two searches.
    """
    count = len(parts.image)
    if arm.merge is not None:
        if expand:
            raise ValueError(f"arm {arm.name} merges two searches, which are not expanded")
        depth = min(max(DEPTH, top_k), count)
        apart = SequentialSearcher(parts.image, parts.text, depth=depth, constant=choice.constant)
        return partial(apart.search, merge=arm.merge, top_k=min(top_k, depth))
    with_text = parts.text.shape[1] > 0
    one_shot = one_shot_searcher(parts, recipe="Flat")
    weight = choice.weight if with_text else 0.0

    def ask(image: Floats, text: Floats) -> NDArray[np.int64]:
        asked = text if with_text else None
        if expand:
            image = one_shot.expand(image, asked, weight=weight, count=expand)
        return one_shot.search(image, asked, weight=weight, top_k=top_k).rows

    return ask


def one_shot_searcher(parts: Vectors, *, recipe: str) -> Searcher:
    """Return the product's own searcher over an arm's gallery, each row a product; recipes are those of a build."""
    chosen = choose_recipe(recipe, Facts(len(parts.image), parts.image.shape[1], parts.text.shape[1]))
    rows = fuse_gallery(parts.image, parts.text, default_weight=STORED_WEIGHT)
    index = make_index(rows, chosen, image_dim=parts.image.shape[1])
    stored = Parts(
        np.hstack([unit(parts.image), parts.text]).astype(np.float32),
        parts.image.shape[1],
        has_text=np.asarray(parts.text.any(axis=1), bool),
        products=np.arange(len(parts.image)),
    )
    return Searcher(index, stored, recipe=chosen, default_weight=STORED_WEIGHT)


def figures(ranked: Ranked, scene: Scene) -> Figures:
    """Measure hits against the labels and the second level of the category paths."""
    relevant = relevance(ranked.rows, gallery=scene.gallery.truth, queries=scene.queries.truth)
    paths = [[row.category[:2] for row in outputs.rows] for outputs in (scene.gallery, scene.queries)]
    second = relevance(ranked.rows, gallery=paths[0], queries=paths[1])
    names = np.array(scene.gallery.truth)
    total = np.array([(names == label).sum() for label in scene.queries.truth])
    return Figures(
        top5=top5_score(relevant),
        recall_1=recall_at(relevant, 1),
        recall_5=recall_at(relevant, 5),
        map_10=mean_average_precision(relevant, total),
        second_level=top5_score(second),
        ms=ranked.ms,
        counts=relevant[:, :5].sum(axis=1).astype(np.float64),
    )


def relevance(rows: NDArray[np.int64], *, gallery: Sequence[object], queries: Sequence[object]) -> NDArray[np.bool_]:
    """Return whether each hit [Q, K] has the value of its query; an empty value is never relevant."""
    number = {value: place for place, value in enumerate(dict.fromkeys([*gallery, *queries]))}
    have = np.array([number[value] for value in gallery])
    want = np.array([number[value] if value else -1 for value in queries])
    relevant: NDArray[np.bool_] = have[rows] == want[:, None]
    return relevant


def without_text(choice: Choice) -> Choice:
    """Return the choice of an arm that has no text part."""
    return replace(choice, weight=0.0, confidence=0.0)


def _image(outputs: Outputs, kind: ImageVector) -> Floats:
    return outputs.pooled if kind is ImageVector.POOLED else outputs.embedding


def _empty(outputs: Outputs) -> Floats:
    return np.zeros((len(outputs), 0), np.float32)


def _median_ms(ask: Callable[[Floats, Floats], NDArray[np.int64]], parts: Vectors) -> float:
    times = []
    for query in range(min(TIMED_QUERIES, len(parts.query_image))):
        image, text = parts.query_image[query : query + 1], parts.query_text[query : query + 1]
        start = time.perf_counter()
        ask(image, text)
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times))
