"""A gallery that follows its journal: what is new, what is damaged, what does not fit, and searches meanwhile."""

from __future__ import annotations

import threading
import urllib.request
from pathlib import Path

import boto3
import numpy as np
import pytest

from catalog.rows import Product
from index_builder.batch import Batch, ChangedPicture, MadeFor, Upsert
from index_builder.gallery import Gallery
from index_builder.journal import Journal
from index_builder.live_gallery import LiveGallery
from index_builder.manifest import ImageVector
from index_builder.s3_store import S3Store
from index_builder.store import LocalStore
from index_builder.store_interface import Store


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, finished, tmp_path: Path) -> Store:
    """A store with the shop's gallery."""
    store: Store = LocalStore(tmp_path / "store")
    if request.param == "s3":
        url = request.getfixturevalue("moto_url")
        request.getfixturevalue("aws_environment")
        urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", method="POST"), timeout=60).close()
        boto3.client("s3", endpoint_url=url, region_name="us-east-1").create_bucket(Bucket="shop")
        store = S3Store.at("s3://shop/store", endpoint_url=url, cache=tmp_path / "cache")
    store.publish(finished("one"), "one")
    return store


@pytest.fixture
def live(store: Store) -> LiveGallery:
    return LiveGallery(Gallery.open(store.gallery("one")), store.journal())


def change(gallery: Gallery, *, price: float = 0, deletes: tuple[str, ...] = (), **made_for: object) -> Batch:
    """A batch that gives product p03 a price."""
    row = gallery.row_of("p03")
    product = Product.model_validate(
        {name: value for name, value in gallery.product(row).items() if value is not None} | {"price": price}
    )
    picture = ChangedPicture("3.png", gallery.image_vector(row), gallery.image_bytes(row), "red", 1.0)
    fits = MadeFor.of(gallery.manifest).model_copy(update=made_for)
    return Batch(fits, (Upsert(product, (picture,)),), deletes)


def price_of(live: LiveGallery) -> float:
    return live.gallery.product(live.gallery.row_of("p03"))["price"]


def test_what_is_new_is_taken_in(live, store):
    journal = store.journal()
    assert live.refresh() == live.state
    assert (live.state.sequence, live.state.applied, live.state.reason) == (0, 0, None)
    journal.append(change(live.gallery, price=7, deletes=("p04",)))
    journal.append(change(live.gallery, price=8))
    state = live.refresh()
    assert (state.sequence, state.applied, state.skipped, state.reason) == (2, 2, 0, None)
    assert (price_of(live), live.gallery.products, live.gallery.sequence) == (8, 23, 2)
    reader = live.gallery
    assert live.refresh() == state
    assert live.gallery is reader


def test_batches_that_the_build_has_merged_are_not_asked_for(store, finished, monkeypatch):
    journal = store.journal()
    gallery = Gallery.open(store.gallery("one"))
    for price in (7, 8, 9):
        journal.append(change(gallery, price=price))
    store.publish(finished("two", journal=2), "two")
    asked: list[int] = []
    read = Journal.read
    monkeypatch.setattr(Journal, "read", lambda self, sequence: asked.append(sequence) or read(self, sequence))
    live = LiveGallery(Gallery.open(store.gallery("two")), journal)
    assert live.gallery.sequence == 2
    assert live.refresh().sequence == 3
    assert asked == [3]
    assert price_of(live) == 9


def test_what_does_not_fit_is_skipped_and_said(live, store):
    journal = store.journal()
    journal.append(change(live.gallery, price=7))
    for made_for in ({"views": 2}, {"spaces": {"embedder": "other"}}, {"image_vector": ImageVector.POOLED}):
        journal.append(change(live.gallery, price=1, **made_for))
    journal.append(change(live.gallery, price=9))
    state = live.refresh()
    assert (state.sequence, state.applied, state.skipped, state.reason) == (5, 2, 3, None)
    assert state.misfits[0] == "batch 2 was skipped: it was made for views 2, gallery one has 1"
    assert len(state.misfits) == 3
    assert price_of(live) == 9


@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_what_is_damaged_stops_there_and_is_said(live, store, how):
    journal = store.journal()
    journal.append(change(live.gallery, price=7))
    if how == "damaged":
        assert journal._create(2, b"no batch")
    assert journal._create(3, b"never read")
    state = live.refresh()
    assert (state.sequence, state.applied) == (1, 1)
    assert f"batch 2 of {journal.uri} is {how}" in state.reason
    assert price_of(live) == 7
    assert live.refresh() == state
    journal._remove(2)
    journal._remove(3)
    journal.append(change(live.gallery, price=8))
    assert live.refresh().reason is None
    assert price_of(live) == 8


def test_a_store_that_is_not_reached_leaves_the_last_state(live, store, tmp_path):
    journal = store.journal()
    journal.append(change(live.gallery, price=7))
    live.refresh()
    if isinstance(store, LocalStore):
        journal.folder.rename(tmp_path / "elsewhere")
        journal.folder.write_text("a file")
    else:
        live._journal = S3Store.at("s3://nowhere/store", cache=tmp_path, endpoint_url="http://127.0.0.1:9").journal()
    state = live.refresh()
    assert state.sequence == 1
    assert "can't be read" in state.reason or "was not reached" in state.reason
    assert price_of(live) == 7


@pytest.mark.parametrize("store", ["folder"], indirect=True)
def test_searches_and_refreshes_at_once(live, store):
    """Readers see whole batches only: p03 has a price or it is deleted together with the others."""
    journal, wrong = store.journal(), []
    done = threading.Event()
    query = live.gallery.image_vector(3)[None]

    def search() -> None:
        while not done.is_set():
            reader = live.gallery
            hits = reader.search(query, None, weight=0, top_k=30)
            found = {row["product_id"] for row in reader.rows(hits.rows[0])}
            if not (len(found) == reader.products == (24 if "p04" in found else 23)):
                wrong.append(found)

    threads = [threading.Thread(target=search) for _ in range(2)]
    for thread in threads:
        thread.start()
    original = live.gallery
    restore = change(original, price=1)
    row = original.row_of("p04")
    back = Product.model_validate({name: value for name, value in original.product(row).items() if value is not None})
    picture = ChangedPicture("4.png", original.image_vector(row), original.image_bytes(row), "red", 1.0)
    for number in range(20):
        journal.append(change(original, price=number, deletes=("p04",)))
        live.refresh()
        journal.append(Batch(restore.made_for, (Upsert(back, (picture,)),)))
        live.refresh()
    done.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert np.isclose(live.gallery.search(query, None, weight=0, top_k=1).scores[0, 0], 1, atol=1e-6)
    assert live.state.sequence == 40


def test_closed_galleries_stay_closed_for_new_readers_only(live):
    reader = live.gallery.with_changes([])
    live.close()
    assert reader.products == 24
