"""Unit parts of a gallery in, its index file out: trained, filled, tuned, and its recall measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from catalog.errors import OutOfRangeError
from index_builder import faiss_index
from index_builder.fusion import FusedRows
from index_builder.gallery import INDEX_FILE
from index_builder.manifest import IndexRecipe, RecallRow
from index_builder.recall import measure_recall, measured_weights
from index_builder.recipes import Facts, choose_recipe
from index_builder.search import Parts, Searcher
from index_builder.settings import BuildSettings
from index_builder.tuning import tune


def write_index(folder: Path, parts: Parts, settings: BuildSettings) -> tuple[IndexRecipe, list[RecallRow]]:
    """Build, tune and write the index, and refuse one that finds too little: `OutOfRangeError`."""
    count, weight = len(parts.vectors), settings.stored_weight
    facts = Facts(count, image_dim=parts.image_dim, text_dim=parts.text_dim, budget=settings.budget)
    recipe = choose_recipe(settings.recipe, facts)
    rows = FusedRows(parts.vectors, parts.image_dim, default_weight=weight)
    index = faiss_index.make_index(rows, recipe, image_dim=parts.image_dim, seed=settings.seed)
    by_row = Parts(parts.vectors, parts.image_dim, parts.has_text, products=np.arange(count))
    weights = measured_weights(weight, with_text=parts.text_dim > 0)
    recipe = tune(index, by_row, recipe, default_weight=weight, weights=weights, seed=settings.seed + 1)
    searcher = Searcher(index, by_row, recipe=recipe, default_weight=weight)
    recall = measure_recall(searcher, by_row, weights=weights, seed=settings.seed)
    got = next(row.recall_at_10 for row in recall if row.weight == weight)
    if got < settings.min_recall:
        raise OutOfRangeError(
            f"the recipe '{recipe.factory}' finds {got:.2f} of the ten nearest rows, at least "
            f"{settings.min_recall:g} is asked; choose another --recipe"
        )
    faiss_index.write_index(index, folder / INDEX_FILE)
    return recipe, recall
