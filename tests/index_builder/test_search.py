"""Every recipe against exact search in numpy, and the facts of FAISS that the gallery guards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from catalog.errors import OutOfRangeError
from index_builder import faiss_index
from index_builder.errors import GalleryError
from index_builder.faiss_index import RowFinder, make_index, read_index, write_index
from index_builder.fusion import fuse_gallery, unit
from index_builder.recall import measure_recall, measured_weights
from index_builder.recipes import starting_recipe
from index_builder.search import Parts, Searcher

IMAGE_DIM, TEXT_DIM, ROWS = 48, 16, 3000
DEFAULT_WEIGHT = 2.0


@pytest.fixture(scope="module")
def parts() -> Parts:
    """Rows near a 6-dimensional surface, as real embeddings are, with one of 8 texts; every tenth has none."""
    images, texts = draw(ROWS, seed=1)
    texts[::10] = 0
    vectors = np.hstack([images, texts]).astype(np.float32)
    return Parts(vectors, IMAGE_DIM, texts.any(axis=1), np.arange(ROWS))


@pytest.fixture(scope="module")
def queries() -> tuple[np.ndarray, np.ndarray]:
    """Other points of the same surface with the same texts, and one without text."""
    images, texts = draw(20, seed=2)
    texts[7] = 0
    return images.astype(np.float32), texts.astype(np.float32)


def draw(count: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    fixed, rng = np.random.default_rng(0), np.random.default_rng(seed)
    surface, texts = fixed.normal(size=(6, IMAGE_DIM)), unit(fixed.normal(size=(8, TEXT_DIM)))
    noise = 0.1 * rng.normal(size=(count, IMAGE_DIM))
    return unit(np.tanh(rng.normal(size=(count, 6)) @ surface) + noise), texts[rng.integers(0, 8, count)]


def make_searcher(parts: Parts, factory: str) -> Searcher:
    recipe = starting_recipe(factory)
    image, text = np.hsplit(parts.vectors, [parts.image_dim])
    index = make_index(fuse_gallery(image, text, default_weight=DEFAULT_WEIGHT), recipe)
    return Searcher(index, parts, recipe=recipe, default_weight=DEFAULT_WEIGHT)


def exact(parts: Parts, images: np.ndarray, texts: np.ndarray | None, weight: float) -> np.ndarray:
    """Scores [B, N] by numpy in float64."""
    vectors = parts.vectors.astype(float)
    image = images.astype(float) / np.linalg.norm(images.astype(float), axis=1, keepdims=True)
    total = image @ vectors[:, : parts.image_dim].T
    if texts is not None:
        total += weight * texts.astype(float) @ vectors[:, parts.image_dim :].T
    return total / (1 + weight)


def recall(found: np.ndarray, everything: np.ndarray, top_k: int) -> float:
    """Share of found scores that reach the top_k-th best one: equal rows may stand for each other."""
    border = -np.sort(-everything, axis=1)[:, top_k - 1 : top_k]
    return float(np.mean(found >= border - 1e-6))


@pytest.mark.parametrize("weight", [0, 0.3, DEFAULT_WEIGHT, 25])
@pytest.mark.parametrize(
    ("factory", "floor"), [("Flat", 1.0), ("HNSW32", 0.97), ("IVF32,Flat", 0.95), ("PCA32,Flat", 0.95)]
)
def test_recipes_against_exact_search(parts, queries, factory, floor, weight):
    images, texts = queries
    hits = make_searcher(parts, factory).search(images, texts, weight=weight, top_k=10)
    everything = exact(parts, images, texts, weight)
    # Lists and projections follow the text parts here, so they find less when only the picture counts.
    assert recall(hits.scores, everything, 10) >= (floor if weight or floor > 0.95 else 0.65)
    np.testing.assert_allclose(hits.scores, np.take_along_axis(everything, hits.rows, axis=1), atol=1e-6)
    assert (np.diff(hits.scores, axis=1) <= 0).all()
    missing = (hits.rows % 10 == 0) | (np.arange(20) == 7)[:, None]
    np.testing.assert_array_equal(np.isnan(hits.text_scores), missing)


@pytest.mark.parametrize("factory", ["Flat", "HNSW32", "IVF32,Flat"])
def test_every_product_comes_back_when_asked_for(parts, queries, factory):
    hits = make_searcher(parts, factory).search(queries[0][:2], None, weight=1, top_k=ROWS + 500)
    assert hits.rows.shape == (2, ROWS)
    for query in range(2):
        assert sorted(hits.rows[query]) == list(range(ROWS))
    np.testing.assert_allclose(hits.scores, -np.sort(-exact(parts, queries[0][:2], None, 1)), atol=1e-6)
    assert np.isnan(hits.text_scores).all()


def test_pictures_of_a_product_are_one_hit(parts, queries):
    products = np.arange(ROWS) // 30  # thirty pictures each, so that 64 candidates hold far fewer than ten products
    grouped = Parts(parts.vectors, IMAGE_DIM, parts.has_text, products)
    images, texts = queries
    hits = make_searcher(grouped, "Flat").search(images, texts, weight=0.5, top_k=40)
    best = exact(parts, images, texts, 0.5).reshape(len(images), -1, 30).max(axis=2)
    np.testing.assert_allclose(hits.scores, -np.sort(-best, axis=1)[:, :40], atol=1e-6)
    for query in range(len(images)):
        np.testing.assert_array_equal(products[hits.rows[query]], np.argsort(-best[query], kind="stable")[:40])


def test_equal_rows_come_in_row_order(queries):
    row = unit(np.ones((1, IMAGE_DIM)))
    vectors = np.vstack([np.repeat(row, 500, axis=0), -row]).astype(np.float32)
    parts = Parts(vectors, IMAGE_DIM, np.zeros(501, bool), np.arange(501))
    recipe = starting_recipe("Flat")
    searcher = Searcher(make_index(vectors, recipe), parts, recipe=recipe, default_weight=0)
    assert searcher.search(queries[0][:1] + 1, None, weight=0, top_k=5).rows.tolist() == [[0, 1, 2, 3, 4]]


def test_one_query_is_the_same_alone_and_in_a_batch(parts, queries):
    searcher = make_searcher(parts, "HNSW32")
    batch = searcher.search(*queries, weight=2, top_k=7)
    for query in range(len(queries[0])):
        alone = searcher.search(queries[0][query : query + 1], queries[1][query : query + 1], weight=2, top_k=7)
        np.testing.assert_array_equal(alone.rows[0], batch.rows[query])
        np.testing.assert_array_equal(alone.scores[0], batch.scores[query])


def test_many_threads_get_the_answers_of_one(parts, queries):
    searcher = make_searcher(parts, "IVF32,Flat")
    weights = [0, 1, 5, 25] * 6
    expected = [searcher.search(*queries, weight=weight, top_k=5).rows for weight in weights]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda weight: searcher.search(*queries, weight=weight, top_k=5).rows, weights))
    np.testing.assert_array_equal(found, expected)


def test_search_parameters_go_with_the_call_and_change_nothing(parts, queries):
    recipe = starting_recipe("IVF32,Flat")
    assert recipe.search_parameters == {"nprobe": 8}
    index = make_index(parts.vectors, recipe)
    images = np.hstack([queries[0], 0 * queries[1]])
    few = RowFinder(index).find(images, count=10, parameters={"nprobe": 1}, threads=1)
    all_lists = RowFinder(index).find(images, count=10, parameters={"nprobe": 99}, threads=1)
    assert index.nprobe == 1  # FAISS' default, untouched
    best = np.argsort(-(images.astype(float) @ parts.vectors.T.astype(float)), axis=1)[:, :10]
    overlap = [
        [len(set(rows) & set(want)) for rows, want in zip(found, best, strict=True)] for found in (few, all_lists)
    ]
    assert np.mean(overlap[0]) < np.mean(overlap[1]) > 9.9


def test_missing_neighbors_are_left_out():
    index = make_index(np.eye(4, dtype=np.float32), starting_recipe("Flat"))
    query = np.array([[4, 3, 2, 1]], np.float32)
    assert [rows.tolist() for rows in RowFinder(index).find(query, count=9, parameters={}, threads=1)] == [[0, 1, 2, 3]]


def test_faiss_never_sees_a_wrong_query():
    index = make_index(np.eye(4, dtype=np.float32), starting_recipe("Flat"))
    for queries in (np.zeros((1, 5), np.float32), np.zeros((1, 4)), np.zeros(4, np.float32)):
        with pytest.raises(OutOfRangeError, match=r"the gallery expects float32 \[B, 4\]"):
            RowFinder(index).find(queries, count=1, parameters={}, threads=1)


def test_wrong_questions_are_refused(parts, queries):
    searcher = make_searcher(parts, "Flat")
    images, texts = queries
    for arguments, message in [
        ((images[:, :-1], texts), r"image vectors are \[20, 47\], the gallery expects \[B, 48\]"),
        ((images, texts[:3]), r"text vectors are \[3, 16\], expected \[20, 16\]"),
        ((images, 2 * texts), r"a text vector of a query is 2 long"),
        ((images, texts * np.nan), "at most 1"),
        ((images * np.inf, texts), "not finite"),
    ]:
        with pytest.raises(OutOfRangeError, match=message):
            searcher.search(*arguments, weight=1, top_k=3)
    for options, message in [
        ({"weight": 26, "top_k": 3}, "weight is 26"),
        ({"weight": 1, "top_k": 0}, "top_k is 0"),
        ({"weight": 1, "top_k": 1, "candidates": 0}, "candidates is 0"),
    ]:
        with pytest.raises(OutOfRangeError, match=message):
            searcher.search(images, texts, **options)


def test_no_queries_give_no_hits(parts):
    hits = make_searcher(parts, "Flat").search(np.zeros((0, IMAGE_DIM), np.float32), None, weight=1, top_k=3)
    assert hits.rows.shape == hits.scores.shape == (0, 3)


def test_a_recipe_starts_with_usable_parameters():
    assert starting_recipe("IVF4096,PQ16").search_parameters == {"nprobe": 512}
    graph_of_lists = starting_recipe("IVF256_HNSW32,Flat")
    assert graph_of_lists.search_parameters == {"nprobe": 32, "quantizer_efSearch": 64}


@pytest.mark.parametrize("factory", ["Bogus7", "IVF4096,Flat", "IDMap,Flat"])
def test_a_recipe_that_does_not_fit_is_one_sentence(factory):
    with pytest.raises(OutOfRangeError, match=f"FAISS cannot build the recipe '{factory}' for 9 vectors of dim 4"):
        make_index(np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32), starting_recipe(factory))


def test_an_index_file_of_another_gallery_is_refused(tmp_path):
    index = make_index(np.eye(4, dtype=np.float32), starting_recipe("Flat"))
    write_index(index, tmp_path / "index.faiss")
    assert read_index(tmp_path / "index.faiss", dim=4, count=4).ntotal == 4
    with pytest.raises(GalleryError, match="holds 4 vectors of dim 4, the manifest says 5 of dim 4"):
        read_index(tmp_path / "index.faiss", dim=4, count=5)
    euclidean = faiss_index.faiss.IndexFlatL2(4)
    euclidean.add(np.eye(4, dtype=np.float32))
    write_index(euclidean, tmp_path / "l2.faiss")
    with pytest.raises(GalleryError, match="inner products"):
        read_index(tmp_path / "l2.faiss", dim=4, count=4)


def test_measured_recall_is_one_for_flat_and_low_for_a_bad_graph(parts):
    weights = measured_weights(DEFAULT_WEIGHT, with_text=True)
    assert weights == [0, 2, 8]
    assert [
        row.recall_at_10 for row in measure_recall(make_searcher(parts, "Flat"), parts, weights=weights, seed=0)
    ] == [1] * 3
    worse = measure_recall(make_searcher(parts, "PCA2,Flat"), parts, weights=weights, seed=0)
    assert all(row.recall_at_10 < 0.9 for row in worse)


def test_recall_is_measured_at_weights_that_can_be_asked():
    assert measured_weights(10, with_text=True) == [0, 10, 25]
    assert measured_weights(0, with_text=False) == [0]
