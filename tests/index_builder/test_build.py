"""Building from catalogs with every kind of fault: one clear sentence, nothing half-written, the old gallery kept."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catalog.errors import MalformedError, NotFoundError, OutOfRangeError, ShopcamError
from export.contract import Tensor
from export.networks import PhotoOutputs
from export.onnx_runtime import OnnxRuntimeNetworks
from export.words import WordModel
from index_builder import indexing, local_engine
from index_builder.build import build_gallery, new_version
from index_builder.errors import ConflictError
from index_builder.gallery import Gallery
from index_builder.manifest import Manifest, RecallRow, TextVector
from index_builder.store import LocalStore
from tests.index_builder.conftest import Shop


@pytest.fixture
def store(shop: Shop, networks: OnnxRuntimeNetworks, words: WordModel, tmp_path: Path) -> LocalStore:
    """A store with a live gallery `old`."""
    store = LocalStore(tmp_path / "store")
    build_gallery(shop.catalog, networks, words, store=store, version="old")
    store.swap("old")
    return store


def assert_only_old(store: LocalStore) -> None:
    assert sorted(path.name for path in store.path.iterdir()) == [".lock", "galleries", "live.json"]
    assert store.versions() == ["old"]
    assert store.live().live.gallery == "old"
    gallery = Gallery.open(store.gallery("old"))
    assert gallery.search(gallery.image_vector(3)[None], None, weight=0, top_k=1).rows.tolist() == [[3]]


def test_the_manifest_says_what_was_built(shop, networks, words, tmp_path):
    store = LocalStore(tmp_path / "store")
    before = datetime.now(UTC)
    manifest = build_gallery(shop.catalog, networks, words, store=store, splits=["b", "c"], default_weight=9)
    assert Manifest.model_validate_json((store.gallery(manifest.version) / "manifest.json").read_bytes()) == manifest
    assert (manifest.count, manifest.products, manifest.splits) == (12, 12, ["b", "c"])
    assert (manifest.image_dim, manifest.text_dim, manifest.default_weight) == (16, 14, 9)
    assert manifest.recipe.factory == "Flat"
    assert [(row.weight, row.recall_at_10) for row in manifest.recall] == [(0, 1), (9, 1), (25, 1)]
    assert manifest.spaces == networks.info.spaces
    assert before <= manifest.created_at <= datetime.now(UTC)
    assert manifest.created_at.utcoffset().total_seconds() == 0
    assert manifest.catalog == {
        "file": "catalog.csv",
        "sha256": hashlib.sha256(shop.catalog.read_bytes()).hexdigest(),
        "rows_read": 12,
        "rows_skipped": 0,
    }
    assert {"faiss", "numpy", "fasttext", "onnxruntime"} <= set(manifest.libraries)
    for name, record in manifest.files.items():
        data = (store.gallery(manifest.version) / name).read_bytes()
        assert (record.size_bytes, record.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_the_same_catalog_gives_the_same_bytes(shop, networks, words, store):
    again = build_gallery(shop.catalog, networks, words, store=store, version="again")
    old = Gallery.open(store.gallery("old")).manifest
    assert again.files == old.files


def test_a_graph_finds_what_exact_search_finds(shop, networks, words, store):
    manifest = build_gallery(shop.catalog, networks, words, store=store, version="graph", recipe="HNSW16")
    # Tuned: the least effort finds everything among 26 rows.
    assert (manifest.recipe.search_parameters, manifest.recipe.tuned_recall) == ({"efSearch": 16}, 1)
    assert [point.search_parameters for point in manifest.recipe.points] == [{"efSearch": 16}]
    exact, graph = (Gallery.open(store.gallery(version)) for version in ("old", "graph"))
    queries = np.random.default_rng(0).normal(size=(10, 16)).astype(np.float32)
    labels = np.repeat(exact.labels.of("blue")[None], 10, axis=0)
    np.testing.assert_array_equal(exact.search(queries, labels).rows, graph.search(queries, labels).rows)


def spoil(shop: Shop, number: int, *, how: str) -> None:
    path = shop.catalog.parent / f"{number}.png"
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[:60])
    else:
        path.write_text("no picture at all")


@pytest.mark.parametrize("how", ["missing", "truncated", "text"])
def test_a_bad_picture_is_listed_and_skipped(shop, networks, words, store, how):
    spoil(shop, 4, how=how)
    spoil(shop, 24, how=how)  # the second picture of p07, whose other two stay
    manifest = build_gallery(shop.catalog, networks, words, store=store, version="new", max_bad_rows=0.1)
    gallery = Gallery.open(store.gallery("new"))
    assert (manifest.count, manifest.products) == (24, 23)
    assert manifest.catalog["rows_skipped"] == 2
    rejected = [json.loads(line) for line in (gallery.folder / "rejected.jsonl").read_text().splitlines()]
    assert [(row["row"], row["product_id"]) for row in rejected] == [(5, "p04"), (8, "p07")]
    assert "4.png" in rejected[0]["reason"]
    assert [gallery.product(row)["image"] for row in range(4, 8)] == ["5.png", "6.png", "7.png", "25.png"]
    with pytest.raises(NotFoundError):
        gallery.row_of("p04")
    queries = np.stack([gallery.image_vector(row) for row in range(24)])
    hits = gallery.search(queries, None, weight=0, top_k=23)
    assert hits.rows[:, 0].tolist() == list(range(24))


def test_a_picture_bomb_is_a_bad_row(shop, networks, words, store):
    """50 KB on disk, 400 million pixels in memory: refused by its header."""
    Image.new("1", (20_000, 20_000)).save(shop.catalog.parent / "2.png")
    manifest = build_gallery(shop.catalog, networks, words, store=store, version="bomb", max_bad_rows=0.1)
    assert manifest.catalog["rows_skipped"] == 1
    (line,) = (store.gallery("bomb") / "rejected.jsonl").read_text().splitlines()
    assert "400,000,000 pixels" in json.loads(line)["reason"]


@pytest.mark.parametrize("how", ["missing", "truncated", "text"])
def test_too_many_bad_pictures_publish_nothing(shop, networks, words, store, how):
    spoil(shop, 4, how=how)
    message = r"catalog.csv: 1 of 26 rows are bad \(limit 0.01 of them\); first: row 5 \(p04\): image '4.png'"
    with pytest.raises(MalformedError, match=message):
        build_gallery(shop.catalog, networks, words, store=store, version="new")
    assert_only_old(store)


def test_duplicate_ids_are_bad_rows(shop, networks, words, store):
    rows = shop.rows()
    rows[9]["product_id"] = "p03"
    catalog = shop.write(rows)
    with pytest.raises(MalformedError, match=r"1 of 26 rows are bad .* first: row 10 \(p03\): "):
        build_gallery(catalog, networks, words, store=store, version="new")
    assert_only_old(store)
    manifest = build_gallery(catalog, networks, words, store=store, version="new", max_bad_rows=0.05)
    assert manifest.products == 23
    assert Gallery.open(store.gallery("new")).product(3)["image"] == "3.png"


def faulty(shop: Shop, fault: str) -> Path:
    rows = shop.rows()
    if fault == "no rows":
        return shop.write([], "faulty.csv")
    if fault == "no pictures":
        return shop.write([{**row, "image": "nowhere.png", "images": ""} for row in rows], "faulty.csv")
    if fault == "no text":
        return shop.write([{**row, "title": "", "category_path": "42"} for row in rows], "faulty.csv")
    return shop.catalog.parent / "absent.csv"


@pytest.mark.parametrize(
    "case",
    [
        ("no rows", MalformedError, "has no usable row"),
        ("no pictures", MalformedError, "has no usable picture; first: image 'nowhere.png'"),
        ("no text", MalformedError, "no row of .* has usable text for 'wordvector'; use --text none"),
        ("no file", NotFoundError, r"absent\.csv does not exist"),
    ],
)
def test_useless_catalogs(shop, networks, words, store, case):
    fault, error, message = case
    with pytest.raises(error, match=message):
        build_gallery(faulty(shop, fault), networks, words, store=store, version="new", max_bad_rows=1)
    assert_only_old(store)


@pytest.mark.parametrize(
    "case",
    [
        ({"version": "old"}, ConflictError, "gallery 'old' exists"),
        ({"version": "../up"}, OutOfRangeError, r"version '\.\./up' is not usable"),
        ({"default_weight": 0}, OutOfRangeError, "default weight is 0, .* build with --text none"),
        ({"default_weight": 26}, OutOfRangeError, "default weight is 26"),
        ({"max_bad_rows": 2}, OutOfRangeError, "max_bad_rows is 2"),
        ({"recipe": "Bogus"}, OutOfRangeError, "FAISS cannot build the recipe 'Bogus' for 26 vectors of dim 30"),
        ({"splits": ["c"]}, MalformedError, "has no usable row of split c"),
    ],
)
def test_settings_that_do_not_fit(shop, networks, words, store, case):
    options, error, message = case
    with pytest.raises(error, match=message):
        build_gallery(shop.catalog, networks, words, store=store, **{"version": "new", **options})
    assert_only_old(store)


def test_an_index_that_finds_too_little_is_not_published(shop, networks, words, store, monkeypatch):
    measured = [RecallRow(weight=0, recall_at_10=1), RecallRow(weight=1, recall_at_10=0.79)]
    monkeypatch.setattr(indexing, "measure_recall", lambda *_, **__: measured)
    with pytest.raises(OutOfRangeError, match=r"the recipe 'Flat' finds 0\.79 of the ten nearest rows, at least 0\.8"):
        build_gallery(shop.catalog, networks, words, store=store, version="new")
    assert_only_old(store)
    manifest = build_gallery(shop.catalog, networks, words, store=store, version="new", min_recall=0.79)
    assert manifest.recall == measured


def test_missing_words_are_one_sentence(shop, networks, store):
    with pytest.raises(NotFoundError, match="text vectors 'wordvector' need word vectors: give --words"):
        build_gallery(shop.catalog, networks, None, store=store, version="new")
    assert_only_old(store)


class Breaking:
    """Real networks that break on their second batch."""

    def __init__(self, networks: OnnxRuntimeNetworks, error: BaseException) -> None:
        self.info = networks.info
        self._networks = networks
        self._error = error
        self.calls = 0

    def infer(self, images: np.ndarray) -> PhotoOutputs:
        return self._networks.infer(images)

    def vectors(self, images: np.ndarray, tensor: Tensor) -> np.ndarray:
        self.calls += 1
        if self.calls == 2:
            raise self._error
        return self._networks.vectors(images, tensor)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ShopcamError("the server went away"), MemoryError()])
def test_a_build_stopped_halfway_leaves_nothing(  # noqa: PLR0917 - fixtures
    shop, networks, words, store, error, monkeypatch
):
    monkeypatch.setattr(local_engine, "BATCH", 32)  # two calls, so that none follows the one that breaks
    rows = shop.rows()
    more = [{**row, "product_id": f"more-{number}"} for number, row in enumerate(rows)]
    catalog = shop.write(rows + more, "long.csv")
    breaking = Breaking(networks, error)
    with pytest.raises(type(error)):
        build_gallery(catalog, breaking, words, store=store, version="new", work=store.path.parent / "work")
    assert breaking.calls == 2
    assert_only_old(store)


def test_versions_are_the_time_and_never_taken(store, monkeypatch):
    first = new_version(store)
    assert abs((datetime.now(UTC) - datetime.strptime(first, "%Y%m%d-%H%M%S").replace(tzinfo=UTC)).total_seconds()) < 60
    monkeypatch.setattr(store, "versions", lambda: [new_version(LocalStore(Path("none"))), "old"])
    assert new_version(store).endswith("-2")


def test_boxes_crop_the_main_picture(shop, networks, tiny, tmp_path):
    wide = np.concatenate([shop.pictures[0], shop.pictures[1]], axis=1)
    Image.fromarray(wide).save(shop.catalog.parent / "wide.png")
    table = shop.catalog.parent / "boxes.jsonl"
    rows = [
        {"product_id": "left", "image": "wide.png", "box": "0,0,32,32"},
        {"product_id": "right", "image": "wide.png", "box": "32,0,64,32"},
    ]
    table.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    store = LocalStore(tmp_path / "boxed")
    build_gallery(table, networks, None, store=store, version="v", text_vector=TextVector.NONE)
    gallery = Gallery.open(store.gallery("v"))
    expected = tiny[1].outputs(shop.pictures[:2]).embedding
    np.testing.assert_allclose([gallery.image_vector(row) for row in (0, 1)], expected, atol=2e-6)
