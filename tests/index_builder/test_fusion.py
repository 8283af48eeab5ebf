"""The weight at query time against numbers worked out by hand, and against a gallery built with that weight."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import OutOfRangeError
from index_builder.faiss_index import make_index
from index_builder.fusion import fuse_gallery, fuse_query, scores, text_factor, unit
from index_builder.recipes import starting_recipe
from index_builder.search import Parts, Searcher

STORED = st.floats(0.01, 25)
ASKED = st.floats(0, 25) | st.sampled_from([0.0, 1.0, 25.0])


@st.composite
def shops(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Unit image and text parts of N rows, some without text and some equal; image and text parts of B queries."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count, image_dim, text_dim = draw(st.integers(1, 60)), draw(st.integers(1, 9)), draw(st.integers(1, 6))
    images = unit(rng.normal(size=(count, image_dim)))
    texts = unit(rng.normal(size=(count, text_dim)))
    texts[rng.random(count) < draw(st.sampled_from([0.0, 0.3, 1.0]))] = 0
    same = rng.integers(0, count, size=count // 3)
    images[: len(same)], texts[: len(same)] = images[same], texts[same]
    query_images = rng.normal(size=(4, image_dim))
    query_texts = unit(rng.normal(size=(4, text_dim))) * np.array([1, 0.4, 0, 1])[:, None]  # sure, doubtful, none, sure
    return images.astype(np.float32), texts.astype(np.float32), query_images, query_texts.astype(np.float32)


def searcher(images: np.ndarray, texts: np.ndarray, *, default_weight: float) -> Searcher:
    parts = Parts(np.hstack([images, texts]), images.shape[1], texts.any(axis=1), np.arange(len(images)))
    recipe = starting_recipe("Flat")
    index = make_index(fuse_gallery(images, texts, default_weight=default_weight), recipe)
    return Searcher(index, parts, recipe=recipe, default_weight=default_weight)


def by_hand(shop: tuple[np.ndarray, ...], query: int, weight: float) -> tuple[list[float], list[float], list[float]]:
    """Scores of every row in plain Python floats."""
    images, texts, query_images, query_texts = (part.astype(float).tolist() for part in shop)
    length = math.sqrt(math.fsum(value * value for value in query_images[query]))
    image_scores, text_scores, combined = [], [], []
    for image, text in zip(images, texts, strict=True):
        s_image = math.fsum(a * b / length for a, b in zip(image, query_images[query], strict=True))
        s_text = math.fsum(a * b for a, b in zip(text, query_texts[query], strict=True))
        missing = not any(text) or not any(query_texts[query])
        image_scores.append(s_image)
        text_scores.append(math.nan if missing else s_text)
        combined.append((s_image + weight * (0 if missing else s_text)) / (1 + weight))
    return combined, image_scores, text_scores


@settings(max_examples=150, deadline=None)
@given(shops(), STORED, ASKED, st.integers(1, 70))
def test_a_weight_asked_is_a_gallery_built_with_it(shop, stored, asked, top_k):
    images, texts, query_images, query_texts = shop
    got = searcher(images, texts, default_weight=stored).search(query_images, query_texts, weight=asked, top_k=top_k)
    if asked >= 0.01:  # a gallery cannot be stored with weight 0
        built = searcher(images, texts, default_weight=asked)
        expected = built.search(query_images, query_texts, weight=asked, top_k=top_k)
        np.testing.assert_array_equal(got.rows, expected.rows)
        np.testing.assert_array_equal(got.scores, expected.scores)
        np.testing.assert_array_equal(got.text_scores, expected.text_scores)
    for query in range(len(query_images)):
        combined, image_scores, text_scores = by_hand(shop, query, asked)
        rows = got.rows[query]
        np.testing.assert_allclose(got.scores[query], np.array(combined)[rows], atol=1e-6)
        np.testing.assert_allclose(got.image_scores[query], np.array(image_scores)[rows], atol=1e-6)
        np.testing.assert_allclose(got.text_scores[query], np.array(text_scores)[rows], atol=1e-6)
        best = sorted(combined, reverse=True)[:top_k]
        np.testing.assert_allclose(got.scores[query], best, atol=1e-6)
        assert len(set(rows)) == len(rows) == min(top_k, len(images))


@settings(max_examples=100, deadline=None)
@given(shops(), STORED, ASKED)
def test_the_inner_product_alone_is_the_score(shop, stored, asked):
    images, texts, query_images, query_texts = shop
    gallery = fuse_gallery(images, texts, default_weight=stored)
    queries = fuse_query(query_images, query_texts, weight=asked, default_weight=stored)
    assert gallery.dtype == queries.dtype == np.float32
    product = queries.astype(float) @ gallery.T.astype(float) / (1 + asked)
    for query in range(len(queries)):
        np.testing.assert_allclose(product[query], by_hand(shop, query, asked)[0], atol=2e-6)


def test_both_sides_carry_the_root_at_the_default_weight():
    # Equation 7: [n(v_I); w n(v_W)] on both sides with w = sqrt(4) = 2.
    image, text = np.array([[3.0, 4.0]]), np.array([[0.0, 5.0]])
    np.testing.assert_allclose(fuse_gallery(image, text, default_weight=4), [[0.6, 0.8, 0, 2]], rtol=1e-6)
    np.testing.assert_allclose(fuse_query(image, text / 5, weight=4, default_weight=4), [[0.6, 0.8, 0, 2]], rtol=1e-6)
    assert text_factor(4) == 2


def test_a_doubtful_label_stays_short():
    fused = fuse_query(np.array([[1.0, 0.0]]), np.array([[0.3, 0.0]]), weight=2, default_weight=1)
    np.testing.assert_allclose(fused, [[1, 0, 0.6, 0]], rtol=1e-6)


def test_scores_weigh_the_text():
    got = scores(np.array([0.5, 0.5]), np.array([0, 0.2]), weight=4)
    np.testing.assert_allclose(got, [0.5 / 5, (0.5 + 0.8) / 5])


def test_zero_rows_stay_zero_and_nan_is_refused():
    np.testing.assert_array_equal(unit(np.array([[0.0, 0.0], [0.0, 2.0]])), [[0, 0], [0, 1]])
    with pytest.raises(OutOfRangeError, match="not finite"):
        unit(np.array([[np.nan, 1.0]]))


@pytest.mark.parametrize("weight", [0, -1, 26, math.nan])
def test_a_default_weight_that_cannot_be_stored_is_refused(weight):
    with pytest.raises(OutOfRangeError, match=r"default weight is .* --text none"):
        fuse_gallery(np.ones((1, 2)), np.ones((1, 2)), default_weight=weight)


@pytest.mark.parametrize("weight", [-0.1, 25.1, math.nan, math.inf])
def test_a_weight_out_of_range_is_refused(weight):
    with pytest.raises(OutOfRangeError, match="expected 0 to 25"):
        fuse_query(np.ones((1, 2)), None, weight=weight, default_weight=1)
