"""Which setting is chosen, from points made by hand and from real indexes with exact search as the oracle."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from index_builder import faiss_index, tuning
from index_builder.faiss_index import faiss, make_index
from index_builder.fusion import FusedRows, fuse_gallery, unit
from index_builder.manifest import IndexRecipe, OperatingPoint, RecallRow
from index_builder.recall import Questions, held_out, measure_recall, recall_of, tenth_best
from index_builder.recipes import starting_recipe
from index_builder.search import Parts, Searcher
from index_builder.tuning import choose, depths, efforts, pareto, tune

IMAGE_DIM, TEXT_DIM, ROWS, WEIGHTS = 16, 4, 2000, [0.0, 1.0, 4.0]


def point(ms: float, found: float) -> OperatingPoint:
    recall = [RecallRow(weight=0, recall_at_10=0), RecallRow(weight=1, recall_at_10=found)]
    return OperatingPoint(search_parameters={"nprobe": 1}, candidates=64, recall=recall, ms_per_query=ms)


def test_the_quickest_that_finds_enough_is_chosen():
    points = [point(4, 0.99), point(1, 0.7), point(3, 0.96), point(2, 0.94), point(2.5, 0.93)]
    assert choose(points, weight=1, target=0.95) == points[2]
    assert choose(points, weight=1, target=0.5) == points[1]
    assert choose(points, weight=1, target=1) == points[0]  # nothing finds enough: the best
    assert pareto(points, weight=1) == [points[1], points[3], points[2], points[0]]


def test_what_is_tried():
    assert efforts("IVF5,Flat") == [{"nprobe": 1}, {"nprobe": 2}, {"nprobe": 4}]
    assert efforts("IVF64_HNSW32,PQ8")[-1] == {"nprobe": 64, "quantizer_efSearch": 128}
    assert efforts("PCA8+8,HNSW32")[0] == {"efSearch": 16}
    assert efforts("SQ8") == [{}]
    assert depths("IVF64,Flat", count=10**6) == depths("HNSW32", count=10**6) == [(16, {})]
    assert [number for number, _ in depths("IVF64,PQ8", count=300)] == [16, 24, 32, 64, 128, 256]
    assert depths("IVF64,PQ8,Refine(SQ8)", count=300)[-1] == (16, {"k_factor_rf": 32})


@pytest.mark.parametrize(
    ("factory", "parameters"),
    [("IVF64,Flat", {"nprobe": 1}), ("HNSW4", {"efSearch": 10}), ("PQ16x6", {})],
)
def test_recall_of_made_queries_is_near_that_of_rows_left_out(factory, parameters):
    rng = np.random.default_rng(0)
    rows, left_out, dim = 4000, 400, 48
    centers, spreads = rng.normal(size=(40, dim)), rng.normal(scale=0.3, size=(40, 6, dim))
    of = rng.integers(0, 40, rows)
    drawn = centers[of] + np.einsum("nk,nkd->nd", rng.normal(size=(rows, 6)), spreads[of])
    vectors = unit(drawn + 0.1 * rng.normal(size=(rows, dim))).astype(np.float32)
    gallery, others = vectors[left_out:], vectors[:left_out]
    parts = Parts(gallery, dim, np.zeros(len(gallery), bool), np.arange(len(gallery)))
    recipe = starting_recipe(factory).model_copy(update={"search_parameters": parameters, "candidates": 10})
    searcher = Searcher(make_index(gallery, recipe), parts, recipe=recipe, default_weight=1)
    truth = Questions(others, np.zeros((left_out, 0), np.float32))
    true, made = (
        recall_of(searcher.search(asked.images, None, weight=0, top_k=10).scores, tenth_best(parts, asked, weight=0))
        for asked in (truth, held_out(parts, seed=1, count=left_out))
    )
    assert true < 0.99
    assert -0.12 <= made - true <= 0.06


@pytest.mark.parametrize("count", [1, 2, 3, 20])
def test_queries_are_made_of_small_galleries_too(count):
    vectors = unit(np.random.default_rng(0).normal(size=(count, 8))).astype(np.float32)
    parts = Parts(vectors, 8, np.zeros(count, bool), np.arange(count))
    made = held_out(parts, seed=0)
    assert made.images.shape == (count, 8)
    np.testing.assert_allclose(np.linalg.norm(made.images, axis=1), 1, atol=1e-6)
    assert tuple(made.images.ravel()) == tuple(held_out(parts, seed=0).images.ravel())


@pytest.fixture(scope="module")
def parts() -> Parts:
    rng = np.random.default_rng(0)
    images = unit(rng.normal(size=(ROWS, 6)) @ rng.normal(size=(6, IMAGE_DIM)) + 0.1 * rng.normal(size=(ROWS, 16)))
    texts = unit(rng.normal(size=(20, TEXT_DIM)))[rng.integers(0, 20, ROWS)]
    vectors = np.hstack([images, texts]).astype(np.float32)
    return Parts(vectors, IMAGE_DIM, np.ones(ROWS, bool), np.arange(ROWS))


def tuned(parts: Parts, factory: str, *, target: float) -> tuple[IndexRecipe, Searcher]:
    recipe = starting_recipe(factory).model_copy(update={"target_recall": target})
    index = make_index(FusedRows(parts.vectors, IMAGE_DIM, default_weight=1), recipe, image_dim=IMAGE_DIM)
    recipe = tune(index, parts, recipe, default_weight=1, weights=WEIGHTS, seed=1)
    return recipe, Searcher(index, parts, recipe=recipe, default_weight=1)


@pytest.mark.parametrize("factory", ["IVF32_HNSW8,Flat", "IVF32,PQ10x4", "IVF32,PQ10x4,Refine(SQ8)"])
def test_the_target_is_reached_on_other_queries_too(parts, factory, monkeypatch):
    monkeypatch.setattr(tuning, "QUERIES", 60)
    recipe, searcher = tuned(parts, factory, target=0.9)
    assert recipe.tuned_recall >= 0.9
    assert recipe.shortfall is None
    measured = {row.weight: row.recall_at_10 for row in measure_recall(searcher, parts, weights=WEIGHTS, seed=5)}
    assert measured[1] >= 0.85
    found = [row.recall_at_10 for one in recipe.points for row in one.recall if row.weight == 1]
    assert found == sorted(found)
    chosen = [one for one in recipe.points if one.search_parameters == recipe.search_parameters]
    assert recipe.candidates in {one.candidates for one in chosen}
    assert IndexRecipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_a_target_out_of_reach_is_told_in_one_sentence(parts, monkeypatch):
    monkeypatch.setattr(tuning, "QUERIES", 30)
    monkeypatch.setattr(tuning, "CANDIDATES", (64,))
    recipe, _ = tuned(parts, "PCA2+1,Flat", target=1.0)
    assert recipe.tuned_recall < 1
    assert "was wanted; give more --max-memory, another --recipe or a lower --target-recall" in recipe.shortfall


def test_exact_search_needs_no_tuning(parts):
    recipe, _ = tuned(parts, "Flat", target=1.0)
    assert (recipe.points, recipe.tuned_recall, recipe.shortfall) == ([], None, None)


def test_recipes_of_older_manifests_are_read():
    old = IndexRecipe.model_validate({"factory": "HNSW32", "search_parameters": {"efSearch": 128}})
    assert (old.candidates, old.points, old.shortfall) == (64, [], None)


def test_queries_are_no_rows_and_about_as_close_as_two_photos(parts):
    questions = held_out(parts, seed=3, count=200)
    np.testing.assert_allclose(np.linalg.norm(questions.images, axis=1), 1, atol=1e-6)
    nearest = (questions.images @ parts.vectors[:, :IMAGE_DIM].T).max(axis=1)
    assert 0.85 < np.median(nearest) < 0.9999
    one_row = Parts(parts.vectors[:1], IMAGE_DIM, np.ones(1, bool), np.zeros(1, np.int64))
    np.testing.assert_allclose(held_out(one_row, seed=0).images, parts.vectors[:1, :IMAGE_DIM], atol=1e-6)


@pytest.mark.parametrize("factory", ["Flat", "OPQ16+4,IVF8,PQ10x4", "HNSW8"])
def test_an_index_is_the_same_from_a_stream(parts, tmp_path, monkeypatch, factory):
    np.save(tmp_path / "vectors.npy", parts.vectors)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    monkeypatch.setattr(faiss_index, "ADD_BLOCK", 300)
    image, text = np.hsplit(parts.vectors, [IMAGE_DIM])
    whole = fuse_gallery(image, text, default_weight=4)
    indexes = [
        make_index(rows, starting_recipe(factory), image_dim=IMAGE_DIM)
        for rows in (whole, FusedRows(mapped, IMAGE_DIM, default_weight=4))
    ]
    np.testing.assert_array_equal(*(faiss.serialize_index(index) for index in indexes))


def test_a_stream_is_never_whole_in_memory(tmp_path, monkeypatch):
    np.save(tmp_path / "vectors.npy", np.random.default_rng(0).normal(size=(20_000, 20)).astype(np.float32))
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    monkeypatch.setattr(faiss_index, "ADD_BLOCK", 500)
    monkeypatch.setattr(faiss_index, "TRAINING_ROWS", 1000)
    rows = FusedRows(mapped, IMAGE_DIM, default_weight=4)
    tracemalloc.start()
    index = make_index(rows, starting_recipe("IVF8,SQ8"), image_dim=IMAGE_DIM)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert index.ntotal == 20_000
    assert peak < mapped.nbytes / 2
