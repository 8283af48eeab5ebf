"""Galleries on paper against arithmetic done by hand."""

from __future__ import annotations

import pytest

from benchmarks.galleries.paper import Constants, estimate, scaling_rows


def test_a_million_products_by_hand():
    one = estimate(1_000_000, Constants(cpu_photos_per_s_core=10, gpu_photos_per_s=1000, index_rows_per_s_core=100))
    assert (one.factory, one.machines) == ("PCA256+128,HNSW32", 1)
    # 384 floats a row, a graph of 32 links: 64 of them below, 32 / 31 above, four bytes each, 12 of its own; a matrix.
    assert one.index_bytes == pytest.approx(1e6 * (4 * 384 + 4 * (64 + 32 / 31) + 12) + 4 * 384 * 1134, rel=1e-6)
    assert one.disk_bytes == one.index_bytes + 10**6 * (4 * 1134 + 18_000 + 556)
    assert one.cpu_embed_h == pytest.approx(10**6 / 80 / 3600)
    assert one.gpu_embed_h == pytest.approx(1000 / 3600)
    assert one.index_h == pytest.approx(10**6 / 800 / 3600)
    assert one.build_dollars == pytest.approx(1000 / 3600 * 1.01 + 1250 / 3600 * 0.34)


def test_more_products_take_more_machines():
    sizes = [estimate(count) for count in (10**6, 15 * 10**6, 10**8, 10**9)]
    assert [one.machines for one in sizes] == [1, 1, 4, 40]
    assert all(one.index_bytes / one.machines <= 0.75 * 192e9 for one in sizes)
    assert len(scaling_rows()) == 4 * 6
