"""Draws wrist watches and smart watches, seen from the front with the strap upright."""

from __future__ import annotations

from catalog.sample.drawing.brush import Brush
from catalog.sample.drawing.colors import dark, light, luminance, mix
from catalog.sample.drawing.geometry import both_sides, box, oval, polygon, regular, smooth, star, turn
from catalog.sample.drawing.paint import Volume, body, edge, emblem, glow, metal, metal_fill, plain, stitches

_DIALS = ("#f4f2ea", "#1d2026", "#22345f", "#e9dcc0", "#2f5548")


def wrist_watch(b: Brush) -> None:
    """A dial with markers and hands in a metal case; the strap has the product's color, or the dial on a metal one."""
    bracelet = b.look.material in ("steel", "gold")
    case = "#dcb04a" if b.look.material == "gold" else b.pick(("#c9ced4", "#c9ced4", "#3a3d44", "#d8a48f"))
    radius = b.vary(21, 26)
    _strap(b, b.vary(17, 24) if not bracelet else b.vary(22, 27), metal_color=case if bracelet else None)
    for shift in (-4.5, 4.5) if b.vary(0, 1) > 0.6 else (0,):
        metal(b, box(49 + radius, 48 + shift, 5, 4, 1.2), case, volume=Volume.ROLL)
    outer, inner = _case(b.look.shape, radius), _case(b.look.shape, radius * b.vary(0.8, 0.88))
    metal(b, outer, case)
    if bracelet or b.vary(0, 1) > 0.6:
        plain(b, _case(b.look.shape, radius * 0.95), b.color if bracelet else dark(case, 0.5), depth=0.6)
    _dial(b, inner, radius, b.color if bracelet else b.pick(_DIALS))
    if b.vary(0, 1) > 0.5:
        _bezel_marks(b, radius * 0.93, light(case, 0.8) if luminance(b.color) < 0.6 else dark(case, 0.7))
    with b.group(clip_path=b.clip(inner)):
        b.fill(polygon([(20, 20), (50, 20), (38, 80), (8, 80)]), "#fff", fill_opacity=0.09)


def smart_watch(b: Brush) -> None:
    """A dark screen with colored rings, bars or tiles in a slim case, on a strap in the product's color."""
    shape = b.look.shape
    case = b.pick(("#c9ced4", "#33363c", "#e2c9a0", "#d9a99a"))
    _strap(b, b.vary(24, 29) if shape == "square" else b.vary(19, 24), metal_color=None)
    if shape == "round":
        radius = b.vary(22, 26)
        outer, inner = oval(50, 50, radius), oval(50, 50, radius * b.vary(0.84, 0.92))
        metal(b, box(49 + radius, 42, 4, 5, 1.5), case)
    else:
        half, tall = (b.vary(20, 23), b.vary(24, 27)) if shape == "square" else (b.vary(11.5, 14), b.vary(26, 32))
        corner = b.vary(6, 11)
        outer = box(50 - half, 50 - tall, 2 * half, 2 * tall, corner)
        rim = b.vary(1.6, 3)
        inner = box(50 - half + rim, 50 - tall + rim, 2 * (half - rim), 2 * (tall - rim), corner - rim * 0.7)
        metal(b, box(49 + half, 43, 3, b.vary(5, 9), 1.2), case)
    metal(b, outer, case)
    edge(b, outer, 1.2, 0.5)
    b.fill(inner, "#0d0f14")
    with b.group(clip_path=b.clip(inner)):
        _screen(b, narrow=shape == "band")
        b.fill(polygon([(56, 10), (80, 10), (80, 90), (70, 90)]), "#fff", fill_opacity=0.08)


def _strap(b: Brush, width: float, *, metal_color: str | None) -> None:
    taper = b.vary(0.68, 0.95)
    top, low = b.vary(3, 8), b.vary(92, 97)
    half, end = width / 2, width * taper / 2
    outline = smooth(
        both_sides(
            [
                (50 + end * 0.6, top),
                (50 + end, top + 3),
                (50 + half, 30),
                (50 + half, 70),
                (50 + end, low - 3),
                (50 + end * 0.6, low),
            ]
        ),
        tension=0.4,
    )
    if metal_color is None:
        body(b, outline, volume=Volume.TUBE)
        _strap_details(b, half, end, (top, low))
        return
    b.fill(outline, metal_fill(b, metal_color, Volume.TUBE))
    step = b.vary(3.4, 5.2)
    with b.group(clip_path=b.clip(outline)):
        y = top
        while y < low:
            b.line(f"M20,{y}h60", dark(metal_color, 0.6), 0.5)
            b.line(f"M20,{y + 0.6}h60", light(metal_color, 0.7), 0.35)
            y += step
        for share in b.pick(((0.4,), (0.3, 0.62), (0.55,))):
            b.line(f"M{50 - half * share},0v100M{50 + half * share},0v100", dark(metal_color, 0.5), 0.5)
    b.line(outline, dark(metal_color, 0.6), 0.4)


def _strap_details(b: Brush, half: float, end: float, ends: tuple[float, float]) -> None:
    top, low = ends
    if b.look.material == "leather":
        inset = 1.7
        seams = "".join(
            (
                f"M{50 + side * (end - inset)},{top + 4}L{50 + side * (half - inset)},28"
                f"M{50 + side * (half - inset)},72L{50 + side * (end - inset)},{low - 4}"
            )
            for side in (-1, 1)
        )
        stitches(b, seams)
    for k in range(b.pick((3, 4, 5))):
        b.fill(oval(50, low - 5 - 3.6 * k, 0.8, 1.1), dark(b.color, 0.75))
    plain(b, box(50 - end - 1.2, top + b.vary(5, 11), 2 * end + 2.4, 3.2, 1), dark(b.color, 0.2), volume=Volume.TUBE)


def _case(shape: str, radius: float) -> str:
    if shape == "round":
        return oval(50, 50, radius)
    if shape == "square":
        return box(50 - radius * 0.92, 50 - radius * 0.92, radius * 1.84, radius * 1.84, radius * 0.22)
    half = [(50 + radius * 0.55, 50 - radius * 1.1), (50 + radius * 0.86, 50), (50 + radius * 0.55, 50 + radius * 1.1)]
    return smooth(both_sides(half), tension=0.75)


def _dial(b: Brush, inner: str, radius: float, color: str) -> None:
    b.fill(inner, b.radial([(0, light(color, 0.18)), (0.7, color), (1, dark(color, 0.25))], x=0.5, y=0.45, radius=0.6))
    mark = "#f2efe6" if luminance(color) < 0.55 else "#23252b"
    kind, count = b.pick(("bar", "dot", "wedge", "long", "diamond")), b.pick((12, 12, 8, 4))
    size = radius * b.vary(0.05, 0.08)
    for k in range(count):
        x, y = turn(50, 50, radius * 0.66, 360 * k / count - 90)
        b.fill(_marker(kind, x, y, size), mark, transform=f"rotate({360 * k / count} {x} {y})")
    sub = b.pick(("none", "one", "two", "date", "three"))
    spots = {"one": [(50.0, 50 + radius * 0.34)], "two": [(50 - radius * 0.33, 50.0), (50 + radius * 0.33, 50.0)]}.get(
        sub, []
    )
    if sub == "three":
        spots = [turn(50, 50, radius * 0.36, angle) for angle in (90, 180, 0)]
    for x, y in spots:
        b.fill(oval(x, y, radius * 0.2), mix(color, mark, 0.15))
        b.line(oval(x, y, radius * 0.2), mark, 0.3)
        b.line(f"M{x},{y}L{x + radius * 0.1},{y - radius * 0.1}", mark, 0.5)
    if sub == "date":
        b.fill(box(50 + radius * 0.3, 48, radius * 0.22, 4, 0.4), "#fbfaf5")
        b.fill(box(51 + radius * 0.3, 49, radius * 0.1, 2), "#333")
    emblem(b, 50, 50 - radius * 0.36, 1.6)
    _hands(b, radius, mark)


def _marker(kind: str, x: float, y: float, size: float) -> str:
    if kind == "dot":
        return oval(x, y, size * 0.8)
    if kind == "diamond":
        return star(x, y, size * 1.4, 4, inner=0.5)
    if kind == "wedge":
        return regular(x, y, size * 1.3, 3, angle=90)
    tall = size * (2.2 if kind == "bar" else 4)
    return box(x - size * 0.32, y - tall / 2, size * 0.64, tall, 0.2)


def _hands(b: Brush, radius: float, color: str) -> None:
    accent = b.pick(("#d23b3b", "#e39a2c", color, "#3b7dd2"))
    for length, width, angle in ((0.42, 2.0, b.vary(0, 360)), (0.62, 1.4, b.vary(0, 360))):
        tip = radius * length
        b.fill(
            polygon([(50 - width / 2, 50 + tip * 0.18), (50, 50 - tip), (50 + width / 2, 50 + tip * 0.18)]),
            color,
            transform=f"rotate({angle} 50 50)",
        )
    b.line(f"M50,{50 + radius * 0.2}V{50 - radius * 0.68}", accent, 0.45, transform=f"rotate({b.vary(0, 360)} 50 50)")
    b.fill(oval(50, 50, 1.3), accent)


def _bezel_marks(b: Brush, radius: float, color: str) -> None:
    if b.look.shape != "round":
        return
    for k in range(24):
        (x1, y1), (x2, y2) = (
            turn(50, 50, radius * 0.98, 15 * k),
            turn(50, 50, radius * (1.03 if k % 2 else 1.05), 15 * k),
        )
        b.line(f"M{x1},{y1}L{x2},{y2}", color, 0.5)


def _screen(b: Brush, *, narrow: bool) -> None:
    hues = ("#ff5f6d", "#37d67a", "#3fa9f5", "#ffc145", "#b388ff", "#ff8f3f")
    first = b.pick((0, 1, 2, 3, 4, 5))
    tints = [hues[(first + 2 * k) % 6] for k in range(3)]
    face = b.pick(("rings", "bars", "clock", "tiles"))
    wide = 6 if narrow else 13
    glow(b, oval(50, 62, wide, wide), 0.05, 3)
    if face == "rings":
        for k, tint in enumerate(tints):
            r = wide - k * wide * 0.28
            b.line(
                oval(50, 52, r),
                tint,
                wide * 0.18,
                stroke_dasharray=f"{r * b.vary(2.5, 5.6)} 200",
                transform="rotate(-90 50 52)",
            )
    elif face == "bars":
        for k in range(7):
            tall = b.vary(4, 18)
            b.fill(box(50 - wide + k * wide * 0.3, 62 - tall, wide * 0.2, tall, 0.8), tints[k % 2])
    elif face == "clock":
        for k in range(12):
            x, y = turn(50, 50, wide * 1.1, 30 * k)
            b.fill(oval(x, y, 0.8), tints[0])
        b.line(f"M50,50L{50 + wide * b.vary(-0.5, 0.5)},{50 - wide * 0.5}M50,50V{50 - wide * 0.85}", "#fff", 1.3)
    else:
        for k in range(4):
            x, y = 50 - wide * 0.9 + (k % 2) * wide, 44 + (k // 2) * wide
            b.fill(box(x, y, wide * 0.8, wide * 0.8, wide * 0.25), tints[k % 3])
    b.fill(box(50 - wide * 0.6, 33, wide * b.vary(0.7, 1.2), 3, 1), "#e9edf2")
