"""Reading catalogs: each file kind gives the same rows; each mistake is a sentence."""

import datetime
import decimal
import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from catalog.errors import MalformedError, NotFoundError, ShopcamError
from catalog.pictures import parse_box
from catalog.reader import iter_rows, load_catalog, read_queries
from catalog.rows import BadRow, Box, Product

ROWS = [
    {
        "product_id": "w-1",
        "image": "a.jpg",
        "title": 'Watch, 12" band\nsecond line',
        "category_path": "Jewelry > Watches",
        "price": 12.5,
        "box": "1,2,30,40.5",
        "images": ["b.jpg", "http://host/c.jpg"],
        "attributes": {"color": "red"},
        "split": "train",
        "stock": "7",
    },
    {"product_id": "w-2", "image": "b.jpg", "title": "腕時計", "cluster": "w", "split": "val"},
]


def write_csv(path, rows, encoding="utf-8-sig"):
    columns = list(dict.fromkeys(name for row in rows for name in row))
    lines = [",".join(columns)]
    for row in rows:
        cells = [row.get(name, "") for name in columns]
        texts = [json.dumps(cell) if isinstance(cell, list | dict) else str(cell) for cell in cells]
        lines.append(",".join('"' + text.replace('"', '""') + '"' for text in texts))
    path.write_text("\r\n".join(lines) + "\r\n", encoding=encoding, newline="")
    return path


def write_jsonl(path, rows):
    path.write_text("\n\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def write_parquet(path, rows):
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=1)
    return path


WRITERS = {".csv": write_csv, ".jsonl": write_jsonl, ".ndjson": write_jsonl, ".parquet": write_parquet}


@pytest.mark.parametrize("suffix", WRITERS)
def test_every_file_kind_gives_the_same_products(tmp_path, suffix):
    columns = dict.fromkeys([*ROWS[0], *ROWS[1]])
    rows = [columns | row for row in ROWS] if suffix == ".parquet" else ROWS
    catalog = load_catalog(WRITERS[suffix](tmp_path / f"shop{suffix}", rows))
    first, second = catalog.products
    assert catalog.bad_rows == ()
    assert (first.product_id, first.title, first.price) == ("w-1", 'Watch, 12" band\nsecond line', 12.5)
    assert first.category == ("Jewelry", "Watches")
    assert first.box == Box(1, 2, 30, 40.5)
    assert first.images == ("b.jpg", "http://host/c.jpg")
    assert first.attributes == {"color": "red"}
    assert first.extra == {"stock": "7"}
    assert (first.cluster, second.cluster) == ("w-1", "w")
    assert (second.title, second.price, second.box, second.images, second.extra) == ("腕時計", None, None, (), {})


@pytest.mark.parametrize("suffix", WRITERS)
def test_splits_choose_rows(tmp_path, suffix):
    rows = [{k: v for k, v in row.items() if k in ("product_id", "image", "split")} for row in ROWS]
    path = WRITERS[suffix](tmp_path / f"shop{suffix}", [*rows, {"product_id": "", "image": "", "split": "test"}])
    catalog = load_catalog(path, splits=["val", "other"])
    assert [product.product_id for product in catalog.products] == ["w-2"]
    assert catalog.bad_rows == ()
    assert catalog.splits == ("val", "other")
    with pytest.raises(MalformedError, match=r"no rows of split none, expected at least one"):
        load_catalog(path, splits=["none"])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"product_id": ""}, "product_id is blank"),
        ({"image": "  "}, "image is blank"),
        ({"price": "nan"}, 'price must be a number of at least 0 such as 12.5, got "nan"'),
        ({"price": "-1"}, 'price must be a number of at least 0 such as 12.5, got "-1"'),
        ({"price": "inf"}, 'price must be a number of at least 0 such as 12.5, got "inf"'),
        ({"price": "$12"}, 'price must be a number of at least 0 such as 12.5, got "$12"'),
        ({"box": "1,2,3"}, 'box must be "x_min,y_min,x_max,y_max", four numbers in pixels, got "1,2,3"'),
        ({"box": "9,2,3,8"}, 'box must have x_min < x_max and y_min < y_max, got "9,2,3,8"'),
        ({"images": "b.jpg"}, 'images must be a JSON list of paths, such as ["b.jpg"], got "b.jpg"'),
        ({"images": '{"a": 1}'}, "images must be a JSON list"),
        ({"images": '[""]'}, "images.0 is blank"),
        ({"attributes": "[1]"}, "attributes must be a JSON object"),
        ({"attributes": "[" * 100_000}, "attributes must be a JSON object"),
        ({"product_id": "a"}, 'product_id "a" stands in row 1 already, it must be unique'),
    ],
)
def test_a_bad_row_tells_its_reason(tmp_path, row, reason):
    good = {"product_id": "a", "image": "a.jpg", "price": "", "box": "", "images": "", "attributes": ""}
    path = write_csv(tmp_path / "shop.csv", [good, good | {"product_id": "b"} | row])
    first, bad = iter_rows(path)
    assert isinstance(first, Product)
    assert isinstance(bad, BadRow)
    assert bad.row == 2
    assert bad.reason.startswith(reason)


def test_bad_rows_over_the_limit_fail_with_counts_and_the_first(tmp_path):
    rows = [{"product_id": f"p{n}", "image": "a.jpg", "price": "-1" if n < 2 else "1"} for n in range(100)]
    path = write_csv(tmp_path / "shop.csv", rows)
    with pytest.raises(
        MalformedError, match=r"2 of 100 rows are bad \(limit 0\.01 of them\); first: row 1 \(p0\): price"
    ):
        load_catalog(path)
    catalog = load_catalog(path, max_bad_rows=0.02)
    assert (len(catalog.products), [bad.row for bad in catalog.bad_rows]) == (98, [1, 2])


def test_broken_csv_rows_are_counted_and_the_rest_is_read(tmp_path):
    path = tmp_path / "shop.csv"
    path.write_text('product_id,image\n1,a.jpg\n2,b.jpg,extra\n3\n"4"x,d.jpg\n\n5,e.jpg\n6,"unclosed\n')
    kinds = [row.product_id if isinstance(row, Product) else row.reason for row in iter_rows(path)]
    assert kinds[0] == "1"
    assert kinds[1] == "the row has 3 cells, the header has 2 columns"
    assert kinds[2] == "the row has 1 cells, the header has 2 columns"
    assert "is not CSV" in kinds[3]
    assert kinds[4] == "5"
    assert "is not CSV" in kinds[5]


def test_broken_json_lines_are_counted_and_the_rest_is_read(tmp_path):
    path = tmp_path / "shop.jsonl"
    path.write_text(
        '{"product_id": 7, "image": "a"}\n{oops\n[1]\n{"image": "b"}\n{"product_id": "\\ud800", "image": "c"}\n'
    )
    rows = list(iter_rows(path))
    assert rows[0].product_id == "7"
    assert [row.reason[:24] for row in rows[1:]] == [
        "line 2 is not JSON: Expe", "line 3 must be a JSON ob", "product_id is blank", "the text has half a surr",
    ]  # fmt: skip


def test_numeric_ids_become_text_and_odd_types_become_json(tmp_path):
    row = {
        "product_id": 7.0,
        "image": "a",
        "price": decimal.Decimal("3.50"),
        "day": datetime.date(2024, 5, 1),
        "weight": math.nan,
        "sizes": [1, 2],
    }
    (product,) = load_catalog(write_parquet(tmp_path / "shop.parquet", [row])).products
    assert (product.product_id, product.price) == ("7", 3.5)
    assert product.extra == {"day": "2024-05-01", "weight": None, "sizes": [1, 2]}


def test_nan_price_in_parquet_is_a_bad_row(tmp_path):
    (row,) = iter_rows(write_parquet(tmp_path / "s.parquet", [{"product_id": "1", "image": "a", "price": math.nan}]))
    assert isinstance(row, BadRow)
    assert row.reason.startswith("price must be a number")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("shop.csv", b"id,image\n1,a\n", r"shop.csv lacks the columns product_id; got: id, image"),
        ("shop.csv", b"", "lacks the columns product_id, image; got: none"),
        ("shop.csv", b"product_id,image,image\n", "has the column image more than once"),
        ("shop.csv", b"product_id,image\n", "has no rows, expected at least one"),
        (
            "shop.csv",
            "product_id,image\ncafé,a\n".encode("latin-1"),
            "not UTF-8 .it has the byte 0xE9., save it as UTF-8",
        ),
        ("shop.csv", "product_id,image\n1,a".encode("utf-16"), "not UTF-8"),
        ("shop.jsonl", b'{"product_id": "\xe9"}', "not UTF-8"),
        ("shop.parquet", b"PAR1 nonsense", "not a readable Parquet file"),
        ("shop.xlsx", b"PK", "must end in .csv, .jsonl, .ndjson, .parquet, got .xlsx"),
    ],
)
def test_unreadable_files_are_one_sentence(tmp_path, name, content, sentence):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(MalformedError, match=sentence) as caught:
        load_catalog(path)
    assert "\n" not in str(caught.value)


def test_truncated_parquet_is_a_sentence_at_every_length(tmp_path):
    whole = write_parquet(
        tmp_path / "whole.parquet", [{"product_id": str(n), "image": "a"} for n in range(50)]
    ).read_bytes()
    path = tmp_path / "cut.parquet"
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(ShopcamError, match=r"cut\.parquet"):
            load_catalog(path)


def test_missing_file(tmp_path):
    with pytest.raises(NotFoundError, match="does not exist"):
        load_catalog(tmp_path / "none.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(MalformedError, match="not a file"):
        load_catalog(tmp_path / "folder.csv")


def test_queries_may_repeat_products_or_have_labels_only(tmp_path):
    rows = [
        {"image": "a.jpg", "product_id": "p", "label": "", "split": "val"},
        {"image": "b.jpg", "product_id": "p", "label": "ring", "split": "val"},
        {"image": "c.jpg", "product_id": "", "label": "ring", "split": "val"},
        {"image": "d.jpg", "product_id": "", "label": "", "split": "val"},
    ]
    catalog = read_queries(write_csv(tmp_path / "queries.csv", rows), max_bad_rows=0.25)
    assert [(query.product_id, query.label) for query in catalog.products] == [("p", None), ("p", "ring"), ("", "ring")]
    assert catalog.bad_rows[0].reason == "a query needs product_id or label, got neither"


def test_reading_streams(tmp_path):
    """The first row comes before the second is read: a file that ends in a wrong encoding still starts."""
    path = tmp_path / "shop.csv"
    filler = "".join(f"{n},a.jpg\n" for n in range(20_000))
    path.write_bytes(b"product_id,image\n" + filler.encode() + b"\xff,b.jpg\n")
    rows = iter_rows(path)
    assert next(rows).product_id == "0"
    with pytest.raises(MalformedError, match="0xFF"):
        list(rows)


@pytest.mark.parametrize("text", ["", "1,2,3", "1,2,3,nan", "1,2,3,inf", "a,b,c,d", "1,2,3,4,5", "5,5,5,9"])
def test_box_text_refused(text):
    with pytest.raises(MalformedError):
        parse_box(text)


def test_product_takes_a_box_as_numbers_too():
    assert Product(product_id="1", image="a", box=[1, 2, 3, 4]).box == Box(1, 2, 3, 4)
    with pytest.raises(ValidationError):
        Product(product_id="1", image="a", box=[3, 2, 1, 4])
