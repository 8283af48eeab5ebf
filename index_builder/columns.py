"""Columns of a product table in, masks of rows out: what a filter asks of one column, without a Python loop over rows.

A column answers two questions, `one_of` and `between`, each with bool [N]. A missing value never matches.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Range:
    """Numbers within bounds; None is no bound."""

    gte: float | None = None
    lte: float | None = None
    gt: float | None = None
    lt: float | None = None

    def covers(self, numbers: NDArray[np.float64]) -> Mask:
        """Tell which numbers are within; nan never is."""
        inside = ~np.isnan(numbers)
        for bound, compare in (
            (self.gte, np.greater_equal),
            (self.lte, np.less_equal),
            (self.gt, np.greater),
            (self.lt, np.less),
        ):
            if bound is not None:
                inside &= compare(numbers, bound)
        return inside


class Column(Protocol):
    """One column of N rows."""

    @property
    def has_texts(self) -> bool:
        """Whether any row may hold a text."""

    @property
    def has_numbers(self) -> bool:
        """Whether any row may hold a number."""

    def one_of(self, texts: frozenset[str], numbers: frozenset[float]) -> Mask:
        """Tell which rows hold one of these, bool [N]."""

    def between(self, bounds: Range) -> Mask:
        """Tell which rows hold a number within the bounds, bool [N]."""


@dataclass(frozen=True)
class NumberColumn:
    """Numbers float64 [N], nan where there is none."""

    numbers: NDArray[np.float64]
    has_texts: bool = False
    has_numbers: bool = True

    def one_of(self, texts: frozenset[str], numbers: frozenset[float]) -> Mask:  # noqa: ARG002 - it holds no texts
        """Tell which rows hold one of the numbers."""
        return np.isin(self.numbers, list(numbers))

    def between(self, bounds: Range) -> Mask:
        """Tell which rows are within the bounds."""
        return bounds.covers(self.numbers)


@dataclass(frozen=True)
class TextColumn:
    """Texts [N], read where they lie: nothing is copied."""

    texts: pa.ChunkedArray
    has_texts: bool = True
    has_numbers: bool = False

    def one_of(self, texts: frozenset[str], numbers: frozenset[float]) -> Mask:  # noqa: ARG002 - it holds no numbers
        """Tell which rows hold one of the texts."""
        return is_in(self.texts, texts)

    def between(self, bounds: Range) -> Mask:  # noqa: ARG002 - no text lies between numbers
        """None of the rows."""
        return np.zeros(len(self.texts), np.bool_)


@dataclass(frozen=True)
class CodedColumn:
    """Texts that repeat: the distinct ones, and which of them each row holds, int32 [N], -1 for none."""

    distinct: tuple[str, ...]
    codes: NDArray[np.int32]

    @classmethod
    def of(cls, texts: pa.ChunkedArray) -> CodedColumn:
        """Code a column of texts."""
        distinct, codes = coded(texts)
        return cls(tuple(distinct.to_pylist()), codes)

    def where(self, matches: Callable[[str], bool]) -> Mask:
        """Tell which rows hold a text that `matches`, asked once for each distinct one."""
        return spread(np.array([matches(text) for text in self.distinct], np.bool_), self.codes)


@dataclass(frozen=True)
class CategoryColumn:
    """A product's label and category path as one column: a value is a label, or a path or its beginning."""

    labels: CodedColumn
    paths: CodedColumn
    has_texts: bool = True
    has_numbers: bool = False

    def one_of(self, texts: frozenset[str], numbers: frozenset[float]) -> Mask:  # noqa: ARG002 - it holds no numbers
        """Tell which rows are of one of the categories; case and spaces around levels do not matter."""
        names = {text.strip().casefold() for text in texts}
        beginnings = {path for text in texts if any(path := levels(text))}

        def begins(path: str) -> bool:
            got = levels(path)
            return any(got[:depth] in beginnings for depth in range(1, len(got) + 1))

        labeled = self.labels.where(lambda label: label.strip().casefold() in names)
        return labeled | self.paths.where(begins)

    def between(self, bounds: Range) -> Mask:  # noqa: ARG002 - no text lies between numbers
        """None of the rows."""
        return np.zeros(len(self.labels.codes), np.bool_)


@dataclass(frozen=True)
class EitherColumn:
    """Two columns under one name: a row holds what either of them holds."""

    first: Column
    second: Column

    @property
    def has_texts(self) -> bool:
        """Whether either holds texts."""
        return self.first.has_texts or self.second.has_texts

    @property
    def has_numbers(self) -> bool:
        """Whether either holds numbers."""
        return self.first.has_numbers or self.second.has_numbers

    def one_of(self, texts: frozenset[str], numbers: frozenset[float]) -> Mask:
        """Tell which rows hold one of these in either."""
        return self.first.one_of(texts, numbers) | self.second.one_of(texts, numbers)

    def between(self, bounds: Range) -> Mask:
        """Tell which rows hold a number within the bounds in either."""
        return self.first.between(bounds) | self.second.between(bounds)


def levels(path: str) -> tuple[str, ...]:
    """The levels of a category path ("A > B > C") as they are compared."""
    return tuple(level.strip().casefold() for level in path.split(">"))


def coded(texts: pa.ChunkedArray) -> tuple[pa.Array, NDArray[np.int32]]:
    """Return the distinct texts and which of them each row holds, int32 [N], -1 for null."""
    encoded = pc.dictionary_encode(texts).unify_dictionaries()
    if not encoded.num_chunks:
        return pa.array([], pa.string()), np.zeros(0, np.int32)
    codes = [pc.fill_null(chunk.indices, -1).to_numpy(zero_copy_only=False) for chunk in encoded.chunks]
    return encoded.chunk(0).dictionary, np.concatenate(codes).astype(np.int32, copy=False)


def is_in(texts: pa.ChunkedArray | pa.Array, wanted: frozenset[str]) -> Mask:
    """Tell which texts are wanted; null never is."""
    return to_numpy(pc.is_in(texts, value_set=pa.array(sorted(wanted), pa.string())))


def to_numpy(mask: pa.ChunkedArray | pa.Array) -> Mask:
    """Return an Arrow mask as numpy's, null as False."""
    filled = pc.fill_null(mask, False)
    values: Mask = filled.to_numpy() if isinstance(filled, pa.ChunkedArray) else filled.to_numpy(zero_copy_only=False)
    return values


def spread(hit: Mask, codes: NDArray[np.int32]) -> Mask:
    """Return hit[code] for each code, False for -1."""
    return np.append(hit, False)[codes]
