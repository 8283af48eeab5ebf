"""What keeps a gallery from becoming live, with both numbers, and what is kept of one that was forced."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from catalog.errors import MalformedError, NotFoundError, OutOfRangeError
from index_builder.__main__ import main
from index_builder.errors import GateError
from index_builder.gallery import Gallery
from index_builder.gate import Canary, QualityGate, read_canaries
from index_builder.manifest import LivePointer, RecallRow
from index_builder.store import LocalStore


@pytest.fixture
def store(finished, tmp_path: Path) -> LocalStore:
    """A store with one live, and two that could be."""
    store = LocalStore(tmp_path / "store")
    store.publish(finished("one"), "one")
    store.publish(finished("two"), "two")
    store.swap("one")
    return store


@pytest.fixture
def gallery(finished) -> Iterator[Gallery]:
    gallery = Gallery.open(finished("some"))
    yield gallery
    gallery.close()


def ranking(gallery: Gallery, product_id: str) -> list[str]:
    """The oracle: all products by the score of DESIGN's section 1, straight from the vectors."""
    weight = gallery.manifest.default_weight
    rows = range(gallery.manifest.count)
    images = np.array([gallery.image_vector(row) for row in rows])
    texts = [gallery.text_vector(row) for row in rows]
    own = gallery.row_of(product_id)
    text = [0.0 if other is None or texts[own] is None else float(other @ texts[own]) for other in texts]
    scores = (images @ images[own] + weight * np.array(text)) / (1 + weight)
    ids = [product["product_id"] for product in gallery.rows(list(rows))]
    return list(dict.fromkeys(ids[row] for row in np.argsort(-scores, kind="stable")))


def recall(value: float) -> list[RecallRow]:
    return [RecallRow(weight=0, recall_at_10=1), RecallRow(weight=1, recall_at_10=value)]


@pytest.mark.parametrize(
    ("changes", "options", "sentence"),
    [
        ({"recall": recall(0.79)}, [], "its recall@10 at weight 1 is 0.790, at least 0.8 is asked"),
        (
            {"recall": recall(0.96)},
            ["--min-recall", "0.97"],
            "its recall@10 at weight 1 is 0.960, at least 0.97 is asked",
        ),
        ({"recall": []}, [], "no recall@10 was measured at its default weight 1, at least 0.8 is asked"),
        ({"products": 11}, [], "it has 11 products and the live gallery one has 24, 12 to 48 are allowed"),
        ({"products": 49}, [], "it has 49 products and the live gallery one has 24, 12 to 48 are allowed"),
        ({"products": 21}, ["--count-band", "0.9"], "it has 21 products and the live gallery one has 24, 22 to 26 are"),
    ],
)
def test_a_gallery_that_fails_stays_out(store, finished, changes, options, sentence):
    store.publish(finished("bad", **changes), "bad")
    before = store.live()
    with pytest.raises(GateError, match="gallery bad does not pass the gate and was not made live: ") as caught:
        main(["swap", "bad", "--store", str(store.path), *options])
    assert sentence in str(caught.value)
    assert (caught.value.status, caught.value.code) == (409, "gate")
    assert store.live() == before


@pytest.mark.parametrize("products", [12, 48])
def test_the_ends_of_the_band_are_inside(store, finished, products):
    store.publish(finished("ends", products=products), "ends")
    main(["swap", "ends", "--store", str(store.path)])
    assert store.live().live.gallery == "ends"


def test_the_first_gallery_has_nothing_to_compare_with(gallery):
    assert QualityGate()(gallery, None) is None
    assert QualityGate(count_band=1)(gallery, gallery.manifest) is None


def test_a_damaged_live_gallery_does_not_keep_a_good_one_out(store):
    (store.gallery("one") / "manifest.json").write_text("{")
    main(["swap", "two", "--store", str(store.path)])
    assert store.live().live.gallery == "two"


def test_canaries_are_searched_with_their_own_vectors(gallery):
    ranked = ranking(gallery, "p03")
    assert ranked[0] == "p03"
    for place in (1, 5, 10):
        hit = Canary("p03", ranked[place - 1])
        assert QualityGate(canaries=[hit], canary_top=place)(gallery, None) is None
        if place > 1:
            with pytest.raises(GateError) as caught:
                QualityGate(canaries=[hit], canary_top=place - 1)(gallery, None)
            where = f"for p03 product {hit.expected} is hit {place}, expected among the first {place - 1}"
            assert f"1 of 1 canary queries fail, the first: {where}" in str(caught.value)
    canaries = [Canary("p05", "p05"), Canary("p01", "absent"), Canary("absent", "p01")]
    assert list(QualityGate(canaries=canaries).failures(gallery, None)) == [
        "2 of 3 canary queries fail, the first: for p01 product absent is not among the first 24, "
        "expected among the first 10"
    ]
    assert "product absent, whose vectors are searched with, is not in the gallery" in next(
        QualityGate(canaries=canaries[2:]).failures(gallery, None)
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("canaries.csv", "product_id,expected\np01,p07\np02,p02\n"),
        ("canaries.jsonl", '{"product_id": "p01", "expected": "p07"}\n{"product_id": "p02", "expected": "p02"}\n'),
    ],
)
def test_canaries_are_read(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert read_canaries(tmp_path / name) == [Canary("p01", "p07"), Canary("p02", "p02")]


def test_bad_canaries_and_settings_are_one_sentence(tmp_path):
    with pytest.raises(NotFoundError, match=r"no canary queries at .*: there is no such file"):
        read_canaries(tmp_path / "absent.csv")
    for text, sentence in (
        ("product_id,expected\n", "has no canary query"),
        ("product_id\np01\n", "row 1 needs product_id and expected"),
        ("product_id,expected\np01,p02\np01\n", "row 2 needs product_id and expected"),
    ):
        (tmp_path / "c.csv").write_text(text)
        with pytest.raises(MalformedError, match=sentence):
            read_canaries(tmp_path / "c.csv")
    (tmp_path / "c.jsonl").write_text("product_id,expected\n")
    with pytest.raises(MalformedError, match=r"neither CSV \(\*.csv\) nor JSON lines"):
        read_canaries(tmp_path / "c.jsonl")
    for options, sentence in (
        ({"min_recall": 1.1}, "min_recall is 1.1, expected 0 to 1"),
        ({"count_band": 0}, "count_band is 0, expected above 0, up to 1"),
        ({"canary_top": 0}, "canary_top is 0, expected 1 to 200"),
        ({"force": " "}, "force needs a reason"),
    ):
        with pytest.raises(OutOfRangeError, match=sentence):
            QualityGate(**options)


def test_what_is_forced_is_kept(store, finished, capsys, monkeypatch):
    monkeypatch.setenv("LOGNAME", "anna")
    store.publish(finished("summer", products=5, recall=recall(0.5)), "summer")
    main(["swap", "summer", "--store", str(store.path), "--force", "a smaller range"])
    forced = store.live().forced
    assert (forced.reason, forced.by, store.live().live.gallery) == ("a smaller range", "anna", "summer")
    assert [text.split(",")[0] for text in forced.failed] == [
        "its recall@10 at weight 1 is 0.500",
        "it has 5 products and the live gallery one has 24",
    ]
    assert abs((store.live().updated_at - forced.at).total_seconds()) < 60
    shown = capsys.readouterr().out
    assert "gallery summer did not pass the gate (its recall@10 at weight 1 is 0.500" in shown
    assert "was forced by anna at " in shown
    main(["list", "--store", str(store.path)])
    assert "UTC: a smaller range" in capsys.readouterr().out
    main(["rollback", "--store", str(store.path)])
    assert store.live().forced is None


def test_force_leaves_no_trace_when_there_was_nothing_to_force(store):
    main(["swap", "two", "--store", str(store.path), "--force", "just in case"])
    assert store.live().forced is None


def test_a_pointer_of_before_there_was_a_gate_is_read(store):
    path = store.path / "live.json"
    before = json.loads(path.read_text())
    assert not {"forced", "removing"} & set(before)
    assert LivePointer.model_validate(before) == store.live()


def test_a_build_passes_the_gate_too(shop, tiny, words, tmp_path):
    store = LocalStore(tmp_path / "built")
    given = ["--catalog", shop.catalog, "--repository", tiny[0], "--words", words.folder, "--store", store.path]
    main(["build", *map(str, given), "--version", "one"])
    with pytest.raises(GateError, match="it has 12 products and the live gallery one has 24, 22 to 26 are allowed"):
        main(["build", *map(str, given), "--version", "two", "--split", "a", "--count-band", "0.9"])
    assert store.live().live.gallery == "one"
    assert store.versions() == ["one", "two"]
