"""Equations 1 and 2 by hand arithmetic on the model's own word vectors; subwords; damaged folders."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import fasttext
import numpy as np
import pytest

from catalog.errors import NotFoundError, OutOfRangeError
from export.words import CACHE_WORDS, LabelVectors, Sentence, WordModel, WordsError, label_vectors
from training.words import train_words_from_catalogs

SENTENCES = ["gold ring", "silver ring shiny", "leather shoe black", "running shoe", "кольцо золото", "कंगन सोना"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("words")
    (path / "texts.csv").write_text("\n".join(["title", *SENTENCES]) + "\n", encoding="utf-8")
    train_words_from_catalogs([path / "texts.csv"], out=path / "words", dim=8, bucket=2000, min_count=1, seed=3)
    return path / "words"


@pytest.fixture
def own(folder: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(folder, tmp_path / "words"))


def set_json(folder: Path, **changes: object) -> None:
    path = folder / "words.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def raw(folder: Path, word: str) -> np.ndarray:
    return fasttext.load_model(str(folder / "words.bin")).get_word_vector(word).astype(float)


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.sqrt((vector * vector).sum())


def test_equation_1_is_the_mean_of_unit_word_vectors(folder):
    model = WordModel.load(folder)
    expected = (unit(raw(folder, "silver")) + unit(raw(folder, "ring")) + unit(raw(folder, "shoe"))) / 3
    got = model.sentence_vector("The SILVER ring, 925; & a shoe!")
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert got.dtype == np.float32
    assert got.shape == (model.dim,) == (8,)
    assert np.linalg.norm(got) < 1


def test_equation_2_is_that_mean_at_unit_length(own):
    set_json(own, sentence="unit_mean")
    model = WordModel.load(own)
    assert model.settings.sentence is Sentence.UNIT_MEAN
    expected = unit((unit(raw(own, "silver")) + unit(raw(own, "ring"))) / 2)
    np.testing.assert_allclose(model.sentence_vector("silver ring"), expected, atol=1e-6)


def test_a_repeated_word_counts_each_time(folder):
    model = WordModel.load(folder)
    expected = (2 * unit(raw(folder, "gold")) + unit(raw(folder, "ring"))) / 3
    np.testing.assert_allclose(model.sentence_vector("gold gold ring"), expected, atol=1e-6)


def test_a_word_never_seen_is_made_of_its_subwords(folder):
    model = WordModel.load(folder)
    inner = fasttext.load_model(str(folder / "words.bin"))
    assert inner.get_word_id("shoelaces") == -1
    subwords, rows = inner.get_subwords("shoelaces")
    assert "<sho" in subwords
    expected = unit(np.mean([inner.get_input_vector(int(row)) for row in rows], axis=0).astype(float))
    np.testing.assert_allclose(model.sentence_vector("shoelaces"), expected, atol=1e-5)


@pytest.mark.parametrize("text", ["", "   ", "42 % !!", "the of and", "a"])
def test_no_usable_word_is_no_vector(folder, text):
    assert WordModel.load(folder).sentence_vector(text) is None


def test_other_scripts_have_vectors_unless_ascii_is_asked(own):
    expected = (unit(raw(own, "кольцо")) + unit(raw(own, "золото"))) / 2
    np.testing.assert_allclose(WordModel.load(own).sentence_vector("Кольцо, золото"), expected, atol=1e-6)
    set_json(own, ascii_only=True)
    assert WordModel.load(own).sentence_vector("Кольцо, золото") is None


def test_the_cache_is_bounded_and_changes_nothing(folder, monkeypatch):
    monkeypatch.setattr("export.words.CACHE_WORDS", 3)
    model = WordModel.load(folder)
    first = [model.sentence_vector(text) for text in SENTENCES]
    for text in SENTENCES:
        model.sentence_vector(text)
        assert len(model._cache) <= 3
    np.testing.assert_array_equal(first, [WordModel.load(folder).sentence_vector(text) for text in SENTENCES])
    assert CACHE_WORDS > 1000


def truncate(folder: Path) -> None:
    data = (folder / "words.bin").read_bytes()
    (folder / "words.bin").write_bytes(data[: len(data) // 2])


def replace_model(folder: Path) -> None:
    """Another file whose checksum is right."""
    import hashlib

    (folder / "words.bin").write_bytes(b"no model")
    set_json(folder, sha256=hashlib.sha256(b"no model").hexdigest())


FAULTS = {
    "no folder": (shutil.rmtree, "no word vectors at .*: there is no such folder"),
    "no settings": (lambda folder: (folder / "words.json").unlink(), r"no word vectors at .*: words\.json is missing"),
    "no model": (
        lambda folder: (folder / "words.bin").unlink(),
        r"words\.bin is missing, although words\.json is there",
    ),
    "truncated": (truncate, r"words\.bin is damaged or was replaced: its sha256 is \w+"),
    "another file": (replace_model, r"words\.bin is no fastText model"),
    "dim": (lambda folder: set_json(folder, dim=9), r"has word vectors of dim 8, words\.json says 9"),
    "sentence": (lambda folder: set_json(folder, sentence="max"), r"words\.json is not usable: sentence: "),
    "no json": (lambda folder: (folder / "words.json").write_text("{"), r"words\.json is not usable: "),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_damaged_folders_are_one_sentence(own, fault):
    damage, message = FAULTS[fault]
    damage(own)
    with pytest.raises(WordsError, match=message) as caught:
        WordModel.load(own)
    assert "\n" not in str(caught.value)


def test_label_vectors_are_unit_rows_in_the_order_of_labels(folder):
    model = WordModel.load(folder)
    table = label_vectors(model, ("shoe", "42", "ring"), texts={"ring": "gold ring"})
    assert table.labels == ("shoe", "42", "ring")
    np.testing.assert_allclose(table.of("shoe"), unit(raw(folder, "shoe")), atol=1e-6)
    np.testing.assert_allclose(table.of("ring"), unit(unit(raw(folder, "gold")) + unit(raw(folder, "ring"))), atol=1e-6)
    assert table.of("42") is None
    np.testing.assert_array_equal(table.vectors[1], np.zeros(8))
    with pytest.raises(NotFoundError, match="no label 'hat' among the classifier's 3 labels"):
        table.of("hat")


def test_label_tables_are_written_and_read_without_pickle(folder, tmp_path):
    table = label_vectors(WordModel.load(folder), ("shoe", "кольцо"))
    table.save(tmp_path / "labels.npz")
    read = LabelVectors.load(tmp_path / "labels.npz")
    assert read.labels == table.labels
    np.testing.assert_array_equal(read.vectors, table.vectors)
    assert [path.name for path in tmp_path.iterdir()] == ["labels.npz"]


def test_what_is_no_label_table(tmp_path):
    np.savez(tmp_path / "pickled.npz", labels=np.array(["a"], dtype=object), vectors=np.eye(1))
    np.savez(tmp_path / "other.npz", vectors=np.eye(1))
    (tmp_path / "text.npz").write_text("hello")
    for name in ("pickled.npz", "other.npz", "text.npz", "absent.npz"):
        with pytest.raises(WordsError, match=f"{name} is no table of label vectors"):
            LabelVectors.load(tmp_path / name)


@pytest.mark.parametrize("vectors", [np.eye(3, 2), np.ones(2), 2 * np.eye(2), np.full((2, 2), np.nan)])
def test_label_tables_that_do_not_fit(vectors):
    with pytest.raises(OutOfRangeError):
        LabelVectors(("a", "b"), vectors.astype(np.float32))
