"""Which hits count as relevant, worked out by hand."""

import numpy as np

from benchmarks.quality.evaluate import SECOND_LEVEL, Queries, relevance
from catalog.rows import Product

QUERY = Product(product_id="q", image="q.jpg", label="Gala", category_path="Fruit > Apple > Gala")
HITS = [
    {"product_id": "a", "label": "Gala", "category_path": "Fruit > Apple > Gala"},
    {"product_id": "b", "label": "Fuji", "category_path": "Fruit>Apple>Fuji"},
    {"product_id": "c", "label": "Anjou", "category_path": "Fruit > Pear > Anjou"},
    {"product_id": "d", "label": "Pine", "category_path": "Tree > Apple > Pine"},
]


def rows(by: str) -> list[bool]:
    queries = Queries((QUERY,), np.zeros((1, 2), np.float32), np.zeros((1, 2), np.float32))
    return relevance(queries, [HITS], by=by, top_k=5)[0].tolist()


def test_by_label_and_a_missing_hit_is_not_relevant():
    assert rows("label") == [True, False, False, False, False]


def test_by_second_level_both_levels_must_agree():
    assert rows(SECOND_LEVEL) == [True, True, False, False, False]
