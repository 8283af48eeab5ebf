"""A table file in (CSV, JSON lines, Parquet), its records out one by one as dicts without blank cells.

Nothing is known here of what columns mean; `reader.py` knows. A record that can't be parsed is a `BrokenRow`.
"""

from __future__ import annotations

import csv
import datetime
import decimal
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog.errors import MalformedError, NotFoundError

_SUFFIXES = (".csv", ".jsonl", ".ndjson", ".parquet")
_BATCH_ROWS = 1024
_SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class BrokenRow:
    """A record that is there but can't be parsed, and why."""

    reason: str


Record = dict[str, Any]


def read_records(path: Path, *, required: tuple[str, ...]) -> Iterator[Record | BrokenRow]:
    """Yield the records of `path`; cells that are blank, null or NaN text are left out, so `in` means "has a value".

    Raises `NotFoundError` for a file that is missing and `MalformedError` for one that can't be read, is not UTF-8,
    is corrupt, or lacks a `required` column (for JSON lines a missing key is the row's own matter).
    """
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        raise MalformedError(f"{path.name} must end in {', '.join(_SUFFIXES)}, got {suffix or 'no suffix'}")
    if not path.exists():
        raise NotFoundError(f"{path} does not exist, give the path of a CSV, JSON lines or Parquet file")
    if not path.is_file():
        raise MalformedError(f"{path} is not a file, give the path of a CSV, JSON lines or Parquet file")
    try:
        if suffix == ".parquet":
            yield from _parquet(path, required)
        elif suffix == ".csv":
            yield from _csv(path, required)
        else:
            yield from _json_lines(path)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise MalformedError(f"{path.name} is not UTF-8 (it has the byte 0x{byte:02X}), save it as UTF-8") from error
    except OSError as error:
        raise MalformedError(f"{path.name} can't be read: {error.strerror or error}") from error


def plain(value: Any) -> Any:
    """`value` as JSON can carry it: dates as ISO text, decimals as numbers, NaN and infinity as None."""
    result: Any
    match value:
        case None | bool() | int():
            result = value
        case float() | decimal.Decimal():
            result = float(value) if math.isfinite(value) else None
        case str():
            result = _text(value)
        case datetime.date() | datetime.time():
            result = value.isoformat()
        case dict():
            result = {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            result = [plain(item) for item in value]
        case bytes():
            result = value.decode("utf-8", errors="replace")
        case _:
            result = str(value)
    return result


def shown(value: Any) -> str:
    """`value` in quotes for a sentence, cut to a readable length."""
    text = str(value)
    return f'"{text[:_SHOWN_CHARACTERS]}{"..." if len(text) > _SHOWN_CHARACTERS else ""}"'


def _csv(path: Path, required: tuple[str, ...]) -> Iterator[Record | BrokenRow]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, strict=True)
        try:
            header = [name.strip() for name in next(lines, [])]
        except csv.Error as error:
            raise MalformedError(f"{path.name} has a header that is not CSV: {error}") from error
        _check_columns(path, header, required)
        while True:
            try:
                cells = next(lines)
            except StopIteration:
                return
            except csv.Error as error:
                yield BrokenRow(f"the row that ends in line {lines.line_num} is not CSV: {error}")
                continue
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                yield BrokenRow(f"the row has {len(cells)} cells, the header has {len(header)} columns")
                continue
            yield _filled(dict(zip(header, cells, strict=True)))


def _json_lines(path: Path) -> Iterator[Record | BrokenRow]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                yield BrokenRow(f"line {number} is not JSON: {str(error)[:_SHOWN_CHARACTERS]}")
                continue
            if isinstance(record, dict):
                yield _filled(record)
            else:
                yield BrokenRow(f"line {number} must be a JSON object, got {shown(line.strip())}")


def _parquet(path: Path, required: tuple[str, ...]) -> Iterator[Record]:
    import pyarrow  # late: only those who read Parquet pay for it
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            _check_columns(path, list(file.schema_arrow.names), required)
            for batch in file.iter_batches(batch_size=_BATCH_ROWS):
                yield from (_filled(record) for record in batch.to_pylist())
    except (pyarrow.ArrowException, OSError) as error:
        cause = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise MalformedError(f"{path.name} is not a readable Parquet file: {cause}") from error


def _check_columns(path: Path, columns: list[str], required: tuple[str, ...]) -> None:
    missing = [name for name in required if name not in columns]
    if missing:
        got = ", ".join(name for name in columns if name) or "none"
        raise MalformedError(f"{path.name} lacks the columns {', '.join(missing)}; got: {got[:400]}")
    twice = sorted({name for name in columns if name and columns.count(name) > 1})
    if twice:
        raise MalformedError(f"{path.name} has the column {twice[0]} more than once, each may stand once")


def _filled(record: Record) -> Record:
    """The cells that hold something, by column; a column without a name is a table program's row number."""
    return {
        name: value
        for name, value in record.items()
        if name and value is not None and not (isinstance(value, str) and not value.strip())
    }


def _text(value: str) -> str:
    """`value`, or `ValueError` for half a surrogate pair, which no UTF-8 file can hold."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("the text has half a surrogate pair, which is not Unicode") from None
    return value
