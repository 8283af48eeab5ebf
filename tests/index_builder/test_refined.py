"""Search parameters reach the lists under a refined index; exact search is the oracle."""

import numpy as np
import pytest

from index_builder.faiss_index import choose_recipe, find_rows, make_index


@pytest.mark.parametrize("recipe", ["IVF16,Flat", "IVF16,Flat,RFlat"])
def test_all_lists_probed_is_exact_and_one_is_not(recipe: str):
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2000, 32)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = vectors[:50] + 0.3 * rng.normal(size=(50, 32)).astype(np.float32)
    exact = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    index = make_index(vectors, choose_recipe(recipe, count=len(vectors)))

    def recall(nprobe: int) -> float:
        found = find_rows(index, queries, count=10, parameters={"nprobe": nprobe}, threads=1)
        return float(np.mean([len(set(rows) & set(best)) / 10 for rows, best in zip(found, exact, strict=True)]))

    assert recall(16) == 1.0
    assert recall(1) < 0.6
