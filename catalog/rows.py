"""Catalog file (CSV, JSON lines, Parquet) in, validated products out; bad rows are listed, never raised one by one.

The schema is the contract of every room: what a product is, and which columns mean something. Unknown columns are kept
in `Product.extra` and come back with the hit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from catalog.errors import MalformedError

ProductId = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=256)]


class Box(NamedTuple):
    """A rectangle in pixels of the upright picture; x grows to the right, y downward, max is exclusive."""

    x_min: float
    y_min: float
    x_max: float
    y_max: float


def parse_box(text: str) -> Box:
    """Read "x_min,y_min,x_max,y_max"; `MalformedError` unless these are four finite numbers in order."""
    parts = text.split(",")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if len(numbers) != 4 or not all(math.isfinite(number) for number in numbers):
        raise MalformedError(f'box must be "x_min,y_min,x_max,y_max", four numbers in pixels, got "{text[:80]}"')
    box = Box(*numbers)
    if box.x_max <= box.x_min or box.y_max <= box.y_min:
        raise MalformedError(f'box must have x_min < x_max and y_min < y_max, got "{text[:80]}"')
    return box


class Product(BaseModel):
    """One row of a catalog. `image` is a path relative to the catalog file, or an http(s) or s3 URL."""

    model_config = ConfigDict(frozen=True, str_strip_whitespace=True, coerce_numbers_to_str=True)

    product_id: ProductId
    image: str = Field(min_length=1)
    title: str = ""
    category_path: str = ""
    description: str = ""
    price: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    url: str | None = None
    label: str | None = None
    cluster: str = ""  # pictures of one thing; the product_id where the file says nothing
    images: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    box: Box | None = None
    attributes: dict[str, Any] = Field(default_factory=dict)
    split: str | None = None
    extra: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _cluster_is_product_id(cls, values: Any) -> Any:
        if isinstance(values, dict) and not values.get("cluster"):
            return {**values, "cluster": values.get("product_id") or ""}
        return values

    @field_validator("box", mode="before")
    @classmethod
    def _read_box(cls, value: Any) -> Any:
        """Text and lists of numbers alike go through `parse_box`, so that one rule holds."""
        if isinstance(value, str | list | tuple):
            text = value if isinstance(value, str) else ",".join(str(number) for number in value)
            try:
                return parse_box(text)
            except MalformedError as error:
                raise ValueError(str(error)) from error
        return value

    @property
    def category(self) -> tuple[str, ...]:
        """The levels of `category_path` ("A > B > C"), outermost first."""
        return tuple(level for part in self.category_path.split(">") if (level := part.strip()))


class Query(Product):
    """One row of a query file: like a product, but its `product_id` may be "" where `label` says what is right."""

    product_id: str = ""

    @model_validator(mode="after")
    def _has_a_truth(self) -> Query:
        if not (self.product_id or self.label):
            raise ValueError("a query needs product_id or label, got neither")
        return self


@dataclass(frozen=True)
class BadRow:
    """A row that was skipped: its number (1 = first row after the header), its id where known, and why."""

    row: int
    product_id: str
    reason: str


@dataclass(frozen=True)
class Catalog:
    """The readable rows of one file, in file order, and the rows that were skipped."""

    path: Path
    products: tuple[Product, ...]
    bad_rows: tuple[BadRow, ...]
    splits: tuple[str, ...] | None = None
