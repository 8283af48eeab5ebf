"""Ranked relevance in, figures of retrieval quality out. Pure functions on a boolean matrix [Q, K], best hit first."""

from __future__ import annotations

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
