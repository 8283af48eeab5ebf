"""The verb `update` over real networks: what it appends, what it refuses, and what the searches then find."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catalog.errors import MalformedError, NotFoundError, OutOfRangeError
from catalog.pictures import load_input
from catalog.sample.writer import draw_shop
from export.onnx_runtime import OnnxRuntimeNetworks
from index_builder import journal as journal_module
from index_builder.__main__ import main
from index_builder.errors import GalleryError
from index_builder.filters import Filters
from index_builder.gallery import Gallery
from index_builder.live_gallery import LiveGallery
from index_builder.merge import overlay, read_changes
from index_builder.store import LocalStore
from tests.index_builder.conftest import Shop
from tests.tiny_repository import random_pictures

ROOT = Path(__file__).parents[2]
REPOSITORY = ROOT / "model_repository"


@pytest.fixture
def store(finished, tmp_path: Path) -> LocalStore:
    """A store whose live gallery is the shop's."""
    store = LocalStore(tmp_path / "store")
    store.publish(finished("one"), "one")
    store.swap("one")
    return store


@pytest.fixture
def update(tiny, store):
    def run(*options: object) -> None:
        main(["update", "--store", str(store.path), "--repository", str(tiny[0]), *map(str, options)])

    return run


def follow(store: LocalStore) -> Gallery:
    live = LiveGallery(Gallery.open(store.gallery("one")), store.journal())
    assert live.refresh().reason is None
    return live.gallery


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.strip().splitlines()[-1]


def test_products_are_added_changed_and_deleted(shop: Shop, store, update, tiny, capsys):
    rows = shop.rows()
    rows[3] |= {"title": "Shiny mug in red", "category_path": "Shop > mug", "price": "99", "images": '["24.png"]'}
    new = rows[4] | {"product_id": "new", "image": "new.png", "shelf": "s99"}
    pixels = random_pictures(1, seed=77)
    Image.fromarray(pixels[0]).save(shop.catalog.parent / "new.png")
    update("--catalog", shop.write([rows[3], new], "changes.csv"), "--delete", "p00, p01")
    journal = store.journal()
    assert last_line(capsys) == (
        f"batch 1 of {journal.uri}: 2 products with 3 pictures added or changed, 2 deleted, 0 rows skipped"
    )
    gallery = follow(store)
    assert gallery.products == 24 + 1 - 2
    np.testing.assert_allclose(
        gallery.image_vector(gallery.row_of("new")), tiny[1].outputs(pixels).embedding[0], atol=2e-6
    )
    hits = gallery.search(gallery.image_vector(gallery.row_of("new"))[None], None, weight=0, top_k=1)
    assert gallery.product(int(hits.rows[0, 0]))["product_id"] == "new"
    cheap = gallery.search(np.ones((1, 16), np.float32), None, top_k=30, filters=Filters.parse({"price": {"gte": 90}}))
    assert [row["product_id"] for row in gallery.rows(cheap.rows[0])] == ["p03"]
    row = gallery.row_of("p03")
    assert [gallery.product(row + step)["image"] for step in range(2)] == ["3.png", "24.png"]
    assert gallery.product(row)["extra"] == {"shelf": "s3"}
    with pytest.raises(NotFoundError, match="no product 'p00' in this gallery: it was deleted"):
        gallery.row_of("p00")


def test_the_same_update_again_changes_nothing(shop, store, update):
    update("--catalog", shop.write(shop.rows()[:3], "changes.csv"), "--delete", "p09,p09,stranger")
    once = follow(store)
    update("--catalog", shop.catalog.parent / "changes.csv", "--delete", "p09,stranger")
    twice = follow(store)
    assert (once.sequence, twice.sequence) == (1, 2)
    assert once.products == twice.products == 23
    query = np.random.default_rng(0).normal(size=(5, 16)).astype(np.float32)
    answers = [one.search(query, None, weight=0, top_k=30) for one in (once, twice)]
    np.testing.assert_array_equal(answers[0].scores, answers[1].scores)
    ids = [
        [row["product_id"] for row in one.rows(hits.rows[0])] for one, hits in zip((once, twice), answers, strict=True)
    ]
    assert ids[0] == ids[1]


def test_ids_from_a_file(store, update, tmp_path, capsys):
    (tmp_path / "gone.txt").write_text("p01\n\n p02 \n", encoding="utf-8")
    update("--delete-file", tmp_path / "gone.txt")
    assert "0 products with 0 pictures added or changed, 2 deleted" in last_line(capsys)
    assert store.journal().read(1).deletes == ("p01", "p02")
    with pytest.raises(NotFoundError, match="one product id a line"):
        update("--delete-file", tmp_path / "absent.txt")
    (tmp_path / "gone.txt").write_bytes(b"\xff")
    with pytest.raises(MalformedError, match="is not UTF-8"):
        update("--delete-file", tmp_path / "gone.txt")


def test_bad_rows_are_counted_as_in_a_build(shop, store, update, capsys):
    rows = shop.rows()
    rows[1]["price"] = "much"
    (shop.catalog.parent / "2.png").unlink()
    changes = shop.write(rows, "changes.csv")
    with pytest.raises(MalformedError, match=r"changes.csv: 1 of 26 rows are bad \(limit 0.01 of them\); first: row 2"):
        update("--catalog", changes)
    with pytest.raises(MalformedError, match="2 of 26 rows are bad"):
        update("--catalog", changes, "--max-bad-rows", "0.04")
    assert store.journal().sequences() == []
    update("--catalog", changes, "--max-bad-rows", "0.1")
    shown = capsys.readouterr().out
    assert "skipped row 3 (p02): image '2.png'" in shown
    assert shown.strip().endswith("22 products with 24 pictures added or changed, 0 deleted, 2 rows skipped")
    gallery = follow(store)
    assert gallery.row_of("p02") == 2  # as it was


def test_what_cannot_be_updated(shop, store, update, tiny, tmp_path):
    with pytest.raises(MalformedError, match=r"nothing changes in .*: give --catalog with rows, or --delete"):
        update()
    with pytest.raises(OutOfRangeError, match="product p00 is both in the catalog and to be deleted"):
        update("--catalog", shop.catalog, "--delete", "p00")
    with pytest.raises(OutOfRangeError, match="max_bad_rows is nan, expected a share"):
        update("--delete", "p00", "--max-bad-rows", "nan")
    with pytest.raises(NotFoundError, match=r"no gallery is live in .*; build one first"):
        main(["update", "--store", str(tmp_path / "none"), "--repository", str(tiny[0]), "--delete", "p00"])
    other = tmp_path / "other"
    type(tiny[1])(seed=1).write(other)
    with pytest.raises(GalleryError, match="was built with another model"):
        main(["update", "--store", str(store.path), "--repository", str(other), "--delete", "p00"])
    assert store.journal().sequences() == []


def test_only_the_gallerys_splits_are_taken(shop, store, update, finished):
    store.publish(finished("of-a", splits=["a"]), "of-a")
    store.swap("of-a")
    update("--catalog", shop.catalog)
    assert [upsert.product.split for upsert in store.journal().read(1).upserts] == ["a"] * 12
    update("--catalog", shop.catalog, "--split", "b")
    assert [upsert.product.split for upsert in store.journal().read(2).upserts] == ["b"] * 12


def test_addresses_hold_wherever_the_next_catalog_lies(shop, store, update):
    update("--catalog", shop.write(shop.rows()[7:8], "changes.csv"))
    merged = list(overlay([], read_changes(store.journal())))
    folder = shop.catalog.parent
    assert (merged[0].image, merged[0].images) == (
        str(folder / "7.png"),
        (str(folder / "24.png"), str(folder / "25.png")),
    )


@pytest.mark.slow
def test_the_sample_shop_with_the_networks_that_ship(tmp_path):
    """Half of the shop built, the rest and a correction by update, against the whole shop built."""
    shop = draw_shop(tmp_path / "shop", products=30, photos=2, workers=0)
    with (tmp_path / "shop" / "catalog.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        rows, columns = list(reader), reader.fieldnames or ()
    assert len(rows) == 30, shop

    def write(name: str, some: list[dict[str, str]]) -> Path:
        path = tmp_path / "shop" / name
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(some)
        return path

    store = LocalStore(tmp_path / "store")
    given = ["--store", str(store.path), "--repository", str(REPOSITORY)]
    build = ["build", *given, "--text", "onehot", "--recipe", "Flat"]
    stale = [{**row, "price": "1000", "label": rows[0]["label"]} for row in rows[10:16]]
    main([*build, "--version", "one", "--catalog", str(write("half.csv", rows[:10] + stale + [rows[16]]))])
    changed = str(write("rest.csv", rows[10:16] + rows[17:]))
    main(["update", *given, "--catalog", changed, "--delete", rows[16]["product_id"]])
    main([*build, "--version", "two", "--no-swap", "--catalog", str(write("whole.csv", rows[:16] + rows[17:]))])
    got, expected = follow(store), Gallery.open(store.gallery("two"))
    assert got.products == expected.products == 29
    assert got.category_paths() == expected.category_paths()
    networks = OnnxRuntimeNetworks(REPOSITORY, threads=1)
    photo = next((tmp_path / "shop" / "photos").iterdir()).read_bytes()
    outputs = networks.infer(load_input(photo, size_px=networks.info.size_px)[0][None])
    networks.close()
    label = got.labels.of(rows[3]["label"])[None]
    for weight, asked in ((0, {}), (1, {}), (25, {}), (1, {"price": {"lt": 1000}}), (1, {"label": rows[3]["label"]})):
        answers = [
            one.search(outputs.embedding, label, weight=weight, top_k=40, filters=Filters.parse(asked))
            for one in (got, expected)
        ]
        np.testing.assert_allclose(answers[0].scores, answers[1].scores, atol=1e-5)
        ids = [
            {row["product_id"] for row in one.rows(hits.rows[0])}
            for one, hits in zip((got, expected), answers, strict=True)
        ]
        assert ids[0] == ids[1]


@pytest.mark.slow
def test_killed_at_any_moment_it_is_nothing_or_all(shop, store, tiny):
    changes = shop.write(shop.rows(), "changes.csv")
    command = [sys.executable, "-m", "index_builder", "update", "--store", str(store.path)]
    command += ["--repository", str(tiny[0]), "--catalog", str(changes)]
    started = time.monotonic()
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    took = time.monotonic() - started
    journal = store.journal()
    before = journal.last()
    for share in (0.5, 0.8, 0.9, 1.0):
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(share * took)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        assert [journal.read(number).rows for number in journal.sequences()] == [26] * len(journal.sequences())
    assert journal.sequences() == list(range(1, journal.last() + 1))
    assert journal.last() >= before
    assert follow(store).products == 24


def test_prune_removes_what_all_galleries_have_merged(store, update, finished, monkeypatch, capsys):
    for product_id in ("p01", "p02", "p03", "p04"):
        update("--delete", product_id)
    monkeypatch.setattr(journal_module, "YOUNG", timedelta(seconds=-1))
    store.publish(finished("two", journal=3), "two")
    store.swap("two")
    main(["prune", "--store", str(store.path)])
    assert store.journal().sequences() == [1, 2, 3, 4]  # the gallery before it has merged nothing
    store.publish(finished("three", journal=4), "three")
    store.swap("three")
    capsys.readouterr()
    main(["prune", "--store", str(store.path), "--keep", "0", "--dry-run"])
    assert "would remove 3 merged batches of the journal" in capsys.readouterr().out
    assert store.journal().sequences() == [1, 2, 3, 4]
    main(["prune", "--store", str(store.path), "--keep", "0"])
    assert "removed 3 merged batches of the journal" in capsys.readouterr().out
    assert store.journal().sequences() == [4]
    update("--delete", "p05")
    assert store.journal().sequences() == [4, 5]
    (Path(store.where("two")) / "manifest.json").write_text("{")
    main(["prune", "--store", str(store.path), "--keep", "9"])
    assert store.journal().sequences() == [4, 5]


@pytest.mark.parametrize("use", ["newer", "all", "none"])
def test_the_next_build_merges_what_was_updated(shop, store, update, tiny, use):
    rows, merged = shop.rows(), use != "none"
    update(
        "--catalog",
        shop.write([{**rows[3], "title": "a changed thing"}], "changes.csv"),
        "--delete",
        rows[4]["product_id"],
    )
    os.utime(shop.catalog, (0, 0))  # written before the change
    options = ("--repository", tiny[0], "--store", store.path, "--journal", use)
    main(["build", "--catalog", str(shop.catalog), *map(str, options), "--version", "two"])
    built = Gallery.open(store.gallery("two"))
    assert built.manifest.journal == 1
    titles = {row["product_id"]: row["title"] for row in built.rows(np.arange(built.manifest.count))}
    changed = follow(store) if merged else Gallery.open(store.gallery("one"))
    expected = [changed.product(row) for row in range(changed.count)]
    alive = {row["product_id"]: row["title"] for row in expected if _is_alive(changed, row["product_id"])}
    alive |= {rows[3]["product_id"]: "a changed thing"} if merged else {}
    assert titles == alive
    live = LiveGallery(built, store.journal())
    assert live.refresh().applied == 0  # the batch is in it


def test_a_catalog_written_after_a_change_wins(shop: Shop, store, update, tiny):
    rows = shop.rows()
    update("--delete", rows[4]["product_id"])
    shop.write(rows)  # the shop has it again
    main(
        [
            "build",
            "--catalog",
            str(shop.catalog),
            "--repository",
            str(tiny[0]),
            "--store",
            str(store.path),
            "--version",
            "two",
        ]
    )
    built = Gallery.open(store.gallery("two"))
    assert built.product(built.row_of(rows[4]["product_id"]))["title"] == rows[4]["title"]
    assert built.manifest.journal == 1


def _is_alive(gallery: Gallery, product_id: str) -> bool:
    try:
        gallery.row_of(product_id)
    except NotFoundError:
        return False
    return True
