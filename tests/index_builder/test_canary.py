"""A gallery on trial: who may start and end it, what else may happen meanwhile, and that nobody loses a race unseen."""

from __future__ import annotations

from pathlib import Path

import pytest

from catalog.errors import NotFoundError, OutOfRangeError
from index_builder.__main__ import main
from index_builder.errors import ConflictError, GalleryError, GateError
from index_builder.gate import QualityGate
from index_builder.manifest import LivePointer, RecallRow
from index_builder.store import LocalStore


@pytest.fixture
def store(finished, tmp_path: Path) -> LocalStore:
    """A store with one live, and two and three that could be."""
    store = LocalStore(tmp_path / "store")
    for version in ("one", "two", "three"):
        store.publish(finished(version), version)
    store.swap("one")
    return store


def names(pointer: LivePointer) -> tuple[str | None, ...]:
    pairs = (pointer.live, pointer.previous, pointer.canary)
    return tuple(pair and pair.gallery for pair in pairs)


def test_a_trial_from_start_to_end(store):
    pointer = store.canary("two", share=0.1)
    assert pointer == store.live()
    assert names(pointer) == ("one", None, "two")
    assert pointer.canary.models == store.manifest("two").spaces
    assert store.canary("two", share=0.4).canary_share == 0.4
    pointer = store.promote(expected="one")
    assert names(pointer) == ("two", "one", None)
    assert pointer.canary_share == 0
    store.canary("three", share=1)
    pointer = store.drop()
    assert (names(pointer), pointer.canary_share) == (("two", "one", None), 0)
    assert pointer == store.live()


def test_what_makes_no_sense(store, tmp_path):
    before = store.live()
    for share in (0, -0.1, 1.1, float("nan")):
        with pytest.raises(OutOfRangeError, match="expected above 0, up to 1"):
            store.canary("two", share=share)
    with pytest.raises(OutOfRangeError, match="gallery one is live already"):
        store.canary("one", share=0.5)
    with pytest.raises(NotFoundError, match="no gallery 'four'"):
        store.canary("four", share=0.5)
    for verb in (store.promote, store.drop):
        with pytest.raises(NotFoundError, match="no canary runs"):
            verb()
    with pytest.raises(NotFoundError, match="no gallery is live yet"):
        LocalStore(tmp_path / "empty").canary("two", share=0.5)
    assert store.live() == before


def test_what_else_may_happen_meanwhile(store):
    store.swap("three")
    store.canary("two", share=0.1)
    before = store.live()
    for refused in (lambda: store.swap("one"), lambda: store.canary("one", share=0.1)):
        with pytest.raises(ConflictError, match=r"gallery two is on trial with a share of 0\.1: `promote` or `drop`"):
            refused()
    with pytest.raises(ConflictError, match="the live gallery is three, expected one"):
        store.promote(expected="one")
    assert store.swap("three") == before  # live already
    assert store.prune() == []
    assert names(store.rollback()) == ("one", "three", None)  # going back is always possible, and ends the trial
    assert store.prune() == ["two"]


def test_a_gallery_that_fails_is_not_tried(store, finished):
    store.publish(finished("poor", recall=[RecallRow(weight=1, recall_at_10=0.5)]), "poor")
    with pytest.raises(GateError, match=r"its recall@10 at weight 1 is 0\.500"):
        store.canary("poor", share=0.1, gate=QualityGate())
    with pytest.raises(GalleryError, match="another model"):
        store.canary("two", share=0.1, spaces={})
    index = store.gallery("two") / "index.faiss"
    index.write_bytes(index.read_bytes()[:-1] + b"?")
    with pytest.raises(GalleryError, match=r"index\.faiss has sha256"):
        store.canary("two", share=0.1)
    assert names(store.live()) == ("one", None, None)


def test_what_was_forced_stays_told_when_it_is_promoted(store, finished):
    store.publish(finished("poor", recall=[RecallRow(weight=1, recall_at_10=0.5)]), "poor")
    pointer = store.canary("poor", share=0.1, gate=QualityGate(force="a smaller range"))
    assert (pointer.forced, pointer.forced_canary.reason) == (None, "a smaller range")
    assert store.live() == pointer
    assert store.promote().forced.reason == "a smaller range"
    assert b"forced_canary" not in store._read_pointer()[0]


def test_damaged_while_on_trial_is_not_promoted(store):
    store.canary("two", share=0.1)
    index = store.gallery("two") / "index.faiss"
    index.write_bytes(index.read_bytes()[:-1] + b"?")
    with pytest.raises(GalleryError, match=r"index\.faiss has sha256"):
        store.promote()
    assert names(store.live()) == ("one", None, "two")


@pytest.mark.parametrize("verb", ["swap", "canary", "promote", "drop", "rollback"])
def test_a_trial_that_changes_meanwhile_is_a_conflict(store, monkeypatch, verb):
    """Somebody else gives the canary another share between the look and the write."""
    store.swap("three")
    if verb != "swap":
        store.canary("two", share=0.1)
    write, others = LocalStore._write_pointer, []

    def come_first(self, content: bytes, *, state: str | None) -> bool:
        if not others:
            others.append(True)
            self.canary("two", share=0.2)
        return write(self, content, state=state)

    monkeypatch.setattr(LocalStore, "_write_pointer", come_first)
    moves = {
        "swap": lambda: store.swap("one"),
        "canary": lambda: store.canary("two", share=0.5),
        "promote": store.promote,
        "drop": store.drop,
        "rollback": store.rollback,
    }
    with pytest.raises(ConflictError, match="another swap came first"):
        moves[verb]()
    assert names(store.live()) == ("three", "one", "two")
    assert store.live().canary_share == 0.2


def test_verbs(store, capsys):
    path = str(store.path)
    main(["canary", "two", "--store", path, "--share", "0.25"])
    assert "gallery two is on trial" in capsys.readouterr().out
    main(["list", "--store", path])
    assert "trial 25%" in capsys.readouterr().out
    main(["drop", "--store", path])
    assert "no gallery is on trial" in capsys.readouterr().out
    main(["canary", "two", "--store", path, "--share", "1"])
    capsys.readouterr()
    main(["promote", "--store", path, "--expected", "one"])
    assert f"gallery two is live in {path}; before it: one" in capsys.readouterr().out
    with pytest.raises(GateError):
        main(
            [
                "canary",
                "three",
                "--store",
                path,
                "--share",
                "1",
                "--min-recall",
                "1",
                "--count-band",
                "1",
                "--canaries",
                str(_canaries(store.path.parent)),
            ]
        )


def _canaries(folder: Path) -> Path:
    path = folder / "canaries.csv"
    path.write_text("product_id,expected\np01,absent\n")
    return path
