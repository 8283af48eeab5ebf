"""Shards: what goes in comes out, equal lines give equal bytes, and half a file is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.pictures import PictureLimits
from catalog.rows import BadRow, Box, Product
from index_builder.catalog_source import CatalogPicture
from index_builder.earlier import EarlierRows, write_index
from index_builder.manifest import ImageVector
from index_builder.pictures import Embedded, Vision
from index_builder.shards import Line, Shard, Stamp, place_of, stamp_of, write_shard

DIM = 3
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
PRODUCTS = st.builds(
    lambda number, title, price, extra, box, label: Product(
        product_id=f"p{number}", image="a.png", title=title, price=price, extra=extra, box=box, label=label
    ),
    st.integers(0, 99),
    TEXT,
    st.none() | st.floats(0, 1e9),
    st.dictionaries(TEXT, JSON, max_size=3),
    st.none() | st.just("0.1,2,3.5,4"),
    st.none() | TEXT,
)


def vision(views: int) -> Vision:
    return Vision((("embedder", "x"),), 32, DIM, ImageVector.EMBEDDING, views, False, PictureLimits())


def made(seed: int, *, views: int) -> Embedded:
    rng = np.random.default_rng(seed)
    vector, plain = rng.random((2, DIM), np.float32)
    return Embedded(rng.bytes(32), vector, plain if views > 1 else None, seed % 7, 0.25, rng.bytes(20))


def lines_of(products: list[Product], *, views: int) -> list[Line]:
    lines = []
    for number, product in enumerate(products):
        if number % 4 == 3:
            lines.append(Line(BadRow(number, "", "not CSV"), Stamp(), None, "not CSV"))
        entry = CatalogPicture(product, number, number // 2, product.image, product.box)
        if number % 3 == 2:
            lines.append(Line(entry, Stamp(), None, "no picture"))
        else:
            lines.append(Line(entry, Stamp(5, number), made(number, views=views), None))
    return lines


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(products=st.lists(PRODUCTS, min_size=1, max_size=12), views=st.sampled_from([1, 2]))
def test_what_goes_in_comes_out(tmp_path: Path, products, views):
    lines = lines_of(products, views=views)
    path = tmp_path / "shard-00000.arrow"
    write_shard(path, lines, vision(views), base=tmp_path)
    first = path.read_bytes()
    write_shard(path, lines, vision(views), base=tmp_path)
    assert path.read_bytes() == first
    shard = Shard(path)
    good = [line for line in lines if line.made is not None]
    rows = list(shard.rows())
    assert [row.product for row in rows] == [line.entry.product for line in good]
    assert [(row.number, row.image) for row in rows] == [(line.entry.number, line.entry.image) for line in good]
    assert [row.job.box for row in rows] == [line.entry.box for line in good]
    for row, line in zip(rows, good, strict=True):
        np.testing.assert_array_equal(row.made.vector, line.made.vector)
        assert (row.made.plain is None) == (views == 1)
        assert (row.made.digest, row.made.thumbnail) == (line.made.digest, line.made.thumbnail)
        assert (row.made.label, row.made.probability) == (line.made.label, 0.25)
    pictures = [line for line in lines if not isinstance(line.entry, BadRow)]
    assert [row.picture for row in rows] == [pictures.index(line) for line in good]
    assert shard.pictures == len(pictures)
    assert shard.stamps() == [line.stamp for line in lines]
    assert list(shard.bad_rows(of_catalog=True)) == [one.entry for one in lines if isinstance(one.entry, BadRow)]
    assert list(shard.bad_rows(of_catalog=False)) == [one.rejected for one in lines if one.rejected]


def test_rows_are_found_by_content_and_by_place(tmp_path: Path):
    products = [Product(product_id=f"p{number}", image=f"{number}.png") for number in range(9)]
    lines = lines_of(products, views=1)
    write_shard(tmp_path / "shard-00000.arrow", lines, vision(1), base=tmp_path)
    (tmp_path / "shard-00001.arrow").write_bytes((tmp_path / "shard-00000.arrow").read_bytes()[:-100])  # torn
    write_index(tmp_path)
    rows = EarlierRows([tmp_path])
    good = [line for line in lines if line.made is not None]
    assert rows.known().tolist() == sorted(line.made.digest.rstrip(b"\0") for line in good)
    for line in good:
        place = place_of(line.entry.image, None, base=tmp_path)
        found = rows.by_digest(line.made.digest)
        assert rows.read(found).thumbnail == line.made.thumbnail
        assert rows.by_place(place, line.stamp) == found
        assert rows.by_place(place, Stamp(5, line.stamp.mtime_ns + 1)) is None
        assert rows.by_place(place_of(line.entry.image, Box(0, 0, 1, 1), base=tmp_path), line.stamp) is None
    assert rows.by_digest(b"x" * 32) is None
    rows.close()


def test_stamps_are_of_files(tmp_path: Path):
    (tmp_path / "a.png").write_bytes(b"four")
    stamp = stamp_of("a.png", base=tmp_path)
    assert (stamp.size_bytes, stamp.mtime_ns) == (4, (tmp_path / "a.png").stat().st_mtime_ns)
    for nothing in ("b.png", "http://host/a.png", "s3://bucket/a.png", "a\0b"):
        assert not stamp_of(nothing, base=tmp_path).is_of_a_file


def test_a_write_that_fails_leaves_nothing(tmp_path: Path):
    bad = Line(BadRow(0, "", "x"), Stamp(size_bytes="many"), None, "x")
    with pytest.raises(Exception, match="many"):
        write_shard(tmp_path / "shard-00000.arrow", [bad], vision(1), base=tmp_path)
    assert list(tmp_path.iterdir()) == []
