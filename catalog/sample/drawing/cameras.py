"""Draws cameras, seen from the front."""

from __future__ import annotations

from catalog.sample.drawing.brush import Brush
from catalog.sample.drawing.colors import dark, light, mix
from catalog.sample.drawing.geometry import box, oval, polygon, smooth, turn
from catalog.sample.drawing.paint import Volume, body, edge, emblem, metal, plain


def camera(b: Brush) -> None:
    """A compact camera, one with a prism hump and a large lens, or an instant camera."""
    {"compact": _compact, "slr": _slr, "instant": _instant}[b.look.shape](b)


def lens(b: Brush, x: float, y: float, radius: float) -> None:
    """A lens whose rings, ribs and coating are the product's own."""
    shell = b.pick(("#2a2c31", "#c3c8ce", dark(b.color, 0.4)))
    metal(b, oval(x, y, radius), shell)
    edge(b, oval(x, y, radius), 1.4, 0.4)
    ribs = b.pick((0, 28, 40))
    for k in range(ribs):
        first, last = turn(x, y, radius * 0.86, 360 * k / ribs), turn(x, y, radius * 0.96, 360 * k / ribs)
        b.line(f"M{first[0]},{first[1]}L{last[0]},{last[1]}", "#0c0d10", 0.7)
    b.fill(oval(x, y, radius * 0.8), "#15161a")
    b.line(oval(x, y, radius * b.vary(0.66, 0.76)), b.pick(("#d8b04c", "#d23b3b", "#c9ced4", b.second)), 0.9)
    coat = b.pick(("#5a4fae", "#2f7d8c", "#8c4f7d", "#3f6fae"))
    glass = radius * b.vary(0.46, 0.58)
    b.fill(oval(x, y, glass), b.radial([(0, light(coat, 0.5)), (0.35, coat), (1, "#07080d")], x=0.4, y=0.35))
    b.line(oval(x, y, glass), "#4b4e56", 0.8)
    b.fill(oval(x - glass * 0.35, y - glass * 0.4, glass * 0.24, glass * 0.16), "#fff", fill_opacity=0.9)
    b.fill(oval(x + glass * 0.35, y + glass * 0.4, glass * 0.12), "#fff", fill_opacity=0.5)


def _compact(b: Brush) -> None:
    half, top, low = b.vary(40, 43), b.vary(29, 33), b.vary(74, 78)
    metal(b, box(50 + half * 0.4, top - 4, b.vary(9, 14), 6, 1.5), "#c3c8ce", volume=Volume.TUBE)
    plain(b, box(50 - half * 0.7, top - 3, 8, 5, 1.5), dark(b.color, 0.4))
    case = box(50 - half, top, 2 * half, low - top, b.vary(4, 11))
    body(b, case, depth=2.6)
    with b.group(clip_path=b.clip(case)):
        band = b.vary(8, 12)
        plain(b, box(0, top, 100, band), b.pick((light(b.color, 0.3), "#c3c8ce", dark(b.color, 0.3))))
        if b.vary(0, 1) > 0.5:
            plain(
                b,
                smooth(
                    [
                        (50 - half - 4, top + band),
                        (50 - half * 0.66, top + band + 2),
                        (50 - half * 0.7, low),
                        (50 - half - 4, low + 2),
                    ]
                ),
                dark(b.color, 0.5),
                material="leather",
            )
    x, radius = 50 + b.pick((0.0, 6.0, 10.0)), b.vary(16, 19)
    lens(b, x, (top + low) / 2 + 2, radius)
    _flash(b, 50 + half * 0.74, top + 5)
    b.fill(box(50 - half * 0.62, top + 3, 8, 5, 1), "#1a1c20")
    emblem(b, 50 - half * 0.6, b.vary(56, 66), b.vary(3, 4.6))


def _flash(b: Brush, x: float, y: float) -> None:
    wide = b.vary(9, 13)
    b.fill(box(x - wide / 2, y - 2.6, wide, 5.4, 1), "#8c9198")
    b.fill(box(x - wide / 2 + 0.7, y - 1.9, wide - 1.4, 4, 0.6), b.linear([(0, "#fffdf2"), (1, "#d9dde2")]))
    for k in range(4):
        b.line(f"M{x - wide / 2 + 1.5 + k * (wide - 3) / 3},{y - 1.6}v3.4", "#b9bec5", 0.3)


def _slr(b: Brush) -> None:
    half, top, low = b.vary(40, 43), b.vary(34, 37), b.vary(80, 84)
    hump = b.vary(13, 17)
    skin = b.pick((mix(b.color, "#1d1e22", 0.1), b.color))
    body(
        b,
        polygon([(50 - hump, top + 2), (50 - hump * 0.6, top - 13), (50 + hump * 0.6, top - 13), (50 + hump, top + 2)]),
        color=skin,
        pattern="plain",
        depth=2,
    )
    metal(b, box(43, top - 16, 14, 3.4, 0.6), "#9aa0a8", volume=Volume.ROLL)
    for x, size in ((50 - half * 0.68, b.vary(6, 8)), (50 + half * 0.66, b.vary(5, 9))):
        plain(b, box(x - size, top - 5, 2 * size, 7, 1.4), b.pick(("#2c2e33", "#b9bec5")), volume=Volume.TUBE)
    case = (
        f"M{50 - half},{top + 6}Q{50 - half},{top} {56 - half},{top}H{44 + half}Q{50 + half},{top} "
        f"{50 + half},{top + 6}V{low - 5}Q{50 + half},{low} {45 + half},{low}H{55 - half}"
        f"Q{50 - half},{low} {50 - half},{low - 5}z"
    )
    body(b, case, depth=3)
    grip = smooth(
        [
            (49 - half, top + 5),
            (50 - half * 0.6, top + 3),
            (50 - half * 0.52, top + 22),
            (50 - half * 0.62, low),
            (49 - half, low),
        ],
        tension=0.7,
    )
    plain(b, grip, dark(b.color, 0.4), material="leather", depth=2)
    plain(b, oval(50 - half * 0.78, top + 3, 3.4, 2.4), b.pick(("#d23b3b", "#c3c8ce", "#2c2e33")), volume=Volume.BALL)
    lens(b, 52, (top + low) / 2 + 3, b.vary(21, 24.5))
    emblem(b, 50, top - 5, b.vary(3, 4.2))
    b.fill(oval(50 + half * 0.8, top + 12, 1.4), "#d23b3b")


def _instant(b: Brush) -> None:
    half, top = b.vary(35, 40), b.vary(13, 18)
    low = 86.0
    if b.vary(0, 1) > 0.5:
        plain(b, box(50 - half * 0.6, low - 8, half * 1.2, 19, 1), "#f6f4ee")
        b.fill(box(50 - half * 0.5, low - 2, half, 9, 0.5), b.linear([(0, b.second), (1, "#2d3a55")]))
    body(b, box(50 - half, top, 2 * half, low - top, b.vary(6, 15)), depth=3.4)
    step = b.vary(64, 69)
    b.fill(box(50 - half * 0.8, step + 9, half * 1.6, 3.4, 1.6), "#17181c")
    b.line(f"M{50 - half},{step}H{50 + half}", dark(b.color, 0.4), 0.8)
    lens(b, 50, b.vary(46, 50), b.vary(15, 18))
    _flash(b, 50 - half * 0.6, top + 10)
    b.fill(box(50 + half * 0.45, top + 6, 9, 8, 2), "#1a1c20")
    b.fill(box(50 + half * 0.45 + 1.5, top + 7.5, 6, 5, 1), "#4b5a78")
    if b.vary(0, 1) > 0.4:
        for k, tint in enumerate(("#e2574c", "#f0a04b", "#f3d55b", "#58b368", "#3f88c5")):
            b.fill(box(47.5 + k, step + 0.4, 1, 8.2), tint)
    plain(b, oval(50 + half * 0.72, 50, 4), b.pick(("#d23b3b", b.second, "#f3f1ea")), volume=Volume.BALL)
    emblem(b, 50 - half * 0.68, step - b.vary(5, 9), b.vary(3, 4.8))
