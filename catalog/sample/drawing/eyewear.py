"""Draws sunglasses and eyeglasses, seen from the front with the temples folded behind."""

from __future__ import annotations

from catalog.sample.drawing.brush import Brush
from catalog.sample.drawing.colors import dark, light, mix
from catalog.sample.drawing.geometry import Point, box, oval, polygon, smooth
from catalog.sample.drawing.paint import Volume, body, emblem, metal, metal_of, plain

_TINTS = ("#2b2d33", "#4a3626", "#27445c", "#2f4a38", "#6a3b52")


def sunglasses(b: Brush) -> None:
    """Tinted lenses in the frame of the shape."""
    tint = b.pick(_TINTS)
    fade = b.vary(0.1, 0.55)
    lens = b.linear([(0, tint, 0.96), (1, mix(tint, b.second, 0.4), 0.95 - fade)])
    _glasses(b, lens, frame=b.vary(2.2, 4.4) if b.look.material != "steel" else b.vary(1.1, 1.8))


def eyeglasses(b: Brush) -> None:
    """Clear lenses with a reflection in the frame of the shape."""
    lens = b.linear([(0, "#dcebf5", 0.5), (0.5, "#eef6fb", 0.25), (1, "#d2e4f0", 0.45)], right=1)
    _glasses(b, lens, frame=b.vary(2.0, 3.6) if b.look.material != "steel" else b.vary(1.3, 2.0))


def _glasses(b: Brush, lens: str, *, frame: float) -> None:
    gap, half, tall = b.vary(6, 9), b.vary(17, 18.6), b.vary(0.92, 1.15)
    center = gap / 2 + half + 0.5
    _temples(b, center + half, frame)
    points = _lens_points(b.look.shape, half, half * 0.8 * tall)
    _bridge(b, gap, frame)
    for side in (-1, 1):
        inner = smooth([(50 + side * (center + x), 50 + y) for x, y in points], tension=0.85)
        grow = 1 + 2 * frame / half
        thick = smooth(
            [(50 + side * (center + x * (1 + frame / half)), 50 + y * grow) for x, y in points], tension=0.85
        )
        b.fill(inner, lens)
        with b.group(clip_path=b.clip(inner)):
            x = 50 + side * center
            b.fill(polygon([(x - 9, 20), (x - 1, 20), (x - 14, 80), (x - 22, 80)]), "#fff", fill_opacity=0.16)
            b.fill(polygon([(x + 2, 20), (x + 4.5, 20), (x - 8, 80), (x - 11, 80)]), "#fff", fill_opacity=0.12)
        body(b, thick + inner, depth=0.9, volume=Volume.FLAT)
        if b.look.shape == "browline":
            with b.group(clip_path=b.clip(box(0, 0, 100, 48))):
                body(
                    b,
                    smooth([(50 + side * (center + px * 1.12), 50 + py * 1.3) for px, py in points], tension=0.85)
                    + inner,
                    depth=1,
                )
        hinge = 50 + side * (center + half * 0.96)
        metal(
            b,
            box(hinge - 1.6, 41.5, 3.2, b.vary(1.2, 2.6), 0.6),
            "#d8b04c" if b.look.material == "acetate" else "#d5d9de",
        )
    emblem(b, 50 + center - half * 0.62, 50 - half * 0.45, 1.5)


def _lens_points(shape: str, half: float, tall: float) -> list[Point]:
    """The outline of the right lens around its center; x grows away from the nose."""
    if shape == "round":
        r = half * 0.95
        return [
            (0, -r),
            (r * 0.71, -r * 0.71),
            (r, 0),
            (r * 0.71, r * 0.71),
            (0, r),
            (-r * 0.71, r * 0.71),
            (-r, 0),
            (-r * 0.71, -r * 0.71),
        ]
    if shape == "aviator":
        return [
            (-half * 0.85, -tall * 0.85),
            (0, -tall),
            (half * 0.9, -tall * 0.75),
            (half, -tall * 0.1),
            (half * 0.5, tall * 0.95),
            (-half * 0.2, tall * 1.05),
            (-half * 0.8, tall * 0.3),
        ]
    if shape == "cat eye":
        return [
            (-half * 0.9, -tall * 0.45),
            (0, -tall * 0.7),
            (half * 1.08, -tall * 1.15),
            (half * 0.95, -tall * 0.1),
            (half * 0.45, tall * 0.75),
            (-half * 0.4, tall * 0.78),
            (-half * 0.88, tall * 0.2),
        ]
    high = {"rectangle": 0.62, "square": 0.95, "browline": 0.85}[shape] * tall
    return [
        (-half * 0.82, -high),
        (0, -high * 1.06),
        (half * 0.86, -high),
        (half, -high * 0.5),
        (half * 0.93, high * 0.5),
        (half * 0.72, high),
        (0, high * 1.08),
        (-half * 0.66, high),
        (-half * 0.9, high * 0.4),
        (-half * 0.95, -high * 0.5),
    ]


def _temples(b: Brush, reach: float, frame: float) -> None:
    drop, wide = b.vary(5, 12), max(1.8, frame * 0.9)
    color = metal_of("steel") if b.look.material == "steel" else b.color
    for side in (-1, 1):
        # Folded behind the lenses, seen through them when they are clear.
        back = f"{50 - side * reach * 0.3},{55 + drop * 0.6 + side}"
        arm = (
            f"M{50 + side * (reach - 1)},43C{50 + side * (reach + 2)},44 {50 + side * reach},51 "
            f"{50 + side * (reach - 8)},52L{back}"
        )
        b.line(arm, dark(color, 0.6), wide)
        b.line(arm, dark(color, 0.3), wide * 0.6)


def _bridge(b: Brush, gap: float, frame: float) -> None:
    span = gap / 2 + 3
    if b.look.shape == "aviator":
        b.line(f"M{50 - span - 4},38.5H{50 + span + 4}", dark(b.color, 0.25), frame * 0.9)
        b.line(f"M{50 - span - 4},38H{50 + span + 4}", light(b.color, 0.3), frame * 0.3)
    rise = b.vary(2, 6)
    path = f"M{50 - span},47Q50,{47 - rise * 2} {50 + span},47"
    b.line(path, dark(b.color, 0.3), frame * 1.5)
    b.line(path, b.color, frame * 1.1)
    b.line(path, "#fff", frame * 0.3, stroke_opacity=0.5, transform=f"translate(0 {-frame * 0.3})")
    for side in (-1, 1):
        plain(b, oval(50 + side * (gap / 2 + 1.2), 54, 1.3, 2.6), "#e8e3da", volume=Volume.BALL)
