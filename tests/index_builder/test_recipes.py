"""Which recipe is chosen for which facts, and estimated memory against the true size of index files."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import OutOfRangeError
from index_builder.faiss_index import faiss, make_index
from index_builder.gpu import gpu_count, to_gpu
from index_builder.manifest import Device
from index_builder.recipes import (
    Budget,
    Facts,
    choose_factory,
    choose_recipe,
    list_count,
    memory_bytes,
    options,
    parse_bytes,
    starting_recipe,
)

GB = 10**9


def facts(
    count: int, *, memory: int | None = None, target: float = 0.95, device: Device = Device.CPU, text_dim: int = 110
) -> Facts:
    return Facts(count, image_dim=1024, text_dim=text_dim, budget=Budget(memory, target, device))


@pytest.mark.parametrize(
    ("given_facts", "expected"),
    [
        (facts(50_000), "Flat"),
        (facts(50_001), "PCA128+64,HNSW16"),
        (facts(200_000), "PCA128+64,HNSW16"),
        (facts(200_001), "PCA256+128,HNSW32"),
        # A million rows of 1134 numbers: 4.5 GB and 0.3 GB of links; of 384 numbers 1.8 GB.
        (facts(1_000_000, memory=5 * GB, target=0.99), "HNSW32"),
        (facts(1_000_000, memory=4 * GB, target=0.98), "PCA256+128,HNSW32"),
        (facts(1_000_000, memory=GB * 3 // 2, target=0.98), "HNSW32_SQ8"),
        (facts(1_000_000, memory=10**9 * 6 // 5, target=0.98), "IVF4096_HNSW32,SQ8"),
        (facts(1_000_000, memory=GB // 2), "OPQ256+128,IVF4096_HNSW32,PQ48,Refine(SQ8)"),
        (facts(1_000_000, memory=GB // 10), "OPQ256+128,IVF4096_HNSW32,PQ48"),  # 48 bytes of code and 8 of number
        (facts(1_000_000, memory=50 * 10**6), "OPQ256+128,IVF4096_HNSW32,PQ24"),
        (facts(3_000_000), "IVF4096_HNSW32,Flat"),
        (facts(1_000_000, memory=GB // 2, text_dim=0), "OPQ256+0,IVF4096_HNSW32,PQ32,Refine(SQ8)"),
        (facts(30_000, memory=100 * 10**6), "PCA256+128,Flat"),
        (facts(500_000, device=Device.GPU), "Flat"),
        (facts(5_000_000, device=Device.GPU), "CAGRA64"),
        (facts(5_000_000, device=Device.GPU, memory=GB), "OPQ256+128,IVF4096,PQ48"),
    ],
)
def test_the_recipe_for_some_facts(given_facts, expected):
    assert choose_factory(given_facts) == expected
    recipe = choose_recipe("auto", given_facts)
    assert (recipe.factory, recipe.device) == (expected, given_facts.budget.device)


@given(
    st.builds(
        Facts,
        st.integers(1, 3 * 10**7),
        image_dim=st.integers(4, 2048),
        text_dim=st.integers(0, 200),
        budget=st.builds(Budget, st.integers(10**3, 10**12), st.floats(0, 1), st.sampled_from(list(Device))),
    )
)
def test_what_is_chosen_fits_or_is_refused(asked):
    def size(factory: str) -> int:
        return memory_bytes(factory, count=asked.count, dim=asked.dim, device=asked.budget.device)

    least = min(size(one.factory) for one in options(asked))
    if least > asked.budget.max_memory_bytes:
        with pytest.raises(OutOfRangeError, match=f"needs about {least:,} bytes"):
            choose_recipe("auto", asked)
    else:
        assert size(choose_recipe("auto", asked).factory) <= asked.budget.max_memory_bytes


@pytest.mark.parametrize(
    "factory",
    [
        *("Flat", "SQ8", "SQfp16", "PQ5x4", "HNSW32", "HNSW16_SQ8", "HNSW8,SQfp16", "PCA24,Flat", "IVF32,Flat,RFlat"),
        *("IVF32,Flat", "IVF32_HNSW16,SQ8", "IVF32,SQfp16", "IVF32,PQ10x4", "PCA24,IVF32,Flat,Refine(SQ8)"),
        *("PCA16+8,Flat", "PCA16+8,HNSW16", "OPQ16+8,IVF32,PQ12x4", "OPQ16+8,IVF32,PQ12x4,Refine(SQ8)"),
    ],
)
def test_estimated_memory_is_the_size_of_the_file(factory):
    vectors = np.random.default_rng(0).normal(size=(2000, 40)).astype(np.float32)
    index = make_index(vectors, starting_recipe(factory), image_dim=30)
    size = faiss.serialize_index(index).nbytes
    assert memory_bytes(factory, count=2000, dim=40) == pytest.approx(size, rel=0.1)


def test_every_automatic_recipe_can_be_built():
    asked = Facts(10_000, image_dim=12, text_dim=5, budget=Budget())
    vectors = np.random.default_rng(0).normal(size=(2600, 17)).astype(np.float32)
    quick = [re.sub(r",PQ(\d+)", r",PQ\1x4", one.factory) for one in options(asked)]  # codes that are soon learned
    built = [factory.replace("IVF256", "IVF16") for factory in quick]
    assert {"OPQ16+32,IVF16,PQ6x4,Refine(SQ8)", "OPQ16+32,IVF16,PQ3x4", "HNSW32_SQ8"} < set(built)
    for factory in built:
        assert make_index(vectors, starting_recipe(factory), image_dim=12).ntotal == 2600


def test_a_named_recipe_that_is_too_large_is_refused():
    with pytest.raises(OutOfRangeError, match="the recipe 'Flat' needs about 45,360 bytes for 10 vectors of dim 1134"):
        choose_recipe("Flat", facts(10, memory=45_359))
    assert choose_recipe("Flat", facts(10, memory=45_360)).factory == "Flat"
    assert choose_recipe("NSG32", facts(10, memory=1)).factory == "NSG32"  # of unknown size


@pytest.mark.skipif(gpu_count() > 0, reason="a GPU is here")
def test_without_a_gpu_one_sentence_says_so():
    with pytest.raises(OutOfRangeError, match="needs a GPU and faiss-gpu, none is here; build with --device cpu"):
        make_index(np.eye(4, dtype=np.float32), starting_recipe("CAGRA32"))
    with pytest.raises(OutOfRangeError, match="needs a GPU and faiss-gpu"):
        to_gpu(make_index(np.eye(4, dtype=np.float32), starting_recipe("Flat")))


def test_lists_are_read_from_the_factory_string():
    assert [list_count(one) for one in ("IVF256_HNSW32,PQ8", "OPQ8,IVF64k,PQ8", "IVF1M,Flat", "HNSW32")] == [
        256,
        65536,
        2**20,
        0,
    ]
    assert starting_recipe("PCA8+8,HNSW32").search_parameters == {"efSearch": 128}
    assert starting_recipe("IVF64,PQ8,Refine(SQ8)").search_parameters == {"nprobe": 8, "k_factor_rf": 4}


def test_memory_is_given_in_words():
    for text, expected in (("4GB", 4 * GB), ("1.5 gb", 1_500_000_000), ("512MiB", 2**29), ("2K", 2000), ("77", 77)):
        assert parse_bytes(text) == expected
    for text in ("four", "4 apples", "-1GB", ""):
        with pytest.raises(OutOfRangeError, match=f"memory is '{text}'"):
            parse_bytes(text)


@pytest.mark.parametrize("arguments", [(None, 1.1), (None, float("nan")), (0, 0.9)])
def test_budgets_that_make_no_sense(arguments):
    with pytest.raises(OutOfRangeError, match=r"target recall is|max memory is"):
        Budget(*arguments)
