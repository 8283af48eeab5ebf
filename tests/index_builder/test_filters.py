"""Filters from JSON to hits: plain Python over the rows is the oracle of masks, exact search that of filtered hits."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import MalformedError, OutOfRangeError
from catalog.rows import Product
from index_builder.build import build_gallery
from index_builder.filters import Filters, MaskCache, OneOf
from index_builder.gallery import Gallery
from index_builder.product_table import ProductTable, TableWriter
from index_builder.ranking import Parts, scan
from index_builder.store import LocalStore

TEXT_COLUMNS = ("product_id", "title", "category_path", "label", "split", "url", "cluster", "image", "description")


def table_of(products: list[Product]) -> ProductTable:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with TableWriter(folder) as table:
            for number, product in enumerate(products):
                table.add(product, number=number, image=product.image, has_text=False, picture=b"jpeg")
        return ProductTable(folder, count=len(products))


def make(number: int, **columns: object) -> Product:
    return Product(product_id=f"p{number}", image=f"{number}.jpg", **columns)


texts = st.sampled_from(["red", "Red", "blue", "A > B", "A > B > C", "A>b", "A", "B"])
numbers = st.sampled_from([0, 1, 2.5, 10, 1e9])
products = st.lists(
    st.fixed_dictionaries(
        {
            "title": texts,
            "category_path": texts,
            "price": st.none() | numbers,
            "label": st.none() | texts,
            "split": st.none() | texts,
            "url": st.none() | texts,
            "attributes": st.dictionaries(st.sampled_from(["color", "size"]), texts | numbers | st.lists(texts)),
            "extra": st.dictionaries(st.sampled_from(["shelf", "size"]), texts | numbers | st.none()),
        }
    ),
    min_size=1,
    max_size=20,
)
bounds = st.dictionaries(st.sampled_from(["gte", "lte", "gt", "lt"]), numbers, min_size=1)
conditions = texts | numbers | st.lists(texts | numbers, min_size=1, max_size=3) | bounds
columns = st.sampled_from(["title", "category_path", "category", "price", "label", "split", "color", "size", "shelf"])


def levels(path: str) -> list[str]:
    return [level.strip().lower() for level in path.split(">")]


def values_of(product: Product, column: str) -> list[object]:
    """What a row holds under a name, as a filter sees it."""
    if column in (*TEXT_COLUMNS, "price"):
        return [getattr(product, column)]
    found = []
    for objects in (product.attributes, product.extra):
        value = objects.get(column)
        found += value if isinstance(value, list) else [value]
    return found


def matches(product: Product, column: str, condition: object) -> bool:
    if column == "category":
        wanted = condition if isinstance(condition, list) else [condition]
        path = levels(product.category_path)
        return any(
            isinstance(one, str)
            and ((product.label or "").lower() == one.lower() or path[: len(levels(one))] == levels(one))
            for one in wanted
        )
    held = [value for value in values_of(product, column) if value is not None]
    if isinstance(condition, dict):
        operators = {"gte": "__ge__", "lte": "__le__", "gt": "__gt__", "lt": "__lt__"}
        return any(
            not isinstance(value, str)
            and all(getattr(float(value), operators[name])(float(bound)) for name, bound in condition.items())
            for value in held
        )
    return any(value in (condition if isinstance(condition, list) else [condition]) for value in held)


def refused(catalog: list[Product], column: str, condition: object) -> bool:
    """Whether no product has the column, or all its values are of another kind than one that is asked for."""
    if column in (*TEXT_COLUMNS, "category"):
        kinds = {str}
    elif column == "price":
        kinds = {float}
    elif not any(column in objects for product in catalog for objects in (product.attributes, product.extra)):
        return True
    else:
        held = [value for product in catalog for value in values_of(product, column) if value is not None]
        kinds = {str if isinstance(value, str) else float for value in held}
    values = [0.0] if isinstance(condition, dict) else condition if isinstance(condition, list) else [condition]
    return bool(kinds) and not {str if isinstance(value, str) else float for value in values} <= kinds


@settings(max_examples=300, deadline=None)
@given(products, st.dictionaries(columns, conditions, max_size=3))
def test_masks_are_those_of_python(rows, filters):
    catalog = [make(number, **row) for number, row in enumerate(rows)]
    table = table_of(catalog)
    parsed = Filters.parse(json.dumps(filters))
    assert parsed == Filters.parse(filters)
    expected = [all(matches(product, *one) for one in filters.items()) for product in catalog]
    assert parsed.rows(table).tolist() == expected
    if any(refused(catalog, *one) for one in filters.items()):
        with pytest.raises(OutOfRangeError):
            parsed.mask(table)
    else:
        assert parsed.mask(table).tolist() == expected


@pytest.mark.parametrize("column", TEXT_COLUMNS)
def test_every_catalog_column_can_be_asked_for(column):
    filled = {"title": "t", "category_path": "c", "label": "l", "split": "s", "url": "u", "description": "d"}
    table = table_of([make(1, **filled), make(2)])
    value = {**filled, "product_id": "p1", "cluster": "p1", "image": "1.jpg"}[column]
    assert Filters.parse({column: value}).mask(table).tolist() == [True, False]
    assert Filters.parse({column: [value, "other"]}).mask(table).tolist() == [True, False]
    assert Filters.parse({column: "other"}).mask(table).tolist() == [False, False]


@pytest.mark.parametrize(
    ("given_filters", "error", "sentence"),
    [
        ("[1]", MalformedError, "filters must be a JSON object"),
        ('{"a": ', MalformedError, "filters are not valid JSON"),
        ("[" * 100_000, MalformedError, "filters are not valid JSON"),
        ({"price": math.nan}, OutOfRangeError, '"price" needs finite numbers, got nan'),
        ('{"price": {"gte": -Infinity}}', OutOfRangeError, "needs finite numbers, got -inf"),
        ({"price": 10**400}, OutOfRangeError, "needs finite numbers, got a number of too many digits"),
        ({"price": True}, MalformedError, 'compares texts and numbers, got true; as a text it is "true"'),
        ({"price": None}, MalformedError, "must be a text, a number, a list of these or bounds, got null"),
        ({"price": []}, OutOfRangeError, '"price" lists no values'),
        ({"price": list(range(1001))}, OutOfRangeError, "lists 1001 values, at most 1000 are allowed"),
        ({"price": {}}, OutOfRangeError, "has no bounds, expected some of gte, lte, gt, lt"),
        ({"price": {"from": 1}}, MalformedError, 'has the bound "from", expected gte, lte, gt, lt'),
        ({"price": {"gte": "1"}}, MalformedError, 'gte must be a number, got "1"'),
        ({"price": {"gte": {"lte": 1}}}, MalformedError, "got an object of 1"),
        ({"price": [[1]]}, MalformedError, "got a list of 1"),
        ({"title": "x" * 1001}, OutOfRangeError, "a text of 1001 characters, at most 1000"),
        ({"title": "\ud800"}, MalformedError, "half a surrogate pair"),
        ({"\ud800": "x"}, MalformedError, "half a surrogate pair"),
        ({str(number): 1 for number in range(33)}, OutOfRangeError, "filters name 33 columns, at most 32"),
        ({1: "x"}, MalformedError, "a column is named by text, got 1"),
    ],
)
def test_what_no_table_is_needed_to_refuse(given_filters, error, sentence):
    with pytest.raises(error) as caught:
        Filters.parse(given_filters)
    assert sentence in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("given_filters", "sentence"),
    [
        ({"pirce": 1}, 'no product has the column "pirce"; did you mean price'),
        ({"colour": "red"}, 'no product has the column "colour"; did you mean color'),
        ({"zzzzzz": 1}, "known are category, category_path, cluster, color"),
        ({"attributes": "red"}, 'no product has the column "attributes"'),
        ({"product": 1}, 'no product has the column "product"'),
        ({"price": "cheap"}, '"price" holds numbers, got the text "cheap"'),
        ({"title": 7}, '"title" holds texts, got the number 7; put it in quotes'),
        ({"title": {"gte": 7}}, '"title" holds texts, so it has no gte'),
        ({"category": {"gte": 7}}, '"category" holds texts'),
        ({"color": {"lt": 1}}, '"color" holds texts'),
        ({"size": "large"}, '"size" holds numbers, got the text "large"'),
    ],
)
def test_what_a_table_does_not_have(given_filters, sentence):
    table = table_of([make(1, attributes={"color": "red", "size": 4}, extra={"year": "2020"})])
    with pytest.raises(OutOfRangeError) as caught:
        Filters.parse(given_filters).mask(table)
    assert sentence in str(caught.value)
    assert Filters.parse({"year": {"gte": 2000}, "size": [4, 5]}).mask(table).tolist() == [True]


def test_equal_filters_are_one_key():
    one = Filters.parse({"b": ["x", "y", "x"], "a": {"gte": 1}})
    other = Filters.parse({"a": {"gte": 1.0}, "b": ["y", "x"]})
    assert (one, hash(one)) == (other, hash(other))
    assert one != Filters.parse({"a": {"gt": 1}, "b": ["y", "x"]})
    assert one.conditions[1] == ("b", OneOf(frozenset("xy"), frozenset()))
    assert not Filters.parse({})
    assert one


def test_masks_are_kept_up_to_a_number_of_bytes():
    table = table_of([make(number, price=number) for number in range(100)])
    cache = MaskCache(max_bytes=250)
    first, second, third = (Filters.parse({"price": {"gte": bound}}) for bound in (1, 2, 3))
    mask = cache.get(first, table)
    assert not mask.flags.writeable
    assert cache.get(second, table).sum() == 98
    assert cache.get(first, table) is mask
    cache.get(third, table)  # two fit: the second was asked for longest ago
    assert cache.get(first, table) is mask
    assert list(cache._masks) == [third, first]


@pytest.mark.parametrize("recipe", ["Flat", "HNSW8", "IVF4,Flat"])
def test_filtered_hits_are_those_of_exact_search(recipe, shop, networks, words, tmp_path):
    store = LocalStore(tmp_path / "store")
    build_gallery(shop.catalog, networks, words, store=store, version="v", recipe=recipe, min_recall=0)
    gallery = Gallery.open(store.gallery("v"))
    rows = range(gallery.manifest.count)
    texts = [gallery.text_vector(row) for row in rows]
    vectors = np.stack(
        [
            np.append(gallery.image_vector(row), np.zeros(14, np.float32) if text is None else text)
            for row, text in enumerate(texts)
        ]
    )
    numbers = np.array([int(gallery.product(row)["product_id"][1:]) for row in rows])
    parts = Parts(vectors, 16, has_text=vectors[:, 16:].any(axis=1), products=numbers)
    label = gallery.labels.of("green")
    query = np.random.default_rng(1).normal(size=(1, 16)).astype(np.float32)
    for given_filters in (
        {"price": {"lt": 3}},
        {"category": "Shop > watch"},
        {"category": "Shop", "split": "a"},
        {"shelf": ["s7", "s9"], "label": "green"},
        {"product_id": "p07"},
        {"title": "nothing is called so"},
    ):
        filters = Filters.parse(given_filters)
        allowed = np.array(
            [all(matches_row(gallery.product(row), *one) for one in given_filters.items()) for row in rows]
        )
        assert gallery.mask(filters).tolist() == allowed.tolist()
        hits = gallery.search(query, label[None], top_k=5, filters=filters)
        count = min(5, len(set(numbers[allowed])))
        assert hits.rows.shape == (1, count)
        if count:
            unit = query[0].astype(float) / np.linalg.norm(query[0].astype(float))
            best = scan(parts, unit, label.astype(float), weight=1, top_k=5, rows=np.flatnonzero(allowed))
            np.testing.assert_allclose(hits.scores[0], best.scores, atol=1e-6)
            assert allowed[hits.rows[0]].all()
    np.testing.assert_array_equal(
        gallery.search(query, None, top_k=30, filters=Filters()).rows, gallery.search(query, None, top_k=30).rows
    )
    with pytest.raises(OutOfRangeError, match="no product has the column"):
        gallery.search(query, None, filters=Filters.parse({"shelve": "s7"}))


def matches_row(row: dict, column: str, condition: object) -> bool:
    product = Product.model_validate({name: value for name, value in row.items() if value is not None})
    return matches(product, column, condition)
