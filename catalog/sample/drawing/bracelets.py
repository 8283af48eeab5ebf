"""Draws bracelets, lying open and seen from slightly above."""

from __future__ import annotations

from collections.abc import Sequence

from catalog.sample.drawing.brush import Brush
from catalog.sample.drawing.colors import dark, light
from catalog.sample.drawing.geometry import Point, arc, box, drop, heart, oval, smooth, star, turn
from catalog.sample.drawing.jewelry import bead_loop, stone
from catalog.sample.drawing.paint import Volume, body, emblem, glow, metal, metal_fill, metal_of, stitches


def bracelet(b: Brush) -> None:
    """A bracelet lying open, seen from slightly above."""
    if b.look.shape == "beads":
        bead_loop(b, b.vary(35, 39), 50)
        return
    wide = b.vary(11, 17) if b.look.shape == "cuff" else b.vary(7, 10)
    squeeze, y = b.vary(0.62, 0.82), 46.0
    _band(b, wide, squeeze, y)
    if b.look.shape == "charm":
        tint = metal_of(b.look.material)
        low = y + 40 * squeeze + wide * 0.4
        for k in range(b.pick((3, 4, 5))):
            x = 28 + 12 * k
            metal(b, oval(x, low - abs(x - 50) * 0.14, 1.6) + oval(x, low - abs(x - 50) * 0.14, 0.8), tint)
            _charm(b, x, low + 7 - abs(x - 50) * 0.14)


def _band(b: Brush, wide: float, squeeze: float, y: float) -> None:
    leather = b.look.material == "leather"
    tint = metal_of(b.look.material)
    down = 40 * squeeze
    front = f"M10,{y - wide / 2}A40,{down} 0 0 0 90,{y - wide / 2}V{y + wide / 2}A40,{down} 0 0 1 10,{y + wide / 2}z"
    back = f"M10,{y - wide / 2}A40,{down} 0 0 1 90,{y - wide / 2}V{y + wide / 2}A40,{down} 0 0 0 10,{y + wide / 2}z"
    inside = dark(b.color if leather else tint, 0.45)
    # A cuff is open at the back.
    gap = wide * 0.9 if b.look.shape == "cuff" else 0.0
    with b.group(clip_path=b.clip(box(0, 0, 50 - gap, 100) + box(50 + gap, 0, 50 - gap, 100))):
        b.fill(
            back,
            b.linear([(0, dark(inside, 0.35)), (0.5, light(inside, 0.25)), (1, dark(inside, 0.35))], right=1, down=0),
        )
    if leather:
        body(b, front, volume=Volume.TUBE)
        stitches(
            b,
            (
                f"M11,{y - wide / 2 + 2}A39,{down} 0 0 0 89,{y - wide / 2 + 2}M11,{y + wide / 2 - 2}"
                f"A39,{down} 0 0 0 89,{y + wide / 2 - 2}"
            ),
        )
        metal(b, box(46, y + down - wide * 0.62, 8, wide * 1.24, 1.5), metal_of("steel"))
        emblem(b, 50, y + down, 2)
        return
    b.fill(front, metal_fill(b, tint, Volume.TUBE))
    b.line(front, dark(tint, 0.5), 0.4)
    share = b.vary(0.3, 0.62)
    inlay = (
        f"M13,{y + 3 - wide * share / 2}A37.5,{down - 3 + 1.6} 0 0 0 87,{y + 3 - wide * share / 2}"
        f"V{y + 3 + wide * share / 2}A37.5,{down - 1.4} 0 0 1 13,{y + 3 + wide * share / 2}z"
    )
    body(b, inlay, material="ceramic", volume=Volume.TUBE, depth=0.8)
    step, low_size = b.pick((9, 13, 18, 24, 36)), b.vary(0.14, 0.26)
    if b.look.shape != "charm":
        spots = [turn(50, y, 40, angle, squeeze=squeeze) for angle in range(90 - 2 * step, 91 + 2 * step, step)]
        _gems(b, spots, wide * low_size)
    _engraving(b, (y, squeeze), wide)


def _engraving(b: Brush, center: tuple[float, float], wide: float) -> None:
    """Strokes, dots or a rim along the front of the band."""
    (y, squeeze), style = center, b.pick(("strokes", "dots", "rims"))
    shade, count = dark(metal_of(b.look.material), 0.6), b.pick((7, 9, 12, 16))
    share = b.vary(0.3, 0.42)
    for k in range(count):
        x, down = turn(50, y, 40, 30 + 120 * k / (count - 1), squeeze=squeeze)
        if style == "strokes":
            b.line(f"M{x},{down - wide * 0.46}v{wide * 0.14}M{x},{down + wide * 0.32}v{wide * 0.14}", shade, 0.7)
        else:
            b.fill(oval(x, down + wide * share, 0.8 if style == "dots" else 0.5), shade)
    if style == "rims":
        b.line(arc(50, y - wide * share, 40, 160, 20, squeeze=squeeze), shade, 0.7)
        b.line(arc(50, y + wide * share, 40, 160, 20, squeeze=squeeze), shade, 0.7)


def _gems(b: Brush, spots: Sequence[Point], size: float) -> None:
    for x, y in spots:
        stone(b, x, y, size, color=b.second)


def _charm(b: Brush, x: float, y: float) -> None:
    shape = b.pick(
        (
            heart(x, y, 4.6),
            star(x, y, 6, 5),
            oval(x, y, 5),
            drop(x, y + 1, 4.2),
            smooth([(x, y - 5), (x + 5, y), (x, y + 5), (x - 5, y)]),
        )
    )
    body(b, shape, color=b.pick((b.color, b.color, b.second)), material="ceramic", pattern="plain", depth=1)
    glow(b, oval(x - 1.5, y - 1.5, 1), 0.7, 0.4)
