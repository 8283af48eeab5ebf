"""A gallery with changes against the gallery that a full build of the changed catalog makes."""

from __future__ import annotations

import csv
import itertools
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from catalog.errors import NotFoundError, OutOfRangeError
from export.onnx_runtime import OnnxRuntimeNetworks
from export.words import WordModel
from index_builder.build import build_gallery
from index_builder.errors import JournalError
from index_builder.filters import Filters
from index_builder.gallery import Gallery
from index_builder.live_gallery import LiveGallery
from index_builder.manifest import LabelSource, TextVector, UnknownLabel
from index_builder.store import LocalStore
from index_builder.update import update_gallery
from tests.tiny_repository import LABELS, random_pictures, solid

COLUMNS = ("product_id", "image", "title", "category_path", "price", "label", "images", "attributes", "split", "shelf")
PICTURES = 12
TITLES = ("Shiny ring in red", "Shiny bag in blue", "Shiny lamp", "7")  # the last has no word
PATHS = ("Shop > ring", "Shop > bag", "Shop", "")
IDS = tuple(f"p{number}" for number in range(8))
NEW_IDS = ("new1", "new2")
FILTERS = (
    {"price": {"gte": 1, "lte": 3}},
    {"category": "Shop"},
    {"category": ["red", "Shop > bag"]},
    {"color": "red", "size": {"lt": 3}},
    {"product_id": [*IDS[:3], *NEW_IDS]},
    {"shelf": "s1"},
)

Row = dict[str, str]


def row_of(product_id: str, *, pictures: list[int], text: int, price: int, size: int) -> Row:
    return {
        "product_id": product_id,
        "image": f"{pictures[0]}.png",
        "images": json.dumps([f"{one}.png" for one in pictures[1:]]),
        "title": TITLES[text],
        "category_path": PATHS[text],
        "price": str(price) if price else "",
        "label": LABELS[text],
        "attributes": json.dumps({"color": LABELS[text], "size": size}),
        "split": "",
        "shelf": f"s{size}",
    }


BASE = {
    product_id: row_of(
        product_id, pictures=[number, number + 1][: 1 + number % 2], text=number % 4, price=number, size=2
    )
    for number, product_id in enumerate(IDS)
}
rows = st.builds(
    row_of,
    st.sampled_from(IDS + NEW_IDS),
    pictures=st.lists(st.integers(0, PICTURES - 1), min_size=1, max_size=3),
    text=st.integers(0, 3),
    price=st.integers(0, 4),
    size=st.integers(1, 4),
)


@dataclass(frozen=True)
class Change:
    """One update: rows by product, and products that are gone."""

    upserts: dict[str, Row]
    deletes: tuple[str, ...]


@st.composite
def changes(draw: st.DrawFn) -> Change:
    upserts = {row["product_id"]: row for row in draw(st.lists(rows, max_size=4))}
    deletes = draw(st.lists(st.sampled_from((*IDS, *NEW_IDS, "stranger")), max_size=4, unique=True))
    return Change(upserts, tuple(one for one in deletes if one not in upserts))


class Scene:
    """A shop, its store with the live gallery `base`, and how a changed catalog is built from scratch."""

    def __init__(self, folder: Path, networks: OnnxRuntimeNetworks, words: WordModel, **options: object) -> None:
        self.folder = folder
        self.networks = networks
        self.words = words
        self.options = options
        self.numbers = itertools.count()
        for number, pixels in enumerate([*random_pictures(PICTURES - 6, seed=5), *map(solid, LABELS)]):
            Image.fromarray(pixels).save(folder / f"{number}.png")
        self.store = LocalStore(folder / "store")
        self.build(BASE, self.store, "base")
        self.store.swap("base")
        self.base = Gallery.open(self.store.gallery("base"))

    def write(self, rows: dict[str, Row]) -> Path:
        path = self.folder / f"catalog-{next(self.numbers)}.csv"
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows.values())
        return path

    def build(self, rows: dict[str, Row], store: LocalStore, version: str) -> None:
        options = {"recipe": "Flat", "default_weight": 2, **self.options}
        build_gallery(self.write(rows), self.networks, self.words, store=store, version=version, **options)

    def rebuilt(self, rows: dict[str, Row]) -> Gallery:
        store = LocalStore(self.folder / "rebuilt")
        shutil.rmtree(store.path, ignore_errors=True)
        self.build(rows, store, "rebuilt")
        return Gallery.open(store.gallery("rebuilt"))

    def fresh(self) -> LiveGallery:
        shutil.rmtree(self.store.journal().folder, ignore_errors=True)
        return LiveGallery(self.base, self.store.journal())

    def update(self, change: Change) -> None:
        catalog = self.write(change.upserts) if change.upserts else None
        update_gallery(self.store, self.networks, catalog=catalog, deletes=change.deletes)


@pytest.fixture(scope="module")
def scene(networks: OnnxRuntimeNetworks, words: WordModel, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("delta"), networks, words)


def after(history: list[Change]) -> dict[str, Row]:
    catalog = dict(BASE)
    for change in history:
        for product_id in change.deletes:
            catalog.pop(product_id, None)
        catalog.update(change.upserts)
    return catalog


def scores_of(gallery: Gallery, query: np.ndarray, text: np.ndarray, **options: object) -> dict[str, tuple]:
    hits = gallery.search(query[None], text[None], **options)
    assert (np.diff(hits.scores[0]) <= 0).all()
    found = [row["product_id"] for row in gallery.rows(hits.rows[0])]
    assert len(set(found)) == len(found)
    parts = np.stack([hits.scores[0], hits.image_scores[0], np.nan_to_num(hits.text_scores[0], nan=-9)], axis=1)
    return dict(zip(found, parts.tolist(), strict=True))


def assert_alike(got: Gallery, expected: Gallery) -> None:
    """Whatever is asked, both say the same; rows may have other numbers."""
    assert got.products == expected.products == expected.manifest.products
    assert got.category_paths() == expected.category_paths()
    known = [expected.product(row)["product_id"] for row in range(expected.count)]
    for product_id in set(known):
        row, other = got.row_of(product_id), expected.row_of(product_id)
        for step in range(known.count(product_id)):
            assert got.product(row + step) == expected.product(other + step)
            assert got.image_bytes(row + step) == expected.image_bytes(other + step)
            np.testing.assert_allclose(got.image_vector(row + step), expected.image_vector(other + step), atol=1e-6)
            texts = got.text_vector(row + step), expected.text_vector(other + step)
            assert (texts[0] is None) == (texts[1] is None)
            if texts[0] is not None:
                np.testing.assert_allclose(*texts, atol=1e-6)
    rng = np.random.default_rng(0)
    for text, weight in itertools.product((got.labels.vectors[1], np.zeros_like(got.labels.vectors[1])), (0, 2, 25)):
        query = rng.normal(size=16).astype(np.float32)
        for top_k, asked in itertools.product((2, 50), ({}, *FILTERS)):
            filters = Filters.parse(asked)
            answers = [
                scores_of(
                    one, query, text, weight=weight, top_k=top_k, filters=filters if is_known(one, filters) else NOTHING
                )
                for one in (got, expected)
            ]
            first, second = (sorted((score for score, *_ in one.values()), reverse=True) for one in answers)
            np.testing.assert_allclose(first, second, atol=1e-5)
            if top_k == 50:
                assert answers[0].keys() == answers[1].keys()
                for product_id, parts in answers[0].items():
                    np.testing.assert_allclose(parts[0], answers[1][product_id][0], atol=1e-5)
    expanded = [one.search(np.ones((1, 16), np.float32), None, weight=0, expand=2) for one in (got, expected)]
    np.testing.assert_allclose(expanded[0].scores, expanded[1].scores, atol=1e-5)


NOTHING = Filters.parse({"product_id": "there is none of this name"})


def is_known(gallery: Gallery, filters: Filters) -> bool:
    """Whether its columns are there; a column that only deleted products had is known until the next build."""
    try:
        gallery.mask(filters)
    except OutOfRangeError:
        return False
    return True


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    st.lists(changes(), min_size=1, max_size=4).filter(
        lambda history: any(one.upserts or one.deletes for one in history)
    )
)
@example([Change({}, IDS[:6])])
@example(
    [Change({"p1": BASE["p2"] | {"product_id": "p1"}}, ("p0",)), Change({}, ("p1",)), Change({"p0": BASE["p0"]}, ())]
)
def test_whatever_changes_it_is_the_rebuilt_gallery(scene, history):
    history = [change for change in history if change.upserts or change.deletes]
    live, stepwise = scene.fresh(), scene.fresh()
    for change in history:
        scene.update(change)
        assert stepwise.refresh().reason is None
    state = live.refresh()
    assert (state.sequence, state.applied, state.skipped, state.reason) == (len(history), len(history), 0, None)
    catalog = after(history)
    if not catalog:
        hits = live.gallery.search(np.ones((2, 16), np.float32), None, top_k=3)
        assert (live.gallery.products, hits.rows.shape, live.gallery.category_paths()) == (0, (2, 0), {})
        return
    if all(row["title"] == TITLES[3] for row in catalog.values()):
        return  # a build refuses a catalog without any text
    expected = scene.rebuilt(catalog)
    assert_alike(live.gallery, expected)
    for product_id in set(IDS + NEW_IDS) - set(catalog):
        with pytest.raises(NotFoundError, match=f"no product '{product_id}'"):
            live.gallery.row_of(product_id)
    rows = range(live.gallery.count)
    assert live.gallery.rows(rows) == stepwise.gallery.rows(rows)
    query = np.random.default_rng(3).normal(size=(3, 16)).astype(np.float32)
    np.testing.assert_array_equal(
        live.gallery.search(query, None, top_k=50).rows, stepwise.gallery.search(query, None, top_k=50).rows
    )


TITLE_CHANGED = Change(
    {
        "p1": BASE["p1"] | {"title": "Shiny bag in blue", "label": "green"},
        "new1": row_of("new1", pictures=[9, 3], text=1, price=2, size=1),
    },
    ("p6",),
)


@pytest.mark.parametrize(
    "options",
    [
        {"text_vector": TextVector.NONE, "default_weight": 0},
        {"text_vector": TextVector.ONEHOT},
        {"text_vector": TextVector.ONEHOT, "unknown_label": UnknownLabel.DELTA0},
        {"text_vector": TextVector.ONEHOT, "label_source": LabelSource.CLASSIFIER},
        {"label_source": LabelSource.CLASSIFIER},
        {"recipe": "HNSW8"},
        {"recipe": "IVF4,Flat"},
        {"recipe": "PQ3x2", "min_recall": 0},
        {"views": 2},
    ],
    ids=str,
)
def test_galleries_of_every_kind(networks, words, tmp_path, options):
    scene = Scene(tmp_path, networks, words, **options)
    live = scene.fresh()
    scene.update(TITLE_CHANGED)
    assert live.refresh().reason is None
    expected = scene.rebuilt(after([TITLE_CHANGED]))
    got = live.gallery
    assert got.products == expected.products == 8
    for product_id in ("p1", "new1", "p0"):
        row, other = got.row_of(product_id), expected.row_of(product_id)
        np.testing.assert_allclose(got.image_vector(row), expected.image_vector(other), atol=1e-6)
        texts = got.text_vector(row), expected.text_vector(other)
        assert (texts[0] is None) == (texts[1] is None)
        if texts[0] is not None and "label_source" not in options:
            np.testing.assert_allclose(*texts, atol=1e-6)
    hits = got.search(np.ones((1, 16), np.float32), None, weight=0, top_k=50)
    other = expected.search(np.ones((1, 16), np.float32), None, weight=0, top_k=50)
    assert [row["product_id"] for row in got.rows(hits.rows[0])] == [
        row["product_id"] for row in expected.rows(other.rows[0])
    ]
    np.testing.assert_allclose(hits.scores, other.scores, atol=1e-5)


def test_centered_texts_keep_the_gallerys_center(networks, words, tmp_path):
    scene = Scene(tmp_path, networks, words, center_text=True)
    live = scene.fresh()
    scene.update(Change({"p1": BASE["p1"] | {"title": TITLES[0], "category_path": PATHS[0]}}, ()))
    live.refresh()
    got = live.gallery
    np.testing.assert_allclose(got.text_vector(got.row_of("p1")), got.text_vector(got.row_of("p0")), atol=1e-6)


def test_readers_are_snapshots_and_rows_keep_their_meaning(scene):
    live = scene.fresh()
    before = live.gallery
    assert live.refresh().sequence == 0
    assert live.gallery is before
    scene.update(Change({"p1": BASE["p1"] | {"price": "77"}}, ("p2",)))
    live.refresh()
    first = live.gallery
    row = first.row_of("p1")
    assert (row, first.count, first.products, first.sequence) == (before.count, before.count + 2, 7, 1)
    assert (before.product(before.row_of("p1"))["price"], before.products) == (1, 8)
    scene.update(Change({"p1": BASE["p1"] | {"price": "78"}, "p2": BASE["p2"]}, ()))
    live.refresh()
    assert live.gallery.product(row)["price"] == first.product(row)["price"] == 77
    assert live.gallery.product(live.gallery.row_of("p1"))["price"] == 78
    assert live.gallery.row_of("p2") > row
    assert not live.gallery.mask(Filters.parse({"price": 77})).any()
    for number in (-1, live.gallery.count):
        with pytest.raises(OutOfRangeError, match=f"row is {number}, the gallery has rows 0 to 16"):
            live.gallery.product(number)
    first.close()
    assert live.gallery.product(row)["price"] == 77


def test_two_readers_after_one_do_not_disturb_each_other(scene):
    live = scene.fresh()
    scene.update(Change({"p1": BASE["p1"] | {"image": "2.png"}}, ()))
    live.refresh()
    journal = scene.store.journal()
    scene.update(Change({"p3": BASE["p3"] | {"image": "5.png"}}, ()))
    scene.update(Change({"p3": BASE["p3"] | {"image": "6.png"}}, ()))
    one = live.gallery.with_changes([journal.read(2)])
    other = live.gallery.with_changes([journal.read(3)])
    assert one.image_vector(one.row_of("p3")).tolist() == journal.read(2).upserts[0].pictures[0].vector.tolist()
    assert other.image_vector(other.row_of("p3")).tolist() == journal.read(3).upserts[0].pictures[0].vector.tolist()


def test_batches_apply_once_and_in_order(scene):
    scene.fresh()
    for price in ("5", "6", "7"):
        scene.update(Change({"p1": BASE["p1"] | {"price": price}}, ()))
    journal = scene.store.journal()
    batches = [journal.read(number) for number in (3, 1, 2)]
    gallery = scene.base.with_changes(batches)
    assert gallery.product(gallery.row_of("p1"))["price"] == 7
    again = gallery.with_changes(batches[:2])
    assert (again.count, again.sequence, again.product(again.row_of("p1"))["price"]) == (gallery.count, 3, 7)


def test_a_batch_of_other_networks_is_refused(scene):
    scene.fresh()
    scene.update(Change({"p1": BASE["p1"]}, ()))
    batch = scene.store.journal().read(1)
    other = batch.made_for.model_copy(update={"views": 3})
    with pytest.raises(JournalError, match=r"batch 1 .* it was made for views 3, gallery base has 1"):
        scene.base.with_changes([type(batch)(other, batch.upserts, sequence=1)])
