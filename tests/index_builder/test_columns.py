"""Values under JSON keys and category columns: plain Python over the objects is the oracle."""

from __future__ import annotations

import json
import math
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from index_builder.columns import CategoryColumn, CodedColumn, NumberColumn, Range
from index_builder.json_columns import JsonTexts

KEYS = ("color", "size", 'quo"te', "a b", "größe", "back\\slash", "x*y")
TEXTS = st.sampled_from(["red", "12", "-3.50", "12\n", "", 'say "hi"', "a{b", "a[b", "a}b", ', "color": "red"', "true"])
NUMBERS = st.one_of(st.integers(-(10**20), 10**20), st.floats(allow_nan=False, allow_infinity=False), st.just(10**400))
SCALARS = st.one_of(TEXTS, NUMBERS, st.booleans(), st.none())
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(st.sampled_from(KEYS), SCALARS, max_size=2))
OBJECTS = st.lists(st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4), max_size=12)


def texts_of(objects: list[dict]) -> pa.ChunkedArray:
    written = [json.dumps(one, ensure_ascii=False, default=str) for one in objects]
    half = len(written) // 2
    return pa.chunked_array([written[:half], written[half:]], pa.string())


def held(value: object) -> tuple[set[str], set[float]]:
    """The texts and numbers that a value is to a filter."""
    texts, numbers = set(), set()
    for one in value if isinstance(value, list) else [value]:
        if isinstance(one, bool):
            texts.add(str(one).lower())
        elif isinstance(one, str):
            texts.add(one)
            whole, dot, rest = one.removeprefix("-").partition(".")
            if all(part.isascii() and part.isdigit() for part in ([whole, rest] if dot else [whole])):
                numbers.add(float(one))
        elif isinstance(one, int | float) and abs(one) <= sys.float_info.max:
            numbers.add(float(one))
    return texts, numbers


@settings(max_examples=300, deadline=None)
@given(OBJECTS, st.sampled_from(KEYS), st.integers(0, 1))
@example([{"color": ', "color": "red"'}, {"color": {"size": 1}, "size": 2}], "size", 0)
@example([{"size": 10**400}, {"size": 1e300}, {"size": -0.0}], "size", 0)
def test_values_under_a_key_are_those_of_python(objects, key, repeat):
    objects = objects * (4 if repeat else 1)  # repeated objects are kept once
    column = JsonTexts.of(texts_of(objects)).key(key)
    if not any(key in one for one in objects):
        assert column is None
        return
    expected = [held(one.get(key)) for one in objects]
    assert column.has_texts == any(texts for texts, _ in expected)
    assert column.has_numbers == any(numbers for _, numbers in expected)
    for text in ("red", "12", "12\n", "", "true", 'say "hi"', "a{b", ', "color": "red"'):
        assert column.one_of(frozenset([text]), frozenset()).tolist() == [text in texts for texts, _ in expected]
    for number in {number for _, numbers in expected for number in numbers} | {12.0}:
        got = column.one_of(frozenset(), frozenset([number])).tolist()
        assert got == [number in numbers for _, numbers in expected]
        got = column.between(Range(gte=number)).tolist()
        assert got == [any(one >= number for one in numbers) for _, numbers in expected]
        got = column.between(Range(lt=number, gt=-4)).tolist()
        assert got == [any(-4 < one < number for one in numbers) for _, numbers in expected]


def test_keys_of_all_objects():
    assert JsonTexts.of(texts_of([{"a": 1, "b": {"c": 2}}, {}, {"d": None}])).keys() == {"a", "b", "d"}
    assert JsonTexts.of(texts_of([])).keys() == set()
    assert JsonTexts.of(texts_of([])).key("a") is None


def test_ranges_leave_out_what_is_missing():
    column = NumberColumn(np.array([1, 2, math.nan, 3.5]))
    assert column.between(Range(gte=2)).tolist() == [False, True, False, True]
    assert column.between(Range(gt=2, lte=3.5)).tolist() == [False, False, False, True]
    assert column.between(Range(gt=2, lt=3.5)).tolist() == [False] * 4
    assert column.between(Range(gte=-math.inf)).tolist() == [True, True, False, True]
    assert column.one_of(frozenset(), frozenset([1.0, 3.5])).tolist() == [True, False, False, True]


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        ("shoes", [1, 0, 0, 0, 1]),  # a label, and a path that is called so
        ("Home > Kitchen", [0, 1, 1, 0, 0]),
        ("home>KITCHEN ", [0, 1, 1, 0, 0]),
        ("Home", [0, 1, 1, 1, 0]),
        ("Kitchen", [0, 0, 0, 0, 0]),  # levels count from the outermost
        ("Home > Kit", [0, 0, 0, 0, 0]),  # whole levels
        ("", [0, 0, 0, 0, 0]),
    ],
)
def test_a_category_is_a_label_or_the_beginning_of_a_path(category, expected):
    labels = pa.chunked_array([["Shoes", "pot", None, "lamp", None]], pa.string())
    paths = pa.chunked_array([["", "Home > Kitchen", "Home > Kitchen > Pots", "Home > Light", "Shoes"]])
    column = CategoryColumn(CodedColumn.of(labels), CodedColumn.of(paths))
    assert column.one_of(frozenset([category]), frozenset()).tolist() == [bool(one) for one in expected]
