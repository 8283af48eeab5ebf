"""Drawn points and a memory limit in, what the index within it costs and finds out."""

from __future__ import annotations

from pathlib import Path

from benchmarks.galleries.building import DEFAULT_WEIGHT, BuiltIndex, built, parts_of, searcher_of
from benchmarks.galleries.ready import index_spec
from benchmarks.galleries.search_table import QUERIES
from benchmarks.galleries.source import Source
from benchmarks.results import Row, Target
from index_builder.recall import TOP_K, recall_of, tenth_best

SECONDS = 30 * 60
SPARE_BYTES = 2 * 10**9


def build_rows(source: Source, count: int, *, max_memory_bytes: int) -> list[Row]:
    """Build the index of `count` points and ask it as it is tuned, with queries that the tuning has not seen."""
    spec = index_spec(source, count, max_memory_bytes=max_memory_bytes)
    index = built(spec)
    parts = parts_of(Path(spec.points), source.image_dim)
    questions = source.questions(QUERIES)
    searcher = searcher_of(spec, parts, index.recipe)
    found = searcher.search(questions.images, questions.texts, weight=DEFAULT_WEIGHT, top_k=TOP_K)
    recall = recall_of(found.scores, tenth_best(parts, questions, weight=DEFAULT_WEIGHT))
    return rows_of(index, recall, count, max_memory_bytes=max_memory_bytes, note=_dimensions(source))


def rows_of(index: BuiltIndex, recall: float, count: int, *, max_memory_bytes: int, note: str) -> list[Row]:
    """Return the figures of one index."""
    of = f"{count:,} products within {max_memory_bytes / 1e9:g} GB"
    recipe = index.recipe
    over = index.peak_bytes - index.index_bytes
    return [
        Row(f"{of}: build time", index.seconds, "s", Target("<=", SECONDS), f"{recipe.factory}, tuning included"),
        Row(
            f"{of}: peak memory over the index",
            over / 1e9,
            "GB",
            Target("<=", SPARE_BYTES / 1e9),
            f"index {index.index_bytes / 1e9:.2f} GB, peak {index.peak_bytes / 1e9:.2f} GB besides mapped files",
        ),
        Row(
            f"{of}: recall@10",
            recall,
            "",
            Target(">=", 0.95),
            f"{recipe.search_parameters}, {recipe.candidates} candidates; {note}",
        ),
    ]


def _dimensions(source: Source) -> str:
    dimension = source.intrinsic_dimension
    return f"intrinsic dimension {dimension.two_nn:.1f} (two neighbors), {dimension.participation:.1f} (participation)"
