"""Word vectors trained from catalogs: what is counted, what is written, and that like categories end up close."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import fasttext
import numpy as np
import pytest

from catalog.errors import MalformedError, NotFoundError, OutOfRangeError
from export.words import WordModel
from training.words import corpus_lines, default_min_count, train_words_from_catalogs

SHARED = Path(__file__).parents[3] / "shared"
TINY = {"dim": 6, "bucket": 500, "min_n": 3, "max_n": 5}


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def product(number: int, title: str, **columns: str) -> dict[str, str]:
    return {"product_id": f"p{number}", "image": "none.jpg", "title": title, "split": "a", **columns}


def test_the_corpus_is_category_title_and_description_once_each(tmp_path):
    row = {"category_path": "Jewelry > Rings", "description": "18k gold & shiny."}
    catalog = write(tmp_path / "c.csv", [product(0, "The NEAT ring", **row), product(1, "The neat ring!", **row)])
    plain = write(tmp_path / "t.csv", [{"title": "Blue shoe", "price": "3"}, {"title": "", "price": "4"}])
    found = corpus_lines([catalog, plain], splits=None, ascii_only=False)
    assert found == ({"jewelry rings neat ring gold shiny", "blue shoe"}, 0)


def test_splits_and_ascii(tmp_path):
    rows = [product(0, "blue café"), product(1, "red кольцо") | {"split": "b"}]
    catalog = write(tmp_path / "c.csv", rows)
    assert corpus_lines([catalog], splits=["b"], ascii_only=False)[0] == {"red кольцо"}
    assert corpus_lines([catalog], splits=None, ascii_only=True)[0] == {"blue cafe", "red"}


@pytest.mark.parametrize(
    ("tokens", "expected"), [(1, 1), (19_999, 1), (20_000, 2), (59_999, 5), (60_000, 6), (10**7, 6)]
)
def test_small_shops_keep_rarer_words(tokens, expected):
    assert default_min_count(tokens) == expected


def test_words_seen_often_enough_are_kept(tmp_path):
    titles = [f"ring number{'abcdefg'[number]}" for number in range(6)] + ["shoe big", "shoe small"]
    catalog = write(tmp_path / "c.csv", [product(number, title) for number, title in enumerate(titles)])
    summary = train_words_from_catalogs([catalog], out=tmp_path / "words", min_count=6, epochs=3, **TINY)
    assert (summary.texts, summary.tokens, summary.vocabulary, summary.min_count) == (8, 16, 1, 6)
    model = fasttext.load_model(str(tmp_path / "words/words.bin"))
    assert [word for word in model.words if word != "</s>"] == ["ring"]
    assert (model.get_dimension(), model.f.getArgs().bucket) == (6, 500)
    settings = json.loads((tmp_path / "words/words.json").read_text())
    assert {"dim": 6, "sentence": "mean", "ascii_only": False, "min_count": 6, "epochs": 3}.items() <= settings.items()
    assert sorted(path.name for path in (tmp_path / "words").iterdir()) == ["words.bin", "words.json"]


def test_one_thread_and_one_seed_give_the_same_bytes(tmp_path):
    catalog = write(
        tmp_path / "c.csv", [product(number, f"ring gold {'abcdefgh'[number % 8] * 3}") for number in range(40)]
    )
    data = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train_words_from_catalogs([catalog], out=tmp_path / name, seed=seed, epochs=5, **TINY)
        data.append((tmp_path / name / "words.bin").read_bytes())
    assert data[0] == data[1] != data[2]


def test_used_memory_does_not_reach_the_vectors(tmp_path):
    """It reads memory it never wrote, and here that memory is full of nan."""
    catalog = write(tmp_path / "c.csv", [product(0, "gold ring"), product(1, "silver ring")])
    data = set()
    for _ in range(5):
        used = [np.full(size, np.nan, np.float32) for size in (100, 1000, 3000, 3018, 4000, 100_000) for _ in range(20)]
        del used
        train_words_from_catalogs([catalog], out=tmp_path / "words", epochs=2, **TINY)
        data.add((tmp_path / "words/words.bin").read_bytes())
    assert len(data) == 1
    assert np.isfinite(fasttext.load_model(str(tmp_path / "words/words.bin")).get_input_matrix()).all()


@pytest.mark.parametrize("model", ["skipgram", "cbow"])
def test_both_models_train(tmp_path, model):
    catalog = write(tmp_path / "c.csv", [product(0, "gold ring"), product(1, "silver ring")])
    train_words_from_catalogs([catalog], out=tmp_path / "words", model=model, sentence="unit_mean", **TINY)
    vector = WordModel.load(tmp_path / "words").sentence_vector("gold ring")
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-6)


def test_training_is_silent(tmp_path, capfd):
    catalog = write(tmp_path / "c.csv", [product(0, "gold ring")])
    train_words_from_catalogs([catalog], out=tmp_path / "words", **TINY)
    assert capfd.readouterr() == ("", "")


def test_catalogs_without_text_are_one_sentence_and_leave_old_words_alone(tmp_path):
    good = write(tmp_path / "good.csv", [product(0, "gold ring")])
    train_words_from_catalogs([good], out=tmp_path / "words", **TINY)
    before = (tmp_path / "words/words.bin").read_bytes()
    empty = write(tmp_path / "empty.csv", [product(0, ""), product(1, "42")])
    with pytest.raises(MalformedError, match=r"no usable text in .*empty\.csv: titles, categories and descriptions"):
        train_words_from_catalogs([empty], out=tmp_path / "words", **TINY)
    with pytest.raises(
        MalformedError, match=r"no word of .*good\.csv is seen 5 times; the most frequent one is seen 1"
    ):
        train_words_from_catalogs([good], out=tmp_path / "words", min_count=5, **TINY)
    assert (tmp_path / "words/words.bin").read_bytes() == before
    assert sorted(path.name for path in (tmp_path / "words").iterdir()) == ["words.bin", "words.json"]


def test_files_that_are_no_catalogs(tmp_path):
    with pytest.raises(NotFoundError, match=r"no catalog at .*absent\.csv"):
        train_words_from_catalogs([tmp_path / "absent.csv"], out=tmp_path / "words")
    table = write(tmp_path / "numbers.csv", [{"x": "1"}])
    with pytest.raises(MalformedError, match="has none of the columns category_path, title, description"):
        train_words_from_catalogs([table], out=tmp_path / "words")
    (tmp_path / "bytes.csv").write_bytes(b"title\n\xff\xfe\n")
    with pytest.raises(MalformedError, match=r"bytes\.csv is not UTF-8"):
        train_words_from_catalogs([tmp_path / "bytes.csv"], out=tmp_path / "words")
    assert not (tmp_path / "words").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dim": 0}, "dim is 0"),
        ({"bucket": 50_001}, "bucket is 50001, at most 50000"),
        ({"epochs": 0}, "epochs is 0"),
        ({"min_n": 4, "max_n": 3}, "subwords of 4 to 3 letters"),
        ({"model": "glove"}, "model is 'glove', expected skipgram or cbow"),
        ({"sentence": "sum"}, "sentence is 'sum', expected mean or unit_mean"),
    ],
)
def test_settings_out_of_range(tmp_path, options, message):
    with pytest.raises(OutOfRangeError, match=message):
        train_words_from_catalogs([tmp_path / "c.csv"], out=tmp_path / "words", **options)


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real product texts of ../shared are not here")
def test_like_categories_are_closer_than_unlike_ones(tmp_path):
    with (SHARED / "data/text/products.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["description"]][:6000]
    catalog = write(tmp_path / "texts.csv", rows)
    train_words_from_catalogs([catalog], out=tmp_path / "words", dim=50, epochs=5)
    model = WordModel.load(tmp_path / "words")

    def cosine(one: str, other: str) -> float:
        a, b = model.sentence_vector(one), model.sentence_vector(other)
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    for word, like, unlike in [
        ("necklace", "bracelet", "keyboard"),
        ("sneaker", "shoes", "camera"),
        ("jacket", "shirt", "printer"),
        ("lipstick", "makeup", "guitar"),
        ("necklases", "necklace", "keyboard"),  # misspelt: known by its subwords only
    ]:
        assert cosine(word, like) > cosine(word, unlike) + 0.1, (word, like, unlike)


def test_bad_rows_are_counted(tmp_path):
    rows = [product(number, f"blue shoe {'abcdefgh'[number]}") for number in range(8)]
    rows.append({**product(9, "no price"), "image": ""})
    catalog = write(tmp_path / "c.csv", rows)
    summary = train_words_from_catalogs([catalog], out=tmp_path / "words", dim=4, min_count=1)
    assert summary.bad_rows == 1
    assert json.loads((tmp_path / "words" / "words.json").read_text())["bad_rows"] == 1


def test_a_folder_of_something_else_is_not_written_to(tmp_path):
    catalog = write(tmp_path / "c.csv", [product(0, "blue shoe")])
    place = tmp_path / "photos"
    place.mkdir()
    (place / "one.jpg").write_bytes(b"")
    with pytest.raises(MalformedError, match="photos exists and holds no word vectors"):
        train_words_from_catalogs([catalog], out=place, min_count=1)
    assert [path.name for path in place.iterdir()] == ["one.jpg"]


def test_a_seed_below_zero_is_a_sentence(tmp_path):
    with pytest.raises(OutOfRangeError, match="seed is -1, at least 0 is needed"):
        train_words_from_catalogs([tmp_path / "none.csv"], out=tmp_path / "words", seed=-1)
