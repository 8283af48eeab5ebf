"""The training split's own gallery in, the top-5 score at each weight out, by cross-validation: val is not looked at.

Photos of one shop visit lie next to each other in the catalog, so a fold is a contiguous fifth of each label's rows: a
random fold would find the same apple, photographed a second earlier, in the gallery. Such folds are still far easier
than photos of another shop (95 % of labels right against 66 %), so choices are made on `shifted_folds`, which hold out
one look of each label.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from index_builder.gallery import Gallery
from training.probe import fit_linear

FOLDS = 5
LOOKS = 3
_KMEANS_STEPS = 50
WEIGHTS = (0.0, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 9.0)
# As `python -m training classifier --freeze backbone` fits its linear layer.
PENALTY = 1e-5
LABEL_SMOOTHING = 0.1


def contiguous_folds(labels: Sequence[str], *, folds: int = FOLDS) -> NDArray[np.int64]:
    """Return the fold [N] of each row: the rows of a label, in order, are cut into `folds` nearly equal parts."""
    names = np.array(labels)
    fold = np.zeros(len(names), np.int64)
    for name in np.unique(names):
        rows = np.flatnonzero(names == name)
        fold[rows] = np.arange(len(rows)) * folds // len(rows)
    return fold


def shifted_folds(
    vectors: NDArray[np.float32], labels: Sequence[str], *, looks: int = LOOKS, seed: int = 0
) -> NDArray[np.int64]:
    """Return the fold [N] of each row: k-means clusters of each label's vectors [n, D], one cluster a fold.

    A fold that is held out is then photos of a look that the others do not show. Which cluster of a label falls to
    which fold is drawn from `seed`. A label whose photos are all equal has no looks; its rows are dealt out in turn, so
    that every label of two rows or more is in two folds at least, and stays in the training part of each.
    """
    names = np.array(labels)
    fold = np.zeros(len(names), np.int64)
    rng = np.random.default_rng(seed)
    for name in np.unique(names):
        rows = np.flatnonzero(names == name)
        cluster = _kmeans(np.asarray(vectors[rows], np.float64), min(looks, len(rows)), rng)
        if cluster.max() == 0 and len(rows) > 1:
            cluster = np.arange(len(rows)) % looks
        fold[rows] = rng.permutation(looks)[cluster]
    return fold


def _kmeans(points: NDArray[np.float64], clusters: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the cluster [n] of each point by Lloyd's algorithm from k-means++ starts; empty clusters vanish."""
    centers = points[rng.integers(len(points))][None]
    while len(centers) < clusters:
        far = _squared_distances(points, centers).min(axis=1)
        if far.sum() <= 1e-12:
            break
        centers = np.vstack([centers, points[rng.choice(len(points), p=far / far.sum())]])
    nearest = _squared_distances(points, centers).argmin(axis=1)
    for _ in range(_KMEANS_STEPS):
        kept = np.unique(nearest)
        centers = np.stack([points[nearest == number].mean(axis=0) for number in kept])
        before, nearest = nearest, _squared_distances(points, centers).argmin(axis=1)
        if np.array_equal(before, nearest):
            break
    return np.unique(nearest, return_inverse=True)[1].astype(np.int64)


def _squared_distances(points: NDArray[np.float64], centers: NDArray[np.float64]) -> NDArray[np.float64]:
    distances: NDArray[np.float64] = ((points[:, None, :] - centers[None, :, :]) ** 2).sum(axis=2)
    return distances


def relevant_by_weight(gallery: Gallery, *, weights: Sequence[float] = WEIGHTS) -> dict[float, NDArray[np.int64]]:
    """Return how many of the first five hits are relevant, [N], for each weight: one-shot search with hard labels.

    Each fold in turn queries the others; its labels come from a linear classifier fitted on the others. The image part
    must be the features that classifier is linear on (a frozen backbone's, at unit length).
    """
    count = gallery.manifest.count
    products = gallery.rows(np.arange(count))
    labels = [str(product["label"]) for product in products]
    image = np.stack([gallery.image_vector(row) for row in range(count)])
    text = np.stack([_text(gallery, row) for row in range(count)])
    fold = contiguous_folds(labels)
    found = {weight: np.zeros(count, np.int64) for weight in weights}
    for number in range(FOLDS):
        rows, queries = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        words = gallery.labels.vectors[_predict(gallery, image, labels, rows=rows, queries=queries)]
        by_image, by_text = image[queries] @ image[rows].T, words @ text[rows].T
        same = np.array(labels)[queries][:, None] == np.array(labels)[rows][None, :]
        for weight in weights:
            best = np.argsort(-(by_image + weight * by_text), axis=1, kind="stable")[:, :5]
            found[weight][queries] = np.take_along_axis(same, best, axis=1).sum(axis=1)
    return found


def smallest_good_weight(relevant: Mapping[float, NDArray[np.int64]]) -> float:
    """Return the smallest weight whose photos are worse than the best weight's by one standard error at most.

    The standard error is that of the mean difference over the same photos: the spread between photos, which all weights
    share, says nothing of the weights. The curve is flat at its top; a small weight leaves more to the picture where
    the label is wrong (after the one-standard-error rule of Breiman et al., Classification and Regression Trees,
    section 3.4.3).
    """
    best = max(relevant, key=lambda weight: float(relevant[weight].mean()))

    def is_good(counts: NDArray[np.int64]) -> bool:
        lost = relevant[best] - counts
        return bool(lost.mean() <= lost.std(ddof=1) / len(lost) ** 0.5)

    return min(weight for weight, counts in relevant.items() if is_good(counts))


def _text(gallery: Gallery, row: int) -> NDArray[np.float32]:
    vector = gallery.text_vector(row)
    return np.zeros(gallery.manifest.text_dim, np.float32) if vector is None else vector


def _predict(
    gallery: Gallery,
    image: NDArray[np.float32],
    labels: Sequence[str],
    *,
    rows: NDArray[np.int64],
    queries: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Return the label number [Q] of each query by a classifier fitted on `rows` only."""
    number = {label: k for k, label in enumerate(gallery.manifest.labels)}
    targets = torch.tensor([number[labels[row]] for row in rows])
    features = torch.from_numpy(image)
    weight, bias = fit_linear(
        features[rows], targets, classes=len(number), penalty=PENALTY, label_smoothing=LABEL_SMOOTHING
    )
    predicted: NDArray[np.int64] = (features[queries] @ weight.T + bias).argmax(dim=1).numpy()
    return predicted
