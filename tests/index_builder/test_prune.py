"""What prune removes and what it never may, in a folder and in a real S3, whatever happens meanwhile."""

from __future__ import annotations

import itertools
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.errors import NotFoundError, OutOfRangeError, ShopcamError
from index_builder.errors import ConflictError
from index_builder.gallery import Gallery
from index_builder.manifest import LivePointer
from index_builder.s3_store import S3Store
from index_builder.store import LocalStore
from index_builder.store_interface import Store

VERSIONS = ("one", "two", "three", "four", "five")
names = itertools.count()


@pytest.fixture(params=["folder", "s3"])
def new_store(request, finished, tmp_path: Path):
    """Give a maker of stores, each with the galleries one to five, none of them live."""
    if request.param == "s3":
        url = request.getfixturevalue("moto_url")
        request.getfixturevalue("aws_environment")
        urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", method="POST"), timeout=60).close()
        boto3.client("s3", endpoint_url=url, region_name="us-east-1").create_bucket(Bucket="shop")
    galleries = {version: finished(version) for version in VERSIONS}

    def make(versions: tuple[str, ...] = VERSIONS) -> Store:
        name = f"store-{next(names)}"
        store: Store = LocalStore(tmp_path / name)
        if request.param == "s3":
            store = S3Store.at(f"s3://shop/{name}", endpoint_url=url, cache=tmp_path / f"{name}-cache")
        for version in versions:
            store.publish(galleries[version], version)
        return store

    return make


@pytest.fixture
def store(new_store) -> Store:
    return new_store()


def test_live_previous_and_the_newest_stay(store):
    with pytest.raises(NotFoundError, match=r"no gallery is live in .*, so prune can't tell what is in use"):
        store.prune()
    with pytest.raises(OutOfRangeError, match="keep is -1, at least 0 is needed"):
        store.prune(keep=-1)
    store.swap("one")
    store.swap("three")
    before = store._read_pointer()
    assert store.prune(keep=1, dry_run=True) == ["two", "four"]
    assert store._read_pointer() == before
    assert store.versions() == list(VERSIONS)
    assert store.prune(keep=1) == ["two", "four"]
    assert store.versions() == ["one", "three", "five"]
    assert store.prune(keep=1) == []
    pointer = store.live()
    assert (pointer.live.gallery, pointer.previous.gallery, pointer.removing) == ("three", "one", [])
    store.rollback()
    assert store.prune() == ["five"]
    with pytest.raises(NotFoundError, match="no gallery 'two'"):
        store.swap("two")


def test_a_swap_that_comes_first_is_seen(store, monkeypatch):
    """It is written after prune has looked and before prune says what it removes."""
    store.swap("five")
    write, other = type(store)._write_pointer, []

    def swap_first(self, content: bytes, *, state: str | None) -> bool:
        if not other:
            other.append(True)
            self.swap("two")
        return write(self, content, state=state)

    monkeypatch.setattr(type(store), "_write_pointer", swap_first)
    assert store.prune() == ["one", "three", "four"]
    assert store.live().live.gallery == "two"
    assert store.versions() == ["two", "five"]


def test_a_swap_to_what_is_being_removed_is_refused(store, monkeypatch):
    store.swap("five")
    remove, refused = type(store)._remove, []

    def swap_meanwhile(self, version: str) -> None:
        with pytest.raises(ConflictError, match="gallery 'three' is being removed"):
            self.swap("three")
        refused.append(version)
        remove(self, version)

    monkeypatch.setattr(type(store), "_remove", swap_meanwhile)
    assert store.prune(keep=1) == refused == ["one", "two", "three"]
    assert store.live().live.gallery == "five"


def test_a_swap_that_has_verified_before_a_prune_fails_or_holds(store, monkeypatch):
    """The prune happens as a whole between the look at the gallery and the pointer."""
    store.swap("five")
    write, state_of = type(store)._write_pointer, []

    def prune_first(self, content: bytes, *, state: str | None) -> bool:
        if not state_of:
            state_of.append(state)
            self.prune(keep=1)
        return write(self, content, state=state)

    monkeypatch.setattr(type(store), "_write_pointer", prune_first)
    with pytest.raises(NotFoundError, match="no gallery 'two'"):
        store.swap("two")
    assert store.live().live.gallery == "five"
    state_of.clear()
    assert store.swap("four").live.gallery == "four"
    assert store.versions() == ["four", "five"]


def test_a_prune_that_was_stopped_goes_on(store, monkeypatch):
    store.swap("five")
    remove = type(store)._remove

    def stop(self, version: str) -> None:
        if version == "two":
            raise KeyboardInterrupt
        remove(self, version)

    monkeypatch.setattr(type(store), "_remove", stop)
    with pytest.raises(KeyboardInterrupt):
        store.prune()
    monkeypatch.setattr(type(store), "_remove", remove)
    assert store.live().removing == ["one", "two", "three", "four"]
    with pytest.raises(ConflictError, match="gallery 'two' is being removed; `prune` again"):
        store.swap("two")
    assert store.prune(keep=9) == ["one", "two", "three", "four"]
    assert store.live().removing == []
    assert store.versions() == ["five"]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("swap"), st.sampled_from(VERSIONS[:3])),
        st.tuples(st.just("rollback"), st.none()),
        st.tuples(st.just("canary"), st.sampled_from(VERSIONS[:3])),
        st.tuples(st.sampled_from(("promote", "drop")), st.none()),
        st.tuples(st.just("prune"), st.integers(0, 2)),
    ),
    max_size=6,
)


def relaxed(max_examples: int) -> settings:
    return settings(
        max_examples=max_examples, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )


@pytest.mark.parametrize("new_store", ["folder"], indirect=True)
@given(steps=steps)
@relaxed(max_examples=25)
def test_whatever_is_done_live_and_previous_can_be_opened(new_store, steps):
    do(steps, new_store)


@pytest.mark.parametrize("new_store", ["s3"], indirect=True)
@given(steps=steps)
@relaxed(max_examples=3)
def test_whatever_is_done_live_and_previous_can_be_opened_in_s3(new_store, steps):
    do(steps, new_store)


@dataclass
class Names:
    """What the steps mean: the oracle of the pointer."""

    live: str | None = None
    previous: str | None = None
    canary: str | None = None

    def refusal(self, verb: str, what: object) -> type[ShopcamError] | None:
        """How a step must be refused; a version that was removed is a matter of its own."""
        another = self.canary not in (None, what)
        rules = [
            (verb == "swap" and what != self.live and self.canary is not None, ConflictError),
            (verb == "rollback" and self.previous is None, NotFoundError),
            (verb in ("canary", "prune") and self.live is None, NotFoundError),
            (verb == "canary" and what == self.live, OutOfRangeError),
            (verb == "canary" and another, ConflictError),
            (verb in ("promote", "drop") and self.canary is None, NotFoundError),
        ]
        return next((error for holds, error in rules if holds), None)

    def take(self, verb: str, what: object) -> None:
        live, previous, canary = self.live, self.previous, self.canary
        if verb == "swap" and what != live:
            self.live, self.previous = str(what), live
        elif verb == "rollback":
            self.live, self.previous, self.canary = previous, live, None
        elif verb == "canary":
            self.canary = str(what)
        elif verb == "promote":
            self.live, self.previous, self.canary = canary, live, None
        elif verb == "drop":
            self.canary = None


def do(steps: list[tuple[str, object]], new_store) -> None:
    """Take the steps, and compare the pointer with what they mean after each of them."""
    store = new_store(VERSIONS[:3])
    names = Names()
    verbs = {
        "swap": store.swap,
        "canary": lambda version: store.canary(version, share=0.5),
        "prune": lambda keep: store.prune(keep=keep),
        "rollback": lambda _: store.rollback(),
        "promote": lambda _: store.promote(),
        "drop": lambda _: store.drop(),
    }
    for verb, what in steps:
        expected = names.refusal(verb, what)
        if expected is None and isinstance(what, str) and what not in store.versions():
            expected = NotFoundError
        if expected is None:
            verbs[verb](what)
            names.take(verb, what)
        else:
            with pytest.raises(expected):
                verbs[verb](what)
        pointer = store.live()
        pairs = (pointer.live, pointer.previous, pointer.canary) if pointer else (None, None, None)
        got = tuple(pair and pair.gallery for pair in pairs)
        assert got == (names.live, names.previous, names.canary)
        for version in filter(None, got):
            assert version in store.versions()
            store.check(version)
    for version in filter(None, (names.live, names.previous, names.canary)):
        Gallery.open(store.fetch(version)).close()


def test_a_pointer_of_before_these_fields_is_read_and_written_alike(store):
    pointer = store.swap("one")
    content = store._read_pointer()[0]
    assert b"forced" not in content
    assert b"removing" not in content
    assert LivePointer.model_validate_json(content) == pointer
