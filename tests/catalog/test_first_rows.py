"""The row of each id that was seen first, against a dictionary, and in how much memory."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from catalog.first_rows import FirstRows


@given(st.lists(st.text(max_size=3)), st.integers(1, 9))
def test_rows_are_those_of_a_dictionary(ids: list[str], recent: int):
    rows, expected = FirstRows(recent=recent), {}
    for row, product_id in enumerate(ids):
        assert rows.first(product_id, row) == expected.setdefault(product_id, row)


def test_many_ids_take_little_memory():
    count = 100_000
    tracemalloc.start()
    try:
        rows = FirstRows(recent=4096)
        for row in range(count):
            assert rows.first(f"product-{row}", row) == row
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 40 * count  # a dictionary takes 150 bytes an id; here 12, twice that while sorting in, and the recent
    assert [rows.first(f"product-{row}", count) for row in range(0, count, 1000)] == list(range(0, count, 1000))
