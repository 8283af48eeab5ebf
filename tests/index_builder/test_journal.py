"""Batches into a folder and into a real S3 and out again, with racing and killed writers and damaged files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import boto3
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.errors import OutOfRangeError
from catalog.rows import Product
from index_builder import journal as journal_module
from index_builder.batch import Batch, ChangedPicture, MadeFor, Upsert, decode, encode
from index_builder.errors import ConflictError, JournalError, StoreError
from index_builder.journal import Journal, file_name, sequence_of
from index_builder.manifest import ImageVector
from index_builder.s3_store import S3Store
from index_builder.store import LocalStore
from index_builder.store_interface import Store

ROOT = Path(__file__).parents[2]
DIM = 4
MADE_FOR = MadeFor(spaces={"embedder": "one"}, image_vector=ImageVector.EMBEDDING, image_dim=DIM, views=1)
WRITER = """
import sys
from tests.index_builder.test_journal import delete, open_journal
journal = open_journal(*sys.argv[1:])
print("ready", flush=True)
sys.stdin.readline()
for number in range(15):
    print(journal.append(delete(f"{sys.argv[1]}-{number}")), flush=True)
"""


def open_journal(writer: str, kind: str, address: str, place: str) -> Journal:
    """The journal of another process; `writer` is its name."""
    return at(kind, address, place).journal()


def at(kind: str, address: str, place: str) -> Store:
    if kind == "s3":
        return S3Store.at("s3://shop/store", endpoint_url=address, cache=Path(place))
    return LocalStore(Path(place))


def delete(*product_ids: str) -> Batch:
    return Batch(MADE_FOR, deletes=product_ids)


def upsert(product_id: str, *, pictures: int = 1, seed: int = 0) -> Upsert:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(pictures, DIM))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    product = Product(
        product_id=product_id,
        image="/shop/a.jpg",
        price=1.5,
        attributes={"größe": [1, {"a": None}]},
        extra={"b": "x"},
        box="1,2,3,4.5",
        images=("s3://b/c.jpg",),
    )
    found = tuple(
        ChangedPicture(f"{number}.jpg", vector, rng.bytes(20), "red", float(rng.random()))
        for number, vector in enumerate(vectors)
    )
    return Upsert(product, found)


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str, str]:
    """Kind, address and folder of an empty store."""
    if request.param == "folder":
        return "folder", "", str(tmp_path / "store")
    url = request.getfixturevalue("moto_url")
    request.getfixturevalue("aws_environment")
    urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", method="POST"), timeout=60).close()
    boto3.client("s3", endpoint_url=url, region_name="us-east-1").create_bucket(Bucket="shop")
    return "s3", url, str(tmp_path / "cache")


@pytest.fixture
def store(place: tuple[str, str, str]) -> Store:
    return at(*place)


def test_batches_come_back_in_their_order(store):
    journal = store.journal()
    assert (journal.sequences(), journal.last(), journal.last(after=7)) == ([], 0, 7)
    batches = [delete("a"), Batch(MADE_FOR, (upsert("b", pictures=2), upsert("c", seed=1)), ("d", "e"))]
    assert [journal.append(batch) for batch in batches] == [1, 2]
    assert journal.sequences() == [1, 2]
    assert journal.sequences(after=1) == [2]
    assert journal.sequences(after=2) == []
    assert journal.append(delete("f"), after=2) == 3
    got = journal.read(2)
    assert (got.sequence, got.deletes, got.made_for) == (2, ("d", "e"), MADE_FOR)
    assert (got.created_at, got.batch_id) == (batches[1].created_at, batches[1].batch_id)
    assert [one.product for one in got.upserts] == [one.product for one in batches[1].upserts]
    for one, other in zip(got.upserts, batches[1].upserts, strict=True):
        for picture, expected in zip(one.pictures, other.pictures, strict=True):
            np.testing.assert_array_equal(picture.vector, expected.vector)
            assert (picture.image, picture.thumbnail) == (expected.image, expected.thumbnail)
            assert (picture.label, picture.confidence) == (expected.label, expected.confidence)
    with pytest.raises(JournalError, match=r"batch 9 of .*journal is missing"):
        journal.read(9)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.text(min_size=1, max_size=5), st.integers(0, 3)), unique_by=lambda one: one[0].strip()))
def test_any_batch_comes_back(changes):
    changes = [(name, pictures) for name, pictures in changes if name.strip() and name.isprintable()]
    upserts = tuple(upsert(name, pictures=pictures) for name, pictures in changes if pictures)
    deletes = tuple(name.strip() for name, pictures in changes if not pictures)
    batch = Batch(MADE_FOR, upserts, deletes)
    got = decode(encode(batch), sequence=3)
    assert (got.product_ids, got.deletes, got.rows) == (batch.product_ids, batch.deletes, batch.rows)
    assert [one.product for one in got.upserts] == [one.product for one in upserts]


def test_batches_that_cannot_be():
    with pytest.raises(OutOfRangeError, match="a batch names a product twice"):
        Batch(MADE_FOR, (upsert("a"),), ("a",))
    with pytest.raises(OutOfRangeError, match="product a has no pictures"):
        Batch(MADE_FOR, (Upsert(upsert("a").product, ()),))
    with pytest.raises(OutOfRangeError, match="0 pictures and 20,001 deletions is too large, at most 20,000"):
        delete(*map(str, range(20_001)))
    for vector, sentence in (
        (np.ones(DIM, np.float64) / 2, "float64"),
        (np.ones(DIM + 1, np.float32), r"\[5\], expected float32 \[4\]"),
        (np.ones(DIM, np.float32), "is 2 long, expected 1"),
        (np.full(DIM, np.nan, np.float32), "is nan long, expected 1"),
    ):
        with pytest.raises(OutOfRangeError, match=sentence):
            Batch(MADE_FOR, (Upsert(upsert("a").product, (ChangedPicture("a", vector, b"", "red", 1),)),))


def test_names_and_numbers():
    assert file_name(7) == "000000000007.batch"
    assert sequence_of("000000000007.batch") == 7
    for name in ("7.batch", "000000000007.batch.tmp", ".writing-1", "00000000000x.batch", "000000000007"):
        assert sequence_of(name) is None


@pytest.mark.parametrize("how", ["flipped", "truncated", "empty", "rewritten"])
def test_a_damaged_batch_is_one_sentence(store, how, tmp_path):
    journal = store.journal()
    content = encode(Batch(MADE_FOR, (upsert("a", pictures=5),)))
    spoiled = {
        "flipped": content[:300] + bytes([content[300] ^ 1]) + content[301:],
        "truncated": content[:-40],
        "empty": b"",
        "rewritten": _signed(b"PAR1 but not really"),
    }[how]
    assert journal._create(1, spoiled)
    with pytest.raises(JournalError, match=r"batch 1 of .*journal is damaged: .*; build the gallery again") as caught:
        journal.read(1)
    assert "\n" not in str(caught.value)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_flipped_bit_passes(data):
    content = bytearray(encode(Batch(MADE_FOR, (upsert("a"),), ("b",))))
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ValueError, match="its sha256 is not the one it begins with"):
        decode(bytes(content), sequence=1)


def _signed(table: bytes) -> bytes:
    import hashlib

    return hashlib.sha256(table).hexdigest().encode() + b"\n" + table


@pytest.mark.slow
def test_racing_writers_never_share_or_lose_a_number(place, store):
    command = [sys.executable, "-c", WRITER]
    writers = [
        subprocess.Popen([*command, name, *place], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name in ("one", "two", "three")
    ]
    try:
        for writer in writers:
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            writer.stdin.write("go\n")
            writer.stdin.flush()
        numbers = [[int(line) for line in writer.communicate(timeout=120)[0].split()] for writer in writers]
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
    assert all(some == sorted(some) for some in numbers)
    assert sorted(number for some in numbers for number in some) == list(range(1, 46))
    journal = store.journal()
    assert journal.sequences() == list(range(1, 46))
    for name, some in zip(("one", "two", "three"), numbers, strict=True):
        assert [journal.read(number).deletes for number in some] == [(f"{name}-{number}",) for number in range(15)]


def test_who_comes_second_takes_the_next_number(store, monkeypatch):
    journal = store.journal()
    create, others = type(journal)._create, []

    def other_first(self: Journal, sequence: int, content: bytes) -> bool:
        if len(others) < 2:
            others.append(sequence)
            create(self, sequence, encode(delete(f"other {sequence}")))
        return create(self, sequence, content)

    monkeypatch.setattr(type(journal), "_create", other_first)
    assert journal.append(delete("mine")) == 3
    assert [journal.read(number).deletes[0] for number in (1, 2, 3)] == ["other 1", "other 2", "mine"]
    monkeypatch.setattr(type(journal), "_create", lambda *_: False)
    with pytest.raises(ConflictError, match="100 others wrote into"):
        journal.append(delete("mine"))


@pytest.mark.parametrize("moment", ["write_bytes", "hardlink_to"])
def test_a_killed_writer_leaves_nothing_that_is_seen(tmp_path, moment):
    """Kill -9 with half a batch written, and with all of it but its number."""
    store = LocalStore(tmp_path / "store")
    store.journal().append(delete("before"))
    program = f"""
import os, signal
from pathlib import Path
from tests.index_builder.test_journal import delete, open_journal
def die(path, what):
    if {moment!r} == "write_bytes":
        path.open("wb").write(what[: len(what) // 2])
    os.kill(os.getpid(), signal.SIGKILL)
Path.{moment} = die
open_journal("x", "folder", "", {str(store.path)!r}).append(delete("never"))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    journal = store.journal()
    left = [path for path in journal.folder.iterdir() if sequence_of(path.name) is None]
    assert len(left) == 1
    assert journal.sequences() == [1]
    assert journal.append(delete("after")) == 2
    assert journal.sweep() == []
    os.utime(left[0], (0, 0))
    assert journal.sweep() == [str(left[0])]
    assert [journal.read(number).deletes[0] for number in journal.sequences()] == ["before", "after"]


def test_readers_never_see_half_a_batch(tmp_path):
    journal = LocalStore(tmp_path / "store").journal()
    big = Batch(MADE_FOR, tuple(upsert(str(number)) for number in range(50)))
    wrong: list[str] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            for number in journal.sequences():
                if journal.read(number).rows != 50:
                    wrong.append(str(number))

    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(10):
        journal.append(big)
    done.set()
    reader.join()
    assert not wrong
    assert journal.sequences() == list(range(1, 11))


def test_pruning_leaves_the_newest_the_needed_and_the_young(store, monkeypatch):
    journal = store.journal()
    for number in range(5):
        journal.append(delete(str(number)))
    assert journal.prune(through=4) == []  # written just now
    monkeypatch.setattr(journal_module, "YOUNG", datetime.now(UTC) - datetime.fromtimestamp(time.time() + 1, UTC))
    assert journal.prune(through=2, dry_run=True) == [1, 2]
    assert journal.sequences() == [1, 2, 3, 4, 5]
    assert journal.prune(through=2) == [1, 2]
    assert journal.prune(through=99) == [3, 4]
    assert journal.sequences() == [5]
    assert journal.append(delete("next")) == 6


def test_a_store_that_is_not_reached_is_one_sentence(tmp_path, aws_environment):
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "journal").write_text("a file")
    with pytest.raises(StoreError, match="journal can't be read: Not a directory"):
        LocalStore(tmp_path / "store").journal().sequences()
    with pytest.raises(StoreError, match="journal can't be written"):
        LocalStore(tmp_path / "store").journal()._create(1, b"")
