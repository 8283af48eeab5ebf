"""Filters as expressions of Milvus: the rows that milvus-lite finds are those of `Filters.mask` over the table."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import OutOfRangeError
from index_builder.filters import Filters
from index_builder.gallery import Gallery
from index_builder.milvus_filters import condition_of
from index_builder.milvus_gallery import MilvusGallery
from index_builder.milvus_publish import MilvusTarget, to_milvus
from index_builder.milvus_schema import MilvusIndex
from index_builder.milvus_server import MilvusAddress
from index_builder.product_table import ProductTable
from tests.index_builder.milvus_folders import draw_folder, draw_queries

pytest.importorskip("pymilvus", reason="pymilvus is not installed")
pytest.importorskip("milvus_lite", reason="milvus-lite is not installed")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MilvusGallery, Gallery, ProductTable]]:
    root = tmp_path_factory.mktemp("filtered")
    folder, made = draw_folder(root / "drawn", count=120, rows_each=2), root / "made"
    address = MilvusAddress(str(root / "g.db"))
    made.mkdir()
    to_milvus(folder, made, version="v1", target=MilvusTarget(address, prefix="shop", index=MilvusIndex.FLAT))
    gallery = MilvusGallery.open(made, address)
    yield gallery, Gallery.open(folder), ProductTable(folder, count=120)
    gallery.close()


def rows_found(gallery: MilvusGallery, filters: object) -> list[int]:
    server = gallery._now.server
    found = server.rows("shop_v1", ("row",), condition=condition_of(filters) or "row >= 0")
    return sorted(int(record["row"]) for record in found)


CASES = [
    {},
    {"title": 'A "fine" thing 1 \\ é'},
    {"title": ['A "fine" thing 1 \\ é', "hidden", '"]) or row >= 0 or array_contains_any(facts, ["']},
    {"product_id": ["p3", "p4", "p999"]},
    {"label": "Ring"},
    {"split": "a"},
    {"url": "x"},
    {"category": "ring"},
    {"category": ["shop", "lamp"]},
    {"category": " SHOP>rings > gold "},
    {"category": ">"},
    {"category_path": "Shop > Rings"},
    {"price": 2.5},
    {"price": [0.5, 1, 7]},
    {"price": {"gte": 3, "lt": 10.5}},
    {"price": {"gt": 1e300}},
    {"price": {"gte": -1e-9}},
    {"material": "wood"},
    {"material": ["Gold", "tin"]},
    {"new": "true"},
    {"size": "3"},
    {"size": 3},
    {"size": {"gte": 2, "lte": 3}},
    {"widths": {"gt": 10.4, "lt": 10.6}},
    {"widths": [4.5, 7]},
    {"material": "wood", "price": {"lte": 12}, "category": "Home"},
]


@pytest.mark.parametrize("given_filters", CASES, ids=str)
def test_the_rows_of_the_mask(both, given_filters):
    filters = Filters.parse(given_filters)
    assert rows_found(both[0], filters) == np.flatnonzero(filters.mask(both[2])).tolist()


VALUES = st.sampled_from(["wood", "Gold", "3", "true", "Ring", "shop", "Home", 0.5, 3, 7.5, 0, -0.0])
BOUNDS = st.dictionaries(st.sampled_from(["gte", "lte", "gt", "lt"]), st.floats(-1, 40), min_size=1)
COLUMNS = st.sampled_from(["material", "new", "size", "widths", "price", "category", "label"])


@settings(max_examples=60, deadline=None)
@given(asked=st.dictionaries(COLUMNS, VALUES | st.lists(VALUES, min_size=1, max_size=3) | BOUNDS, max_size=3))
def test_any_filters_give_the_rows_of_the_mask(both, asked):
    filters = Filters.parse(asked)
    refused = [refusal(filters, table) for table in (both[2], both[0]._now.columns)]
    assert refused[0] == refused[1]
    if not refused[0]:
        assert rows_found(both[0], filters) == np.flatnonzero(filters.mask(both[2])).tolist()


def refusal(filters: object, table: object) -> str:
    try:
        filters.check(table)
    except OutOfRangeError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    "given_filters",
    [{"material": "Gold"}, {"price": {"lte": 4}}, {"product_id": "p7"}, {"price": {"gt": 1e9}}],
    ids=str,
)
@pytest.mark.parametrize("top_k", [3, 200])
def test_filtered_hits_are_the_best_of_the_allowed_rows(both, given_filters, top_k):
    gallery, on_faiss, table = both
    filters = Filters.parse(given_filters)
    images, texts = draw_queries(3)
    found = gallery.search(images, texts, top_k=top_k, filters=filters)
    allowed = filters.mask(table)
    everything = on_faiss.search(images, texts, top_k=60)
    for query in range(3):
        kept = [row for row in everything.rows[query] if allowed[row]][:top_k]
        assert found.rows[query].tolist() == kept
    assert found.rows.shape == (3, min(top_k, len(np.unique(table.products[allowed]))))


def test_an_unknown_column_is_refused_in_the_same_words(both):
    filters = Filters.parse({"colour": "red"})
    said = []
    for ask in (lambda: filters.mask(both[2]), lambda: both[0].search(*draw_queries(1), filters=filters)):
        with pytest.raises(OutOfRangeError) as caught:
            ask()
        said.append(str(caught.value))
    assert said[0] == said[1]
