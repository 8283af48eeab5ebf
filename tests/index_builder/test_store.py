"""The live pointer under races, refusals and rollbacks."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from catalog.errors import MalformedError, NotFoundError, OutOfRangeError
from export.onnx_runtime import OnnxRuntimeNetworks
from export.words import WordModel
from index_builder.build import build_gallery
from index_builder.errors import ConflictError, GalleryError
from index_builder.gallery import Gallery
from index_builder.store import NOTHING, LocalStore, open_store
from tests.index_builder.conftest import Shop


@pytest.fixture
def store(shop: Shop, networks: OnnxRuntimeNetworks, words: WordModel, tmp_path: Path) -> LocalStore:
    """A store with the galleries one, two and three, none of them live."""
    store = LocalStore(tmp_path / "store")
    for version in ("one", "two", "three"):
        build_gallery(shop.catalog, networks, words, store=store, version=version)
    return store


def live(store: LocalStore) -> tuple[str, str | None]:
    pointer = store.live()
    return pointer.live.gallery, pointer.previous and pointer.previous.gallery


def test_swaps_and_rollbacks(store, networks):
    assert store.live() is None
    with pytest.raises(NotFoundError, match="nothing to roll back to"):
        store.rollback()
    pointer = store.swap("one", expected=NOTHING, spaces=networks.info.spaces)
    assert pointer == store.live()
    assert pointer.live.models == networks.info.spaces
    assert live(store) == ("one", None)
    with pytest.raises(NotFoundError, match="nothing to roll back to"):
        store.rollback()
    store.swap("two", expected="one")
    assert live(store) == ("two", "one")
    store.swap("two")  # again: the way back is not lost
    assert live(store) == ("two", "one")
    store.swap("three")
    assert live(store) == ("three", "two")
    store.rollback()
    assert live(store) == ("two", "three")
    store.rollback()
    assert live(store) == ("three", "two")
    assert store.versions() == ["one", "two", "three"]


def test_a_swap_that_expects_something_else_is_refused(store):
    store.swap("one")
    for expected in ("two", NOTHING):
        with pytest.raises(ConflictError, match=f"the live gallery is one, expected {expected or 'none'}") as caught:
            store.swap("two", expected=expected)
        assert (caught.value.status, caught.value.code) == (409, "conflict")
    assert live(store) == ("one", None)


def test_of_two_swaps_at_once_one_wins(store, monkeypatch):
    """Both have seen the old pointer and verified their gallery before either writes."""
    store.swap("one")
    both = threading.Barrier(2, timeout=30)
    opened = Gallery.open.__func__

    def open_and_wait(cls: type[Gallery], folder: Path, **options: object) -> Gallery:
        gallery = opened(cls, folder, **options)
        both.wait()
        return gallery

    monkeypatch.setattr(Gallery, "open", classmethod(open_and_wait))
    outcomes: dict[str, object] = {}

    def swap(version: str) -> None:
        try:
            outcomes[version] = store.swap(version).live.gallery
        except ConflictError as error:
            outcomes[version] = error

    threads = [threading.Thread(target=swap, args=(version,)) for version in ("two", "three")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winner = live(store)[0]
    loser = {"two": "three", "three": "two"}[winner]
    assert outcomes[winner] == winner
    assert isinstance(outcomes[loser], ConflictError)
    assert f"another swap came first: the live gallery is {winner} now" in str(outcomes[loser])
    assert live(store) == (winner, "one")


@pytest.mark.parametrize("verb", ["swap", "rollback"])
def test_a_damaged_gallery_never_becomes_live(store, verb):
    store.swap("two")
    store.swap("one")
    index = store.gallery("two") / "index.faiss"
    index.write_bytes(index.read_bytes()[:-1])
    with pytest.raises(GalleryError, match=r"gallery two is damaged: index\.faiss has"):
        store.swap("two") if verb == "swap" else store.rollback()
    assert live(store) == ("one", "two")
    assert sorted(path.name for path in store.path.iterdir()) == [".lock", "galleries", "live.json"]


def test_a_gallery_of_another_model_never_becomes_live(store, networks):
    store.swap("one")
    with pytest.raises(GalleryError, match="gallery two was built with another model: embedder is new here"):
        store.swap("two", spaces={**networks.info.spaces, "embedder": "new"})
    assert live(store) == ("one", None)


def test_unknown_versions_and_stores(store, tmp_path):
    with pytest.raises(NotFoundError, match=r"no gallery 'four' in .*; published are: one, two, three"):
        store.swap("four")
    with pytest.raises(OutOfRangeError, match="not usable"):
        store.gallery("../store")
    with pytest.raises(MalformedError, match="neither a folder nor s3://bucket/prefix"):
        open_store("gs://bucket/prefix")
    (tmp_path / "file").write_text("")
    with pytest.raises(MalformedError, match="is a file, a folder is needed"):
        open_store(tmp_path / "file")
    empty = open_store(str(tmp_path / "absent"))
    assert (empty.live(), empty.versions()) == (None, [])
    assert not empty.path.exists()


def test_a_damaged_pointer_is_one_sentence(store):
    (store.path / "live.json").write_text('{"live": {}}')
    with pytest.raises(GalleryError, match=r"live\.json is damaged"):
        store.live()


def test_published_galleries_are_never_replaced(store, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(store.gallery("one"), copy)
    with pytest.raises(ConflictError, match="gallery 'one' exists"):
        store.publish(copy, "one")
    with pytest.raises(GalleryError, match="holds the gallery one, not four"):
        store.publish(copy, "four")
    (copy / "manifest.json").unlink()
    with pytest.raises(GalleryError, match=r"manifest\.json is missing"):
        store.publish(copy, "one")
    assert copy.exists()
    assert store.versions() == ["one", "two", "three"]


def test_a_copy_from_elsewhere_is_whole_and_leaves_its_source(store, tmp_path):
    other = LocalStore(tmp_path / "other")
    other.publish(store.gallery("one"), "one")
    for name in ("manifest.json", "index.faiss", "words/words.json"):
        assert (other.gallery("one") / name).read_bytes() == (store.gallery("one") / name).read_bytes()
    assert store.versions() == ["one", "two", "three"]
    assert sorted(path.name for path in other.path.iterdir()) == [".lock", "galleries"]
    index = store.gallery("two") / "index.faiss"
    index.write_bytes(index.read_bytes()[:-1] + b"?")
    with pytest.raises(GalleryError, match=r"gallery two is damaged: index\.faiss has sha256"):
        other.publish(store.gallery("two"), "two")
    assert other.versions() == ["one"]
    assert sorted(path.name for path in other.path.iterdir()) == [".lock", "galleries"]
