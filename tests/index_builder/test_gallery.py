"""A built gallery, opened: what it answers against the oracle of the networks, and every way it can be damaged."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catalog.errors import NotFoundError, OutOfRangeError
from catalog.texts import sentence
from index_builder import gallery as gallery_module
from index_builder.build import build_gallery
from index_builder.gallery import Gallery, GalleryError
from index_builder.manifest import ImageVector, TextVector
from index_builder.store import LocalStore
from tests.index_builder.conftest import KINDS, PRODUCTS
from tests.tiny_repository import LABELS

# Gallery rows in order: product 7 has the pictures 7, 24 and 25.
PICTURE_OF_ROW = [*range(8), 24, 25, *range(8, 24)]


@pytest.fixture
def gallery(folder: Path) -> Gallery:
    return Gallery.open(folder)


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def test_image_parts_are_the_networks_answers(gallery, tiny, shop):
    expected = tiny[1].outputs(shop.pictures).embedding[PICTURE_OF_ROW]
    got = np.stack([gallery.image_vector(row) for row in range(gallery.manifest.count)])
    np.testing.assert_allclose(got, expected, atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), 1, atol=1e-6)


def test_text_parts_are_title_and_category(gallery, words):
    expected = unit(words.sentence_vector(sentence("Shiny bag in blue", "Shop > bag")))
    np.testing.assert_allclose(gallery.text_vector(2), expected, atol=1e-6)
    assert gallery.product(5)["title"] == ""
    assert gallery.text_vector(5) is None


def test_label_vectors_are_the_label_and_its_usual_category(gallery, words):
    assert gallery.labels.labels == LABELS
    for label, kind in zip(LABELS, KINDS, strict=True):  # product i has label i % 6 and kind i % 6
        np.testing.assert_allclose(
            gallery.labels.of(label), unit(words.sentence_vector(f"{label} Shop > {kind}")), atol=1e-6
        )


@pytest.mark.parametrize("weight", [0, 1, 4, 25])
def test_search_against_arithmetic(gallery, weight):
    label = gallery.labels.of("green")
    query = np.random.default_rng(4).normal(size=(1, 16)).astype(np.float32)
    best: dict[str, tuple[float, int]] = {}
    for row in range(gallery.manifest.count):
        s_image = float(unit(query[0].astype(float)) @ gallery.image_vector(row).astype(float))
        text = gallery.text_vector(row)
        s_text = 0.0 if text is None else float(label.astype(float) @ text.astype(float))
        score = (s_image + weight * s_text) / (1 + weight)
        product_id = gallery.product(row)["product_id"]
        best[product_id] = max(best.get(product_id, (-9.0, 0)), (score, row))
    expected = sorted(best.values(), reverse=True)
    hits = gallery.search(query, label[None], weight=weight, top_k=50)
    assert hits.rows.shape == (1, PRODUCTS)
    np.testing.assert_allclose(hits.scores[0], [score for score, _ in expected], atol=1e-6)
    if weight:
        assert hits.rows[0].tolist() == [row for _, row in expected]
    assert np.isnan(hits.text_scores[0][hits.rows[0] == 5]).all()


def test_the_default_weight_is_the_manifests(gallery):
    query, label = gallery.image_vector(3)[None], gallery.labels.of("red")[None]
    np.testing.assert_array_equal(gallery.search(query, label).scores, gallery.search(query, label, weight=4).scores)


def test_a_picture_finds_itself(gallery):
    for row in range(gallery.manifest.count):
        hits = gallery.search(gallery.image_vector(row)[None], None, weight=0, top_k=1)
        assert hits.rows.tolist() == [[row]]
        assert hits.scores[0, 0] == pytest.approx(1, abs=1e-6)


def test_products_come_back_whole(gallery, shop):
    row = gallery.row_of("p08")
    assert row == 10
    assert gallery.product(row) == {
        "product_id": "p08",
        "image": "8.png",
        "title": "Shiny bag in blue",
        "category_path": "Shop > bag",
        "description": "A bag.",
        "price": 8.5,
        "url": None,
        "label": "blue",
        "cluster": gallery.product(row)["cluster"],
        "split": "b",
        "attributes": {},
        "extra": {"shelf": "s8"},
    }
    assert gallery.rows([row, 0]) == [gallery.product(row), gallery.product(0)]
    assert [gallery.product(row)["image"] for row in (7, 8, 9)] == ["7.png", "24.png", "25.png"]
    assert gallery.row_of("p07") == 7
    assert gallery.category_paths() == {f"Shop > {kind}": 3 if kind == "lamp" else 4 for kind in sorted(KINDS)}
    picture = Image.open(io.BytesIO(gallery.image_bytes(8)))
    assert picture.format == "JPEG"
    assert np.abs(np.asarray(picture, int) - shop.pictures[24]).mean() < 12


def test_unknown_products_and_rows(gallery):
    with pytest.raises(NotFoundError, match="no product 'nope'"):
        gallery.row_of("nope")
    for ask in (gallery.product, gallery.image_vector, gallery.text_vector, gallery.image_bytes):
        for row in (-1, 26):
            with pytest.raises(OutOfRangeError, match=f"row is {row}, the gallery has rows 0 to 25"):
                ask(row)


def test_reference_photos_make_their_vectors_again(gallery, tiny):
    references = gallery.manifest.references
    assert len(references) == 4
    for reference in references:
        pixels = np.asarray(Image.open(gallery.folder / reference.image))
        assert reference.product_id == gallery.product(reference.row)["product_id"]
        np.testing.assert_allclose(tiny[1].outputs(pixels[None]).embedding[0], reference.image_vector, atol=2e-6)


def test_the_gallery_is_asked_with_its_own_words(gallery, words):
    assert gallery.words.folder == gallery.folder / "words"
    np.testing.assert_array_equal(gallery.words.sentence_vector("shiny ring"), words.sentence_vector("shiny ring"))


def test_closed_galleries_say_so(gallery):
    gallery.close()
    gallery.close()
    with pytest.raises(GalleryError, match="was closed"):
        gallery.product(0)


def test_pooled_vectors_and_one_hot_labels(shop, networks, tiny, tmp_path):
    store = LocalStore(tmp_path / "other")
    options = {"image_vector": ImageVector.POOLED, "text_vector": TextVector.ONEHOT}
    build_gallery(shop.catalog, networks, None, store=store, version="v", **options)
    gallery = Gallery.open(store.gallery("v"))
    np.testing.assert_allclose(gallery.image_vector(0), tiny[1].outputs(shop.pictures[:1]).pooled[0], atol=2e-6)
    np.testing.assert_array_equal(gallery.text_vector(8), [0, 1, 0, 0, 0, 0])  # p07 is green
    np.testing.assert_array_equal(gallery.labels.of("green"), [0, 1, 0, 0, 0, 0])
    hits = gallery.search(gallery.image_vector(0)[None], gallery.labels.of("green")[None], weight=25, top_k=4)
    assert {gallery.product(row)["label"] for row in hits.rows[0]} == {"green"}
    assert gallery.words is None


def test_a_gallery_without_text(shop, networks, tmp_path):
    store = LocalStore(tmp_path / "other")
    build_gallery(shop.catalog, networks, None, store=store, version="v", text_vector=TextVector.NONE)
    gallery = Gallery.open(store.gallery("v"))
    assert (gallery.manifest.text_dim, gallery.manifest.default_weight) == (0, 0)
    hits = gallery.search(gallery.image_vector(2)[None], None, top_k=3)
    assert hits.rows[0, 0] == 2
    assert np.isnan(hits.text_scores).all()
    np.testing.assert_array_equal(hits.scores, hits.image_scores)


FILES = [
    "index.faiss",
    "labels.npz",
    "products.arrow",
    "references/0.png",
    "rejected.jsonl",
    "thumbnails.bin",
    "vectors.npy",
    "words/words.bin",
    "words/words.json",
]


def never(*_: object, **__: object) -> None:
    raise AssertionError("FAISS was handed a file that had not passed its checksum")


def test_every_file_is_in_the_manifest(folder):
    on_disk = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    manifest = Gallery.open(folder).manifest
    assert set(manifest.files) == on_disk - {"manifest.json"} >= set(FILES)


@pytest.mark.parametrize("name", [name for name in FILES if name != "rejected.jsonl"])
def test_a_flipped_bit_is_refused_before_faiss_sees_it(folder, name, monkeypatch):
    monkeypatch.setattr(gallery_module, "read_index", never)
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    with pytest.raises(GalleryError, match=rf"gallery v1 is damaged: {name} has sha256 \w+\.\.\., the manifest says"):
        Gallery.open(folder)


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("name", ["index.faiss", "vectors.npy", "thumbnails.bin"])
def test_a_truncated_file_is_refused(folder, name, verify, monkeypatch):
    monkeypatch.setattr(gallery_module, "read_index", never)
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(data[:-100])
    message = f"{name} has {len(data) - 100} bytes, the manifest says {len(data)}"
    with pytest.raises(GalleryError, match=message):
        Gallery.open(folder, verify=verify)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused(folder, name):
    (folder / name).unlink()
    with pytest.raises(GalleryError, match=f"gallery v1 is incomplete: {name} is missing"):
        Gallery.open(folder)


def test_a_gallery_of_another_model_is_refused(folder, networks):
    spaces = dict(networks.info.spaces)
    Gallery.open(folder, spaces=spaces)
    with pytest.raises(GalleryError, match="built with another model: embedder is other here, the gallery's is tiny"):
        Gallery.open(folder, spaces={**spaces, "embedder": "other"})
    with pytest.raises(GalleryError, match="classifier is missing here"):
        Gallery.open(folder, spaces={"embedder": spaces["embedder"]})


def change(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 2}, "has schema version 2, this program reads 1"),
        ({"schema_version": None}, "has schema version None"),
        ({"colour": 1}, "is damaged: colour"),
        ({"count": 0}, "is damaged: count"),
        ({"count": 25}, "the manifest says 25"),
        ({"image_dim": 15}, r"vectors.npy is float32 \[26, 30\], the manifest says float32 \[26, 29\]"),
        ({"labels": ["red"]}, "has 6 labels of dim 14, the manifest says 1 of dim 14"),
        ({"files": {}}, "incomplete: its manifest does not list index.faiss"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(folder, changes, message):
    change(folder, **changes)
    with pytest.raises(GalleryError, match=message):
        Gallery.open(folder)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd"])
def test_a_manifest_cannot_point_outside(folder, name):
    files = json.loads((folder / "manifest.json").read_text())["files"]
    change(folder, files={**files, name: files["index.faiss"]})
    with pytest.raises(GalleryError, match="outside the gallery"):
        Gallery.open(folder)


def test_what_is_no_gallery(tmp_path, folder):
    with pytest.raises(GalleryError, match=r"manifest\.json is missing"):
        Gallery.open(tmp_path / "nowhere")
    (folder / "manifest.json").write_text("{")
    with pytest.raises(GalleryError, match="is damaged: it is not JSON"):
        Gallery.open(folder)


def test_an_open_gallery_outlives_its_folder(folder, gallery):
    expected = gallery.search(gallery.image_vector(0)[None], None, top_k=26).rows
    query = gallery.image_vector(0)[None]
    shutil.rmtree(folder)
    np.testing.assert_array_equal(gallery.search(query, None, top_k=26).rows, expected)
