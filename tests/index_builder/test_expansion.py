"""Query expansion against brute force: each query joined by its best hits' pictures, then searched again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from catalog.errors import OutOfRangeError
from index_builder.build import build_gallery
from index_builder.gallery import Gallery
from index_builder.store import LocalStore


@pytest.fixture
def gallery(shop, networks, words, tmp_path: Path) -> Gallery:
    store = LocalStore(tmp_path / "store")
    build_gallery(shop.catalog, networks, words, store=store, version="v", default_weight=2)
    return Gallery.open(store.gallery("v"))


def best_products(gallery: Gallery, image: np.ndarray, text: np.ndarray, weight: float) -> list[tuple[float, int]]:
    """(score, row) of each product's best row, best first, by looking at every row."""
    best: dict[str, tuple[float, int]] = {}
    for row in range(gallery.manifest.count):
        own = gallery.text_vector(row)
        s_text = 0.0 if own is None else float(own.astype(float) @ text.astype(float))
        score = (float(gallery.image_vector(row).astype(float) @ image) + weight * s_text) / (1 + weight)
        product_id = gallery.product(row)["product_id"]
        best[product_id] = max(best.get(product_id, (-9.0, 0)), (score, row))
    return sorted(best.values(), reverse=True)


def brute_force(gallery, query: np.ndarray, text: np.ndarray, *, weight: float, expand: int) -> list[tuple[float, int]]:
    image = query.astype(float) / np.linalg.norm(query.astype(float))
    joined = [image]
    for _, row in best_products(gallery, image, text, weight)[:expand]:
        joined.append(gallery.image_vector(row).astype(float))
    mean = np.mean(joined, axis=0)
    return best_products(gallery, mean / np.linalg.norm(mean), text, weight)


@pytest.mark.parametrize("expand", [0, 1, 3, 24, 100])
@pytest.mark.parametrize("weight", [0, 2, 9])
def test_expansion_is_brute_force(gallery: Gallery, expand: int, weight: float):
    queries = np.random.default_rng(8).normal(size=(3, 16)).astype(np.float32)
    texts = np.stack([gallery.labels.of(label) for label in ("red", "green", "blue")])
    hits = gallery.search(queries, texts, weight=weight, top_k=24, expand=expand)
    for query in range(3):
        expected = brute_force(gallery, queries[query], texts[query], weight=weight, expand=expand)
        np.testing.assert_allclose(hits.scores[query], [score for score, _ in expected], atol=1e-5)
        assert hits.rows[query].tolist() == [row for _, row in expected]


def test_expansion_without_text(gallery: Gallery):
    query = gallery.image_vector(4)
    hits = gallery.search(query[None], None, weight=0, top_k=5, expand=2)
    expected = brute_force(gallery, query, np.zeros(14), weight=0, expand=2)[:5]
    assert hits.rows[0].tolist() == [row for _, row in expected]
    assert hits.scores[0, 0] < 1 - 1e-3  # the query is no longer the row itself


def test_a_negative_expansion_is_refused(gallery: Gallery):
    with pytest.raises(OutOfRangeError, match="expand is -1"):
        gallery.search(gallery.image_vector(4)[None], None, expand=-1)
