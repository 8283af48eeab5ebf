"""Catalog or query file (CSV, JSON lines, Parquet) in, `Product` rows and `BadRow` entries out, one row at a time.

A row that can't be used becomes a `BadRow` with its reason; a file that can't be read is a `MalformedError`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from catalog.errors import MalformedError
from catalog.files import BrokenRow, plain, read_records, shown
from catalog.first_rows import FirstRows
from catalog.rows import BadRow, Catalog, Product, Query

_CATALOG_COLUMNS = ("product_id", "image")
_QUERY_COLUMNS = ("image",)
_FIELDS = frozenset(Product.model_fields) - {"extra"}
_JSON_COLUMNS: dict[str, tuple[type, str]] = {
    "images": (list, 'a JSON list of paths, such as ["b.jpg"]'),
    "attributes": (dict, 'a JSON object, such as {"color": "red"}'),
}


def iter_rows(path: Path | str, *, splits: Collection[str] | None = None) -> Iterator[Product | BadRow]:
    """Yield each row of a catalog whose `split` is in `splits` (None: all), in file order.

    A `product_id` seen before makes the later row a `BadRow`. Raises `MalformedError` for a file that is missing, of an
    unknown kind, not UTF-8, corrupt, or without the columns product_id and image.
    """
    path = Path(path)
    seen = FirstRows()
    for number, row in _rows(path, splits=splits, model=Product, required=_CATALOG_COLUMNS):
        if isinstance(row, Product) and (first := seen.first(row.product_id, number)) != number:
            reason = f'product_id "{row.product_id}" stands in row {first} already, it must be unique'
            yield BadRow(number, row.product_id, reason)
        else:
            yield row


def load_catalog(path: Path | str, *, splits: Collection[str] | None = None, max_bad_rows: float = 0.01) -> Catalog:
    """Read a whole catalog; raises `MalformedError` when more than the share `max_bad_rows` of its rows are bad.

    A catalog without any row of the asked splits is an error too: nothing can be built from it.
    """
    return _collect(Path(path), iter_rows(path, splits=splits), splits, max_bad_rows)


def read_queries(path: Path | str, *, splits: Collection[str] | None = None, max_bad_rows: float = 0.01) -> Catalog:
    """Read a query file: rows need `image`, and `product_id` (may repeat) or `label`; errors as `load_catalog`.

    Without a product_id a row's `product_id` is "".
    """
    path = Path(path)
    rows = (row for _, row in _rows(path, splits=splits, model=Query, required=_QUERY_COLUMNS))
    return _collect(path, rows, splits, max_bad_rows)


def _collect(
    path: Path, rows: Iterable[Product | BadRow], splits: Collection[str] | None, max_bad_rows: float
) -> Catalog:
    products: list[Product] = []
    bad: list[BadRow] = []
    for row in rows:
        if isinstance(row, BadRow):
            bad.append(row)
        else:
            products.append(row)
    total = len(products) + len(bad)
    if not total:
        asked = f" of split {', '.join(sorted(splits))}" if splits is not None else ""
        raise MalformedError(f"{path.name} has no rows{asked}, expected at least one")
    if len(bad) > max_bad_rows * total or not products:
        first = bad[0]
        name = f" ({first.product_id})" if first.product_id else ""
        raise MalformedError(
            f"{path.name}: {len(bad):,} of {total:,} rows are bad (limit {max_bad_rows:.3g} of them); "
            f"first: row {first.row}{name}: {first.reason}"
        )
    return Catalog(
        path=path,
        products=tuple(products),
        bad_rows=tuple(bad),
        splits=None if splits is None else tuple(splits),
    )


def _rows(
    path: Path, *, splits: Collection[str] | None, model: type[Product], required: tuple[str, ...]
) -> Iterator[tuple[int, Product | BadRow]]:
    if isinstance(splits, str):
        raise MalformedError(f'splits must be a list of names, got the text "{splits}"')
    for number, record in enumerate(read_records(path, required=required), start=1):
        if isinstance(record, BrokenRow):
            yield number, BadRow(number, "", record.reason)
        elif splits is None or str(record.get("split", "")).strip() in splits:
            yield number, _product(number, record, model)


def _product(number: int, record: Mapping[str, Any], model: type[Product]) -> Product | BadRow:
    product_id = _id_text(record.get("product_id", ""))
    known: dict[str, Any] = {"product_id": product_id}
    extra: dict[str, Any] = {}
    try:
        for name, value in record.items():
            if name in _FIELDS:
                known.setdefault(name, _cell(name, value))
            else:
                extra[name] = plain(value)
        return model(**known, extra=extra)
    except ValidationError as error:
        return BadRow(number, product_id, _reason(error))
    except ValueError as error:
        return BadRow(number, product_id, str(error))


def _id_text(value: Any) -> str:
    """Ids as text; a number that a table program made a float (7.0) is written as the whole number it was."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _cell(name: str, value: Any) -> Any:
    """A known column's value as the model wants it: JSON text is parsed; `ValueError` says what was expected."""
    if name not in _JSON_COLUMNS:
        return value if name == "price" else plain(value)
    kind, expected = _JSON_COLUMNS[name]
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (json.JSONDecodeError, RecursionError):
            raise ValueError(f"{name} must be {expected}, got {shown(value)}") from None
    value = plain(value)
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be {expected}, got {shown(value)}")
    return value


def _reason(error: ValidationError) -> str:
    """The first thing wrong with a row, in plain words."""
    first = error.errors(include_url=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    got = first["input"]
    if first["type"] in ("missing", "string_too_short") or got == "":
        return f"{name} is blank"
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    if name == "price":
        return f"price must be a number of at least 0 such as 12.5, got {shown(got)}"
    return f"{name}: {first['msg'][0].lower()}{first['msg'][1:]}, got {shown(got)}"
