"""A journal merged into a catalog's rows: a dict that the changes are applied to one by one is the oracle."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.rows import BadRow, Product
from index_builder.errors import JournalError
from index_builder.journal import Journal
from index_builder.merge import Changes, overlay, read_changes
from index_builder.store import LocalStore
from tests.index_builder.test_journal import MADE_FOR, Batch, Upsert, delete, upsert

IDS = "abcdef"


def product(product_id: str, *, price: float = 0, split: str | None = None) -> Product:
    return Product(product_id=product_id, image="x.jpg", price=price, split=split)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return LocalStore(tmp_path / "store").journal()


class Memory:
    """Batches as a journal gives them."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches

    def sequences(self) -> list[int]:
        return list(range(1, len(self.batches) + 1))

    def read(self, sequence: int) -> Batch:
        return self.batches[sequence - 1]


prices = st.integers(1, 9)
history = st.lists(st.tuples(st.dictionaries(st.sampled_from(IDS), prices, max_size=3), st.sets(st.sampled_from(IDS))))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(IDS), unique=True), history, st.sets(st.sampled_from(["x", "y"])))
def test_the_merged_rows_are_the_changed_catalog(catalog, steps, splits):
    expected = {product_id: product(product_id, split="x") for product_id in catalog}
    batches = []
    for upserts, gone in steps:
        deletes = gone - set(upserts)
        new = {name: product(name, price=price, split="x" if price % 2 else "y") for name, price in upserts.items()}
        pictures = upsert("any").pictures
        batches.append(Batch(MADE_FOR, tuple(Upsert(one, pictures) for one in new.values()), tuple(deletes)))
        expected = {name: one for name, one in expected.items() if name not in deletes} | new
    changes = read_changes(Memory(batches))
    assert changes.sequence == len(batches)
    got = list(overlay([product(name, split="x") for name in catalog], changes))
    assert {one.product_id: one for one in got} == expected
    assert len(got) == len(expected)
    assert [one.product_id for one in got if one.product_id in catalog] == [one for one in catalog if one in expected]
    rows = [product(name, split="x") for name in catalog if "x" in splits]
    got = list(overlay(rows, changes, splits=splits))
    assert {one.product_id: one for one in got} == {name: one for name, one in expected.items() if one.split in splits}


def test_bad_rows_give_way_to_what_came_later(journal):
    journal.append(Batch(MADE_FOR, (upsert("a"),), ("b",)))
    bad = [BadRow(1, "a", "no price"), BadRow(2, "b", "no price"), BadRow(3, "c", "no price"), BadRow(4, "", "no CSV")]
    got = list(overlay(bad, read_changes(journal)))
    assert [one.product_id for one in got] == ["a", "c", ""]
    assert isinstance(got[0], Product)
    again = list(overlay([product("a"), BadRow(2, "a", "stands in row 1 already")], read_changes(journal)))
    assert again == [got[0]]


def test_a_catalog_that_is_newer_than_some_changes(journal):
    written = datetime.now(UTC)
    old = Batch(MADE_FOR, deletes=("a", "b"), created_at=written - timedelta(hours=1))
    journal.append(old)
    journal.append(delete("c"))
    rows = [product(name) for name in "abc"]
    assert [one.product_id for one in overlay(rows, read_changes(journal))] == []
    changes = read_changes(journal, since=written)
    assert (changes.sequence, [one.product_id for one in overlay(rows, changes)]) == (2, ["a", "b"])
    changes = read_changes(journal, ignore=True)
    assert (changes.sequence, list(overlay(rows, changes))) == (2, rows)


def test_no_change_is_lost_without_a_word(journal):
    assert read_changes(journal) == Changes()
    journal.append(delete("a"))
    journal._create(2, b"no batch")
    with pytest.raises(JournalError, match=r"batch 2 of .* is damaged"):
        read_changes(journal)
    assert read_changes(journal, ignore=True).sequence == 2


def test_products_stand_in_the_order_of_their_last_change(journal):
    for batch in (Batch(MADE_FOR, (upsert("a"), upsert("b"))), Batch(MADE_FOR, (upsert("a"),), ("c",))):
        journal.append(batch)
    assert list(read_changes(journal).products) == ["b", "a", "c"]
    assert [one.product_id for one in overlay([], read_changes(journal))] == ["b", "a"]
