"""Fills an outline as its material would look: color, pattern, grain, volume and highlights, in that order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from catalog.sample.drawing.brush import Brush, Stops
from catalog.sample.drawing.colors import dark, ink, light, luminance, mix
from catalog.sample.drawing.geometry import box, drop, heart, oval, polygon, regular, star
from catalog.sample.drawing.patterns import grain_fill, print_fill


class Volume(StrEnum):
    """How light falls on an outline."""

    FLAT = "flat"  # a panel, lit from above
    TUBE = "tube"  # an upright cylinder
    ROLL = "roll"  # a lying cylinder
    BALL = "ball"


@dataclass(frozen=True)
class Material:
    """Name of its grain, strength of its highlights, and for metals their own color and its share in the product's."""

    grain: str | None = None
    gloss: float = 0.3
    metal: str | None = None
    metal_share: float = 0.0


MATERIALS = {
    "leather": Material("leather", 0.35),
    "suede": Material("suede", 0.05),
    "canvas": Material("weave", 0.05),
    "nylon": Material("ripstop", 0.3),
    "cotton": Material("jersey", 0.08),
    "denim": Material("twill", 0.05),
    "knit": Material("knit", 0.05),
    "wool": Material("wool", 0.0),
    "silk": Material("satin", 0.6),
    "plastic": Material(None, 0.6),
    "silicone": Material(None, 0.2),
    "rubber": Material(None, 0.45),
    "ceramic": Material(None, 0.85),
    "glass": Material("glare", 1.0),
    "acetate": Material("tortoise", 0.7),
    "wood": Material("wood", 0.25),
    "steel": Material("brushed", 0.8, "#c3c8ce", 0.3),
    "aluminum": Material("brushed", 0.5, "#ced3d8", 0.3),
    "gold": Material(None, 0.9, "#dcb04a", 1.0),
    "silver": Material(None, 0.9, "#c9ced6", 1.0),
    "rose gold": Material(None, 0.9, "#dd9f8b", 1.0),
}


def metal_of(material: str) -> str:
    """The color of the metal parts that go with a material."""
    return MATERIALS[material].metal or "#c3c8ce"


def body(
    b: Brush,
    path: str,
    *,
    color: str | None = None,
    material: str | None = None,
    pattern: str | None = None,
    volume: Volume = Volume.FLAT,
    depth: float = 1.6,
) -> None:
    """Paint `path` in the product's color, material and pattern, or in those given.

    `depth` is how far the light on its edge reaches inside, in units of the 100 x 100 box; 0 leaves it out.
    """
    made_of = MATERIALS[material or b.look.material]
    base = color or b.color
    if made_of.metal is not None:
        base = mix(base, made_of.metal, made_of.metal_share)
    b.fill(path, metal_fill(b, base, volume) if made_of.metal is not None else base)
    printed = print_fill(b, b.look.pattern if pattern is None else pattern)
    if printed is not None:
        b.fill(path, printed)
    if made_of.grain is not None:
        b.fill(path, grain_fill(b, made_of.grain))
    b.fill(path, _shade(b, volume, made_of.gloss))
    if depth > 0:
        edge(b, path, depth, 0.15 + 0.35 * made_of.gloss)
    b.line(path, dark(base, 0.45), 0.35, stroke_opacity=0.7)


def plain(
    b: Brush, path: str, color: str, *, volume: Volume = Volume.FLAT, material: str = "plastic", depth: float = 0.8
) -> None:
    """Paint a part that carries no pattern: straps, soles, lids, keys."""
    body(b, path, color=color, material=material, pattern="plain", volume=volume, depth=depth)


def metal(b: Brush, path: str, color: str, *, volume: Volume = Volume.FLAT) -> None:
    """Paint a polished metal part of exactly this color."""
    b.fill(path, metal_fill(b, color, volume))
    b.line(path, dark(color, 0.55), 0.3, stroke_opacity=0.8)


def metal_fill(b: Brush, color: str, volume: Volume = Volume.FLAT) -> str:
    """Bands of bright and dark as polished metal mirrors its surroundings."""
    low, high = dark(color, 0.38), light(color, 0.55)
    stops: Stops = [
        (0, light(color, 0.2)),
        (0.18, high),
        (0.4, color),
        (0.58, low),
        (0.72, color),
        (0.86, light(high, 0.3)),
        (1, low),
    ]
    if volume is Volume.TUBE:
        return b.linear(stops, right=1, down=0)
    return b.linear(stops, right=0.0 if volume is Volume.ROLL else 0.6, down=1)


def edge(b: Brush, path: str, depth: float, strength: float) -> None:
    """Soft light along the upper left edge and soft shade along the lower right one, inside `path`."""
    # Three strokes on top of each other look like a blurred one and cost a fifth of it.
    with b.group(clip_path=b.clip(path)):
        for share in (1.5, 1.0, 0.5):
            width = depth * share
            b.line(path, "#000", width, transform=f"translate({-depth / 3} {-depth / 3})", stroke_opacity=0.11)
            b.line(path, "#fff", width, transform=f"translate({depth / 3} {depth / 3})", stroke_opacity=strength / 2.5)


def glow(b: Brush, path: str, opacity: float, deviation: float = 1.2) -> None:
    """A soft white reflection."""
    b.fill(path, "#fff", fill_opacity=opacity, filter=b.blur(deviation))


def stitches(b: Brush, path: str, *, color: str | None = None, width: float = 0.45) -> None:
    """A dashed seam; the length of a stitch is the product's own."""
    thread = color or ink(b.color)
    b.line(path, thread, width, stroke_dasharray=f"{b.vary(1.0, 1.9)} 0.9", stroke_opacity=0.75)


def emblem(b: Brush, x: float, y: float, size: float, *, on: str | None = None) -> None:
    """The maker's small mark on a ground of color `on`: its form, angle and color are the product's own."""
    ground = on or b.color
    marks = _marks(x, y, size)
    tints = [ink(ground), "#d8b04c", "#d9dde2", "#c9363c", "#f4f1e8", "#2d3a55"]
    # A mark that cannot be seen on the body would not tell products apart.
    seen = [tint for tint in tints if abs(luminance(tint) - luminance(ground)) > 0.22]
    b.fill(b.pick(marks), b.pick(seen), transform=f"rotate({b.pick((0, 0, 0, 45, 90, 180))} {x} {y})")


def _marks(x: float, y: float, s: float) -> tuple[str, ...]:
    bars = ((-1.0, -0.8, 1.6), (-0.25, -0.3, 1.1), (0.5, -0.8, 1.6))
    lines = ((-0.9, 2.0), (-0.2, 1.3), (0.5, 1.7))
    peaks = ((-1, 0.7), (-0.4, -0.8), (0, 0.2), (0.4, -0.8), (1, 0.7))
    return (
        oval(x, y, s) + oval(x, y, s * 0.55),
        star(x, y, s * 1.1, 5),
        polygon([(x, y - s), (x + s, y + s * 0.8), (x - s, y + s * 0.8)]),
        heart(x, y, s * 0.8),
        regular(x, y, s, 6) + regular(x, y, s * 0.5, 6),
        "".join(box(x + s * left, y + s * top, s * 0.55, s * tall) for left, top, tall in bars),
        star(x, y, s * 1.15, 4, inner=0.35),
        drop(x, y + s * 0.2, s * 0.7),
        "".join(box(x - s, y + s * top, s * wide, s * 0.5) for top, wide in lines),
        oval(x - s * 0.5, y, s * 0.5) + oval(x + s * 0.5, y, s * 0.5),
        star(x, y, s, 8, inner=0.7),
        polygon([(x + s * across, y + s * down) for across, down in peaks]),
    )


def _shade(b: Brush, volume: Volume, gloss: float) -> str:
    shine = 0.08 + 0.5 * gloss
    if volume is Volume.BALL:
        return b.radial([(0, "#fff", shine), (0.3, "#fff", 0.05), (0.6, "#000", 0.02), (1, "#000", 0.38)])
    if volume is Volume.FLAT:
        return b.linear(
            [(0, "#fff", 0.1 + 0.14 * gloss), (0.45, "#fff", 0.0), (0.55, "#000", 0.0), (1, "#000", 0.16)], right=0.25
        )
    across: Stops = [
        (0, "#000", 0.3),
        (0.13, "#000", 0.08),
        (0.2, "#fff", shine * 0.6),
        (0.27, "#fff", shine),
        (0.36, "#fff", 0.05),
        (0.6, "#000", 0.0),
        (0.85, "#000", 0.2),
        (1, "#000", 0.4),
    ]
    return b.linear(across, right=1, down=0) if volume is Volume.TUBE else b.linear(across)
