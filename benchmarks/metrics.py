"""Ranked relevance in, figures of retrieval quality out: pure functions.

`relevant` is a boolean matrix [Q, K], best hit first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Relevance = NDArray[np.bool_]


def top5_score(relevant: Relevance) -> float:
    """Mean number of relevant items among the first five, 0 to 5 (Yim, Kim, Shin, Tables 1 and 2).

    Raises ValueError for fewer than five columns.
    """
    if relevant.shape[1] < 5:
        raise ValueError(f"a top-5 score needs five hits a query, got {relevant.shape[1]}")
    return float(relevant[:, :5].sum(axis=1).mean())


def recall_at(relevant: Relevance, k: int) -> float:
    """Share of queries with at least one relevant item among the first `k`.

    For a query with a single right answer this is recall@k. Raises ValueError for k outside 1..K.
    """
    if not 1 <= k <= relevant.shape[1]:
        raise ValueError(f"k must be within 1..{relevant.shape[1]}, got {k}")
    return float(relevant[:, :k].any(axis=1).mean())


def mean_average_precision(relevant: Relevance, total_relevant: NDArray[np.int64]) -> float:
    """mAP@K: mean over queries of sum_k precision@k * relevant_k / min(K, number of relevant items [Q]).

    Queries without any relevant item in the gallery count 0.
    """
    k = relevant.shape[1]
    hits = relevant.astype(np.float64)
    precision = hits.cumsum(axis=1) / np.arange(1, k + 1)
    possible = np.minimum(total_relevant, k)
    average = (precision * hits).sum(axis=1) / np.maximum(possible, 1)
    return float(average.mean())


def paired_bootstrap(
    first: NDArray[np.float64], second: NDArray[np.float64], *, draws: int = 10_000, seed: int = 0
) -> tuple[float, float, float]:
    """Mean of `second - first` over the same queries [Q] and its 95 % interval, resampling queries with replacement."""
    difference = second - first
    rng = np.random.default_rng(seed)
    means = difference[rng.integers(0, len(difference), size=(draws, len(difference)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(difference.mean()), float(low), float(high)


def partner_accuracy(vectors: NDArray[np.float32], partner: NDArray[np.int64], *, k: int = 4) -> float:
    """Top-k accuracy of a set of pairs: the share of vectors [M, D] whose `partner` [M] is among the first k others.

    Cosine similarity; each vector queries the other M - 1 (Kim et al., Table II, k = 4). A partner that ties with the
    k-th other counts only when its row number is smaller. Raises ValueError unless 1 <= k < M.
    """
    count = len(vectors)
    if not 1 <= k < count:
        raise ValueError(f"k must be within 1..{count - 1}, got {k}")
    wide = np.asarray(vectors, np.float64)
    units = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), np.finfo(np.float64).tiny)
    similarity = units @ units.T
    np.fill_diagonal(similarity, -np.inf)
    first = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    return float((first == partner[:, None]).any(axis=1).mean())


def expected_calibration_error(confidence: NDArray[np.float64], correct: NDArray[np.bool_], *, bins: int = 15) -> float:
    """Mean of |accuracy - confidence| over equal-width bins of confidence, weighted by their share of the N guesses.

    `confidence` [N] in (0, 1]; a bin holds its upper edge (Guo et al., On Calibration of Modern Neural Networks,
    equation 3).
    """
    total = 0.0
    for share, said, right in reliability(confidence, correct, bins=bins):
        total += share * abs(right - said)
    return total


def reliability(
    confidence: NDArray[np.float64], correct: NDArray[np.bool_], *, bins: int = 15
) -> list[tuple[float, float, float]]:
    """Return (share of all guesses, mean confidence, accuracy) of each equal-width bin that is not empty."""
    number = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return [
        (float(own.mean()), float(confidence[own].mean()), float(correct[own].mean()))
        for own in (number == place for place in range(bins))
        if own.any()
    ]


def reciprocal_rank_fusion(
    rows: Sequence[NDArray[np.int64]], ranks: Sequence[NDArray[np.int64]], *, constant: float = 60.0
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Merge ranked lists of one query: a row's score is the sum over lists of 1 / (constant + rank), ranks from 1.

    Each list is `rows` [L] without repeats and their `ranks` [L], which may tie; a row that a list lacks gets nothing
    from it. Returns the rows, best first (the row of the earlier list first in a tie), and their scores
    (Cormack, Clarke, Buettcher, Reciprocal Rank Fusion, 2009).
    """
    listed = np.concatenate(rows)
    unique, first, inverse = np.unique(listed, return_index=True, return_inverse=True)
    parts = 1.0 / (constant + np.concatenate(ranks))
    scores: NDArray[np.float64] = np.bincount(inverse, parts, minlength=len(unique)).astype(np.float64)
    order = np.lexsort((first, -scores))
    return unique[order], scores[order]
