"""The drawn shop on disk: the same bytes for a seed, rows that fit the schema, never half of it, clear refusals."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from catalog.__main__ import main
from catalog.errors import MalformedError, NotReadyError, OutOfRangeError
from catalog.rows import Box, Product
from catalog.sample import cutout as cutout_module
from catalog.sample import writer
from catalog.sample.writer import draw_shop

SMALL = {"products": 12, "photos": 6, "size_px": 64, "photo_size": (96, 72)}
ROOT = Path(__file__).resolve().parents[2]


def _hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return draw_shop(tmp_path_factory.mktemp("shop") / "small", workers=0, **SMALL)


def test_a_seed_gives_the_same_bytes_whoever_draws(shop, tmp_path):
    """Two worker processes against none: every file equal."""
    again = draw_shop(tmp_path / "again", workers=2, **SMALL)
    assert _hashes(again.folder) == _hashes(shop.folder)


def test_another_seed_gives_another_shop(shop, tmp_path):
    other = _hashes(draw_shop(tmp_path / "other", seed=1, workers=0, **SMALL).folder)
    drawn = _hashes(shop.folder)
    assert other["catalog.csv"] != drawn["catalog.csv"]
    assert not set(other.values()) & set(drawn.values())


def test_every_row_is_a_product_with_its_picture(shop):
    rows = _rows(shop.catalog)
    assert len(rows) == 12
    for row in rows:
        product = Product.model_validate(
            {**row, "attributes": json.loads(row["attributes"]), "price": float(row["price"])}
        )
        assert product.split == "gallery"
        assert set(product.attributes) == {"shape", "color", "material", "pattern"}
        assert len(product.category) in (2, 3)
        with Image.open(shop.folder / product.image) as picture:
            assert (picture.size, picture.mode, picture.format) == ((64, 64), "RGB", "JPEG")
    assert len(list((shop.folder / "images").iterdir())) == 12


def test_every_query_is_a_photo_of_a_product_with_its_box(shop):
    labels = {row["product_id"]: row["label"] for row in _rows(shop.catalog)}
    queries = _rows(shop.queries)
    assert [row["split"] for row in queries] == ["train", "val"] * 3
    for row in queries:
        assert labels[row["product_id"]] == row["label"]
        box = Box(*(float(edge) for edge in row["box"].split(",")))
        with Image.open(shop.folder / row["image"]) as photo:
            assert photo.size in ((96, 72), (72, 96))
            assert 0 <= box.x_min < box.x_max <= photo.width
            assert 0 <= box.y_min < box.y_max <= photo.height


def test_an_equal_shop_is_left_alone(shop):
    before = {path: path.stat().st_mtime_ns for path in shop.folder.rglob("*")}
    again = draw_shop(shop.folder, workers=0, **SMALL)
    assert not again.redrawn
    assert shop.redrawn
    assert {path: path.stat().st_mtime_ns for path in shop.folder.rglob("*")} == before


def test_a_shop_of_other_settings_is_refused(shop):
    with pytest.raises(MalformedError, match=r"seed 0 \(asked: 3\), photos 6 \(asked: 5\): choose another --out"):
        draw_shop(shop.folder, **{**SMALL, "seed": 3, "photos": 5})


def test_a_folder_of_other_things_is_refused_and_an_empty_one_used(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(MalformedError, match="is not a sample shop"):
        draw_shop(tmp_path / "mine", **SMALL)
    (tmp_path / "empty").mkdir()
    assert draw_shop(tmp_path / "empty", workers=0, **{**SMALL, "photos": 0}).catalog.exists()


@pytest.mark.parametrize("wrong", [{"products": 0}, {"photos": -1}, {"size_px": 4}, {"seed": -1}])
def test_impossible_settings_are_refused(tmp_path, wrong):
    with pytest.raises(OutOfRangeError):
        draw_shop(tmp_path / "shop", **{**SMALL, **wrong})
    assert not list(tmp_path.iterdir())


def test_a_failure_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writer, "take_photo", fail)
    with pytest.raises(KeyboardInterrupt):
        draw_shop(tmp_path / "shop", workers=0, **SMALL)
    assert not list(tmp_path.iterdir())


def test_ctrl_c_leaves_nothing_behind(tmp_path):
    command = [sys.executable, "-m", "catalog", "sample", "--out", str(tmp_path / "shop"), "--products", "2000"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".shop.*/images/*.jpg")):
            assert process.poll() is None, "it ended before it was stopped"
            assert time.monotonic() < deadline, "no picture within a minute"
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in said
    assert not list(tmp_path.iterdir())


def test_the_verb_ends_with_one_line(tmp_path, capsys):
    arguments = ["sample", "--out", str(tmp_path / "shop"), "--products", "3", "--photos", "1", "--size-px", "48"]
    assert main(arguments) == 0
    expected = f"3 products in 3 categories and 1 camera photos: {tmp_path / 'shop' / 'catalog.csv'}\n"
    assert capsys.readouterr().out == f"drew {expected}"
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"nothing to do, the same shop is already there: {expected}"


def test_a_missing_renderer_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "resvg_py", None)  # importing it now fails as if it were not installed
    cutout_module._kept.cache_clear()
    with pytest.raises(NotReadyError, match=r"needs resvg_py, which is not installed: pip install 'shopcam\[build\]'"):
        main(["sample", "--out", str(tmp_path / "shop"), "--products", "2", "--photos", "0"])
    assert not list(tmp_path.iterdir())


def test_check_counts_rows_and_fails_over_the_limit(shop, tmp_path, capsys):
    assert main(["check", str(shop.catalog)]) == 0
    assert "0 of 12 rows are bad" in capsys.readouterr().out
    rows = _rows(shop.catalog)
    broken = tmp_path / "broken.csv"
    with broken.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows([*rows, {**rows[0], "title": "the same id again"}, {**rows[0], "product_id": ""}])
    assert main(["check", str(broken)]) == 1
    said = capsys.readouterr().out
    assert "2 of 14 rows are bad, more than the limit of 1.0%" in said
    assert rows[0]["product_id"] in said
    assert main(["check", str(broken), "--max-bad-rows", "0.2"]) == 0
