"""Ready vectors and a budget in, our index of them out, with what building it took; in a process of its own.

`python -m benchmarks.galleries.building SPEC` is what `built` runs: so peak memory is that of the build and no other's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.galleries.measured import taken
from catalog.errors import NotReadyError
from index_builder import faiss_index
from index_builder.fusion import FusedRows
from index_builder.gallery import INDEX_FILE, VECTORS_FILE
from index_builder.manifest import IndexRecipe
from index_builder.recall import measured_weights
from index_builder.recipes import AUTO, Budget, Facts, choose_recipe
from index_builder.search import Parts, Searcher
from index_builder.tuning import tune

DEFAULT_WEIGHT = 1.0


@dataclass(frozen=True)
class IndexSpec:
    """`points` is a folder of `source.drawn`; the index goes to `out`."""

    points: str
    out: str
    image_dim: int
    max_memory_bytes: int | None
    recipe: str = AUTO
    target_recall: float = 0.95


@dataclass(frozen=True)
class BuiltIndex:
    """An index of ready vectors: how it is asked, the wall time of building and tuning it, anonymous memory at most."""

    recipe: IndexRecipe
    seconds: float
    peak_bytes: int
    index_bytes: int


def built(spec: IndexSpec) -> BuiltIndex:
    """Return the index of a specification, built where the same one was not; NotReadyError when that fails."""
    record = Path(spec.out) / "built.json"
    if not _is_current(record, spec):
        command = [sys.executable, "-m", "benchmarks.galleries.building", json.dumps(asdict(spec))]
        if subprocess.run(command, check=False).returncode:
            raise NotReadyError(f"building the index of {spec.points} failed; see above")
    told: dict[str, Any] = json.loads(record.read_text())["built"]
    return BuiltIndex(**{**told, "recipe": IndexRecipe(**told["recipe"])})


def factory_of(spec: IndexSpec) -> str:
    """Return the factory string that a specification comes to now."""
    return _recipe(spec, parts_of(Path(spec.points), spec.image_dim)).factory


def _is_current(record: Path, spec: IndexSpec) -> bool:
    if not record.exists():
        return False
    told = json.loads(record.read_text())
    return bool(told["spec"] == asdict(spec) and told["built"]["recipe"]["factory"] == factory_of(spec))


def _recipe(spec: IndexSpec, parts: Parts) -> IndexRecipe:
    budget = Budget(spec.max_memory_bytes, spec.target_recall)
    return choose_recipe(spec.recipe, Facts(len(parts.vectors), spec.image_dim, parts.text_dim, budget))


def parts_of(points: Path, image_dim: int) -> Parts:
    """Return the mapped parts of drawn points; every row has text and is a product."""
    vectors = np.load(points / VECTORS_FILE, mmap_mode="r")
    return Parts(vectors, image_dim, has_text=np.ones(len(vectors), bool), products=np.arange(len(vectors)))


def searcher_of(spec: IndexSpec, parts: Parts, recipe: IndexRecipe) -> Searcher:
    """Return the product's searcher over a built index."""
    count, dim = parts.vectors.shape
    index = faiss_index.read_index(Path(spec.out) / INDEX_FILE, dim=dim, count=count)
    return Searcher(index, parts, recipe=recipe, default_weight=DEFAULT_WEIGHT)


def _build(spec: IndexSpec) -> BuiltIndex:
    """Do what a build does once the vectors are there: choose, train, add, tune, write."""
    parts = parts_of(Path(spec.points), spec.image_dim)
    out = Path(spec.out)
    out.mkdir(parents=True, exist_ok=True)
    with taken() as cost:
        recipe = _recipe(spec, parts)
        rows = FusedRows(parts.vectors, spec.image_dim, default_weight=DEFAULT_WEIGHT)
        index = faiss_index.make_index(rows, recipe, image_dim=spec.image_dim)
        weights = measured_weights(DEFAULT_WEIGHT, with_text=True)
        recipe = tune(index, parts, recipe, default_weight=DEFAULT_WEIGHT, weights=weights, seed=1)
        faiss_index.write_index(index, out / INDEX_FILE)
    return BuiltIndex(recipe, cost.seconds, cost.peak_bytes, (out / INDEX_FILE).stat().st_size)


def _main(text: str) -> None:
    spec = IndexSpec(**json.loads(text))
    done = _build(spec)
    told = {**asdict(done), "recipe": done.recipe.model_dump(mode="json")}
    record = Path(spec.out) / "built.json"
    record.write_text(json.dumps({"spec": asdict(spec), "built": told}, indent=1))


if __name__ == "__main__":
    _main(sys.argv[1])
