"""Checked filters in, an expression of Milvus out that is true for the same rows as `Filters.mask`.

Values are asked for by the hashes that `milvus_rows` stored, numbers between bounds by the fields of numbers: nothing
that a shopper wrote becomes part of an expression. Under one key a range looks at the first 8 numbers of a row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from index_builder.errors import GalleryError
from index_builder.milvus_rows import CATEGORY, MOST_NUMBERS, fact, hashed, label_fact, path_facts, values_of
from index_builder.milvus_schema import JSON_TEXTS, TEXTS

COLUMNS_FILE = "columns.json"
PRICE = "price"
_BOUNDS = (("gte", ">="), ("lte", "<="), ("gt", ">"), ("lt", "<"))


class ParsedFilters(Protocol):
    """`filters.Filters`, of which each condition has `texts` and `numbers`, or the bounds of a range."""

    @property
    def conditions(self) -> tuple[tuple[str, Any], ...]:
        """Conditions by column; all of them must hold."""

    def check(self, *tables: Any) -> None:
        """Refuse columns that no table has, and values of another kind than theirs: `OutOfRangeError`."""


@dataclass(frozen=True)
class KnownColumn:
    """What kinds of values a column holds in any row."""

    has_texts: bool
    has_numbers: bool


@dataclass(frozen=True)
class KnownColumns:
    """The columns of a gallery, for `Filters.check`."""

    columns: Mapping[str, KnownColumn]

    @classmethod
    def of(cls, products: Iterable[Mapping[str, Any]]) -> KnownColumns:
        """Return the columns that rows have; those of the catalog are there even when they are empty."""
        kinds: dict[str, set[type]] = {name: {str} for name in (*TEXTS, CATEGORY)}
        kinds[PRICE] = {float}
        for product in products:
            for held in JSON_TEXTS:
                for name in product[held]:
                    kinds.setdefault(name, set())
            for name, value in values_of(product):
                kinds[name].add(type(value))
        return cls({name: KnownColumn(str in found, float in found) for name, found in kinds.items()})

    @classmethod
    def read(cls, folder: Path) -> KnownColumns:
        """Read what `write` wrote; `GalleryError` when it is not that."""
        try:
            told = json.loads((folder / COLUMNS_FILE).read_text(encoding="utf-8"))
            return cls({name: KnownColumn(bool(texts), bool(numbers)) for name, (texts, numbers) in told.items()})
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise GalleryError(f"{folder / COLUMNS_FILE} cannot be read: {error}") from error

    def write(self, folder: Path) -> None:
        """Write them into a gallery folder."""
        told = {name: [one.has_texts, one.has_numbers] for name, one in sorted(self.columns.items())}
        (folder / COLUMNS_FILE).write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")

    def column(self, name: str) -> KnownColumn | None:
        """Return a column, None when there is none of the name."""
        return self.columns.get(name)

    def column_names(self) -> list[str]:
        """Return the names of all columns."""
        return sorted(self.columns)


def condition_of(filters: ParsedFilters) -> str:
    """Return the expression of some filters, "" for none."""
    return " and ".join(f"({_one(name, condition)})" for name, condition in filters.conditions)


def _one(name: str, condition: Any) -> str:
    bounds = [(sign, getattr(condition, bound, None)) for bound, sign in _BOUNDS]
    given = [(sign, float(bound)) for sign, bound in bounds if bound is not None]
    if not given:
        return _any_of(_facts(name, condition.texts, condition.numbers))
    if name == PRICE:
        return _between(PRICE, given)
    if name in (*TEXTS, CATEGORY):
        return _any_of(())  # no text lies between numbers
    key = f'numbers["{hashed(name)}"]'
    return " or ".join(f"({_between(f'{key}[{place}]', given)})" for place in range(MOST_NUMBERS))


def _facts(name: str, texts: Iterable[str], numbers: Iterable[float]) -> list[str]:
    if name != CATEGORY:
        return [*(fact(name, text) for text in texts), *(fact(name, number) for number in numbers)]
    return [one for text in texts for one in (label_fact(text), *path_facts(text)[-1:])]


def _any_of(facts: Sequence[str]) -> str:
    return f"array_contains_any(facts, {json.dumps(sorted(facts))})" if facts else "row < 0"


def _between(field: str, given: Iterable[tuple[str, float]]) -> str:
    return " and ".join(f"{field} {sign} {bound!r}" for sign, bound in given)
