"""What the sample shop sells: for each category, the shapes, materials and patterns that its drawing knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class CategoryLook:
    """The values of `Look.shape`, `Look.material` and `Look.pattern` that one category can be drawn with."""

    shapes: tuple[str, ...]
    materials: tuple[str, ...]
    patterns: tuple[str, ...]


_METALS = ("gold", "silver", "rose gold")

CATEGORIES: Mapping[str, CategoryLook] = MappingProxyType(
    {
        "wrist watch": CategoryLook(
            ("round", "square", "tonneau"), ("leather", "steel", "gold", "silicone"), ("plain", "two-tone", "striped")
        ),
        "smart watch": CategoryLook(
            ("round", "square", "band"), ("silicone", "nylon", "leather"), ("plain", "striped", "dotted")
        ),
        "ring": CategoryLook(("solitaire", "band", "signet", "halo"), _METALS, ("plain", "striped", "two-tone")),
        "necklace": CategoryLook(("pendant", "beads", "heart", "bar"), _METALS, ("plain", "dotted", "two-tone")),
        "earrings": CategoryLook(("hoop", "drop", "stud", "tassel"), _METALS, ("plain", "striped", "two-tone")),
        "bracelet": CategoryLook(
            ("bangle", "beads", "cuff", "charm"), ("gold", "silver", "leather"), ("plain", "striped", "two-tone")
        ),
        "handbag": CategoryLook(
            ("tote", "satchel", "bucket", "clutch"),
            ("leather", "canvas", "suede"),
            ("plain", "striped", "checked", "floral", "two-tone"),
        ),
        "backpack": CategoryLook(
            ("classic", "roll-top", "mini"),
            ("canvas", "nylon", "leather"),
            ("plain", "two-tone", "geometric", "checked"),
        ),
        "wallet": CategoryLook(
            ("bifold", "long", "card holder"),
            ("leather", "canvas", "suede"),
            ("plain", "striped", "checked", "two-tone"),
        ),
        "belt": CategoryLook(("rolled", "looped"), ("leather", "canvas", "suede"), ("plain", "striped", "dotted")),
        "sunglasses": CategoryLook(
            ("aviator", "square", "round", "cat eye"), ("plastic", "steel", "acetate"), ("plain", "two-tone", "striped")
        ),
        "eyeglasses": CategoryLook(
            ("rectangle", "round", "browline", "cat eye"), ("plastic", "steel", "acetate"), ("plain", "two-tone")
        ),
        "sneaker": CategoryLook(
            ("low", "high", "runner", "slip-on"),
            ("leather", "canvas", "knit"),
            ("plain", "two-tone", "checked", "dotted"),
        ),
        "boot": CategoryLook(
            ("ankle", "tall", "chelsea", "heeled"), ("leather", "suede", "rubber"), ("plain", "two-tone")
        ),
        "t-shirt": CategoryLook(
            ("crew neck", "v-neck", "polo", "long sleeve"),
            ("cotton", "knit", "silk"),
            ("plain", "striped", "dotted", "floral", "geometric"),
        ),
        "cap": CategoryLook(
            ("baseball", "beanie", "bucket", "flat"),
            ("cotton", "denim", "wool"),
            ("plain", "striped", "two-tone", "checked"),
        ),
        "scarf": CategoryLook(
            ("folded", "looped", "square"),
            ("wool", "silk", "cotton"),
            ("plain", "striped", "checked", "floral", "geometric"),
        ),
        "umbrella": CategoryLook(
            ("open", "folded", "dome"), ("nylon", "canvas"), ("plain", "striped", "dotted", "floral", "two-tone")
        ),
        "mug": CategoryLook(
            ("cylinder", "tapered", "round", "camping"),
            ("ceramic", "steel", "glass"),
            ("plain", "striped", "dotted", "geometric", "two-tone"),
        ),
        "water bottle": CategoryLook(
            ("slim", "sport", "wide", "flask"),
            ("steel", "plastic", "glass"),
            ("plain", "striped", "two-tone", "geometric"),
        ),
        "computer mouse": CategoryLook(
            ("classic", "slim", "gaming"), ("plastic", "aluminum", "wood"), ("plain", "two-tone")
        ),
        "keyboard": CategoryLook(
            ("full", "compact", "split"), ("plastic", "aluminum", "wood"), ("plain", "two-tone", "striped")
        ),
        "headphones": CategoryLook(
            ("over-ear", "on-ear", "gaming"), ("plastic", "leather", "aluminum"), ("plain", "two-tone", "dotted")
        ),
        "earbuds": CategoryLook(("stem", "bean", "neckband", "hook"), ("plastic", "aluminum"), ("plain", "two-tone")),
        "phone": CategoryLook(("slab", "flip", "keypad"), ("glass", "plastic", "aluminum"), ("plain", "two-tone")),
        "phone case": CategoryLook(
            ("slim", "rugged", "wallet"),
            ("silicone", "leather", "plastic"),
            ("plain", "striped", "dotted", "floral", "geometric"),
        ),
        "charger": CategoryLook(("cube", "slab", "wireless", "car"), ("plastic", "aluminum"), ("plain", "two-tone")),
        "power bank": CategoryLook(
            ("slab", "round", "stick"), ("plastic", "aluminum", "wood"), ("plain", "striped", "geometric", "two-tone")
        ),
        "camera": CategoryLook(
            ("compact", "slr", "instant"), ("plastic", "leather", "aluminum"), ("plain", "two-tone")
        ),
        "speaker": CategoryLook(
            ("cylinder", "box", "ball", "pill"),
            ("nylon", "plastic", "wood"),
            ("plain", "two-tone", "dotted", "geometric"),
        ),
    }
)
