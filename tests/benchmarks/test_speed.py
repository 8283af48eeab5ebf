"""Timings compare like with like: sides do the same work on the same data; medians and ratios by hand."""

import numpy as np
import pytest

from benchmarks.quality import speed
from benchmarks.quality.search import Vectors
from benchmarks.quality.sequential import Merge, SequentialSearcher
from index_builder import recipes
from index_builder.search import Searcher


def parts(count: int = 40) -> Vectors:
    rng = np.random.default_rng(0)
    image, text = speed.realistic_parts(count, rng)
    return Vectors(image, text, *speed.realistic_parts(6, rng))


def test_sides_take_turns_and_medians_are_of_their_own_times(monkeypatch):
    calls, clock = [], iter(np.arange(1000.0))
    costs = {"a": 2, "b": 6}

    def side(name: str):
        def run(number: int) -> None:
            calls.append(name)
            for _ in range(costs[name] - 1):  # reading the clock at the end is one tick more
                next(clock)

        return run

    monkeypatch.setattr(speed.time, "perf_counter", lambda: next(clock))
    times = speed.interleave({name: side(name) for name in costs}, rounds=4)
    assert calls == ["a", "b", "a", "b", "b", "a", "a", "b", "b", "a"]  # the first two warm up
    assert times.seconds == {"a": 2, "b": 6}
    assert times.ratio("b", "a") == pytest.approx(3.0)
    assert times.ms("a") == pytest.approx(2000.0)


def test_realistic_parts_are_unit_vectors_of_low_intrinsic_dimension():
    image, text = speed.realistic_parts(400, np.random.default_rng(0))
    assert image.shape == (400, 1024)
    assert text.shape == (400, 110)
    for rows in (image, text):
        assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
    energy = np.linalg.svd(image, compute_uv=False) ** 2
    assert energy[:100].sum() / energy.sum() > 0.9


def test_a_tiled_gallery_begins_with_itself_and_moves_little():
    given = parts()
    tiled = speed.tiled(given, rows=100)
    assert np.allclose(tiled.image[:40], given.image, atol=1e-6)
    cosine = (tiled.image[40:80] * given.image).sum(axis=1)
    # A move of 0.05 of the length, at a right angle as good as always: cosine 1 / sqrt(1 + 0.05^2).
    assert cosine == pytest.approx(1 / np.sqrt(1 + 0.05**2), abs=2e-4)
    assert np.array_equal(tiled.text[40:80], given.text)


@pytest.mark.parametrize("flat_rows", [100, 1000])
def test_every_search_is_timed_and_an_exact_graph_finds_all(flat_rows, monkeypatch):
    monkeypatch.setattr(recipes, "FLAT_ROWS", flat_rows)  # 300 rows are few, or enough for a graph of reduced vectors
    given = parts(300)
    times = speed.sequential_times(given, weight=2.0, rounds=3)
    assert set(times.seconds) == {"one-shot", *(merge.value for merge in Merge)}
    assert min(times.seconds.values()) > 0
    assert speed.graph_recall(given, weight=2.0, recipe="Flat") == 1.0
    assert speed.graph_recall(given, weight=2.0, recipe="HNSW32") > 0.9
    assert speed.graph_recall(given, weight=2.0, recipe="PCA64+32,HNSW16") > 0.9


def test_both_sides_go_from_the_parts_of_one_query_to_ranked_rows(monkeypatch):
    """The product's own search, exact scores included, against the whole of the two searches."""
    asked: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"Searcher": [], "SequentialSearcher": []}
    for one in (Searcher, SequentialSearcher):

        def seen(self, image, text, *, real=one.search, name=one.__name__, **options):
            asked[name].append((image, text))
            return real(self, image, text, **options)

        monkeypatch.setattr(one, "search", seen)
    given = parts(60)
    speed.sequential_times(given, weight=2.0, rounds=2)
    assert len(asked["Searcher"]) == 1 + 2  # the first warms up
    assert len(asked["SequentialSearcher"]) == len(Merge) * (1 + 2)
    for image, text in (*asked["Searcher"], *asked["SequentialSearcher"]):
        assert any(np.array_equal(image[0], row) for row in given.query_image)
        assert any(np.array_equal(text[0], row) for row in given.query_text)


def test_each_pair_of_indexes_is_timed_on_both_sides():
    times = speed.dimension_times(rows=500, rounds=3, indexes=2)
    assert [set(one.seconds) for one in times] == [{"fused", "image"}] * 2


def test_networks_of_several_repositories_are_timed(color_shop):
    times = speed.network_times({"one": color_shop.repository, "two": color_shop.repository}, rounds=3)
    assert set(times.seconds) == {"one", "two"}
