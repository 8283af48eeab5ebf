"""A seed and a number in, that many invented products out: how each looks and what its seller writes about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from catalog.sample.drawing import CATEGORIES, COLORS
from catalog.sample.look import Look
from catalog.sample.texts import write_text

_JITTERS = 8
_TRIES = 200  # to find attributes that no earlier product of the category has; after that, twins are let through


@dataclass(frozen=True)
class ProductSpec:
    """One product of the sample shop. `label` is its true category; `category_path` is where its seller put it."""

    product_id: str
    look: Look
    title: str
    category_path: str
    description: str
    price: float
    label: str
    url: str


def shop_specs(*, seed: int = 0, products: int = 1200) -> list[ProductSpec]:
    """The products of a shop, categories in turn; a smaller shop of the same seed is the beginning of a larger one."""
    names = tuple(CATEGORIES)
    looks = [_looks(name, np.random.default_rng((seed, 3, row))) for row, name in enumerate(names)]
    specs = []
    for number in range(products):
        row = number % len(names)
        look = next(looks[row])
        text = write_text(look, np.random.default_rng((seed, 4, number)), categories=names)
        product_id = f"{look.category.replace(' ', '-')}-{number // len(names) + 1:04d}"
        specs.append(
            ProductSpec(
                product_id=product_id,
                look=look,
                title=text.title,
                category_path=text.category_path,
                description=text.description,
                price=text.price,
                label=look.category,
                url=f"https://shop.example/products/{product_id}",
            )
        )
    return specs


def _looks(category: str, rng: np.random.Generator) -> Iterator[Look]:
    """Endless looks of a category; the attributes of two differ as long as there are enough to choose from."""
    seen: set[tuple[str, ...]] = set()
    while True:
        for _ in range(_TRIES):
            look = _look(category, rng)
            attributes = (look.shape, look.color, look.material, look.pattern)
            if attributes not in seen:
                break
        seen.add(attributes)
        yield look


def _look(category: str, rng: np.random.Generator) -> Look:
    choices, colors = CATEGORIES[category], tuple(COLORS)
    color, second = (colors[int(row)] for row in rng.choice(len(colors), size=2, replace=False))
    return Look(
        category=category,
        shape=_any(rng, choices.shapes),
        color=color,
        color_hex=_shade(COLORS[color], rng),
        second_hex=_shade(COLORS[second], rng),
        material=_any(rng, choices.materials),
        pattern=_any(rng, choices.patterns),
        jitter=tuple(round(float(value), 4) for value in rng.random(_JITTERS)),
    )


def _any(rng: np.random.Generator, words: tuple[str, ...]) -> str:
    return words[int(rng.integers(len(words)))]


def _shade(color_hex: str, rng: np.random.Generator) -> str:
    """The color, a little lighter or darker and a little off, as dyes are."""
    levels = np.array([int(color_hex[at : at + 2], 16) for at in (1, 3, 5)]) * rng.uniform(0.9, 1.08) + rng.normal(
        0, 5, 3
    )
    return "#" + "".join(f"{int(level):02x}" for level in np.clip(levels, 0, 255))
