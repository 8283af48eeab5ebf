"""The JSON of `filters` in (DESIGN section 5), masks of gallery rows out; a shopper's mistake is one sentence.

    {column: value | [values] | {"gte": x, "lte": y, "gt": x, "lt": y}}         all columns must match

A column is one of the catalog's, a key of `attributes` or of the unknown columns, or `category`: a label, or a
category path or its beginning. Values are texts or numbers, never both by conversion; a missing value never matches.
"""

from __future__ import annotations

import difflib
import json
import math
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np

from catalog.errors import MalformedError, OutOfRangeError
from index_builder.columns import Column, Mask, Range

MAX_COLUMNS = 32
MAX_VALUES = 1000
MAX_CHARACTERS = 1000
CACHE_BYTES = 64 * 2**20
BOUNDS = tuple(field.name for field in fields(Range))
_SHOWN_CHARACTERS = 40
_NAMES_SHOWN = 12


class FilterTable(Protocol):
    """What filters are asked of."""

    def __len__(self) -> int:
        """N, the number of rows."""

    def column(self, name: str) -> Column | None:
        """Return a column, None when there is none of the name."""

    def column_names(self) -> list[str]:
        """Return the names of all columns."""


@dataclass(frozen=True)
class OneOf:
    """Values of which a row must hold one."""

    texts: frozenset[str]
    numbers: frozenset[float]


@dataclass(frozen=True)
class Filters:
    """Checked filters: `conditions` by column, in the order of names. Equal filters are equal and hash alike."""

    conditions: tuple[tuple[str, OneOf | Range], ...] = ()

    @classmethod
    def parse(cls, given: Mapping[str, Any] | str) -> Filters:
        """Check filters as they came, a JSON text or what was read from one.

        Raises `MalformedError` for a wrong form and `OutOfRangeError` for values that cannot be.
        """
        found = _read(given) if isinstance(given, str) else given
        if not isinstance(found, Mapping):
            raise MalformedError(
                f'filters must be a JSON object such as {{"price": {{"lte": 20}}}}, got {_shown(found)}'
            )
        if len(found) > MAX_COLUMNS:
            raise OutOfRangeError(f"filters name {len(found)} columns, at most {MAX_COLUMNS} are allowed")
        for name in found:
            if not isinstance(name, str):
                raise MalformedError(f"filters: a column is named by text, got {_shown(name)}")
            _value("a column's name", name)
        return cls(tuple((name, _condition(name, found[name])) for name in sorted(found)))

    def __bool__(self) -> bool:
        return bool(self.conditions)

    def check(self, *tables: FilterTable) -> None:
        """Refuse columns that none of the tables has, and values of another kind than theirs: `OutOfRangeError`."""
        for name, condition in self.conditions:
            columns = [column for table in tables if (column := table.column(name)) is not None]
            if not columns:
                raise OutOfRangeError(_unknown(name, tables))
            texts, numbers = any(one.has_texts for one in columns), any(one.has_numbers for one in columns)
            _check_kind(name, condition, texts=texts, numbers=numbers)

    def mask(self, table: FilterTable) -> Mask:
        """Tell which rows match all conditions, bool [N]; errors as `check`."""
        self.check(table)
        return self.rows(table)

    def rows(self, table: FilterTable) -> Mask:
        """Tell which rows match, bool [N], without a check: where a column is missing none does."""
        matches = np.ones(len(table), np.bool_)
        for name, condition in self.conditions:
            column = table.column(name)
            if column is None:
                matches[:] = False
            elif isinstance(condition, Range):
                matches &= column.between(condition)
            else:
                matches &= column.one_of(condition.texts, condition.numbers)
        return matches


class MaskCache:
    """The masks of one table, those asked for last, as many as fit. Methods may be called from several threads."""

    def __init__(self, *, max_bytes: int = CACHE_BYTES) -> None:
        self._max_bytes = max_bytes
        self._masks: OrderedDict[Filters, Mask] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, filters: Filters, table: FilterTable) -> Mask:
        """Return `filters.rows(table)`, not to be written to."""
        with self._lock:
            if (known := self._masks.get(filters)) is not None:
                self._masks.move_to_end(filters)
                return known
        mask = filters.rows(table)
        mask.setflags(write=False)
        with self._lock:
            self._masks[filters] = mask
            while len(self._masks) * mask.nbytes > self._max_bytes:  # all are of one size
                self._masks.popitem(last=False)
        return mask


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise MalformedError(f"filters are not valid JSON: {_shown(text)}") from None


def _condition(name: str, given: Any) -> OneOf | Range:
    if isinstance(given, Mapping):
        return _range(name, given)
    values = given if isinstance(given, list | tuple) else [given]
    if not values:
        raise OutOfRangeError(f"filter {_shown(name)} lists no values; leave it out to allow all")
    if len(values) > MAX_VALUES:
        raise OutOfRangeError(f"filter {_shown(name)} lists {len(values)} values, at most {MAX_VALUES} are allowed")
    checked = [_value(name, value) for value in values]
    return OneOf(
        frozenset(value for value in checked if isinstance(value, str)),
        frozenset(value for value in checked if isinstance(value, float)),
    )


def _range(name: str, given: Mapping[Any, Any]) -> Range:
    if not given:
        raise OutOfRangeError(f"filter {_shown(name)} has no bounds, expected some of {', '.join(BOUNDS)}")
    for bound in given:
        if bound not in BOUNDS:
            raise MalformedError(f"filter {_shown(name)} has the bound {_shown(bound)}, expected {', '.join(BOUNDS)}")
    bounds = {bound: _value(name, value) for bound, value in given.items()}
    for bound, value in bounds.items():
        if isinstance(value, str):
            raise MalformedError(f"filter {_shown(name)}: {bound} must be a number, got {_shown(value)}")
    return Range(**{bound: float(value) for bound, value in bounds.items()})


def _value(name: str, value: Any) -> str | float:
    """A text, or a number as float64."""
    if isinstance(value, bool):
        word = json.dumps(value)
        raise MalformedError(f'filter {_shown(name)} compares texts and numbers, got {word}; as a text it is "{word}"')
    if isinstance(value, str):
        if len(value) > MAX_CHARACTERS:
            raise OutOfRangeError(
                f"filter {_shown(name)} has a text of {len(value)} characters, at most {MAX_CHARACTERS} are allowed"
            )
        return _encodable(name, value)
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise OutOfRangeError(f"filter {_shown(name)} needs finite numbers, got {_shown(value)}")
        return number + 0.0  # -0.0 is 0.0
    raise MalformedError(
        f"filter {_shown(name)} must be a text, a number, a list of these or bounds, got {_shown(value)}"
    )


def _encodable(name: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise MalformedError(f"filter {_shown(name)} has half a surrogate pair, which is not Unicode") from None
    return value


def _check_kind(name: str, condition: OneOf | Range, *, texts: bool, numbers: bool) -> None:
    if isinstance(condition, Range):
        if texts and not numbers:
            raise OutOfRangeError(f"{_shown(name)} holds texts, so it has no {', '.join(BOUNDS)}")
        return
    if condition.texts and numbers and not texts:
        raise OutOfRangeError(f"{_shown(name)} holds numbers, got the text {_shown(min(condition.texts))}")
    if condition.numbers and texts and not numbers:
        raise OutOfRangeError(
            f"{_shown(name)} holds texts, got the number {min(condition.numbers):g}; put it in quotes"
        )


def _unknown(name: str, tables: Sequence[FilterTable]) -> str:
    names = sorted({known for table in tables for known in table.column_names()})
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    listed = f"did you mean {' or '.join(near)}" if near else f"known are {', '.join(names[:_NAMES_SHOWN])}"
    return f"no product has the column {_shown(name)}; {listed}"


def _shown(value: Any) -> str:
    """A value for a sentence, cut to a readable length; never more work than that, however deep or long it is."""
    if isinstance(value, Mapping | list | tuple):
        return f"{'an object' if isinstance(value, Mapping) else 'a list'} of {len(value)}"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**_SHOWN_CHARACTERS:
        return "a number of too many digits"
    text = "null" if value is None else str(value)
    cut = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
    return f'"{cut}"' if isinstance(value, str) else cut
