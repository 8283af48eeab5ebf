"""Draws mugs and water bottles."""

from __future__ import annotations

from catalog.sample.drawing.brush import Brush
from catalog.sample.drawing.colors import dark, light
from catalog.sample.drawing.geometry import both_sides, box, oval, smooth
from catalog.sample.drawing.paint import Volume, body, emblem, glow, metal, metal_fill, plain


def mug(b: Brush) -> None:
    """A mug seen slightly from above, its handle at the right."""
    shape = b.look.shape
    half, top, low = b.vary(26, 30), b.vary(18, 24), b.vary(80, 86)
    rim, foot = half * 0.2, {"tapered": b.vary(0.68, 0.78), "round": 0.72}.get(shape, b.vary(0.94, 1.0)) * half
    x = 42.0
    _handle(b, x + half - 2, top, low)
    belly = (
        f"C{x + half * 1.22},{top + 22} {x + half * 1.2},{low - 14}"
        if shape == "round"
        else f"C{x + half},{top + 20} {x + foot + (half - foot) * 0.3},{low - 20}"
    )
    left = (
        f"C{x - half * 1.2},{low - 14} {x - half * 1.22},{top + 22}"
        if shape == "round"
        else f"C{x - foot - (half - foot) * 0.3},{low - 20} {x - half},{top + 20}"
    )
    wall = (
        f"M{x - half},{top}A{half},{rim} 0 0 0 {x + half},{top}{belly} {x + foot},{low}"
        f"A{foot},{rim * 0.8} 0 0 1 {x - foot},{low}{left} {x - half},{top}z"
    )
    body(b, wall, volume=Volume.TUBE, depth=1.6)
    mouth = oval(x, top, half, rim)
    inner = b.pick(("#f7f5ef", b.color, b.second)) if b.look.material != "steel" else "#c3c8ce"
    b.fill(mouth, light(inner, 0.3))
    well = oval(x, top + 0.4, half - 1.8, rim - 1.1)
    b.fill(well, b.linear([(0, dark(inner, 0.5)), (1, dark(inner, 0.08))]))
    if b.vary(0, 1) > 0.45:
        with b.group(clip_path=b.clip(well)):
            drink = b.pick(("#4a2c1a", "#8a5a2c", "#7a8f3a", "#3a2018"))
            b.fill(oval(x, top + 4, half - 3, rim), b.linear([(0, dark(drink, 0.3)), (1, light(drink, 0.15))]))
    if shape == "camping":
        b.line(mouth, b.pick(("#2c2e33", b.second)), 1.6)
        for spot in range(7):
            b.fill(
                oval(x + b.vary(-half, half) * 0.85, b.vary(top + 12, low - 4), b.vary(0.3, 0.8)),
                light(b.color, 0.6) if spot % 2 else dark(b.color, 0.5),
            )
    if b.vary(0, 1) > 0.5:
        y = low - b.vary(3, 12)
        b.line(f"M{x - foot * 0.98},{y}A{foot},{rim * 0.9} 0 0 0 {x + foot * 0.98},{y}", b.second, b.vary(1.2, 3.4))
    if b.look.material == "glass":
        b.fill(wall, "#fff", fill_opacity=0.22)
        glow(b, box(x + half * 0.45, top + 12, 4, low - top - 22, 2), 0.5, 0.8)
    glow(b, box(x - half * 0.66, top + 12, b.vary(2, 4), (low - top) * b.vary(0.45, 0.7), 1.5), 0.45, 0.9)
    emblem(b, x + b.vary(-6, 8), b.vary(48, 58), b.vary(5, 10))


def _handle(b: Brush, x: float, top: float, low: float) -> None:
    thick, reach = b.vary(5, 7.5), b.vary(16, 23)
    high, base = top + b.vary(6, 12), low - b.vary(12, 22)
    kind = b.pick(("round", "square", "ear"))
    path = {
        "round": f"M{x},{high}C{x + reach * 1.35},{high - 4} {x + reach * 1.35},{base + 4} {x - 2},{base}",
        "square": (
            f"M{x},{high}H{x + reach * 0.7}Q{x + reach},{high} {x + reach},{high + 8}"
            f"V{base - 8}Q{x + reach},{base} {x + reach * 0.7},{base}H{x - 2}"
        ),
        "ear": f"M{x},{high}C{x + reach * 1.5},{high - 8} {x + reach},{base - 8} {x - 2},{base}",
    }[kind]
    shade = b.pick((b.color, b.color, b.second)) if b.look.material != "steel" else "#bcc2c9"
    b.line(path, dark(shade, 0.42), thick)
    b.line(path, shade, thick * 0.78)
    b.line(
        path,
        light(shade, 0.6),
        thick * 0.22,
        stroke_opacity=0.8,
        transform=f"translate({-thick * 0.12} {-thick * 0.16})",
    )


def water_bottle(b: Brush) -> None:
    """An upright bottle with its cap."""
    shape = b.look.shape
    half = {"slim": b.vary(12, 14.5), "sport": b.vary(14, 17), "wide": b.vary(18, 21), "flask": b.vary(16, 18.5)}[shape]
    shoulder, low = b.vary(27, 36), b.vary(92, 95)
    neck = half * {"slim": 0.62, "sport": 0.7, "wide": 0.86, "flask": 0.5}[shape]
    cap_low = shoulder - b.vary(5, 9)
    _bottle_cap(b, neck, cap_low)
    points = [
        (50 + neck, cap_low),
        (50 + neck, cap_low + 2),
        (50 + half, shoulder + 5),
        (50 + half, 62),
        (50 + half, low - 4),
        (50 + half * 0.85, low),
    ]
    if shape == "sport":
        points[3:4] = [(50 + half, 50), (50 + half * b.vary(0.78, 0.88), 59), (50 + half, 68)]
    if shape == "flask":
        points[2:3] = [(50 + neck, shoulder + 2), (50 + half, shoulder + 18)]
    outline = smooth(both_sides(points), tension=0.62)
    body(b, outline, volume=Volume.TUBE, depth=1.2)
    with b.group(clip_path=b.clip(outline)):
        _bottle_details(b, half, shoulder, low)
    emblem(b, 50 + b.vary(-2, 2), b.vary(56, 76) if shape != "sport" else 78, half * b.vary(0.3, 0.5))


def _bottle_details(b: Brush, half: float, shoulder: float, low: float) -> None:
    if b.look.material == "glass":
        water = b.vary(shoulder + 8, 64)
        b.fill(box(0, water, 100, 60), "#bfe3f5", fill_opacity=0.4)
        b.line(f"M{50 - half},{water}H{50 + half}", "#fff", 0.9, stroke_opacity=0.7)
    if b.vary(0, 1) > 0.45:
        base = b.vary(4, 12)
        plain(
            b,
            box(50 - half, low - base, 2 * half, base + 2),
            b.pick(("#33363b", b.second, "#d6dade")),
            volume=Volume.TUBE,
            material="silicone",
        )
    if b.look.material == "plastic":
        for k in range(b.pick((4, 6, 8))):
            b.line(
                f"M{50 + half * 0.62},{48 + 4.4 * k}h{half * (0.26 if k % 2 else 0.36)}",
                "#fff",
                0.7,
                stroke_opacity=0.75,
            )
    if b.vary(0, 1) > 0.5:
        y = b.vary(shoulder + 12, shoulder + 20)
        b.fill(box(50 - half, y, 2 * half, b.vary(1, 3.4)), b.second)
    glow(b, box(50 - half * 0.62, shoulder + 8, half * 0.16, low - shoulder - 18, 1), 0.5, 0.7)


def _bottle_cap(b: Brush, neck: float, low: float) -> None:
    color = b.pick(("#2d2f34", b.second, "#d9dde1", dark(b.color, 0.3)))
    tall = b.vary(10, 15)
    kind = b.pick(("loop", "straw", "screw")) if b.look.shape != "sport" else b.pick(("straw", "spout"))
    top = low - tall
    if kind == "loop":
        b.line(
            f"M{50 - neck * 0.6},{top + 2}C{50 - neck},{top - 11} {50 + neck},{top - 11} {50 + neck * 0.6},{top + 2}",
            dark(color, 0.4),
            3.2,
        )
        b.line(
            f"M{50 - neck * 0.6},{top + 2}C{50 - neck},{top - 11} {50 + neck},{top - 11} {50 + neck * 0.6},{top + 2}",
            color,
            2.3,
        )
    elif kind == "straw":
        b.line(
            f"M{50 + neck * 0.2},{top + 3}L{50 + neck * 0.2},{top - 4}L{50 - neck * 0.5},{top - 8}",
            dark(color, 0.3),
            3.6,
        )
        b.line(
            f"M{50 + neck * 0.2},{top + 3}L{50 + neck * 0.2},{top - 4}L{50 - neck * 0.5},{top - 8}",
            light(color, 0.3),
            2.4,
        )
    elif kind == "spout":
        plain(b, box(50 - neck * 0.42, top - 8, neck * 0.84, 10, 2), light(color, 0.35), volume=Volume.TUBE)
    lid = box(50 - neck * 1.08, top, neck * 2.16, tall + 1.5, b.vary(1.5, 5))
    if b.look.material == "steel" and b.vary(0, 1) > 0.5:
        b.fill(lid, metal_fill(b, "#c3c8ce", Volume.TUBE))
    else:
        plain(b, lid, color, volume=Volume.TUBE)
    for k in range(9):
        b.line(f"M{50 + neck * (k - 4) / 4.6},{top + 4}V{low - 2}", "#000", 0.5, stroke_opacity=0.25)
    metal(b, box(50 - neck * 1.02, low, neck * 2.04, 2.2), "#c9ced4", volume=Volume.TUBE)
