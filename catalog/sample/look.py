"""How one product of the sample shop looks: all that its drawing depends on; equal looks draw equal pictures."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """Attributes of a product and its own proportions.

    `shape` is one of the shapes its category can draw; `color_hex` and `second_hex` ("#rrggbb") are the colors of the
    body and of its details; `jitter` holds eight numbers in [0, 1), the product's own proportions, so that two products
    of equal attributes still differ.
    """

    category: str
    shape: str
    color: str
    color_hex: str
    second_hex: str
    material: str
    pattern: str
    jitter: tuple[float, ...]
