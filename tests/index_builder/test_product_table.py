"""The table of a gallery's rows: plain Python over the products is the oracle, whatever file they lie in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from catalog.errors import NotFoundError, OutOfRangeError
from catalog.rows import Product
from index_builder.errors import GalleryError
from index_builder.product_ids import ProductIds
from index_builder.product_table import OLD_TABLE_FILE, TABLE_FILE, ProductTable, TableWriter


def write(folder: Path, count: int = 10_000) -> list[Product]:
    """More rows than a record batch has; product i has i % 3 + 1 pictures."""
    folder.mkdir(exist_ok=True)
    rows = []
    with TableWriter(folder) as table:
        number = 0
        while len(rows) < count:
            product = Product(
                product_id=f"id {number}",
                image=f"{number}.jpg",
                category_path=("", "A", "A > B")[number % 5 % 3],
                price=number / 4,
                attributes={"n": number},
                extra={"größe": [number]},
            )
            for _ in range(min(number % 3 + 1, count - len(rows))):
                table.add(
                    product, number=number, image=product.image, has_text=bool(number % 2), picture=b"%d" % number
                )
                rows.append(product)
            number += 1
    return rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "gallery"


@pytest.mark.parametrize("old", [False, True])
def test_what_is_written_is_read(folder, old):
    rows = write(folder)
    file = TABLE_FILE
    if old:  # as galleries were before
        file = OLD_TABLE_FILE
        pq.write_table(pa.ipc.open_file(folder / TABLE_FILE).read_all(), folder / file, row_group_size=4096)
        (folder / TABLE_FILE).unlink()
    table = ProductTable(folder, count=len(rows), file=file)
    asked = [9_999, 0, 4_095, 4_096, 0, 8_192]
    for row, got in zip(asked, table.rows(asked), strict=True):
        assert got == rows[row].model_dump(exclude={"images", "box"})
        assert table.picture(row) == rows[row].image.removesuffix(".jpg").encode()
        assert table.has_text[row] == bool(int(rows[row].product_id[3:]) % 2)
    first = {product.product_id: row for row, product in reversed(list(enumerate(rows)))}
    for product_id in list(first)[::97]:
        assert table.row_of(product_id) == first[product_id]
    assert table.first_rows.tolist() == sorted(first.values())
    paths = [rows[row].category_path for row in first.values()]
    assert table.category_paths() == {path: paths.count(path) for path in ("A", "A > B")}
    dead = np.isin(np.arange(len(rows)), [first["id 1"], first["id 1"] + 1])
    assert table.category_paths(dead=dead)["A"] == paths.count("A") - 1
    assert np.flatnonzero(table.rows_of(["id 1", "nobody"])).tolist() == [first["id 1"], first["id 1"] + 1]


def test_what_is_not_there(folder):
    write(folder, 5)
    table = ProductTable(folder, count=5)
    for product_id in ("", "id", "id 9", "ID 0", "\ud800"):
        with pytest.raises(NotFoundError, match="no product '"):
            table.row_of(product_id)
    for row in (-1, 5):
        with pytest.raises(OutOfRangeError, match=f"row is {row}, the gallery has rows 0 to 4"):
            table.rows([0, row])
    assert table.rows([]) == []


def test_files_that_are_something_else(folder):
    write(folder, 5)
    with pytest.raises(GalleryError, match=r"products\.arrow has 5 rows or other columns, the manifest says 6"):
        ProductTable(folder, count=6)
    (folder / TABLE_FILE).write_bytes((folder / TABLE_FILE).read_bytes()[:-20])
    with pytest.raises(GalleryError, match=r"products\.arrow cannot be read"):
        ProductTable(folder, count=5)


ids = st.lists(st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(["a", "aa", "ab", "x" * 3000]))


@settings(max_examples=200, deadline=None)
@given(ids, ids)
@example(["a", "", "a"], [""])
def test_the_first_row_of_each_id_is_found(before, after):
    everything = before + after
    index = ProductIds(pa.chunked_array([before, after], pa.string()))
    for product_id in {*everything, "nobody"}:
        expected = everything.index(product_id) if product_id in everything else None
        assert index.row_of(product_id) == expected


def test_ids_with_equal_bits_are_compared(monkeypatch):
    monkeypatch.setattr("index_builder.product_ids._FACTORS", np.zeros(1024, np.uint64))
    index = ProductIds(pa.chunked_array([["a", "b", "c", "b"]]))
    assert [index.row_of(product_id) for product_id in "abcd"] == [0, 1, 2, None]
