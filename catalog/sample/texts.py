"""A look and randomness in, what a seller would write about it out: title, category path, description, price.

Sellers are not careful: some titles are misspelled, some products stand in a wrong category, some have no description.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from catalog.sample.look import Look
from catalog.sample.vocabulary import ADJECTIVES, AUDIENCES, BRANDS, CLOSINGS, NOISE, Vocabulary, vocabulary_of

MISSPELLED_SHARE = 0.06
WRONG_CATEGORY_SHARE = 0.04
NO_DESCRIPTION_SHARE = 0.08

_BRANDS_PER_CATEGORY = 6
_PLAIN = ("plain", "solid", "none", "")


@dataclass(frozen=True)
class SellerText:
    """What stands beside a picture in the shop; `price` in dollars."""

    title: str
    category_path: str
    description: str
    price: float


def write_text(look: Look, rng: np.random.Generator, *, categories: tuple[str, ...]) -> SellerText:
    """Text for a product; `categories` are those a careless seller may choose from."""
    words = vocabulary_of(look.category)
    noun = words.nouns[0] if rng.random() < 0.45 else _any(rng, words.nouns)
    title = _title(look, words, noun, rng)
    if rng.random() < MISSPELLED_SHARE:
        title = _misspell(title, rng)
    shelf = look.category
    if rng.random() < WRONG_CATEGORY_SHARE:
        shelf = _any(rng, tuple(name for name in categories if name != look.category) or categories)
    return SellerText(
        title=title,
        category_path=vocabulary_of(shelf).path,
        description="" if rng.random() < NO_DESCRIPTION_SHARE else _description(look, words, noun, rng),
        price=_price(words, rng),
    )


def _any(rng: np.random.Generator, words: tuple[str, ...]) -> str:
    return words[int(rng.integers(len(words)))]


def _brand(category: str, rng: np.random.Generator) -> str:
    """Most sellers of a category share a few brands, so that a brand says something about the product."""
    if rng.random() < 0.15:
        return _any(rng, BRANDS)
    first = zlib.crc32(category.encode()) % len(BRANDS)
    return BRANDS[(first + int(rng.integers(_BRANDS_PER_CATEGORY)) * 7) % len(BRANDS)]


def _title(look: Look, words: Vocabulary, noun: str, rng: np.random.Generator) -> str:
    """Words in one of the orders sellers use; brand and noun are always there."""
    kept = {
        "adjective": (_any(rng, ADJECTIVES), 0.6),
        "color": (look.color, 0.75),
        "material": (look.material, 0.5),
        "pattern": (look.pattern, 0.0 if look.pattern in _PLAIN else 0.55),
        "shape": (look.shape, 0.4),
        "model": (
            f"{chr(65 + int(rng.integers(26)))}{chr(65 + int(rng.integers(26)))}-{int(rng.integers(100, 9900))}",
            0.35,
        ),
        "size": (_any(rng, words.sizes) if words.sizes else "", 0.3 if words.sizes else 0.0),
        "audience": (_any(rng, AUDIENCES), 0.2),
    }
    part = {name: word if rng.random() < chance else "" for name, (word, chance) in kept.items()}
    # A word that the noun already says ("smart" watch) or another part says is not said again.
    part = {name: "" if word.lower() in noun.split() else word for name, word in part.items()}
    part |= {
        "brand": _brand(look.category, rng),
        "noun": noun,
        "with": f"with {_any(rng, words.features)}" if rng.random() < 0.3 else "",
    }
    orders = (
        "brand adjective color pattern material noun model size audience with",
        "brand noun model color material shape size",
        "adjective color noun brand pattern material size audience",
        "color material noun adjective shape with brand model",
        "noun brand model color pattern audience",
    )
    said = [part[name] for name in _any(rng, orders).split()]
    title = " ".join(word for word in dict.fromkeys(said) if word)
    if rng.random() < 0.65:
        title = " ".join(word if word.isupper() else word[:1].upper() + word[1:] for word in title.split())
    if rng.random() < 0.28:
        noise = _any(rng, NOISE)
        title = f"{noise} {title}" if rng.random() < 0.5 else f"{title} {noise}"
    return title


def _misspell(title: str, rng: np.random.Generator) -> str:
    """One slip of the finger in one longer word: two letters swapped, one lost or one doubled."""
    words = title.split(" ")
    long = [row for row, word in enumerate(words) if len(word) >= 4 and word.isalpha()]
    if not long:
        return title
    row = long[int(rng.integers(len(long)))]
    word = words[row]
    # Equal neighbors cannot be swapped visibly.
    places = [at for at in range(1, len(word) - 1) if word[at] != word[at + 1]] or [1]
    at, slip = places[int(rng.integers(len(places)))], int(rng.integers(3))
    words[row] = (
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        word[:at] + word[at + 1 :],
        word[:at] + word[at] + word[at:],
    )[slip]
    return " ".join(words)


def _description(look: Look, words: Vocabulary, noun: str, rng: np.random.Generator) -> str:
    """One to three sentences."""
    pattern = "" if look.pattern in _PLAIN else f"{look.pattern} "
    article = "An" if look.color[:1].lower() in "aeiou" else "A"
    opening = (
        f"{article} {look.color} {pattern}{noun} for {_any(rng, words.uses)}.",
        f"This {_any(rng, ADJECTIVES)} {noun} in {look.color} is made of {look.material}.",
        f"{look.material.capitalize()} {noun} in {look.color}, ideal for {_any(rng, words.uses)}.",
    )[int(rng.integers(3))]
    first, second = rng.permutation(len(words.features))[:2]
    middle = f"It has {words.features[first]} and {words.features[second]}."
    count = int(rng.integers(1, 4))
    return " ".join((opening, middle, _any(rng, CLOSINGS))[:count])


def _price(words: Vocabulary, rng: np.random.Generator) -> float:
    """Between the usual lowest and highest price, most in the lower half, ending as prices do."""
    low, high = np.log(words.prices)
    amount = float(np.exp(rng.triangular(low, low + 0.4 * (high - low), high)))
    ending = float(rng.choice([0.99, 0.95, 0.9, 0.5, 0.0]))
    return round(float(max(1.0, np.floor(amount))) + ending, 2)
