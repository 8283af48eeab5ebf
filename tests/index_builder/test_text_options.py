"""Text parts from labels of the catalog or of the classifier, the unknown label, and centered texts, by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import MalformedError, OutOfRangeError
from index_builder.build import build_gallery
from index_builder.fusion import center_texts, unit
from index_builder.gallery import Gallery, GalleryError
from index_builder.manifest import LabelMode, LabelSettings, LabelSource, TextVector, UnknownLabel
from index_builder.store import LocalStore
from tests.index_builder.test_gallery import PICTURE_OF_ROW
from tests.tiny_repository import LABELS


@pytest.fixture
def build(shop, networks, words, tmp_path: Path):
    def run(version: str = "v", *, catalog: Path | None = None, **options) -> Gallery:
        store = LocalStore(tmp_path / "store")
        build_gallery(catalog or shop.catalog, networks, words, store=store, version=version, **options)
        return Gallery.open(store.gallery(version))

    return run


@pytest.fixture
def half_known(shop) -> Path:
    """The shop's catalog where products 0, 2, 4 ... have a label that the classifier does not know."""
    rows = [row | ({"label": "mauve"} if number % 2 == 0 else {}) for number, row in enumerate(shop.rows())]
    return shop.write(rows, "half.csv")


def texts_of(gallery: Gallery) -> list[np.ndarray | None]:
    return [gallery.text_vector(row) for row in range(gallery.manifest.count)]


def predictions(tiny, shop) -> np.ndarray:
    """Probabilities [26, 6] of the gallery's rows by numpy."""
    return tiny[1].outputs(shop.pictures).probabilities[PICTURE_OF_ROW]


def test_an_unknown_label_is_no_text_unless_asked(build, half_known):
    gallery = build(catalog=half_known, text_vector=TextVector.ONEHOT)
    assert gallery.manifest.text_dim == 6
    assert gallery.unknown_label is None
    for row, text in enumerate(texts_of(gallery)):
        label = gallery.product(row)["label"]
        assert (text is None) == (label == "mauve")
        assert text is None or text.tolist() == [float(label == one) for one in LABELS]


def test_delta_0_is_a_component_of_its_own(build, half_known):
    gallery = build(catalog=half_known, text_vector=TextVector.ONEHOT, unknown_label=UnknownLabel.DELTA0)
    assert gallery.manifest.text_dim == 7
    assert gallery.manifest.text.unknown is UnknownLabel.DELTA0
    np.testing.assert_array_equal(gallery.labels.vectors, np.eye(6, 7))
    assert gallery.unknown_label.tolist() == [0, 0, 0, 0, 0, 0, 1]
    for row, text in enumerate(texts_of(gallery)):
        label = gallery.product(row)["label"]
        expected = [0, 0, 0, 0, 0, 0, 1] if label == "mauve" else [*(float(label == one) for one in LABELS), 0]
        assert text.tolist() == expected
    query = np.random.default_rng(0).normal(size=(1, 16)).astype(np.float32)
    hits = gallery.search(query, gallery.unknown_label[None], weight=3, top_k=24)
    for row, text_score in zip(hits.rows[0], hits.text_scores[0], strict=True):
        assert text_score == (gallery.product(int(row))["label"] == "mauve")  # unknown meets unknown, known is 0
    known = gallery.search(query, gallery.labels.of("green")[None], weight=3, top_k=24)
    for row, text_score in zip(known.rows[0], known.text_scores[0], strict=True):
        assert text_score == (gallery.product(int(row))["label"] == "green")


def test_one_hot_labels_of_the_classifier(build, shop, tiny):
    gallery = build(text_vector=TextVector.ONEHOT, label_source=LabelSource.CLASSIFIER)
    assert gallery.manifest.text.label_source is LabelSource.CLASSIFIER
    expected = np.eye(6)[predictions(tiny, shop).argmax(axis=1)]
    np.testing.assert_array_equal(np.stack(texts_of(gallery)), expected)
    catalog = [gallery.product(row)["label"] for row in range(26)]
    assert catalog != [LABELS[k] for k in expected.argmax(axis=1)]  # else the source would not matter


def test_word_vectors_of_the_classifiers_labels(build, shop, tiny):
    gallery = build(label_source=LabelSource.CLASSIFIER)
    best = predictions(tiny, shop).argmax(axis=1)
    np.testing.assert_array_equal(np.stack(texts_of(gallery)), gallery.labels.vectors[best])
    assert gallery.text_vector(5) is not None  # product 5 has no title, but a picture


def test_an_unsure_classifier_leaves_a_row_unknown(build, shop, tiny):
    sure = predictions(tiny, shop).max(axis=1)
    border = float(np.sort(sure)[13] + np.sort(sure)[12]) / 2
    settings = {"label_source": LabelSource.CLASSIFIER, "label": LabelSettings(min_confidence=border)}
    gallery = build("a", **settings)
    assert [text is None for text in texts_of(gallery)] == (sure < border).tolist()
    unknown = build("b", text_vector=TextVector.ONEHOT, unknown_label=UnknownLabel.DELTA0, **settings)
    assert [bool(text[6]) for text in texts_of(unknown)] == (sure < border).tolist()


def test_a_classifier_that_is_never_sure_enough_is_named(build, shop, tiny):
    surest = predictions(tiny, shop).max()
    settings = {"label_source": LabelSource.CLASSIFIER, "text_vector": TextVector.ONEHOT}
    with pytest.raises(MalformedError, match=f"surest label .* {surest:.3g}, --min-confidence is 1; lower that or"):
        build(label=LabelSettings(min_confidence=1), **settings)


def test_labels_of_views_are_those_of_the_mean(build, shop, tiny):
    gallery = build(text_vector=TextVector.ONEHOT, label_source=LabelSource.CLASSIFIER, views=2)
    mirrored = tiny[1].outputs(shop.pictures[:, :, ::-1]).probabilities[PICTURE_OF_ROW]
    best = (predictions(tiny, shop) + mirrored).argmax(axis=1)
    np.testing.assert_array_equal(np.stack(texts_of(gallery)).argmax(axis=1), best)


def by_hand(texts: list[np.ndarray | None]) -> tuple[list[list[float] | None], list[float]]:
    """Centered unit texts and their center, in plain Python floats."""
    usable = [text.astype(float).tolist() for text in texts if text is not None]
    center = [math.fsum(column) / len(usable) for column in zip(*usable, strict=True)]
    return [None if text is None else moved(text.astype(float).tolist(), center) for text in texts], center


def moved(text: list[float], center: list[float]) -> list[float]:
    difference = [a - b for a, b in zip(text, center, strict=True)]
    length = math.sqrt(math.fsum(value * value for value in difference))
    return [value / length for value in difference]


def test_centered_texts_by_hand(build):
    plain, centered = build("plain"), build("centered", center_text=True)
    expected, center = by_hand(texts_of(plain))
    assert not plain.manifest.text.centered
    assert centered.manifest.text.centered
    assert "text_center.npy" in centered.manifest.files
    np.testing.assert_allclose(np.load(centered.folder / "text_center.npy"), center, atol=1e-7)
    for got, want in zip(texts_of(centered), expected, strict=True):
        assert (got is None) == (want is None)
        if want is not None:
            np.testing.assert_allclose(got, want, atol=1e-5)
    for label in LABELS:
        want = moved(plain.labels.of(label).astype(float).tolist(), center)
        np.testing.assert_allclose(centered.labels.of(label), want, atol=1e-5)
    words = plain.words.sentence_vector("a shiny ring").astype(float)
    want = moved((words / np.linalg.norm(words)).tolist(), center)
    np.testing.assert_allclose(centered.text_part("a shiny ring"), want, atol=1e-5)
    assert centered.text_part("!!!") is None
    np.testing.assert_allclose(plain.text_part("a shiny ring"), words / np.linalg.norm(words), atol=1e-6)
    for row in range(26):  # the image parts know nothing of it
        np.testing.assert_array_equal(plain.image_vector(row), centered.image_vector(row))


def test_the_weight_means_the_same_with_centered_texts(build):
    gallery = build(center_text=True, default_weight=4)
    query, label = np.random.default_rng(2).normal(size=(1, 16)).astype(np.float32), gallery.labels.of("blue")
    for weight in (0, 4, 25):
        hits = gallery.search(query, label[None], weight=weight, top_k=24)
        for row, score in zip(hits.rows[0], hits.scores[0], strict=True):
            image = float(unit(query)[0] @ gallery.image_vector(int(row)).astype(float))
            text = gallery.text_vector(int(row))
            text_score = 0 if text is None else float(label.astype(float) @ text.astype(float))
            assert score == pytest.approx((image + weight * text_score) / (1 + weight), abs=1e-6)


def test_centered_one_hot_texts_have_a_centered_unknown_label(build, half_known):
    options = {"text_vector": TextVector.ONEHOT, "unknown_label": UnknownLabel.DELTA0}
    plain, centered = (build(name, catalog=half_known, center_text=name == "b", **options) for name in "ab")
    _, center = by_hand(texts_of(plain))
    np.testing.assert_allclose(centered.unknown_label, moved([0, 0, 0, 0, 0, 0, 1], center), atol=1e-6)


@given(st.integers(1, 20), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_centering_is_subtracting_and_scaling(count: int, dim: int, seed: int):
    rng = np.random.default_rng(seed)
    texts = unit(rng.normal(size=(count, dim)))
    texts[rng.random(count) < 0.3] = 0
    center = 0.5 * unit(rng.normal(size=(1, dim)))[0]
    got = center_texts(texts, center)
    assert got.dtype == np.float32
    for row, text in zip(got, texts, strict=True):
        expected = moved(text.tolist(), center.tolist()) if text.any() else np.zeros(dim)
        np.testing.assert_allclose(row, expected, atol=1e-6)


def test_a_text_that_is_the_center_says_nothing():
    center = np.array([0.6, 0.8], np.float32)
    np.testing.assert_array_equal(center_texts(np.array([[0.6, 0.8]], np.float32), center), [[0, 0]])


def test_texts_that_are_all_alike_cannot_be_centered(build, shop):
    rows = [row | {"title": "mug", "category_path": "Shop"} for row in shop.rows()]
    with pytest.raises(MalformedError, match=r"all texts of .*alike\.csv are alike, so centering leaves nothing"):
        build(catalog=shop.write(rows, "alike.csv"), center_text=True)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"text_vector": TextVector.NONE, "center_text": True}, "centered text needs a text part"),
        ({"text_vector": TextVector.NONE, "label_source": "classifier"}, "labels from the classifier needs a text"),
        (
            {"unknown_label": "delta0"},
            "unknown label delta0 is a component of one-hot text parts; choose --text onehot",
        ),
        ({"text_vector": TextVector.NONE, "default_weight": math.nan}, "weight is nan, expected 0 to 25"),
        ({"max_bad_rows": math.nan}, "max_bad_rows is nan"),
    ],
)
def test_options_that_do_not_fit_are_one_sentence(build, options, sentence: str, tmp_path: Path):
    with pytest.raises(OutOfRangeError, match=sentence):
        build(**options)
    assert not (tmp_path / "store").exists() or not LocalStore(tmp_path / "store").versions()


def change(gallery: Gallery, **changes: object) -> None:
    path = gallery.folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_manifests_from_before_labels_had_settings_still_open(build):
    gallery = build()
    path = gallery.folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for name in ("label", "views"):
        del manifest[name]
    manifest["text"] = {name: manifest["text"][name] for name in ("ascii_only", "sentence")}
    path.write_text(json.dumps(manifest))
    again = Gallery.open(gallery.folder)
    assert again.manifest.label == LabelSettings(mode=LabelMode.HARD, min_confidence=0, top=None)
    assert (again.manifest.views, again.manifest.text.centered) == (1, False)
    np.testing.assert_array_equal(again.text_part("red mug"), gallery.text_part("red mug"))


def test_a_center_that_is_missing_or_does_not_fit_is_refused(build):
    gallery = build(center_text=True)
    files = json.loads((gallery.folder / "manifest.json").read_text())["files"]
    change(gallery, files={name: record for name, record in files.items() if name != "text_center.npy"})
    with pytest.raises(GalleryError, match=r"its manifest does not list text_center\.npy"):
        Gallery.open(gallery.folder)
    change(gallery, files=files)
    np.save(gallery.folder / "text_center.npy", np.zeros(13, np.float32))
    with pytest.raises(GalleryError, match=r"text_center\.npy has \d+ bytes, the manifest says \d+"):
        Gallery.open(gallery.folder)
    np.save(gallery.folder / "text_center.npy", np.zeros((14, 1), np.float32))
    with pytest.raises(GalleryError, match=r"text_center\.npy"):
        Gallery.open(gallery.folder, verify=False)
