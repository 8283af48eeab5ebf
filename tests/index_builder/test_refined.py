"""Search parameters reach the lists, the graph over them and the refinement; exact search is the oracle."""

import numpy as np
import pytest

from index_builder.faiss_index import RowFinder, make_index
from index_builder.recipes import starting_recipe


@pytest.mark.parametrize("recipe", ["IVF16,Flat", "IVF16,Flat,RFlat", "IVF16_HNSW4,Flat", "PCA32+0,IVF16,Flat"])
def test_all_lists_probed_is_exact_and_one_is_not(recipe: str):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2000, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = vectors[:50] + 0.3 * rng.normal(size=(50, 32)).astype(np.float32)
    exact = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    index = make_index(vectors, starting_recipe(recipe))

    def recall(nprobe: int) -> float:
        found = RowFinder(index).find(queries, count=10, parameters={"nprobe": nprobe}, threads=1)
        return float(np.mean([len(set(rows) & set(best)) / 10 for rows, best in zip(found, exact, strict=True)]))

    assert recall(16) == 1.0
    assert recall(1) < 0.6


def test_a_refinement_chooses_from_as_many_more_as_it_is_told():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(600, 16)).astype(np.float32)
    queries = rng.normal(size=(20, 16)).astype(np.float32)
    exact = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    index = make_index(vectors, starting_recipe("PQ4x4,RFlat"))

    def recall(factor: float) -> float:
        found = RowFinder(index).find(queries, count=10, parameters={"k_factor_rf": factor}, threads=1)
        return float(np.mean([len(set(rows) & set(best)) / 10 for rows, best in zip(found, exact, strict=True)]))

    assert recall(60) == 1.0  # all rows are compared uncompressed
    assert recall(1) < recall(8) < 1.0
    assert index.k_factor == 1  # FAISS' default, untouched
