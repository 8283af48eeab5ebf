"""JSON objects of a table's rows in, the values under one of their keys out, as a column to filter by.

Objects without nesting and escapes, which is nearly all of them, are taken apart by Arrow; only the others by Python.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from index_builder.columns import Mask, Range, coded, is_in, spread, to_numpy

# What of a JSON text counts as a number too, since every value that came from a CSV file is text.
NUMERIC = r"^-?[0-9]{1,18}(\.[0-9]{1,18})?$"
_FLAT = r"^\{[^{\[\\]*\}$"
_MOSTLY_DISTINCT = 0.5


@dataclass(frozen=True)
class JsonTexts:
    """JSON objects as texts: `texts` [M], and which of them each row has, int32 [N] (None: row i has text i)."""

    texts: pa.ChunkedArray
    codes: NDArray[np.int32] | None

    @classmethod
    def of(cls, texts: pa.ChunkedArray) -> JsonTexts:
        """Keep each distinct object once where that pays, which the beginning of the column tells."""
        first = texts.chunk(0) if texts.num_chunks else pa.array([], pa.string())
        if len(pc.unique(first)) > _MOSTLY_DISTINCT * len(first):
            return cls(texts, None)
        distinct, codes = coded(texts)
        return cls(pa.chunked_array([distinct]), codes)

    def keys(self) -> set[str]:
        """Return the keys of all objects; reads every one of them."""
        found: set[str] = set()
        for chunk in self.texts.chunks:
            found.update(*(json.loads(text) for text in chunk.to_pylist()))
        return found

    def key(self, key: str) -> KeyColumn | None:
        """Return the values under a key, None when no object has it."""
        written = f"{json.dumps(key, ensure_ascii=False)}: "  # as `TableWriter` writes it
        may_have = to_numpy(pc.match_substring(self.texts, written))
        if not may_have.any():
            return None
        flat = may_have & to_numpy(pc.match_substring_regex(self.texts, _FLAT))
        if "\\" in written:
            flat[:] = False
        others = np.flatnonzero(may_have & ~flat)
        objects = [json.loads(text) for text in self.texts.take(pa.array(others)).to_pylist()]
        held = [(int(owner), one[key]) for owner, one in zip(others, objects, strict=True) if key in one]
        if not held and not flat.any():
            return None
        return _joined([_by_python(held), _by_arrow(self.texts, flat, written)], self)


@dataclass(frozen=True)
class _Values:
    """Texts and numbers, and the object that holds each."""

    texts: pa.Array
    text_owners: NDArray[np.int64]
    numbers: NDArray[np.float64]
    number_owners: NDArray[np.int64]


@dataclass(frozen=True)
class KeyColumn(_Values):
    """Values under one key of JSON objects; an object that lists several has each of them.

    A text that is a plain number counts as that too; true and false are texts.
    """

    objects: JsonTexts

    @property
    def has_texts(self) -> bool:
        """Whether any object holds a text."""
        return len(self.texts) > 0

    @property
    def has_numbers(self) -> bool:
        """Whether any object holds a number."""
        return len(self.numbers) > 0

    def one_of(self, texts: frozenset[str], numbers: frozenset[float]) -> Mask:
        """Tell which rows hold one of the texts or numbers."""
        return self._rows(is_in(self.texts, texts), np.isin(self.numbers, list(numbers)))

    def between(self, bounds: Range) -> Mask:
        """Tell which rows hold a number within the bounds."""
        return self._rows(np.zeros(len(self.texts), np.bool_), bounds.covers(self.numbers))

    def _rows(self, texts: Mask, numbers: Mask) -> Mask:
        hit = np.zeros(len(self.objects.texts), np.bool_)
        hit[self.text_owners[texts]] = True
        hit[self.number_owners[numbers]] = True
        return hit if self.objects.codes is None else spread(hit, self.objects.codes)


def _by_python(held: Iterable[tuple[int, Any]]) -> _Values:
    """Sort values by kind; `held` are the number of an object and its value."""
    texts: list[tuple[int, str]] = []
    numbers: list[tuple[int, float]] = []
    for owner, value in held:
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, bool):
                texts.append((owner, "true" if one else "false"))
            elif isinstance(one, str):
                texts.append((owner, one))
            if (number := _number(one)) is not None:
                numbers.append((owner, number))
    return _Values(
        pa.array([text for _, text in texts], pa.string()),
        np.array([owner for owner, _ in texts], np.int64),
        np.array([number for _, number in numbers], np.float64),
        np.array([owner for owner, _ in numbers], np.int64),
    )


def _by_arrow(texts: pa.ChunkedArray, flat: Mask, written: str) -> _Values:
    """The same for `flat` objects, all of which have the key: `written` stands in each of them, once."""
    owners = np.flatnonzero(flat)
    if not len(owners):
        return _by_python(())
    pattern = f'{re.escape(written)}(?:"(?P<text>[^"]*)"|(?P<other>[^,}}]*))'
    found = pc.extract_regex(texts.filter(pa.array(flat)), pattern=pattern).combine_chunks()
    strings, others = pc.struct_field(found, "text"), pc.struct_field(found, "other")
    words = to_numpy(pc.is_in(others, value_set=pa.array(["true", "false"])))
    empty, null = to_numpy(pc.equal(others, "")), to_numpy(pc.equal(others, "null"))
    numeric = empty & to_numpy(pc.match_substring_regex(strings, NUMERIC))
    plain = ~(empty | null | words)
    numbers = [_floats(strings, numeric), _floats(others, plain)]
    number_owners = np.concatenate([owners[numeric], owners[plain]])
    finite = np.isfinite(joined := np.concatenate(numbers))
    said = pc.if_else(pa.array(words), others, strings)
    return _Values(said.filter(pa.array(empty | words)), owners[empty | words], joined[finite], number_owners[finite])


def _floats(texts: pa.Array, chosen: Mask) -> NDArray[np.float64]:
    some = texts.filter(pa.array(chosen))
    try:
        numbers: NDArray[np.float64] = pc.cast(some, pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:  # a number that float64 does not hold
        return np.array([_float(text) for text in some.to_pylist()], np.float64)
    return numbers


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _joined(parts: Sequence[_Values], objects: JsonTexts) -> KeyColumn:
    return KeyColumn(
        pa.concat_arrays([part.texts for part in parts]),
        np.concatenate([part.text_owners for part in parts]),
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.number_owners for part in parts]),
        objects,
    )


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        return float(value) if re.search(NUMERIC, value) and not value.endswith("\n") else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
