"""Search among allowed rows: brute force is the oracle, and nothing that could be a hit is missing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import OutOfRangeError
from index_builder.faiss_index import RowFinder, filtered_parameters, make_index
from index_builder.fusion import FusedRows, unit
from index_builder.manifest import IndexRecipe
from index_builder.search import Parts, Searcher, scan

IMAGE_DIM, TEXT_DIM, ROWS = 12, 5, 1200
RECIPES = {
    "HNSW8": {"efSearch": 4},
    "IVF32,Flat": {"nprobe": 2},
    "IVF32,PQ17x4": {"nprobe": 2},
    "IVF32_HNSW8,SQ8": {"nprobe": 2},
    "PCA8+4,HNSW8": {"efSearch": 4},
    "IVF32,SQ8,RFlat": {"nprobe": 2, "k_factor_rf": 2},
    "PQ17x4": {},
}


def draw(count: int, *, per_product: int, seed: int) -> Parts:
    rng = np.random.default_rng(seed)
    images, texts = unit(rng.normal(size=(count, IMAGE_DIM))), unit(rng.normal(size=(count, TEXT_DIM)))
    texts[rng.random(count) < 0.2] = 0
    vectors = np.hstack([images, texts]).astype(np.float32)
    return Parts(vectors, IMAGE_DIM, texts.any(axis=1), products=np.arange(count) // per_product)


def make_searcher(parts: Parts, factory: str, parameters: dict[str, int | float]) -> Searcher:
    recipe = IndexRecipe(factory=factory, search_parameters=parameters)
    index = make_index(FusedRows(parts.vectors, IMAGE_DIM, default_weight=1), recipe, image_dim=IMAGE_DIM)
    return Searcher(index, parts, recipe=recipe, default_weight=1)


def brute_force(parts: Parts, image: np.ndarray, text: np.ndarray, weight: float) -> np.ndarray:
    vectors = parts.vectors.astype(float)
    image = image.astype(float) / np.linalg.norm(image.astype(float))
    return (vectors[:, :IMAGE_DIM] @ image + weight * vectors[:, IMAGE_DIM:] @ text.astype(float)) / (1 + weight)


@settings(max_examples=60, deadline=None)
@given(
    st.builds(draw, st.integers(1, 90), per_product=st.integers(1, 4), seed=st.integers(0, 2**32 - 1)),
    st.floats(0, 1),
    st.integers(1, 40),
    st.sampled_from([0.0, 1.0, 25.0]),
    st.integers(0, 2**32 - 1),
)
def test_flat_is_brute_force_over_the_allowed_rows(parts, share, top_k, weight, seed):
    count = len(parts.vectors)
    allowed = np.random.default_rng(seed + 1).random(count) < share
    queries = draw(2, per_product=1, seed=seed + 2).vectors
    found = make_searcher(parts, "Flat", {}).search(
        queries[:, :IMAGE_DIM], queries[:, IMAGE_DIM:], weight=weight, top_k=top_k, allowed=allowed
    )
    assert found.rows.shape == (2, min(top_k, len(np.unique(parts.products[allowed]))))
    for query, rows in enumerate(found.rows):
        everything = brute_force(parts, queries[query, :IMAGE_DIM], queries[query, IMAGE_DIM:], weight)
        order = [row for row in np.argsort(-everything, kind="stable") if allowed[row]]
        _, first = np.unique(parts.products[order], return_index=True)
        assert rows.tolist() == [order[place] for place in sorted(first)][:top_k]
        np.testing.assert_allclose(found.scores[query], everything[rows], atol=1e-6)


@pytest.fixture(scope="module")
def searchers() -> dict[str, Searcher]:
    parts = draw(ROWS, per_product=2, seed=7)
    return {factory: make_searcher(parts, factory, parameters) for factory, parameters in RECIPES.items()}


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(RECIPES)), st.floats(0, 1), st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_there_are_always_enough_and_all_are_allowed(searchers, factory, share, top_k, seed):
    parts = draw(ROWS, per_product=2, seed=7)
    rng = np.random.default_rng(seed)
    allowed = rng.random(ROWS) < share
    images, texts = rng.normal(size=(2, IMAGE_DIM)).astype(np.float32), np.zeros((2, TEXT_DIM), np.float32)
    found = searchers[factory].search(images, texts, weight=0.5, top_k=top_k, allowed=allowed)
    assert found.rows.shape == (2, min(top_k, len(np.unique(parts.products[allowed]))))
    assert allowed[found.rows].all()
    for query, rows in enumerate(found.rows):
        assert len(np.unique(parts.products[rows])) == len(rows)
        np.testing.assert_allclose(
            found.scores[query], brute_force(parts, images[query], texts[0], 0.5)[rows], atol=1e-6
        )
        assert (np.diff(found.scores[query]) <= 0).all()


@pytest.mark.parametrize("factory", [factory for factory in RECIPES if factory != "PQ17x4"])
def test_a_filtered_index_finds_nearly_what_brute_force_finds(searchers, factory):
    parts = draw(ROWS, per_product=2, seed=7)
    rng = np.random.default_rng(3)
    allowed = rng.random(ROWS) < 0.5
    assert searchers[factory]._choice(allowed).parameters is not None  # the index is asked
    images = rng.normal(size=(30, IMAGE_DIM)).astype(np.float32)
    found = searchers[factory].search(images, None, weight=0, top_k=10, allowed=allowed)
    best = [
        scan(parts, image, np.zeros(TEXT_DIM), weight=0, top_k=10, rows=np.flatnonzero(allowed)).scores[-1]
        for image in unit(images)
    ]
    plain = searchers[factory].search(images, None, weight=0, top_k=10)
    all_best = [scan(parts, image, np.zeros(TEXT_DIM), weight=0, top_k=10).scores[-1] for image in unit(images)]
    share = np.mean(found.scores >= np.array(best)[:, None] - 1e-6)
    assert share >= np.mean(plain.scores >= np.array(all_best)[:, None] - 1e-6) - 0.03  # no worse than without filter


def test_when_the_index_is_asked_and_how_far():
    vectors = np.random.default_rng(0).normal(size=(2000, 8)).astype(np.float32)
    graph = make_index(vectors, IndexRecipe(factory="HNSW8"))
    # 20 x 10 x 2000 = 400,000 = 632.5^2
    assert filtered_parameters(graph, {"efSearch": 10}, allowed=632) is None
    assert filtered_parameters(graph, {"efSearch": 10}, allowed=800) == {"efSearch": 25}
    lists = make_index(vectors, IndexRecipe(factory="PCA8+0,IVF32,Flat,Refine(SQ8)"))
    given_parameters = {"nprobe": 8, "k_factor_rf": 2}
    assert filtered_parameters(lists, given_parameters, allowed=500) is None  # a quarter, as the share of lists
    assert filtered_parameters(lists, given_parameters, allowed=1000) == {"nprobe": 16, "k_factor_rf": 2}
    assert filtered_parameters(make_index(vectors, IndexRecipe(factory="Flat")), {}, allowed=1) == {}
    assert filtered_parameters(make_index(vectors, IndexRecipe(factory="PQ4x4")), {}, allowed=1999) is None


def test_selections_that_do_not_fit(searchers):
    query = np.ones((1, IMAGE_DIM), np.float32)
    for allowed in (np.ones(ROWS - 1, bool), np.ones(ROWS, np.int64)):
        with pytest.raises(OutOfRangeError, match=r"allowed is .*, expected bool \[1200\]"):
            searchers["HNSW8"].search(query, None, weight=0, top_k=1, allowed=allowed)
    index = make_index(np.eye(16, dtype=np.float32), IndexRecipe(factory="PQ4x4"))
    with pytest.raises(OutOfRangeError, match="IndexPQ cannot leave rows out"):
        RowFinder(index).find(
            np.eye(16, dtype=np.float32), count=1, parameters={}, threads=1, allowed=np.ones(16, np.bool_)
        )


@settings(max_examples=80, deadline=None)
@given(
    parts=st.builds(draw, st.integers(1, 90), per_product=st.integers(1, 4), seed=st.integers(0, 2**32 - 1)),
    share_dead=st.floats(0, 1),
    share_allowed=st.floats(0, 1),
    top_k=st.integers(1, 40),
    nearest=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_dead_products_are_no_hits(*, parts, share_dead, share_allowed, top_k, nearest, seed):
    """The dead are those nearest to the query, which the index lists first, or any."""
    rng = np.random.default_rng(seed)
    query = rng.normal(size=(1, IMAGE_DIM)).astype(np.float32)
    everything = brute_force(parts, query[0], np.zeros(TEXT_DIM), 1)
    order = np.argsort(-everything) if nearest else rng.permutation(len(parts.vectors))
    doomed = parts.products[order[: int(share_dead * len(order))]]
    dead = np.isin(parts.products, doomed)
    searcher = make_searcher(parts, "Flat", {}).without(dead)
    allowed = None if share_allowed > 0.7 else rng.random(len(dead)) < share_allowed
    left = ~dead if allowed is None else ~dead & allowed
    found = searcher.search(query, None, weight=1, top_k=top_k, allowed=allowed)
    best = sorted(
        (max(everything[left & (parts.products == product)]) for product in set(parts.products[left])), reverse=True
    )
    assert searcher.products == len(set(parts.products[~dead]))
    assert left[found.rows].all()
    np.testing.assert_allclose(found.scores[0], best[:top_k], atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(list(RECIPES)), st.floats(0, 1), st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_there_are_always_enough_that_live(searchers, factory, share, top_k, seed):
    parts = draw(ROWS, per_product=2, seed=7)
    rng = np.random.default_rng(seed)
    dead = np.repeat(rng.random(ROWS // 2) < share, 2)
    query = rng.normal(size=(2, IMAGE_DIM)).astype(np.float32)
    found = searchers[factory].without(dead).search(query, None, weight=0.5, top_k=top_k)
    assert found.rows.shape == (2, min(top_k, len(np.unique(parts.products[~dead]))))
    assert not dead[found.rows].any()
    for query_vector, rows, scores in zip(query, found.rows, found.scores, strict=True):
        np.testing.assert_allclose(scores, brute_force(parts, query_vector, np.zeros(TEXT_DIM), 0.5)[rows], atol=1e-6)


def test_nothing_allowed_is_no_hits(searchers):
    found = searchers["HNSW8"].search(
        np.ones((3, IMAGE_DIM), np.float32), None, weight=0, top_k=5, allowed=np.zeros(ROWS, bool)
    )
    assert found.rows.shape == found.scores.shape == (3, 0)
