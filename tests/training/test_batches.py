"""Batches of clusters: whom they are drawn from and how often."""

from __future__ import annotations

import numpy as np

from training.batches import cluster_batches


def test_clusters_are_equally_likely_however_large():
    clusters = np.repeat(np.arange(10), [1, 2, 40, 5, 5, 5, 5, 5, 5, 47])
    steps = cluster_batches(clusters, ["x"] * len(clusters), batch=8, views=2, labels_a_batch=0, seed=1, singles=True)
    seen = np.zeros(10)
    for epoch in range(60):
        for rows in steps(epoch):
            found, counts = np.unique(clusters[rows], return_counts=True)
            assert counts.tolist() == [2] * 4
            seen[found] += 1
    # 60 epochs of 15 steps with 4 of 10 clusters: each is expected 360 times, with a deviation below 15.
    assert np.abs(seen - 360).max() < 60


def test_rows_that_are_held_out_never_come():
    clusters = np.arange(40) // 4
    rows = np.flatnonzero(np.arange(40) % 4 != 3)
    of = cluster_batches(clusters, ["x"] * 40, batch=6, views=3, labels_a_batch=4, seed=0, rows=rows)
    drawn = {int(row) for epoch in range(20) for step in of(epoch) for row in step}
    assert drawn == set(rows.tolist())


def test_single_pictures_take_part_only_where_asked():
    clusters = np.array([0, 1, 1, 2, 2, 3])
    labels = ["x"] * 6
    for singles, expected in ((False, {1, 2}), (True, {0, 1, 2, 3})):
        of = cluster_batches(clusters, labels, batch=4, views=2, labels_a_batch=1, seed=0, singles=singles)
        assert {int(clusters[row]) for epoch in range(30) for step in of(epoch) for row in step} == expected
