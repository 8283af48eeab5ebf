"""Exact scores of many lists at once: those of a plain loop over rows, to the last digit whoever stands beside them."""

from __future__ import annotations

import numpy as np
import pytest

from index_builder import ranking
from index_builder.faiss_index import inner_products
from index_builder.fusion import unit
from index_builder.ranking import Hits, Parts, rank, rank_all

ROWS, IMAGE_DIM, TEXT_DIM, QUERIES = 300, 24, 8, 11


@pytest.fixture
def parts() -> Parts:
    rng = np.random.default_rng(0)
    images, texts = unit(rng.normal(size=(ROWS, IMAGE_DIM))), unit(rng.normal(size=(ROWS, TEXT_DIM)))
    has_text = rng.random(ROWS) > 0.2
    texts[~has_text] = 0
    images[7] = images[8]  # equal but for their text
    vectors = np.hstack([images, texts]).astype(np.float32)
    return Parts(vectors, IMAGE_DIM, has_text, np.arange(ROWS))


@pytest.fixture
def queries() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    texts = 0.7 * unit(rng.normal(size=(QUERIES, TEXT_DIM)))
    texts[4] = 0  # a query without text
    return unit(rng.normal(size=(QUERIES, IMAGE_DIM))), texts


@pytest.mark.parametrize("weight", [0.0, 1.0, 25.0])
@pytest.mark.parametrize("lengths", ["equal", "unequal"])
def test_many_lists_are_ranked_as_one_by_one(parts, queries, weight, lengths, monkeypatch):
    monkeypatch.setattr(ranking, "RANKED_AT_ONCE", 50)  # three lists of 16
    rng = np.random.default_rng(2)
    sizes = [16] * QUERIES if lengths == "equal" else rng.integers(0, 20, QUERIES)
    lists = [rng.choice(ROWS, size, replace=False) for size in sizes]
    ranked = rank_all(parts, lists, *queries, weight=weight)
    for number, (rows, got) in enumerate(zip(lists, ranked, strict=True)):
        alone = rank(parts, rows, queries[0][number], queries[1][number], weight=weight)
        for name in ("rows", "scores", "image", "text"):
            np.testing.assert_array_equal(getattr(got, name), getattr(alone, name))
        vectors = parts.vectors[got.rows].astype(np.float64)
        image = [sum(a * b for a, b in zip(row, queries[0][number], strict=True)) for row in vectors[:, :IMAGE_DIM]]
        text = [sum(a * b for a, b in zip(row, queries[1][number], strict=True)) for row in vectors[:, IMAGE_DIM:]]
        np.testing.assert_allclose(got.scores, (np.array(image) + weight * np.array(text)) / (1 + weight), atol=1e-6)
        usable = parts.has_text[got.rows] if number != 4 else np.zeros(len(rows), bool)
        np.testing.assert_array_equal(np.isnan(got.text), ~usable)
        assert (np.diff(got.scores) <= 0).all()


def test_equal_rows_keep_their_order(parts, queries):
    (ranked,) = rank_all(parts, [np.array([8, 7])], queries[0][:1], np.zeros((1, TEXT_DIM)), weight=1.0)
    assert ranked.rows.tolist() == [7, 8]
    assert ranked.scores[0] == ranked.scores[1]
    assert rank_all(parts, [], queries[0][:0], queries[1][:0], weight=1.0) == []
    (nothing,) = rank_all(parts, [np.zeros(0, np.int64)], queries[0][:1], queries[1][:1], weight=1.0)
    assert nothing.rows.shape == nothing.scores.shape == (0,)


def test_memory_of_others_is_not_read(parts, queries):
    for rows in (np.array([0, ROWS]), np.array([-1])):
        with pytest.raises(IndexError, match="of 300"):
            rank(parts, rows, queries[0][0], queries[1][0], weight=1.0)
    with pytest.raises(TypeError, match=r"queries \(1, 31\)"):
        inner_products(parts.vectors, np.zeros((1, 1), np.int64), np.zeros((1, 31), np.float32))


def test_inner_products_of_a_slice_or_a_mapped_file(parts, tmp_path):
    np.save(tmp_path / "vectors.npy", parts.vectors)
    rows, query = np.array([[5, 0, 299]]), np.random.default_rng(0).normal(size=(1, 32)).astype(np.float32)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    whole, one = inner_products(mapped, rows, query), inner_products(mapped, rows[:, 1:2], query)
    np.testing.assert_allclose(whole[0], parts.vectors[rows[0]].astype(float) @ query[0], atol=1e-5)
    assert whole[0, 1] == one[0, 0]
    sliced = inner_products(parts.vectors[:, ::2], rows, query[:, ::2])
    np.testing.assert_allclose(sliced[0], parts.vectors[rows[0], ::2].astype(float) @ query[0, ::2], atol=1e-5)


def test_the_hits_of_one_query_keep_no_others_alive():
    hits = Hits(*(np.arange(12, dtype=kind).reshape(3, 4) for kind in (np.int64, np.float32, np.float32, np.float32)))
    one = hits.of(1)
    for name in ("rows", "scores", "image_scores", "text_scores"):
        got, whole = getattr(one, name), getattr(hits, name)
        assert (got.tolist(), got.dtype) == ([[4, 5, 6, 7]], whole.dtype)
        assert not np.shares_memory(got, whole)
