"""Which function draws which category."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from catalog.sample.drawing import (
    accessories,
    audio,
    bags,
    bracelets,
    cameras,
    clothing,
    computing,
    eyewear,
    footwear,
    headwear,
    jewelry,
    kitchen,
    leather_goods,
    phones,
    power,
    watches,
)
from catalog.sample.drawing.brush import Brush
from catalog.sample.look import Look

DRAWINGS: Mapping[str, Callable[[Brush], None]] = MappingProxyType(
    {
        "wrist watch": watches.wrist_watch,
        "smart watch": watches.smart_watch,
        "ring": jewelry.ring,
        "necklace": jewelry.necklace,
        "earrings": jewelry.earrings,
        "bracelet": bracelets.bracelet,
        "handbag": bags.handbag,
        "backpack": bags.backpack,
        "wallet": leather_goods.wallet,
        "belt": leather_goods.belt,
        "sunglasses": eyewear.sunglasses,
        "eyeglasses": eyewear.eyeglasses,
        "sneaker": footwear.sneaker,
        "boot": footwear.boot,
        "t-shirt": clothing.t_shirt,
        "cap": headwear.cap,
        "scarf": accessories.scarf,
        "umbrella": accessories.umbrella,
        "mug": kitchen.mug,
        "water bottle": kitchen.water_bottle,
        "computer mouse": computing.computer_mouse,
        "keyboard": computing.keyboard,
        "headphones": audio.headphones,
        "earbuds": audio.earbuds,
        "phone": phones.phone,
        "phone case": phones.phone_case,
        "charger": power.charger,
        "power bank": power.power_bank,
        "camera": cameras.camera,
        "speaker": audio.speaker,
    }
)


def draw(look: Look, prefix: str = "p") -> str:
    """The product as an SVG fragment in a 100 x 100 box.

    `prefix` keeps the ids of several fragments in one document apart. The look's category, shape, material and pattern
    are names of `CATEGORIES`; others raise KeyError.
    """
    b = Brush(look, prefix)
    DRAWINGS[look.category](b)
    return b.svg()
